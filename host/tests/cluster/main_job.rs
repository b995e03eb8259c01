//! The containers of every ReplicaSet, printed.

use std::collections::BTreeSet;

use crate::control_plane::ControlPlane;
use crate::support::host::Workplace;
use crate::support::{plugins, poll, probe, replica_set};

#[test]
fn what_kubectl_does_is_printed() {
    let cluster = ControlPlane::start_all();
    let place = Workplace::new();
    place.plugin("print-containers", &plugins::print_containers());
    place.plugin("probe", &plugins::probe(1));
    place.plugin("replicas", &plugins::example("replicas"));
    let host = cluster.host(&place.plugins, &[]);
    host.settled();

    cluster.kubectl(["create", "deployment", "web", "--image=nginx"]);
    let line = host.line_with(": nginx");
    let first = line.strip_suffix(": nginx").unwrap().to_owned();
    assert!(first.starts_with("default/web-"), "{line}");

    cluster.kubectl(["scale", "deployment/web", "--replicas=3"]);
    host.line(&format!("{first} wants 3 replicas"));

    cluster.kubectl(["set", "image", "deployment/web", "nginx=httpd"]);
    let printed_names = || -> BTreeSet<_> {
        host.stdout().iter().filter_map(|line| line.strip_suffix(": nginx")).map(str::to_owned).collect()
    };
    let second = poll("line of a second ReplicaSet", || printed_names().into_iter().find(|name| *name != first));

    cluster.kubectl(["delete", "deployment", "web"]);
    host.line(&format!("version-0001 {first} gone"));
    host.line(&format!("version-0001 {second} gone"));
    host.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn five_thousand_are_each_printed_exactly_once() {
    const OBJECTS: usize = 5000;
    let cluster = ControlPlane::start();
    let place = Workplace::new();
    place.plugin("print-containers", &plugins::print_containers());
    cluster.create((0..OBJECTS).map(|index| replica_set(&format!("set-{index:04}"), &["first", "second"]))).await;

    let finished = cluster.host(&place.plugins, &["--once"]).finish();
    assert_eq!(finished.status.code(), Some(0));
    let expected: Vec<_> = (0..OBJECTS).map(|index| format!("default/set-{index:04}: first, second")).collect();
    assert_eq!(finished.sorted_stdout(), expected);
    finished.log("5000 objects, 1 plugin in ");
}

#[test]
fn namespace_and_selector_are_left_to_the_api_server() {
    let cluster = ControlPlane::start();
    let place = Workplace::new();
    place.plugin("print-containers", &plugins::print_containers());
    cluster.kubectl(["create", "namespace", "other"]);
    for (name, namespace) in [("a", "default"), ("b", "default"), ("c", "other")] {
        let mut object = replica_set(name, &["main"]);
        object["metadata"]["namespace"] = namespace.into();
        cluster.apply(&object);
    }
    let once = |args: &[&str]| cluster.host(&place.plugins, &[&["--once"], args].concat()).finish().stdout;
    assert_eq!(once(&["-n", "other"]), ["other/c: main"]);
    assert_eq!(once(&["-l", "app in (a,c)", "-n", "default"]), ["default/a: main"]);
}

#[test]
fn a_plugin_is_given_what_the_api_server_has_without_managed_fields() {
    let cluster = ControlPlane::start();
    let place = Workplace::new();
    place.plugin("probe", &plugins::probe(1));
    cluster.apply(&probe("a", "dump"));
    let finished = cluster.host(&place.plugins, &["--once"]).finish();
    let given: serde_json::Value = serde_json::from_str(&finished.stdout[1]).unwrap();
    let path = "/apis/apps/v1/namespaces/default/replicasets/a";
    let mut served: serde_json::Value = serde_json::from_str(&cluster.kubectl(["get", "--raw", path])).unwrap();
    served["metadata"].as_object_mut().unwrap().remove("managedFields").expect("the server keeps them");
    assert_eq!(given, served);
}
