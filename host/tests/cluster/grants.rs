//! What grants let plugins do, and what becomes of what they do not.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::control_plane::{ControlPlane, host_as};
use crate::examples::rights_of;
use crate::support::host::{Host, Workplace};
use crate::support::{asking, plugins, poll};

fn config_map(name: &str, namespace: &str, colour: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace},
        "data": {"colour": colour},
    })
}

/// Who has set fields of it. Newer kubectls do not show that.
fn managers_of_config_map(cluster: &ControlPlane, name: &str) -> Vec<String> {
    let text = cluster.kubectl(["get", "--raw", &format!("/api/v1/namespaces/default/configmaps/{name}")]);
    let object: Value = serde_json::from_str(&text).unwrap();
    let managers = object["metadata"]["managedFields"].as_array().unwrap().iter();
    managers.map(|by| by["manager"].as_str().unwrap().to_owned()).collect()
}

/// Adds a plugin that applies the colour of its name.
fn add_painter(place: &Workplace, colour: &str, force: bool) {
    let rule = format!("{{apiVersion: v1, kinds: [ConfigMap], verbs: [get, apply], force: {force}}}");
    place.grant(colour, &format!("settings: {{value: {colour}}}\ngrants: [{rule}]\n"));
    place.plugin(colour, &plugins::probe(1));
}

#[test]
fn a_plugin_that_may_not_force_is_told_who_has_the_field_and_changes_nothing() {
    let cluster = ControlPlane::start();
    let place = Workplace::new();
    add_painter(&place, "blue", false);
    cluster.apply(&asking("a", &json!([{"apply": config_map("contested", "default", "VALUE")}])));
    let host = cluster.host(&place.plugins, &[]);
    cluster.wait_for(&["cm", "contested"], "/data/colour", &"blue".into());
    let before = cluster.get(["cm", "contested"]);

    add_painter(&place, "red", false);
    let failed = host.log("reconcile failed, trying again in ");
    let message = failed["message"].as_str().unwrap();
    assert_eq!((&failed["plugin"], &failed["object"]), (&"red".into(), &"default/a".into()));
    for part in ["cannot apply", "ConfigMap default/contested", ".data.colour", "\"oarlock-blue\"", "force: true"] {
        assert!(message.contains(part), "{part} in {message}");
    }
    assert_eq!(cluster.get(["cm", "contested"]), before);

    cluster.kubectl(["delete", "rs", "a"]);
    cluster.kubectl(["delete", "cm", "contested"]);
    cluster.apply(&asking("a", &json!([{"apply": config_map("contested", "default", "same")}])));
    cluster.wait_for(&["cm", "contested"], "/data/colour", &"same".into());
    poll("both as managers", || {
        let fields = cluster.get(["cm", "contested", "--show-managed-fields"].into_iter().take(2));
        let managers: Vec<_> =
            fields["metadata"]["managedFields"].as_array()?.iter().map(|by| &by["manager"]).collect();
        (managers.contains(&&json!("oarlock-blue")) && managers.contains(&&json!("oarlock-red"))).then_some(())
    });
    host.stop();
}

#[test]
fn plugins_that_force_the_same_field_on_each_other_are_noticed_and_slowed_down() {
    let cluster = ControlPlane::start();
    let place = Workplace::new();
    for colour in ["blue", "red"] {
        add_painter(&place, colour, true);
    }
    let contested = json!({"apiVersion": "v1", "kind": "ConfigMap", "namespace": "default", "name": "contested"});
    let asks = json!([{"get": contested}, {"apply": config_map("contested", "default", "VALUE")}]);
    cluster.apply(&asking("a", &asks));
    let host = cluster.host(&place.plugins, &[]);
    let told = host.log("hot loop: 10 calls in a row");
    let message = told["message"].as_str().unwrap();
    assert!(message.contains("slowed down to one in 1s"), "{message}");
    assert!(message.contains("the last one changed ConfigMap default/contested: data.colour: "), "{message}");

    let slowed_at = Instant::now();
    let calls = |host: &Host| host.stdout().iter().filter(|line| line.ends_with("default/a ask attempt 0")).count();
    let before = calls(&host);
    poll("further calls", || (calls(&host) >= before + 8).then_some(()));
    assert!(slowed_at.elapsed() > Duration::from_secs(2), "8 calls in {:?}", slowed_at.elapsed());
    host.stop();
}

