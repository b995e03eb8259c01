//! The controllers of `examples/`, all of them on one host that has the rights which `oarlock rbac` prints, and no more.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::control_plane::{ControlPlane, host_as};
use crate::support::deploy::DEPLOY;
use crate::support::host::{Host, Workplace};
use crate::support::plugins;

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples");

/// What one of them is put through.
struct Story {
    plugin: &'static str,
    /// While the host runs, to its end.
    begin: fn(&ControlPlane),
    /// While no host runs.
    away: fn(&ControlPlane),
    /// While it runs again.
    end: fn(&ControlPlane),
}

const STORIES: [Story; 5] = [
    Story { plugin: "label-defaulter", begin: label_begin, away: label_away, end: label_end },
    Story { plugin: "website", begin: website_begin, away: website_away, end: website_end },
    Story { plugin: "default-deny", begin: deny_begin, away: deny_away, end: deny_end },
    Story { plugin: "ttl", begin: ttl_begin, away: ttl_away, end: ttl_end },
    Story { plugin: "copy-config", begin: copy_begin, away: copy_away, end: copy_end },
];

#[tokio::test(flavor = "multi_thread")]
async fn all_of_them_work_at_once_with_the_rights_that_are_printed_for_them_and_over_a_restart() {
    let cluster = ControlPlane::start_all();
    let place = Workplace::new();
    for Story { plugin, .. } in STORIES {
        place.grant(plugin, &fs::read_to_string(format!("{EXAMPLES}/{plugin}/{plugin}.yaml")).unwrap());
        place.plugin(plugin, &plugins::example(plugin));
    }
    for file in ["namespace.yaml", "service-account.yaml"] {
        cluster.kubectl(["apply", "-f", &format!("{DEPLOY}/base/{file}")]);
    }
    cluster.kubectl(["apply", "-f", &format!("{EXAMPLES}/website/crd.yaml")]);
    cluster.kubectl(["wait", "--for=condition=Established", "crd/websites.example.com"]);
    let rights = place.folder.path().join("rights.yaml");
    fs::write(&rights, rights_of(&place.plugins)).unwrap();
    cluster.kubectl(["apply", "-f", rights.to_str().unwrap()]);
    let kubeconfig = cluster.kubeconfig_of_account("oarlock", "oarlock").await;

    let host = host_as(&kubeconfig, &place.plugins, &[]);
    host.settled();
    for story in STORIES {
        (story.begin)(&cluster);
    }
    stop(host);
    for story in STORIES {
        (story.away)(&cluster);
    }
    let host = host_as(&kubeconfig, &place.plugins, &[]);
    for story in STORIES {
        (story.end)(&cluster);
    }
    stop(host);
}

/// What `oarlock rbac` prints.
pub(crate) fn rights_of(plugins: &Path) -> String {
    let output =
        Command::new(env!("CARGO_BIN_EXE_oarlock")).arg("rbac").arg("--plugins").arg(plugins).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Stops the host, to which nothing may have been refused.
fn stop(host: Host) {
    let finished = host.stop();
    for message in finished.messages() {
        let is_refused = ["lacks", "forbidden", "not granted", "hot loop", "reconcile failed"]
            .iter()
            .any(|word| message.contains(word));
        assert!(!is_refused, "{message}\n{finished}");
    }
}

pub(crate) fn deployment(name: &str, labels: &Value) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "default", "labels": labels},
        "spec": {"replicas": 0, "selector": {"matchLabels": {"app": name}}, "template": {
            "metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "main", "image": "image"}]},
        }},
    })
}

fn label_begin(cluster: &ControlPlane) {
    cluster.apply(&deployment("shop", &json!({})));
    cluster.wait_for(&["deploy", "shop"], "/metadata/labels/team", &"unassigned".into());
    cluster.apply(&deployment("owned", &json!({"team": "blue"})));
    cluster.kubectl(["label", "deploy", "shop", "team-"]);
    cluster.wait_for(&["deploy", "shop"], "/metadata/labels/team", &"unassigned".into());
    assert_eq!(cluster.get(["deploy", "owned"])["metadata"]["labels"]["team"], "blue");
}

fn label_away(cluster: &ControlPlane) {
    cluster.kubectl(["label", "deploy", "owned", "team-"]);
    cluster.kubectl(["label", "deploy", "shop", "team=red", "--overwrite"]);
}

