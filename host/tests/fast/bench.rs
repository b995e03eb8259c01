//! `oarlock bench`.

use std::process::{Command, Output};

use serde_json::Value;

use crate::support::host::Workplace;
use crate::support::{plugins, probe, replica_set};

fn bench(place: &Workplace, plugin: &str, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oarlock"));
    command.arg("bench").arg(place.plugins.join(format!("{plugin}.wasm"))).arg("-f").arg(&place.manifests);
    command.args(["--time", "200ms"]).args(args).output().unwrap()
}

/// What was measured of the only object.
fn measured(place: &Workplace, plugin: &str) -> Value {
    let output = bench(place, plugin, &["--json"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let mut all: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

#[test]
fn calls_of_a_kept_instance_and_of_new_ones_are_measured() {
    let place = Workplace::new();
    place.plugin("print-containers", &plugins::print_containers());
    place.object(&replica_set("a", &["main"]));
    let measured = measured(&place, "print-containers");
    assert_eq!(measured["object"], "ReplicaSet default/a");
    for calls in ["warm", "fresh"].map(|name| &measured[name]) {
        let [p50, p90, p99, max] = ["p50Us", "p90Us", "p99Us", "maxUs"].map(|name| calls[name].as_f64().unwrap());
        assert!(0.0 < p50 && p50 <= p90 && p90 <= p99 && p99 <= max, "{calls}");
        assert!(calls["count"].as_u64().unwrap() >= 10 && calls["perSecond"].as_f64().unwrap() > 0.0, "{calls}");
    }
    let p50 = |name: &str| measured[name]["p50Us"].as_f64().unwrap();
    assert!(p50("fresh") > p50("warm"), "{measured}");
    assert!(measured["objectBytes"].as_u64().unwrap() > 100, "{measured}");
    assert!(measured["memory"].as_u64().unwrap() >= 64 << 10, "{measured}");
    assert!(measured["compileMs"].as_f64().unwrap() > 0.0 && measured["startMs"].as_f64().unwrap() > 0.0, "{measured}");

    let output = bench(&place, "print-containers", &[]);
    let text = String::from_utf8(output.stdout).unwrap();
    for line in ["ReplicaSet default/a, ", "\n  warm  ", "\n  new instance  ", "\n  compiled in "] {
        assert!(text.contains(line), "{line}: {text}");
    }
}

#[test]
fn what_has_a_new_instance_for_each_call_has_no_warm_calls() {
    let place = Workplace::new();
    place.plugin("images", &plugins::example("images"));
    place.grant("print-containers", "isolation: fresh\n");
    place.plugin("print-containers", &plugins::print_containers());
    place.object(&replica_set("a", &["main"]));
    for plugin in ["images", "print-containers"] {
        let measured = measured(&place, plugin);
        assert!(measured["warm"].is_null() && measured["fresh"]["count"].as_u64().unwrap() >= 10, "{measured}");
    }
}

#[test]
fn a_call_that_fails_ends_it_with_its_error() {
    let place = Workplace::new();
    place.plugin("probe", &plugins::probe(1));
    for (mode, reason) in [("terminal", "never"), ("trap", "it trapped"), ("get-anyway", "not granted: to get")] {
        place.object(&probe("a", mode));
        let output = bench(&place, "probe", &[]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("the call for ReplicaSet default/a fails") && said.contains(reason), "{said}");
    }
}