#[test]
fn what_is_not_granted_is_said_with_the_line_to_add_and_nothing_is_done() {
    let cluster = ControlPlane::start();
    let place = Workplace::new();
    place.grant("probe", "grants: [{apiVersion: v1, kinds: [ConfigMap], verbs: [apply]}]\n");
    place.plugin("probe", &plugins::probe(1));
    cluster.kubectl(["create", "namespace", "other"]);
    let granted = json!({"apply": config_map("granted", "default", "blue")});
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "made", "namespace": "default"}});
    let host = cluster.host(&place.plugins, &[]);
    for (name, ask, denied, line) in [
        (
            "outside",
            json!({ "apply": secret }),
            "to apply v1 Secret made in namespace default",
            "{apiVersion: v1, kinds: [Secret], verbs: [apply]}",
        ),
        (
            "elsewhere",
            json!({"apply": config_map("made", "other", "blue")}),
            "to apply v1 ConfigMap made in namespace other",
            "{apiVersion: v1, kinds: [ConfigMap], verbs: [apply], namespaces: [other]}",
        ),
        (
            "list",
            json!({"list": {"apiVersion": "v1", "kind": "Secret"}}),
            "to list v1 Secret in all namespaces",
            r#"{apiVersion: v1, kinds: [Secret], verbs: [list], namespaces: ["*"]}"#,
        ),
        (
            "delete",
            json!({"delete": {"apiVersion": "v1", "kind": "ConfigMap", "namespace": "default", "name": "granted"}}),
            "to delete v1 ConfigMap granted in namespace default",
            "{apiVersion: v1, kinds: [ConfigMap], verbs: [delete]}",
        ),
    ] {
        cluster.apply(&asking(name, &json!([granted, ask])));
        let failed = host.log("reconcile failed, not trying again until it changes: not granted: ");
        assert_eq!((&failed["plugin"], &failed["object"]), (&"probe".into(), &format!("default/{name}").into()));
        let message = failed["message"].as_str().unwrap();
        let reason = &message[message.find("not granted").unwrap()..];
        assert!(message.contains(denied), "{message}");
        assert!(message.ends_with(&format!("add to the grants in probe.yaml: {line}")), "{message}");
        cluster.wait_for_note("default", name, "Denied", reason);
        assert!(cluster.get(["cm", "granted"]).is_null(), "{name}");

        // Once more, which is counted up.
        cluster.kubectl(["label", "rs", name, "changed=yes"]);
        host.log("reconcile failed, not trying again until it changes: not granted: ");
        cluster.wait_for(
            &["events", "--field-selector", &format!("involvedObject.name={name}")],
            "/items/0/series/count",
            &2.into(),
        );
    }
    assert!(cluster.get(["secret", "made"]).is_null());
    assert!(cluster.get(["cm", "made", "-n", "other"]).is_null());

    place.grant(
        "probe",
        r#"grants:
- {apiVersion: v1, kinds: [ConfigMap], verbs: [apply]}
- {apiVersion: v1, kinds: [Secret], verbs: [apply]}
- {apiVersion: v1, kinds: [ConfigMap], verbs: [apply], namespaces: [other]}
- {apiVersion: v1, kinds: [Secret], verbs: [list], namespaces: ["*"]}
"#,
    );
    cluster.wait_for(&["secret", "made"], "/metadata/name", &"made".into());
    cluster.wait_for(&["cm", "made", "-n", "other"], "/data/colour", &"blue".into());
    host.line_with("read ");
    let messages = host.stop().messages();
    assert!(!messages.iter().any(|message| message.contains("cannot publish")), "{messages:?}");
}

#[test]
fn patches_and_deletions_are_carried_out_in_their_order() {
    let cluster = ControlPlane::start();
    let place = Workplace::new();
    place.grant("probe", "grants: [{apiVersion: v1, kinds: [ConfigMap], verbs: [patch, delete]}]\n");
    place.plugin("probe", &plugins::probe(1));
    let named = |name: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "namespace": "default", "name": name});
    cluster.apply(&config_map("kept", "default", "red"));
    cluster.apply(&config_map("deleted", "default", "red"));
    let test = json!({"op": "test", "path": "/data/colour", "value": "green"});
    let replace = json!({"op": "replace", "path": "/data/colour", "value": "blue"});
    let asks = json!([
        {"merge-patch": [named("kept"), {"data": {"colour": "green", "size": "large"}}]},
        {"json-patch": [named("kept"), [test, replace]]},
        {"delete": named("deleted")},
        {"delete": named("never-there")},
    ]);
    cluster.apply(&asking("a", &asks));
    let host = cluster.host(&place.plugins, &[]);
    cluster.wait_until_gone(&["cm", "deleted"]);
    assert_eq!(cluster.get(["cm", "kept"])["data"], json!({"colour": "blue", "size": "large"}));

    // One that fails keeps those after it from being done.
    let asks = json!([{"json-patch": [named("kept"), [test]]}, {"delete": named("kept")}]);
    cluster.apply(&asking("b", &asks));
    let failed = host.log("cannot patch ConfigMap default/kept");
    assert_eq!(failed["object"], "default/b");
    let finished = host.stop();
    assert!(!cluster.get(["cm", "kept"]).is_null());
    assert!(!finished.messages().iter().any(|message| message.contains("never-there")), "{finished}");
}