fn label_end(cluster: &ControlPlane) {
    cluster.wait_for(&["deploy", "owned"], "/metadata/labels/team", &"unassigned".into());
    assert_eq!(cluster.get(["deploy", "shop"])["metadata"]["labels"]["team"], "red");
    cluster.kubectl(["delete", "deploy", "shop", "owned"]);
}

fn website(name: &str, image: &str, expose: bool) -> Value {
    json!({
        "apiVersion": "example.com/v1",
        "kind": "Website",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"image": image, "replicas": 1, "expose": expose},
    })
}

fn website_begin(cluster: &ControlPlane) {
    let names = ["hello", "brief", "leaving"];
    for name in names {
        cluster.apply(&website(name, "nginx:1", true));
    }
    for name in names {
        cluster.wait_for(&["website", name], "/status/url", &format!("http://{name}.default.svc:80").into());
        let deployment = cluster.get(["deploy", name]);
        assert_eq!(deployment["spec"]["template"]["spec"]["containers"][0]["image"], "nginx:1");
        assert_eq!(deployment["metadata"]["ownerReferences"][0]["kind"], "Website");
        assert_eq!(cluster.get(["service", name])["spec"]["ports"][0]["port"], 80);
        let entry = cluster.get(["cm", &format!("default.{name}"), "-n", "websites"]);
        assert_eq!(entry["data"]["image"], "nginx:1");
    }

    cluster.apply(&website("hello", "nginx:2", false));
    cluster.wait_until_gone(&["service", "hello"]);
    cluster.wait_for(&["website", "hello"], "/status/url", &Value::Null);
    cluster.apply(&website("hello", "nginx:2", true));
    cluster.wait_for(&["service", "hello"], "/spec/ports/0/port", &80.into());
    let image = "/spec/template/spec/containers/0/image";
    cluster.wait_for(&["deploy", "hello"], image, &"nginx:2".into());
    cluster.kubectl(["scale", "deploy", "hello", "--replicas=3"]);
    cluster.wait_for(&["deploy", "hello"], "/spec/replicas", &1.into());
    cluster.kubectl(["delete", "deploy", "hello"]);
    cluster.wait_for(&["deploy", "hello"], image, &"nginx:2".into());

    cluster.kubectl(["delete", "website", "brief"]);
    nothing_is_left_of(cluster, "brief");
}

fn website_away(cluster: &ControlPlane) {
    cluster.apply(&website("hello", "nginx:3", false));
    cluster.apply(&website("late", "nginx:3", true));
    cluster.kubectl(["delete", "website", "leaving", "--wait=false"]);
}

fn website_end(cluster: &ControlPlane) {
    cluster.wait_until_gone(&["website", "leaving"]);
    nothing_is_left_of(cluster, "leaving");
    cluster.wait_until_gone(&["service", "hello"]);
    cluster.wait_for(&["deploy", "hello"], "/spec/template/spec/containers/0/image", &"nginx:3".into());
    cluster.wait_for(&["deploy", "late"], "/spec/replicas", &1.into());
    // Which waits for the finalizer.
    cluster.kubectl(["delete", "website", "hello", "late"]);
    nothing_is_left_of(cluster, "hello");
    nothing_is_left_of(cluster, "late");
}

fn nothing_is_left_of(cluster: &ControlPlane, name: &str) {
    assert!(cluster.get(["website", name]).is_null());
    assert!(cluster.get(["cm", &format!("default.{name}"), "-n", "websites"]).is_null(), "the finalizer saw to it");
    let labelled = format!("website={name}");
    // The garbage collector's part.
    cluster.wait_until_gone(&["deploy,rs,pod,service,endpoints", "-l", &labelled]);
}

fn deny_begin(cluster: &ControlPlane) {
    cluster.kubectl(["create", "namespace", "closed"]);
    cluster.wait_for(&["netpol", "default-deny", "-n", "closed"], "/spec/podSelector", &json!({}));
    cluster.kubectl(["delete", "netpol", "default-deny", "-n", "closed"]);
    cluster.wait_for(&["netpol", "default-deny", "-n", "closed"], "/spec/podSelector", &json!({}));
    cluster.kubectl(["label", "namespace", "closed", "example.com/network=open"]);
    cluster.wait_until_gone(&["netpol", "default-deny", "-n", "closed"]);
    for except in ["kube-system", "kube-public", "oarlock"] {
        assert!(cluster.get(["netpol", "default-deny", "-n", except]).is_null(), "{except}");
    }
}

