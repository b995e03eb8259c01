//! `oarlock plugins` and `oarlock queue`: how it stands with a host that runs, from a terminal.

use std::process::Command;

use serde_json::Value;

use crate::support::host::Workplace;
use crate::support::{plugins, poll, probe};

/// The exit code, stdout and stderr of `oarlock` with these arguments.
fn oarlock(arguments: &[&str], environment: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oarlock"));
    let output = command.args(arguments).envs(environment.iter().copied()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn shown(arguments: &[&str]) -> String {
    let (code, stdout, stderr) = oarlock(arguments, &[]);
    assert_eq!((code, &*stderr), (Some(0), ""), "{stdout}");
    stdout
}

/// The words of the line that begins so.
fn words<'a>(text: &'a str, first: &str) -> Vec<&'a str> {
    let line = text.lines().find(|line| line.split_whitespace().next() == Some(first));
    line.unwrap_or_else(|| panic!("no line {first} in\n{text}")).split_whitespace().collect()
}

#[test]
fn a_terminal_is_shown_the_plugins_and_queues_of_a_host_that_runs() {
    let place = Workplace::new();
    place.plugin("probe", &plugins::probe(1));
    place.plugin("broken", b"no wasm");
    place.object(&probe("a", "later"));
    let mut object = probe("b", "say-failure");
    object["metadata"]["annotations"]["say"] = "no\u{1b}[2J".into();
    place.object(&object);
    let host = place.run(&["--admin", "127.0.0.1:0"]);
    let address = host.log("serving /livez")["address"].as_str().unwrap().to_owned();
    host.log("is refused");
    host.settled();
    let admin = ["--admin", &address];
    let ask = |arguments: &[&str]| shown(&[arguments, &admin].concat());
    let table =
        poll("table with the broken plugin", || Some(ask(&["plugins"])).filter(|table| table.contains("file refused")));
    assert_eq!(
        words(&table, "NAME"),
        ["NAME", "STATE", "DIGEST", "SINCE", "WAITING", "FAILING", "CALLS/S", "P99", "FAILED"]
    );
    let line = words(&table, "probe");
    assert_eq!((line[1], line[2].len(), line[4], line[5], *line.last().unwrap()), ("ready", 12, "0", "1", "1"));
    assert!(table.contains("\nbroken: its file is refused, there is no other version of it"), "{table}");
    assert!(ask(&["plugins", "-o", "wide"]).contains("apps/v1 ReplicaSet   ReplicaSet default/b: no\\u{1b}[2J\n"));

    let all = ask(&["plugins", "probe"]);
    for part in [
        "State:            ready\n",
        "Calls itself:     probe ",
        "1 later, 1 failing\n",
        "ReplicaSet default/b",
        "loaded",
    ] {
        assert!(all.contains(part), "{part} in\n{all}");
    }
    assert!(!all.contains('\u{1b}'), "{all:?}");
    let queue = ask(&["queue", "-o", "wide"]);
    let line = words(&queue, "probe");
    assert_eq!(line[..4], ["probe", "ReplicaSet", "default/a", "later"]);
    assert!(queue.contains("in 59m") && queue.ends_with("as the plugin or the operator wants it\n"), "{queue}");
    assert_eq!(ask(&["queue", "probe"]).lines().count(), 2);
    assert_eq!(ask(&["queue", "broken"]), "nothing is in a call, waits or is due later\n");

    let json: Value = serde_json::from_str(&ask(&["plugins", "-o", "json"])).unwrap();
    let yaml: Value = serde_saphyr::from_str(&ask(&["plugins", "-o", "yaml"])).unwrap();
    for answer in [&json, &yaml] {
        assert_eq!(answer["plugins"][1]["inForce"]["describedName"], "probe");
    }
    let url = format!("http://{address}/");
    let (code, stdout, _) = oarlock(&["plugins", "broken"], &[("OARLOCK_ADMIN", &url)]);
    assert!(code == Some(0) && stdout.contains("State:            file refused\n"), "{stdout}");
    let (code, _, stderr) = oarlock(&[&["plugins", "nobody"][..], &admin].concat(), &[]);
    assert_eq!(
        (code, &*stderr),
        (Some(1), "error: there is no plugin nobody; `oarlock plugins` and /api/v1/plugins name all\n")
    );
    host.stop();
}

#[test]
fn where_no_host_answers_a_terminal_is_told_what_to_do() {
    // Nothing listens there.
    let address = "127.0.0.1:1";
    let (code, stdout, stderr) = oarlock(&["plugins", "--admin", address], &[]);
    assert_eq!((code, &*stdout), (Some(1), ""));
    let told = format!("error: no host answers at {address} (is it run with --admin? for one in a cluster: kubectl ");
    assert!(stderr.starts_with(&told) && stderr.contains("refused"), "{stderr}");
}