#[test]
fn a_child_never_takes_over_what_somebody_else_has_made() {
    let cluster = ControlPlane::start();
    let place = Workplace::new();
    place.grant("probe", CHILDREN);
    place.plugin("probe", &plugins::probe(1));
    cluster.apply(&config_map("mine", "default", "red"));
    let child = |name: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}});
    cluster.apply(&asking("a", &json!([{"children": [child("one"), child("two")]}])));
    let host = cluster.host(&place.plugins, &[]);
    cluster.wait_for(&["cm", "two"], "/metadata/ownerReferences/0/name", &"a".into());
    cluster.apply(&asking("b", &json!([{"children": [child("mine")]}])));
    host.log("cannot apply ConfigMap default/mine: it is there already, and nobody's child");
    assert_eq!(cluster.get(["cm", "mine"])["metadata"]["ownerReferences"], Value::Null);

    // Nor one of another owner.
    cluster.apply(&asking("c", &json!([{"children": [child("one")]}])));
    host.log("cannot apply ConfigMap default/one: it is there already, and a child of ReplicaSet a");
    assert_eq!(cluster.get(["cm", "one"])["metadata"]["ownerReferences"][0]["name"], "a");
    assert!(cluster.get(["cm", "one"])["metadata"]["ownerReferences"][1].is_null());

    cluster.apply(&asking("a", &json!([{"children": [child("two")]}])));
    // It is pruned, and can be made anew.
    cluster.wait_for(&["cm", "one"], "/metadata/ownerReferences/0/name", &"c".into());
    host.stop();
}

const CHILDREN: &str = "
settings: {owns: ConfigMap}
grants:
- {apiVersion: v1, kinds: [ConfigMap], verbs: [apply, delete]}
";

#[test]
fn in_shadow_mode_what_would_change_is_printed_and_nothing_is_done() {
    let cluster = ControlPlane::start();
    let place = Workplace::new();
    place.grant(
        "probe",
        "mode: shadow
settings: {finalizer: example.com/probe}
grants:
- {apiVersion: v1, kinds: [ConfigMap], verbs: [apply, delete]}
- {apiVersion: apps/v1, kinds: [ReplicaSet], verbs: [finalize]}
",
    );
    place.plugin("probe", &plugins::probe(1));
    let named = json!({"apiVersion": "v1", "kind": "ConfigMap", "namespace": "default", "name": "there"});
    cluster.apply(&config_map("there", "default", "red"));
    cluster.apply(&asking("a", &json!([{"apply": config_map("new", "default", "blue")}, {"delete": named}])));
    let host = cluster.host(&place.plugins, &[]);
    for line in ["+  - example.com/probe", "+  colour: blue", "-  colour: red"] {
        host.line(line);
    }
    host.settled();
    assert!(cluster.get(["cm", "new"]).is_null());
    assert!(!cluster.get(["cm", "there"]).is_null());
    assert!(cluster.get(["rs", "a"])["metadata"]["finalizers"].is_null());
    cluster.kubectl(["delete", "rs", "a"]);
    host.line("version-0001 default/a gone");
    let finished = host.stop();
    assert!(!finished.messages().iter().any(|message| message.contains("failed,")), "{finished}");
}

const ACCOUNT: &str = "
serviceAccount: default/worker
grants:
- {apiVersion: v1, kinds: [ConfigMap, Secret], verbs: [get, apply]}
";

/// Lets the account do that in its namespace.
fn allow(cluster: &ControlPlane, verbs: &str, resource: &str) {
    let name = format!("worker-{resource}");
    cluster.kubectl(["create", "clusterrole", &name, &format!("--verb={verbs}"), &format!("--resource={resource}")]);
    let role = format!("--clusterrole={name}");
    cluster.kubectl(["create", "clusterrolebinding", &name, &role, "--serviceaccount=default:worker"]);
}