fn deny_away(cluster: &ControlPlane) {
    cluster.kubectl(["label", "namespace", "closed", "example.com/network-"]);
    cluster.kubectl(["create", "namespace", "made-meanwhile"]);
}

fn deny_end(cluster: &ControlPlane) {
    for name in ["closed", "made-meanwhile"] {
        cluster.wait_for(&["netpol", "default-deny", "-n", name], "/spec/podSelector", &json!({}));
    }
    // Which waits until all that is in them is gone, and nothing is made in it again.
    cluster.kubectl(["delete", "namespace", "closed", "made-meanwhile"]);
}

fn short_lived(name: &str, ttl: &str) -> Value {
    let labels = json!({"example.com/ttl": ttl});
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default", "labels": labels}})
}

fn ttl_begin(cluster: &ControlPlane) {
    cluster.apply(&short_lived("brief", "3s"));
    cluster.apply(&short_lived("longer", "1h"));
    cluster.apply(&short_lived("wrong", "soon"));
    cluster.wait_for_note("default", "wrong", "InvalidTTL", "example.com/ttl is soon: expected number at 0");
    assert!(!cluster.get(["cm", "longer"]).is_null());
    cluster.wait_until_gone(&["cm", "brief"]);
    cluster.kubectl(["label", "cm", "longer", "example.com/ttl=1s", "--overwrite"]);
    cluster.wait_until_gone(&["cm", "longer"]);
}

fn ttl_away(cluster: &ControlPlane) {
    cluster.apply(&short_lived("meanwhile", "1s"));
    cluster.kubectl(["label", "cm", "wrong", "example.com/ttl=1h", "--overwrite"]);
}

fn ttl_end(cluster: &ControlPlane) {
    cluster.wait_until_gone(&["cm", "meanwhile"]);
    assert!(!cluster.get(["cm", "wrong"]).is_null());
    cluster.kubectl(["delete", "cm", "wrong"]);
}

fn source(text: &str) -> Value {
    let metadata = json!({"name": "greeting", "namespace": "default", "labels": {"example.com/copy": "true"}});
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"text": text}})
}

fn copy_is(cluster: &ControlPlane, namespace: &str, text: &str) {
    cluster.wait_for(&["cm", "greeting", "-n", namespace], "/data/text", &text.into());
}

fn copy_begin(cluster: &ControlPlane) {
    for namespace in ["reader", "later", "other"] {
        cluster.kubectl(["create", "namespace", namespace]);
    }
    cluster.kubectl(["label", "namespace", "reader", "example.com/copies=true"]);
    cluster.apply(&source("hello"));
    copy_is(cluster, "reader", "hello");
    cluster.kubectl(["label", "namespace", "later", "example.com/copies=true"]);
    copy_is(cluster, "later", "hello");
    cluster.apply(&source("good day"));
    copy_is(cluster, "reader", "good day");
    copy_is(cluster, "later", "good day");
    cluster.kubectl(["delete", "cm", "greeting", "-n", "reader"]);
    copy_is(cluster, "reader", "good day");

    // Not a source any more, it wants no copies, and is let go.
    cluster.kubectl(["label", "cm", "greeting", "example.com/copy-"]);
    for namespace in ["reader", "later"] {
        cluster.wait_until_gone(&["cm", "greeting", "-n", namespace]);
    }
    cluster.wait_for(&["cm", "greeting"], "/metadata/finalizers", &Value::Null);
    cluster.kubectl(["label", "cm", "greeting", "example.com/copy=true"]);
    copy_is(cluster, "reader", "good day");
    copy_is(cluster, "later", "good day");
    assert!(cluster.get(["cm", "greeting", "-n", "other"]).is_null());
}

fn copy_away(cluster: &ControlPlane) {
    cluster.kubectl(["label", "namespace", "later", "example.com/copies-"]);
    cluster.kubectl(["label", "namespace", "other", "example.com/copies=true"]);
    cluster.apply(&source("good night"));
}

fn copy_end(cluster: &ControlPlane) {
    copy_is(cluster, "reader", "good night");
    copy_is(cluster, "other", "good night");
    cluster.wait_until_gone(&["cm", "greeting", "-n", "later"]);
    cluster.kubectl(["delete", "cm", "greeting"]);
    for namespace in ["reader", "other"] {
        assert!(cluster.get(["cm", "greeting", "-n", namespace]).is_null(), "{namespace}: the finalizer saw to it");
    }
}
