//! Plugins in all languages that there are examples of, in one host.

use crate::support::host::{Host, Workplace};
use crate::support::{DEADLINE, plugins, poll_for, replica_set};

/// A plugin in each, and what it says of a ReplicaSet `a` with a container `main`.
const PLUGINS: [(&str, &str); 6] = [
    ("print-containers", "default/a: main"),
    ("selectors", "default/a selects app=a"),
    ("labels", "default/a is labelled app=a"),
    ("replicas", "default/a wants 0 replicas"),
    ("images", "default/a uses image"),
    ("calls", "reconcile apps/v1 ReplicaSet default a"),
];

/// Waits for a line for longer than other tests do: an interpreter of Python is many megabytes to compile.
fn line(host: &Host, line: &str) {
    poll_for(DEADLINE * 6, line, || host.stdout().iter().any(|other| other == line).then_some(()));
    host.line(line);
}

#[test]
fn plugins_in_all_languages_run_side_by_side_and_one_is_replaced() {
    let place = Workplace::new();
    for (name, _) in PLUGINS {
        place.plugin(name, &plugins::example(name));
    }
    place.grant("labels", "limits: {compile: 10m}\n");
    place.object(&replica_set("a", &["main"]));
    let host = place.run(&[]);
    for (_, said) in PLUGINS {
        line(&host, said);
    }

    let source = plugins::example_file("calls", "calls.wat");
    let (space, dash) = ("(i32.const 32)", "(i32.const 45)");
    assert_eq!(source.matches(space).count(), 1);
    place.plugin("calls", &wat::parse_str(source.replace(space, dash)).unwrap());
    host.line("reconcile-apps/v1-ReplicaSet-default-a");

    place.object(&replica_set("a", &["main", "side"]));
    for said in ["default/a: main, side", "reconcile-apps/v1-ReplicaSet-default-a"] {
        host.line(said);
    }
    for (_, said) in &PLUGINS[1..5] {
        host.line(said);
    }
    let finished = host.stop();
    let in_force = finished.messages().iter().filter(|message| message.contains("is in force")).count();
    assert_eq!(in_force, PLUGINS.len() + 1, "{finished}");
}
