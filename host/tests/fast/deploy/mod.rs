//! What is in `deploy/`, built as its users build it.

mod chart;
mod pages;

use std::path::Path;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, PersistentVolumeClaim, Pod, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::support::deploy::{DEPLOY, container, kustomizations, kustomize, objects, only, output};
use crate::support::host::{Host, Workplace};
use crate::support::{deploy, http_get, plugins, replica_set};

#[test]
fn every_field_of_every_overlay_is_one_that_kubernetes_knows() {
    for (name, objects) in kustomizations() {
        assert!(objects.len() > 8, "{name}");
        for mut object in objects {
            // kustomize folds it, which Kubernetes takes and these types do not.
            let files = object.get_mut("binaryData").and_then(Value::as_object_mut);
            for data in files.into_iter().flat_map(|files| files.values_mut()) {
                *data = data.as_str().unwrap().replace('\n', "").into();
            }
            assert_is_known(&object);
        }
    }
    assert_is_known(&loader());
}

/// Fails if Kubernetes' types drop anything of it.
fn assert_is_known(object: &Value) {
    let known = match object["kind"].as_str().unwrap() {
        "ClusterRole" => through::<ClusterRole>(object),
        "ClusterRoleBinding" => through::<ClusterRoleBinding>(object),
        "ConfigMap" => through::<ConfigMap>(object),
        "Deployment" => through::<Deployment>(object),
        "Namespace" => through::<Namespace>(object),
        "NetworkPolicy" => through::<NetworkPolicy>(object),
        "PersistentVolumeClaim" => through::<PersistentVolumeClaim>(object),
        "Pod" => through::<Pod>(object),
        "PodDisruptionBudget" => through::<PodDisruptionBudget>(object),
        "Role" => through::<Role>(object),
        "RoleBinding" => through::<RoleBinding>(object),
        "Service" => through::<Service>(object),
        "ServiceAccount" => through::<ServiceAccount>(object),
        kind => panic!("no type for {kind}"),
    };
    assert_eq!(*object, known, "a field is not known, or not as it is written");
}

fn through<T: DeserializeOwned + Serialize>(object: &Value) -> Value {
    serde_json::to_value(serde_json::from_value::<T>(object.clone()).unwrap()).unwrap()
}

fn loader() -> Value {
    let path = Path::new(DEPLOY).join("overlays/volume-claim/loader.yaml");
    objects(&std::fs::read_to_string(path).unwrap()).remove(0)
}

#[test]
fn the_rights_of_the_base_are_those_that_the_default_plugin_needs() {
    let place = Workplace::new();
    place.plugin("print-containers", &plugins::print_containers());
    let printed = objects(&output(Host::program().arg("rbac").arg("--plugins").arg(&place.plugins)));
    let base = kustomize(&Path::new(DEPLOY).join("base"));
    let rules = |objects| only(objects, "ClusterRole")["rules"].clone();
    assert_eq!(rules(&base), rules(&printed));
    assert_eq!(only(&base, "ClusterRoleBinding")["subjects"], only(&printed, "ClusterRoleBinding")["subjects"]);
}

#[test]
fn the_host_takes_the_arguments_of_every_overlay() {
    for (name, objects) in kustomizations() {
        let plugins = if name == "git" { "/plugins/current" } else { "/plugins" };
        let shown = taken_by_the_host(&objects);
        assert!(shown.contains(&format!("plugins: {plugins} ")), "{name}: {shown}");
    }
}

/// What the host says that the arguments of a Deployment mean.
fn taken_by_the_host(objects: &[Value]) -> String {
    let args: Vec<String> = serde_json::from_value(container(objects)["args"].clone()).unwrap();
    assert_eq!(args[0], "run");
    output(Host::program().arg("config").args(&args[1..]))
}

#[test]
fn the_probes_and_the_service_ask_for_what_the_host_serves() {
    let base = kustomize(&Path::new(DEPLOY).join("base"));
    let container = container(&base);
    let place = Workplace::new();
    place.plugin("print-containers", &plugins::print_containers());
    place.object(&replica_set("a", &["main"]));
    let host = place.run(&["--admin", "127.0.0.1:0"]);
    let address = host.log("serving /livez")["address"].as_str().unwrap().to_owned();
    host.settled();
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
        let get = &container[probe]["httpGet"];
        assert_eq!(get["port"], "admin", "{probe}");
        let answer = http_get(&address, get["path"].as_str().unwrap());
        assert!(answer.starts_with("HTTP/1.1 200 "), "{probe}: {answer}");
    }
    host.stop();

    let port = json!({"name": "admin", "containerPort": 8080, "protocol": "TCP"});
    assert_eq!(container["ports"], json!([port]));
    assert!(container["args"].as_array().unwrap().contains(&"--admin=:8080".into()), "{container}");
    let policy = &only(&base, "NetworkPolicy")["spec"];
    assert_eq!(policy["podSelector"], only(&base, "Deployment")["spec"]["selector"]);
    assert_eq!(policy["ingress"][0]["ports"], json!([{"port": "admin"}]));
    let service = only(&base, "Service");
    let port = json!({"name": "admin", "port": 8080, "targetPort": "admin", "protocol": "TCP"});
    assert_eq!(service["spec"]["ports"], json!([port]));
    let monitoring = kustomize(&Path::new(DEPLOY).join("monitoring"));
    let monitor = &only(&monitoring, "PodMonitor")["spec"];
    assert_eq!(monitor["selector"], only(&base, "Deployment")["spec"]["selector"]);
    assert_eq!(monitor["podMetricsEndpoints"], json!([{"port": "admin", "path": "/metrics"}]));
}

