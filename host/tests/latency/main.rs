//! How soon a plugin is called beside one that misbehaves. A test program of its own, so that no other test runs meanwhile.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[path = "../support/mod.rs"]
mod support;

use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, SystemTime};

use serde_json::json;

use crate::support::host::{Host, Workplace};
use crate::support::{config_map, http_get, plugins, poll, probe};

/// How many intervals between two calls of the plugin `good`, which asks for one every 50 ms, are judged together.
const WINDOW: usize = 12;
/// How many objects the other plugin has. One more, and it would be paused when none of them gets an answer.
const OBJECTS: usize = 4;
/// What a host needs for itself, in MiB.
const HOST: u64 = 100;

/// The second longest of the next intervals.
fn interval(host: &Host) -> Duration {
    const BEGINS: &str = "begins default/good";
    let before = host.logged(BEGINS).len();
    let lines = poll("window of calls", || {
        // To look is work too, for the same processors.
        thread::sleep(Duration::from_millis(50));
        Some(host.logged(BEGINS)).filter(|lines| lines.len() > before + WINDOW)
    });
    let time = |line: &serde_json::Value| humantime::parse_rfc3339(line["timestamp"].as_str().unwrap()).unwrap();
    let times: Vec<SystemTime> = lines[before..=before + WINDOW].iter().map(time).collect();
    let mut intervals: Vec<_> = times.windows(2).map(|pair| pair[1].duration_since(pair[0]).unwrap()).collect();
    intervals.sort();
    intervals[WINDOW - 2]
}

/// Changes the objects of the plugin `bad` all the time, until that is dropped which belongs to `stopped`.
fn keep_changing(place: &Workplace, mode: &str, stopped: &Receiver<()>) {
    let mut turn = 0;
    while stopped.recv_timeout(Duration::from_millis(10)) == Err(RecvTimeoutError::Timeout) {
        let mut object = config_map("default", &format!("bad-{}", turn % OBJECTS), &json!({}));
        object["metadata"]["annotations"] = json!({"probe": mode, "probe-counter": turn.to_string()});
        place.object(&object);
        turn += 1;
    }
}

/// How many calls of the plugin `bad` have ended.
fn ended(admin: &str) -> u64 {
    let metrics = http_get(admin, "/metrics");
    let counts =
        metrics.lines().filter(|line| line.starts_with(r#"controller_runtime_reconcile_total{controller="bad""#));
    counts.map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()).sum()
}

#[test]
fn a_plugin_is_called_in_time_beside_each_hostile_one_and_the_host_keeps_its_memory() {
    let modes = [
        ("loop", 64),
        ("memory", 64),
        ("recurse", 64),
        ("flood", 64),
        ("flood-log", 64),
        ("endless-line", 64),
        ("many-actions", 64),
        ("huge-action", 256),
        ("nested", 64),
        ("trap", 64),
    ];
    for (mode, memory) in modes {
        let place = Workplace::new();
        place.grant("good", "watches: [{apiVersion: apps/v1, kind: ReplicaSet}]\n");
        let limits = format!("limits: {{memory: {memory}Mi}}\n");
        place.grant("bad", &format!("watches: [{{apiVersion: v1, kind: ConfigMap}}]\n{limits}"));
        place.plugin("good", &plugins::probe(1));
        place.plugin("bad", &plugins::probe(2));
        place.object(&probe("good", "requeue"));
        let mut command = Host::command(&place.plugins);
        command.arg("--manifests").arg(&place.manifests);
        command.args(["--call-cpu", "300ms", "--debounce", "10ms", "--admin", "127.0.0.1:0"]);
        // On one thread, so that nobody is called in time only because another one is free.
        command.env("TOKIO_WORKER_THREADS", "1");
        let host = Host::spawn(command);
        let admin = host.log("serving /livez")["address"].as_str().unwrap().to_owned();
        let alone = interval(&host);
        let mut windows = thread::scope(|scope| {
            let (_until_here, stopped) = channel();
            let place = &place;
            scope.spawn(move || keep_changing(place, mode, &stopped));
            poll("call of it", || (ended(&admin) > 0).then_some(()));
            let window = || {
                let before = ended(&admin);
                (interval(&host), ended(&admin) - before)
            };
            [(); 3].map(|()| window())
        });
        let peak = host.peak_memory_mib();
        println!(
            "{mode}: called every {alone:?} alone; beside it, and how often it was called: {windows:?}; {peak} MiB"
        );
        assert!(windows.iter().all(|(_, calls)| *calls > 0), "{mode}: it was not called all the time: {windows:?}");
        windows.sort();
        let (beside, _) = windows[1];
        // Most of the time alone is a pause, which a slow machine does not make longer. Held up by a whole call of the other,
        // it would be called every 350 ms.
        assert!(beside < alone * 5, "{mode}: called every {alone:?} alone, and every {beside:?} beside it");
        assert!(peak < memory + HOST, "{mode}: {peak} MiB");
        host.signal("KILL");
    }
}
