/* Prints how many replicas each ReplicaSet wants: the object on stdin, lines on stdout, an exit code. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The API server takes objects of up to 3 MiB or so. */
static char object[4 << 20];

/* Enough for a number. For more, there are parsers of JSON, such as cJSON. */
static long replicas(const char *json)
{
    static const char key[] = "\"replicas\":";
    const char *spec = strstr(json, "\"spec\":");
    const char *found = spec ? strstr(spec, key) : NULL;
    return found ? strtol(found + strlen(key), NULL, 10) : 1;
}

int main(int argc, char **argv)
{
    if (argc != 6) {
        fprintf(stderr, "run me as an Oarlock plugin\n");
        return 1;
    }
    const char *call = argv[1], *namespace = argv[4], *name = argv[5];
    if (strcmp(call, "gone") == 0)
        return 0;

    size_t length = fread(object, 1, sizeof object - 1, stdin);
    if (length == sizeof object - 1) {
        fprintf(stderr, "the object is too large\n");
        return 1;
    }
    printf("%s/%s wants %ld\n", namespace, name, replicas(object));
    return 0;
}
