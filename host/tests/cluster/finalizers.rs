//! Finalizers of plugins that go away, and come back.

use std::fs;

use crate::control_plane::ControlPlane;
use crate::support::host::Workplace;
use crate::support::{plugins, probe};

const GRANT: &str = "
settings: {finalizer: example.com/probe}
grants: [{apiVersion: apps/v1, kinds: [ReplicaSet], verbs: [finalize]}]
";

#[test]
fn what_a_plugin_that_is_gone_holds_up_is_named_and_can_be_freed_by_hand_or_by_the_plugin() {
    let cluster = ControlPlane::start();
    let place = Workplace::new();
    place.grant("probe", GRANT);
    let file = place.plugin("probe", &plugins::probe(1));
    for name in ["by-hand", "by-plugin", "kept"] {
        let mut object = probe(name, "-");
        object["metadata"]["finalizers"] = serde_json::json!(["example.com/other"]);
        cluster.apply(&object);
    }
    let host = cluster.host(&place.plugins, &[]);
    for name in ["by-hand", "by-plugin", "kept"] {
        host.line(&format!("version-0001 default/{name} - attempt 0"));
        let held = cluster.get(["rs", name]);
        assert_eq!(held["metadata"]["finalizers"], serde_json::json!(["example.com/other", "example.com/probe"]));
    }

    fs::remove_file(&file).unwrap();
    let removed = host.log("its finalizer example.com/probe is still on 3 objects")["message"].to_string();
    for name in ["by-hand", "by-plugin", "kept"] {
        assert!(removed.contains(&format!("default/{name}")), "{removed}");
    }

    for name in ["by-hand", "by-plugin"] {
        cluster.kubectl(["delete", "rs", name, "--wait=false"]);
        let told = host.log("it cannot be deleted: it waits for the finalizer example.com/probe of the plugin probe");
        assert_eq!(told["object"], format!("default/{name}"));
        let note = told["message"].as_str().unwrap();
        cluster.wait_for_note("default", name, "FinalizerOrphaned", note);
        if name == "by-hand" {
            let command = &note[note.find("kubectl").unwrap()..];
            cluster.run(command);
            let freed = cluster.get(["rs", name]);
            assert_eq!(freed["metadata"]["finalizers"], serde_json::json!(["example.com/other"]), "{command}");
        }
    }

    place.plugin("probe", &plugins::probe(2));
    host.line("version-0002 default/by-plugin deleting");
    cluster.wait_for(&["rs", "by-plugin"], "/metadata/finalizers", &serde_json::json!(["example.com/other"]));
    host.line("version-0002 default/kept - attempt 0");
    let messages = host.stop().messages();
    let orphaned = messages.iter().filter(|message| message.starts_with("it cannot be deleted")).count();
    assert_eq!(orphaned, 2, "each is told of once: {messages:?}");
}

#[test]
fn an_object_whose_only_finalizer_is_freed_by_the_command_in_the_log_is_gone() {
    let cluster = ControlPlane::start();
    let place = Workplace::new();
    place.grant("probe", GRANT);
    let file = place.plugin("probe", &plugins::probe(1));
    cluster.apply(&probe("a", "-"));
    cluster.apply(&probe("b", "-"));
    let host = cluster.host(&place.plugins, &[]);
    host.line("version-0001 default/a - attempt 0");
    host.line("version-0001 default/b - attempt 0");
    cluster.kubectl(["delete", "rs", "a"]);
    host.line("version-0001 default/a deleting");
    host.line("version-0001 default/a gone");

    fs::remove_file(&file).unwrap();
    host.log("its finalizer example.com/probe is still on 1 object");
    cluster.kubectl(["delete", "rs", "b", "--wait=false"]);
    let told = host.log("it cannot be deleted")["message"].as_str().unwrap().to_owned();
    cluster.run(&told[told.find("kubectl").unwrap()..]);
    assert!(cluster.get(["rs", "b"]).is_null());
    host.stop();
}

#[test]
fn an_object_that_is_not_selected_any_more_is_let_go_also_if_it_happened_while_the_host_was_down() {
    let cluster = ControlPlane::start();
    let place = Workplace::new();
    let watches = "watches: [{apiVersion: apps/v1, kind: ReplicaSet, labelSelector: selected=yes}]\n";
    place.grant("probe", &format!("{GRANT}{watches}"));
    place.plugin("probe", &plugins::probe(1));
    for name in ["awake", "asleep", "always"] {
        let mut object = probe(name, "-");
        object["metadata"]["labels"]["selected"] = "yes".into();
        cluster.apply(&object);
    }
    let host = cluster.host(&place.plugins, &[]);
    for name in ["awake", "asleep", "always"] {
        host.line(&format!("version-0001 default/{name} - attempt 0"));
    }
    let is_let_go = |name| cluster.wait_for(&["rs", name], "/metadata/finalizers", &serde_json::Value::Null);
    cluster.kubectl(["label", "rs", "awake", "selected-"]);
    host.line("version-0001 default/awake gone");
    is_let_go("awake");
    host.stop();

    cluster.kubectl(["label", "rs", "asleep", "selected-"]);
    let host = cluster.host(&place.plugins, &[]);
    host.line("version-0001 default/asleep gone");
    is_let_go("asleep");
    host.line("version-0001 default/always - attempt 0");
    let held = cluster.get(["rs", "always"]);
    assert_eq!(held["metadata"]["finalizers"], serde_json::json!(["example.com/probe"]));
    host.stop();
}
