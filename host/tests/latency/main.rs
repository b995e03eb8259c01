//! How soon a plugin is called beside one that misbehaves. A test program of its own, so that no other test runs meanwhile.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[path = "../support/mod.rs"]
mod support;

use std::time::Duration;

use serde_json::json;

use crate::support::host::{Host, Workplace};
use crate::support::{config_map, plugins, probe};

/// How much time lies between two calls of the plugin `good`, which asks for one every 50 ms: all but the longest of the next
/// `number`.
fn interval(host: &Host, number: usize) -> Duration {
    let times: Vec<_> = (0..=number)
        .map(|_| {
            let line = host.log("begins default/good");
            humantime::parse_rfc3339(line["timestamp"].as_str().unwrap()).unwrap()
        })
        .collect();
    let mut intervals: Vec<_> = times.windows(2).map(|pair| pair[1].duration_since(pair[0]).unwrap()).collect();
    intervals.sort();
    intervals[number - 2]
}

#[test]
fn a_plugin_is_called_in_time_beside_each_hostile_one_and_the_host_keeps_its_memory() {
    let modes = [
        "loop",
        "memory",
        "recurse",
        "flood",
        "flood-log",
        "endless-line",
        "many-actions",
        "huge-action",
        "nested",
        "trap",
    ];
    for mode in modes {
        let place = Workplace::new();
        place.grant("good", "watches: [{apiVersion: apps/v1, kind: ReplicaSet}]\n");
        place.grant("bad", "watches: [{apiVersion: v1, kind: ConfigMap}]\n");
        place.plugin("good", &plugins::probe(1));
        place.plugin("bad", &plugins::probe(2));
        place.object(&probe("good", "requeue"));
        let host = place.run(&["--call-cpu", "300ms"]);
        let alone = interval(&host, 20);
        for index in 0..100 {
            let mut object = config_map("default", &format!("bad-{index}"), &json!({}));
            object["metadata"]["annotations"] = json!({ "probe": mode });
            place.object(&object);
        }
        host.log("begins default/bad");
        // What else is done on this machine can hold up both for a while, but hardly ten times in a row.
        let beside = (0..10).map(|_| interval(&host, 30)).find(|beside| *beside < alone * 2);
        let peak = host.peak_memory_mib();
        println!("{mode}: called every {alone:?} alone and every {beside:?} beside it, {peak} MiB");
        assert!(beside.is_some(), "{mode}: called every {alone:?} alone, and not half as often beside it");
        // An instance of 64 MiB, and what the host needs for itself.
        assert!(peak < 64 + 150, "{mode}: {peak} MiB");
        host.signal("KILL");
    }
}
