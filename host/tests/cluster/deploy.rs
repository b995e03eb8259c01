//! The manifests of `deploy/`, and the rights that they give.

use std::path::Path;

use serde_json::{Value, json};

use crate::control_plane::{ControlPlane, host_as};
use crate::examples::{deployment, rights_of};
use crate::support::deploy::{DEPLOY, kustomizations, kustomize};
use crate::support::host::Workplace;
use crate::support::{deploy, plugins, poll, replica_set};

/// The objects of the base that every version of Kubernetes has.
fn base() -> Vec<Value> {
    known_everywhere(kustomize(&Path::new(DEPLOY).join("base")))
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
        // Sidecars came with Kubernetes 1.29, image volumes with 1.31.
        let is_known = !["git", "image"].contains(&name);
        for object in known_everywhere(objects).iter().filter(|object| is_known || object["kind"] != "Deployment") {
            let applied = cluster.try_dry_run(object);
            assert!(applied.is_ok(), "{name}: {} {}", object["kind"], applied.unwrap_err());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_of_the_chart_is_installed_upgraded_and_does_the_work_of_its_plugins_with_the_rights_of_its_values() {
    let cluster = ControlPlane::start();
    let place = Workplace::new();
    place.example("label-defaulter");
    let values = place.folder.path().join("values.json");
    let helm = |action: &[&str]| {
        let mut command = deploy::tool("helm");
        command.args(action).args(["--namespace", "team"]).env("KUBECONFIG", cluster.kubeconfig());
        command.env("HELM_CACHE_HOME", place.folder.path());
        deploy::output(&mut command)
    };
    // A cluster without `policy/v1`.
    let with = |rules: &Value| json!({"podDisruptionBudget": {"enabled": false}, "rbac": {"rules": rules}, "options": {"leader-elect": true}});
    let chart = Path::new(DEPLOY).join("chart");
    let (chart, file) = (chart.to_str().unwrap(), values.to_str().unwrap());
    std::fs::write(&values, with(&json!([])).to_string()).unwrap();
    helm(&["install", "two", chart, "--values", file, "--create-namespace"]);

    let released = deploy::objects(&helm(&["get", "manifest", "two"]));
    let args: Vec<String> = serde_json::from_value(deploy::container(&released)["args"].clone()).unwrap();
    let args = args
        .iter()
        .map(String::as_str)
        .filter(|arg| !["run", "--plugins", "--cache-dir", "--admin"].iter().any(|own| arg.starts_with(own)));
    let args: Vec<_> = args.chain(["--lease-namespace", "team"]).collect();
    let kubeconfig = cluster.kubeconfig_of_account("team", "two-oarlock").await;
    let host = host_as(&kubeconfig, &place.plugins, &args);
    host.log("holding the lease");
    host.log("the account needs the verbs get, list and watch on deployments");

    let rights = deploy::objects(&rights_of(&place.plugins));
    std::fs::write(&values, with(&deploy::only(&rights, "ClusterRole")["rules"]).to_string()).unwrap();
    helm(&["upgrade", "two", chart, "--values", file]);
    cluster.apply(&deployment("shop", &json!({})));
    cluster.wait_for(&["deploy", "shop"], "/metadata/labels/team", &"unassigned".into());
    host.stop();
    assert_eq!(cluster.get(["lease", "-n", "team", "two-oarlock"])["spec"]["holderIdentity"], "");
    helm(&["uninstall", "two"]);
    cluster.wait_until_gone(&["clusterrole", "two-oarlock"]);
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

    let allowed = || cluster.kubectl(["auth", "can-i", "--list", "--as=system:serviceaccount:oarlock:oarlock"]);
    let all = allowed();
    let rights: Vec<_> = all
        .lines()
        .skip(1)
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .filter(|right| !right.starts_with('[') && !right.starts_with("self"))
        .collect();
    let expected = ["events.events.k8s.io [] [] [create patch]", "replicasets.apps [] [] [get list watch]"];
    assert_eq!(rights, expected, "{all}");

    cluster.kubectl(["delete", "clusterrolebinding", "oarlock"]);
    poll("it is not allowed any more", || (!allowed().contains("replicasets")).then_some(()));
    let host = host_as(&kubeconfig, &place.plugins, &[]);
    host.log("the account needs the verbs get, list and watch on replicasets");
    let lacks = host.log("the host's account lacks rights for what the plugin watches and is granted");
    let rule = r#"{apiGroups: ["apps"], resources: ["replicasets"], verbs: ["get", "list", "watch"]}"#;
    assert!(lacks["message"].as_str().unwrap().contains(rule), "{lacks}");
    host.stop();
    let finished = host_as(&kubeconfig, &place.plugins, &["--once"]).finish();
    assert_eq!(finished.status.code(), Some(1), "once, it is not waited for: {finished}");
}