#[test]
fn a_plugin_with_an_account_of_its_own_can_do_what_that_account_can() {
    let cluster = ControlPlane::start();
    let place = Workplace::new();
    cluster.kubectl(["create", "serviceaccount", "worker"]);
    place.grant("probe", ACCOUNT);
    place.plugin("probe", &plugins::probe(1));
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "made", "namespace": "default"}});
    cluster.apply(&asking("config", &json!([{"apply": config_map("made", "default", "blue")}])));
    let host = cluster.host(&place.plugins, &[]);
    let waits = host.log("waiting to put it in force: the service account default/worker lacks rights");
    let message = waits["message"].as_str().unwrap();
    assert!(message.contains("replicasets") && message.contains("watch"), "{message}");
    assert!(cluster.get(["cm", "made"]).is_null());

    allow(&cluster, "get,list,watch", "replicasets.apps");
    host.log("is in force");
    let lacks = host.log("the service account default/worker lacks rights for what the plugin watches and is granted");
    assert!(lacks["message"].as_str().unwrap().contains("secrets"), "{lacks}");
    let failed = host.log("cannot apply ConfigMap default/made");
    let message = failed["message"].as_str().unwrap();
    assert!(message.contains(r#"User "system:serviceaccount:default:worker" cannot"#), "{message}");
    assert!(message.contains(r#"resource "configmaps""#), "{message}");

    // It is tried again with a backoff, until the account may.
    allow(&cluster, "get,list,watch,create,patch", "configmaps");
    cluster.wait_for(&["cm", "made"], "/data/colour", &"blue".into());
    assert_eq!(managers_of_config_map(&cluster, "made"), ["oarlock-probe"]);

    let read = |kind: &str| json!({"get": {"apiVersion": "v1", "kind": kind, "namespace": "default", "name": "made"}});
    cluster.apply(&asking("reads", &json!([read("ConfigMap")])));
    assert!(host.line_with("read ").contains("blue"));
    cluster.apply(&asking("spies", &json!([read("Secret"), {"apply": config_map("made", "default", "red")}])));
    let failed = host.log("the service account default/worker may not watch v1 Secret");
    assert_eq!(failed["object"], "default/spies");
    assert!(failed["message"].as_str().unwrap().contains("secrets"), "{failed}");
    assert_eq!(cluster.get(["cm", "made"])["data"]["colour"], "blue");
    cluster.apply(&asking("secret", &json!([{ "apply": secret }])));
    let failed = host.log("cannot apply Secret default/made");
    assert!(failed["message"].as_str().unwrap().contains(r#"resource "secrets""#), "{failed}");
    assert!(cluster.get(["secret", "made"]).is_null());

    // Nothing has to be changed but the rights.
    allow(&cluster, "get,list,watch,create,patch", "secrets");
    cluster.wait_for(&["cm", "made"], "/data/colour", &"red".into());
    cluster.wait_for(&["secret", "made"], "/metadata/name", &"made".into());
    host.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rights_that_are_printed_are_enough_for_a_host_whose_plugin_has_an_account_of_its_own() {
    let cluster = ControlPlane::start();
    let place = Workplace::new();
    cluster.kubectl(["create", "namespace", "oarlock"]);
    cluster.kubectl(["create", "serviceaccount", "oarlock", "-n", "oarlock"]);
    cluster.kubectl(["create", "serviceaccount", "worker"]);
    place.grant("probe", ACCOUNT);
    place.plugin("probe", &plugins::probe(1));
    let rights = place.folder.path().join("rights.yaml");
    fs::write(&rights, rights_of(&place.plugins)).unwrap();
    cluster.kubectl(["apply", "-f", rights.to_str().unwrap()]);

    let host = host_as(&cluster.kubeconfig_of_account("oarlock", "oarlock").await, &place.plugins, &[]);
    let named = json!({"apiVersion": "v1", "kind": "ConfigMap", "namespace": "default", "name": "made"});
    cluster.apply(&asking("a", &json!([{"get": named}, {"apply": config_map("made", "default", "blue")}])));
    cluster.wait_for(&["cm", "made"], "/data/colour", &"blue".into());
    let denied = json!({"delete": named});
    cluster.apply(&asking("b", &json!([denied])));
    host.log("not granted: to delete v1 ConfigMap made");
    let events = ["events", "--field-selector", "involvedObject.name=b,reason=Denied"];
    cluster.wait_for(&events, "/items/0/type", &"Warning".into());
    let messages = host.stop().messages();
    let is_refused = |message: &String| message.contains("lacks") || message.contains("forbidden");
    assert!(!messages.iter().any(is_refused), "{messages:?}");
}