#[test]
fn there_is_time_to_drain_before_a_pod_is_killed() {
    let base = kustomize(&Path::new(DEPLOY).join("base"));
    let grace = only(&base, "Deployment")["spec"]["template"]["spec"]["terminationGracePeriodSeconds"].as_u64();
    let shown = taken_by_the_host(&base);
    let drain = shown.lines().find_map(|line| line.strip_prefix("drain-time: ")?.split_once("s ")).unwrap().0;
    assert!(grace.unwrap() >= drain.parse::<u64>().unwrap() + 5, "{grace:?} s, and --drain-time {drain}s");
}

#[test]
fn every_pod_is_as_restricted_as_its_namespace_asks() {
    for (name, objects) in kustomizations() {
        let label = &only(&objects, "Namespace")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"];
        assert_eq!(label, "restricted");
        assert_is_restricted(name, &only(&objects, "Deployment")["spec"]["template"]["spec"]);
    }
    assert_is_restricted("loader", &loader()["spec"]);
}

/// What the Pod Security Standard `restricted` asks for, and a root that is read-only.
fn assert_is_restricted(name: &str, pod: &Value) {
    let security = &pod["securityContext"];
    assert_eq!(security["runAsNonRoot"], true, "{name}");
    assert_ne!(security["runAsUser"].as_u64().unwrap(), 0, "{name}");
    assert_eq!(security["seccompProfile"], json!({"type": "RuntimeDefault"}), "{name}");
    assert!(["hostNetwork", "hostPID", "hostIPC"].iter().all(|field| pod[field].is_null()), "{name}");
    let expected = json!({
        "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]},
    });
    let containers = ["initContainers", "containers"].iter().filter_map(|field| pod[field].as_array()).flatten();
    for container in containers {
        assert_eq!(container["securityContext"], expected, "{name}: {container}");
    }
    let allowed = ["configMap", "emptyDir", "image", "persistentVolumeClaim", "projected"];
    for volume in pod["volumes"].as_array().unwrap() {
        let source = volume.as_object().unwrap().keys().filter(|key| *key != "name").collect::<Vec<_>>();
        assert!(source.len() == 1 && allowed.contains(&source[0].as_str()), "{name}: {volume}");
    }
}

#[test]
fn a_namespace_a_suffix_and_an_image_are_said_in_one_place() {
    let copy = deploy::copy();
    let own = "namespace: team\nnameSuffix: -two\nresources: [deploy/overlays/config-map]\n\
               images:\n- {name: oarlock, newName: registry.example.com/oarlock, newTag: '7'}\n";
    std::fs::write(copy.path().join("kustomization.yaml"), own).unwrap();
    let objects = kustomize(copy.path());
    let names = |kind: &str| only(&objects, kind)["metadata"]["name"].clone();
    assert_eq!(names("Namespace"), "team");
    for object in &objects {
        let (kind, namespace) = (object["kind"].as_str().unwrap(), &object["metadata"]["namespace"]);
        let expected = if kind.starts_with("Cluster") || kind == "Namespace" { Value::Null } else { json!("team") };
        assert_eq!(*namespace, expected, "{kind}");
    }
    for (kind, role) in [("ClusterRoleBinding", "ClusterRole"), ("RoleBinding", "Role")] {
        let binding = only(&objects, kind);
        assert_eq!(binding["roleRef"]["name"], names(role));
        let account = json!([{"kind": "ServiceAccount", "name": names("ServiceAccount"), "namespace": "team"}]);
        assert_eq!(binding["subjects"], account);
    }
    let pod = &only(&objects, "Deployment")["spec"]["template"]["spec"];
    assert_eq!(pod["serviceAccountName"], names("ServiceAccount"));
    assert_eq!(pod["containers"][0]["image"], "registry.example.com/oarlock:7");
    let config_map = &pod["volumes"][0]["projected"]["sources"][0]["configMap"];
    assert_eq!(config_map["name"], names("ConfigMap"));
}
