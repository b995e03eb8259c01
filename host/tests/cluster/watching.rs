//! What plugins watch: kinds that come and go, what they read, and reloads.

use serde_json::json;

use crate::control_plane::ControlPlane;
use crate::support::host::Workplace;
use crate::support::{asking, plugins, poll, probe};

pub(crate) const WIDGETS: &str = "watches: [{apiVersion: example.com/v1, kind: Widget}]\n";

pub(crate) fn define_widgets(cluster: &ControlPlane) {
    cluster.apply(&json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"kind": "Widget", "plural": "widgets"},
            "versions": [
                {"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object"}}},
            ],
        },
    }));
    cluster.kubectl(["wait", "--for=condition=Established", "crd/widgets.example.com"]);
}

pub(crate) fn make_widget(cluster: &ControlPlane, name: &str) {
    let widget = json!({
        "apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": name, "namespace": "default"},
    });
    // kubectl may not know the kind yet, which was served a moment ago.
    poll("the kind for kubectl", || cluster.try_apply(&widget).ok());
}

#[test]
fn a_kind_is_waited_for_and_may_go_and_come_back() {
    let cluster = ControlPlane::start();
    let place = Workplace::new();
    place.grant("probe", WIDGETS);
    place.plugin("probe", &plugins::probe(1));
    let host = cluster.host(&place.plugins, &[]);
    host.log("does not serve example.com/v1 Widget: waiting for it");
    host.settled();

    for round in ["first", "second"] {
        define_widgets(&cluster);
        make_widget(&cluster, round);
        host.line(&format!("version-0001 default/{round} - attempt 0"));
        cluster.kubectl(["delete", "crd", "widgets.example.com"]);
        host.line(&format!("version-0001 default/{round} gone"));
        host.log("does not serve example.com/v1 Widget: waiting for it");
    }
    host.stop();
}

#[test]
fn a_reload_that_watches_the_same_keeps_the_watches() {
    let cluster = ControlPlane::start();
    let place = Workplace::new();
    place.plugin("probe", &plugins::probe(1));
    cluster.apply(&probe("a", "-"));
    let host = cluster.host(&place.plugins, &["--log", "oarlock=debug"]);
    host.line("version-0001 default/a - attempt 0");
    place.plugin("probe", &plugins::probe(2));
    host.line("version-0002 default/a - attempt 0");
    place.grant("probe", "grants: [{apiVersion: v1, kinds: [ConfigMap], verbs: [get]}]\n");
    host.log("is in force with another grant file");
    host.line("version-0002 default/a - attempt 0");

    place.grant("probe", "watches: [{apiVersion: apps/v1, kind: ReplicaSet, namespace: default}]\n");
    host.log("not watching apps/v1 ReplicaSet any more");
    host.line("version-0002 default/a - attempt 0");
    let begun = host.messages().iter().filter(|message| message.starts_with("watching ")).count();
    assert_eq!(begun, 2, "{:?}", host.messages());
    host.stop();
}

#[test]
fn a_call_reads_what_the_call_before_has_written() {
    const COUNTERS: usize = 20;
    const LAST: u32 = 9;
    let cluster = ControlPlane::start();
    let place = Workplace::new();
    place.grant("probe", "concurrency: 4\ngrants: [{apiVersion: v1, kinds: [ConfigMap], verbs: [get, apply]}]\n");
    place.plugin("probe", &plugins::probe(1));
    for index in 0..COUNTERS {
        cluster.apply(&probe(&format!("counter-{index}"), "count"));
    }
    let host = cluster.host(&place.plugins, &[]);
    for index in 0..COUNTERS {
        host.line(&format!("default/counter-{index} counts {LAST}"));
    }
    let printed = host.stop().stdout;
    for index in 0..COUNTERS {
        let prefix = format!("default/counter-{index} counts ");
        let mut counts: Vec<u32> = printed.iter().filter_map(|line| line.strip_prefix(&prefix)?.parse().ok()).collect();
        // A change that the API server makes to the ReplicaSet or a late wake may call once more at the end.
        counts.dedup_by(|next, count| next == count && *count == LAST);
        assert_eq!(counts, (0..=LAST).collect::<Vec<_>>(), "{prefix}");
    }
}

#[test]
fn a_read_of_a_kind_that_is_not_served_yet_is_tried_again_until_it_is() {
    let cluster = ControlPlane::start();
    let place = Workplace::new();
    place.grant("probe", "grants: [{apiVersion: example.com/v1, kinds: [Widget], verbs: [get, list]}]\n");
    place.plugin("probe", &plugins::probe(1));
    let named = json!({"apiVersion": "example.com/v1", "kind": "Widget", "namespace": "default", "name": "w"});
    cluster.apply(&asking("gets", &json!([{ "get": named }])));
    let all = json!({"apiVersion": "example.com/v1", "kind": "Widget", "namespace": "default"});
    cluster.apply(&asking("lists", &json!([{ "list": all }])));
    let host = cluster.host(&place.plugins, &[]);
    for _ in 0..2 {
        host.log("does not serve example.com/v1 Widget");
    }
    define_widgets(&cluster);
    make_widget(&cluster, "w");
    host.line_with("\"name\":\"w\"");
    host.line("read 1 objects");

    // It is told as gone by the kind's end.
    cluster.kubectl(["delete", "crd", "widgets.example.com"]);
    host.line("read nothing");
    host.line("read 0 objects");
    define_widgets(&cluster);
    make_widget(&cluster, "w");
    host.line_with("\"name\":\"w\"");
    host.line("read 1 objects");
    host.stop();
}
