//! The manifests of `deploy/`, and the rights that they give.

use std::path::Path;

use serde_json::Value;

use crate::control_plane::{ControlPlane, host_as};
use crate::support::deploy::{kustomizations, kustomize};
use crate::support::host::Workplace;
use crate::support::{deploy, plugins, replica_set};

/// The objects of the base that every version of Kubernetes has.
fn base() -> Vec<Value> {
    known_everywhere(kustomize(&Path::new(deploy::DEPLOY).join("base")))
}

/// Without those of `policy/v1`, which came with Kubernetes 1.21.
fn known_everywhere(mut objects: Vec<Value>) -> Vec<Value> {
    objects.retain(|object| object["kind"] != "PodDisruptionBudget");
    objects
}

#[test]
fn what_the_overlays_make_is_accepted() {
    let cluster = ControlPlane::start();
    cluster.kubectl(["create", "namespace", "oarlock"]);
    for (name, objects) in kustomizations() {
        // Image volumes came with Kubernetes 1.31.
        let is_known = name != "image";
        for object in known_everywhere(objects).iter().filter(|object| is_known || object["kind"] != "Deployment") {
            let applied = cluster.try_dry_run(object);
            assert!(applied.is_ok(), "{name}: {} {}", object["kind"], applied.unwrap_err());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_base_is_accepted_and_its_rights_are_just_enough() {
    let cluster = ControlPlane::start();
    let place = Workplace::new();
    place.plugin("print-containers", &plugins::print_containers());
    cluster.apply(&replica_set("a", &["main"]));
    for object in base() {
        cluster.apply(&object);
    }

    let kubeconfig = cluster.kubeconfig_of_account("oarlock", "oarlock").await;
    let host = host_as(&kubeconfig, &place.plugins, &[]);
    host.line("default/a: main");
    cluster.apply(&replica_set("b", &["main"]));
    host.line("default/b: main");
    host.stop();
    let leading = host_as(&kubeconfig, &place.plugins, &["--leader-elect", "--lease-namespace", "oarlock"]);
    leading.log("holding the lease");
    leading.stop();

    let allowed = cluster.kubectl(["auth", "can-i", "--list", "--as=system:serviceaccount:oarlock:oarlock"]);
    let rights: Vec<_> = allowed
        .lines()
        .skip(1)
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .filter(|right| !right.starts_with('[') && !right.starts_with("self"))
        .collect();
    let expected = ["events.events.k8s.io [] [] [create patch]", "replicasets.apps [] [] [get list watch]"];
    assert_eq!(rights, expected, "{allowed}");

    cluster.kubectl(["delete", "clusterrolebinding", "oarlock"]);
    let host = host_as(&kubeconfig, &place.plugins, &[]);
    host.log("the account needs the verbs get, list and watch on replicasets");
    let lacks = host.log("the host's account lacks rights for what the plugin watches and is granted");
    let rule = r#"{apiGroups: ["apps"], resources: ["replicasets"], verbs: ["get", "list", "watch"]}"#;
    assert!(lacks["message"].as_str().unwrap().contains(rule), "{lacks}");
    host.stop();
    let finished = host_as(&kubeconfig, &place.plugins, &["--once"]).finish();
    assert_eq!(finished.status.code(), Some(1), "once, it is not waited for: {finished}");
}
