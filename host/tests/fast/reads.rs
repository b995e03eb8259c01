//! What a plugin reads of objects other than the one it is called for.

use std::fs;

use serde_json::json;

use crate::support::host::{Host, Workplace};
use crate::support::{asking, config_map, plugins, probe};

/// The probe, which reads one ConfigMap and lists some.
fn reading() -> (Workplace, Host) {
    let place = Workplace::new();
    let rule = |verb, namespaces| {
        format!("- {{apiVersion: v1, kinds: [ConfigMap], verbs: [{verb}], namespaces: [{namespaces}]}}\n")
    };
    place.grant("probe", &format!("grants:\n{}{}", rule("get", "shared"), rule("list", "'*'")));
    place.plugin("probe", &plugins::probe(1));
    place.object(&probe("a", "read"));
    let host = place.run(&[]);
    host.settled();
    (place, host)
}

fn listed(namespace: &str, name: &str) -> serde_json::Value {
    let mut config = config_map(namespace, name, &json!({}));
    config["metadata"]["labels"] = json!({"listed": "yes"});
    config
}

#[test]
fn a_change_to_what_was_read_reconciles_the_object_that_it_was_read_for() {
    let (place, host) = reading();
    host.line("one says None, listed are []");
    place.object(&config_map("shared", "one", &json!({"says": "hello"})));
    host.line(r#"one says Some("hello"), listed are []"#);
    place.object(&config_map("shared", "one", &json!({"says": "bye"})));
    host.line(r#"one says Some("bye"), listed are []"#);
    place.object(&listed("x", "two"));
    host.line(r#"one says Some("bye"), listed are ["x/two"]"#);
    place.object(&listed("default", "three"));
    host.line(r#"one says Some("bye"), listed are ["default/three", "x/two"]"#);
    place.object(&config_map("x", "two", &json!({})));
    host.line(r#"one says Some("bye"), listed are ["default/three"]"#);
    fs::remove_file(place.manifests.join("one.json")).unwrap();
    host.line(r#"one says None, listed are ["default/three"]"#);
    let finished = host.stop();
    assert_eq!(finished.stdout.len(), 2 * 7, "{finished}");
}

#[test]
fn a_change_to_anything_else_reconciles_nothing() {
    let (place, host) = reading();
    host.line("one says None, listed are []");
    place.object(&config_map("shared", "other", &json!({"says": "hello"})));
    place.manifest("elsewhere.json", &config_map("default", "one", &json!({"says": "hello"})).to_string());
    // The host has seen both when it is done with these: events come in their order.
    place.object(&probe("b", "-"));
    host.line_with("default/b");
    place.object(&config_map("shared", "one", &json!({"says": "at last"})));
    host.line(r#"one says Some("at last"), listed are []"#);
    // Another object that does not read it is left alone.
    let finished = host.stop();
    assert_eq!(finished.stdout.iter().filter(|line| line.contains("default/a")).count(), 2, "{finished}");
    assert_eq!(finished.stdout.iter().filter(|line| line.contains("default/b")).count(), 1, "{finished}");
}

#[test]
fn what_is_not_read_any_more_wakes_nobody() {
    let (place, host) = reading();
    place.object(&probe("a", "-"));
    host.line_with("default/a - ");
    place.object(&config_map("shared", "one", &json!({"says": "hello"})));
    place.object(&probe("b", "read"));
    host.line(r#"one says Some("hello"), listed are []"#);
    let finished = host.stop();
    assert_eq!(finished.stdout.iter().filter(|line| line.contains("default/a")).count(), 2, "{finished}");
}

#[test]
fn all_calls_of_a_plugin_read_by_so_many_field_selectors_and_in_every_namespace_that_is_granted() {
    let place = Workplace::new();
    let namespaces: Vec<_> = (0..150).map(|number| format!("n{number}")).collect();
    let grant = json!({"apiVersion": "v1", "kinds": ["ConfigMap"], "verbs": ["list"], "namespaces": namespaces});
    place.grant("probe", &json!({"grants": [grant]}).to_string());
    place.plugin("probe", &plugins::probe(1));
    let list = |namespace: &str, fields: Option<String>| json!({"list": {"apiVersion": "v1", "kind": "ConfigMap", "namespace": namespace, "fieldSelector": fields}});
    let named = |number| list("n1", Some(format!("metadata.name=c{number}")));
    place.object(&asking("a", &namespaces.iter().map(|name| list(name, None)).collect()));
    place.object(&asking("b", &(0..100).map(named).collect()));
    let host = place.run(&[]);
    let read = |times| (0..times).for_each(|_| drop(host.line("read 0 objects")));
    read(150 + 100);
    let failures: Vec<_> = host.messages().into_iter().filter(|message| message.contains("reconcile failed")).collect();
    assert!(failures.is_empty(), "{failures:?}");

    place.object(&asking("c", &json!([named(100)])));
    host.log("cannot watch v1 ConfigMap in namespace n1 with fields metadata.name=c100: what the plugin reads has 100");
    // What is not read any more is let go, and the call that failed is made again.
    place.object(&asking("b", &json!([])));
    read(1);
    host.stop();
}
