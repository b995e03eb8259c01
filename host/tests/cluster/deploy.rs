//! The manifests of `deploy/`, and the rights that they give.

use crate::control_plane::{ControlPlane, host_as};
use crate::support::host::Workplace;
use crate::support::{plugins, replica_set};

/// The manifests.
pub(crate) const BASE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/base");

#[tokio::test(flavor = "multi_thread")]
async fn the_base_is_accepted_and_its_rights_are_just_enough() {
    let cluster = ControlPlane::start();
    let place = Workplace::new();
    place.plugin("print-containers", &plugins::print_containers());
    cluster.apply(&replica_set("a", &["main"]));
    let applied = cluster.kubectl(["apply", "-k", BASE]);
    for object in
        ["serviceaccount/oarlock", "clusterrole", "clusterrolebinding", "deployment.apps/oarlock", "networkpolicy"]
    {
        assert!(applied.contains(object), "{object} in {applied}");
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
