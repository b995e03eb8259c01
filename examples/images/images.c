/* Prints the images that an object uses. An ordinary program: the object on stdin, lines on stdout, an exit code. */

#include <stdio.h>
#include <string.h>

static char object[4 << 20];

int main(int argc, char **argv)
{
    if (argc < 6)
        return 1;
    const char *call = argv[1], *namespace = argv[4], *name = argv[5];
    if (strcmp(call, "gone") == 0)
        return 0;

    size_t length = fread(object, 1, sizeof object - 1, stdin);
    if (length == sizeof object - 1) {
        fprintf(stderr, "the object is too large\n");
        return 1;
    }

    /* The API server writes JSON without spaces, and an image has no character that JSON escapes. */
    static const char key[] = "\"image\":\"";
    for (const char *at = object; (at = strstr(at, key)) != NULL;) {
        at += sizeof key - 1;
        printf("%s/%s uses %.*s\n", namespace, name, (int)strcspn(at, "\""), at);
    }
    return 0;
}
