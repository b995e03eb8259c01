//! `oarlock call`.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::support::host::Workplace;
use crate::support::{asking, config_map, deployment, plugins, probe, replica_set};

const WEBSITE: &str = "{apiVersion: example.com/v1, kind: Website, metadata: {name: a, namespace: shop, uid: of-a}, spec: \
                       {image: web, replicas: 1}}";

/// A plugin with these grants, and objects for it.
struct Bench {
    place: Workplace,
    plugin: String,
}

impl Bench {
    fn new(name: &str, bytes: &[u8], grant: &str) -> Self {
        let place = Workplace::new();
        place.grant(name, grant);
        let plugin = place.plugin(name, bytes).to_str().unwrap().to_owned();
        Self { place, plugin }
    }

    fn probe(grant: &str) -> Self {
        Self::new("probe", &plugins::probe(1), grant)
    }

    fn example(name: &str) -> Self {
        Self::new(name, &plugins::example(name), &plugins::example_file(name, &format!("{name}.yaml")))
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_oarlock"));
        command.arg("call").arg(&self.plugin).arg("-f").arg(&self.place.manifests).args(args);
        command.env("XDG_CACHE_HOME", env!("CARGO_TARGET_TMPDIR"));
        command
    }

    fn call(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// What came of all calls, as JSON, after it ended with that code.
    fn calls(&self, code: i32, args: &[&str]) -> Vec<Value> {
        let output = self.call(&[&["-o", "json"], args].concat());
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// What came of the only call.
    fn only(&self, code: i32, args: &[&str]) -> Value {
        let mut calls = self.calls(code, args);
        assert_eq!(calls.len(), 1, "{calls:?}");
        calls.remove(0)
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn what_a_plugin_prints_logs_and_answers_is_shown_of_each_object_that_it_watches() {
    let bench = Bench::probe("");
    bench.place.manifest(
        "all.yaml",
        &[replica_set("b", &["main"]), deployment("b", 1), probe("a", "log"), probe("c", "later")]
            .map(|object| object.to_string())
            .join("\n---\n"),
    );
    let calls = bench.calls(0, &[]);
    let names: Vec<_> = calls.iter().map(|call| call["call"].as_str().unwrap()).collect();
    assert_eq!(names, ["ReplicaSet default/b", "ReplicaSet default/a", "ReplicaSet default/c"]);
    assert_eq!(calls[0]["printed"], json!(["version-0001 default/b - attempt 0"]));
    let log: Vec<_> =
        calls[1]["log"].as_array().unwrap().iter().filter(|line| line.as_str().unwrap().contains("at ")).collect();
    assert_eq!(log, ["debug: at debug", "info: at info", "warn: at warn", "error: at error"]);
    assert_eq!((&calls[2]["result"], &calls[2]["requeueAfter"]), (&json!("done"), &json!("1h")));
    let figures = &calls[0]["figures"];
    assert!(figures["memory"].as_u64().unwrap() >= 64 << 10, "{figures}");
    let [call, processor] = ["callMs", "processorMs"].map(|name| figures[name].as_f64().unwrap());
    assert!(call > 0.0 && processor > 0.0, "{figures}");
}

#[test]
fn people_read_yaml_with_what_was_logged_beside_it() {
    let bench = Bench::probe("");
    let mut object = probe("a", "say-stderr");
    object["metadata"]["annotations"]["say"] = "\u{1b}[2J oh".into();
    bench.place.object(&object);
    let output = bench.call(&[]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("# ReplicaSet default/a in "), "{text}");
    assert!(text.contains("\n# stderr: \\u{1b}[2J oh\n"), "{text}");
    assert!(
        text.contains(
            "\ncall: ReplicaSet default/a\nresult: done\nprinted:\n- version-0001 default/a say-stderr attempt 0\n"
        ),
        "{text}"
    );
}

#[test]
fn children_and_actions_are_shown_with_what_they_change() {
    let bench = Bench::example("website");
    bench.place.manifest("a.yaml", WEBSITE);
    let call = bench.only(0, &[]);
    let kinds: Vec<_> = call["children"].as_array().unwrap().iter().map(|child| &child["kind"]).collect();
    assert_eq!(kinds, ["Deployment", "Service"]);
    assert_eq!(call["actions"][1]["applyStatus"]["status"]["readyReplicas"], 0);
    assert_eq!(
        call["changes"],
        json!([
            {"changed": {"object": "Website shop/a", "fields": {"metadata.finalizers": "(unset) -> [\"example.com/website\"]"}}},
            {"created": "Deployment shop/a"},
            {"created": "Service shop/a"},
            {"created": "ConfigMap websites/shop.a"},
            {"changed": {"object": "Website shop/a", "fields": {
                "status": "(unset) -> {\"readyReplicas\":0,\"url\":\"http://a.shop.svc:80\"}"}}},
        ])
    );
}

#[test]
fn objects_that_are_given_answer_reads_and_are_what_changes_are_of() {
    let bench = Bench::example("website");
    let child = |kind: &str, more: &str| {
        format!(
            "\n---\n{{apiVersion: {kind}, metadata: {{name: a, namespace: shop, annotations: {{oarlock.dev/child-of: website}}, \
             ownerReferences: [{{apiVersion: example.com/v1, kind: Website, name: a, uid: of-a, controller: true}}]}}, {more}}}"
        )
    };
    let deployment = child("apps/v1, kind: Deployment", "spec: {replicas: 5}, status: {readyReplicas: 4}");
    let service = child("v1, kind: Service", "spec: {}");
    let unexposed = WEBSITE.replace("replicas: 1", "replicas: 1, expose: false");
    bench.place.manifest("a.yaml", &[&*unexposed, &deployment, &service].concat());
    let call = bench.only(0, &[]);
    assert_eq!(call["actions"][1]["applyStatus"]["status"], json!({"readyReplicas": 4}));
    let changes = call["changes"].as_array().unwrap();
    assert!(changes.contains(&json!({"deleted": "Service shop/a"})), "{changes:?}");
    let of_deployment = changes.iter().find(|change| change["changed"]["object"] == "Deployment shop/a").unwrap();
    assert_eq!(of_deployment["changed"]["fields"]["spec.replicas"], "5 -> 1");
}

#[test]
fn an_object_that_is_being_deleted_is_let_go_and_one_that_is_not_held_is_not_called_for() {
    let bench = Bench::example("website");
    let deleted = |finalizers: &str| {
        let metadata = format!("deletionTimestamp: 2026-01-01T00:00:00Z, finalizers: [{finalizers}], name: a");
        bench.place.manifest("a.yaml", &WEBSITE.replace("name: a", &metadata));
    };
    deleted("example.com/website");
    let call = bench.only(0, &[]);
    assert_eq!(call["actions"][0]["delete"]["target"]["name"], "shop.a");
    assert_eq!(call["changes"], json!([{"deleted": "Website shop/a"}]));
    deleted("example.com/other");
    let call = bench.only(0, &[]);
    assert_eq!(call["result"], "notCalled", "{call}");
}

#[test]
fn what_is_not_granted_is_denied_with_the_line_to_add_and_changes_nothing() {
    let bench = Bench::probe("settings: {finalizer: example.com/probe}\n");
    bench.place.object(&probe("a", "apply"));
    let denied = |grant: &str| {
        bench.place.grant("probe", grant);
        let call = bench.only(1, &[]);
        assert_eq!((&call["result"], &call["changes"]), (&json!("denied"), &Value::Null), "{call}");
        call["reason"].as_str().unwrap().to_owned()
    };
    let to_hold = denied("settings: {finalizer: example.com/probe}\n");
    assert!(to_hold.contains("not granted: to finalize apps/v1 ReplicaSet a"), "{to_hold}");
    let to_apply = denied("");
    assert!(to_apply.contains("probe.yaml: {apiVersion: v1, kinds: [ConfigMap], verbs: [apply]}"), "{to_apply}");
    bench.place.object(&probe("a", "get-anyway"));
    let to_read = denied("grants: [{apiVersion: v1, kinds: [ConfigMap], verbs: [apply]}]");
    assert!(to_read.contains("not granted: to get apps/v1 ReplicaSet a in namespace default"), "{to_read}");

    let other = bench.place.folder.path().join("other.yaml");
    fs::write(&other, "grants: [{apiVersion: v1, kinds: [ConfigMap], verbs: [apply]}]").unwrap();
    bench.place.object(&probe("a", "apply"));
    let call = bench.only(0, &["--grant", other.to_str().unwrap()]);
    assert_eq!(call["changes"], json!([{"created": "ConfigMap default/a"}]));
}

#[test]
fn each_way_for_a_call_to_fail_has_a_name_and_a_reason() {
    let named = |name: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "namespace": "default", "name": name});
    let grant = "limits: {cpu: 200ms}\ngrants: [{apiVersion: v1, kinds: [ConfigMap], verbs: [apply, patch]}]";
    for (object, result, reason) in [
        (probe("a", "retry"), "retry", "not yet"),
        (probe("a", "terminal"), "terminal", "never"),
        (probe("a", "trap"), "broke", "it trapped: "),
        (probe("a", "loop"), "broke", "it ran for more than the 200ms of processor time"),
        (probe("a", "not-json"), "invalid", "action 2 that the plugin answered is wrong"),
        (
            asking("a", &json!([{"merge-patch": [named("none"), {}]}])),
            "failed",
            "cannot patch ConfigMap default/none: ",
        ),
    ] {
        let bench = Bench::probe(grant);
        bench.place.object(&object);
        let call = bench.only(1, &[]);
        assert_eq!(call["result"], result, "{call}");
        assert!(call["reason"].as_str().unwrap().contains(reason), "{call}");
    }
}

#[test]
fn a_target_can_be_named_and_be_gone() {
    let bench = Bench::probe("");
    bench.place.manifest(
        "all.yaml",
        &[replica_set("a", &[]), replica_set("b", &[]), deployment("c", 1)]
            .map(|object| object.to_string())
            .join("\n---\n"),
    );
    let call = bench.only(0, &["--target", "replicaset/b", "--gone"]);
    assert_eq!((&call["gone"], &call["printed"]), (&json!(true), &json!(["version-0001 default/b gone"])));
    assert_eq!(bench.calls(0, &["--target", "ReplicaSet/default/b", "--target", "ReplicaSet/a"]).len(), 2);
    let said = |target: &str| {
        let output = bench.call(&["--target", target]);
        assert_eq!(output.status.code(), Some(1));
        stderr(&output)
    };
    assert!(said("Deployment/c").contains("the plugin does not watch it"));
    assert!(said("ReplicaSet/elsewhere/a").contains("there is no such object"));
}

#[test]
fn settings_and_the_clock_can_be_given() {
    let bench = Bench::probe("settings: {value: no}");
    bench.place.object(&probe("a", "-"));
    let call = bench.only(0, &["--settings", r#"{"mode": "later"}"#]);
    assert_eq!(call["requeueAfter"], "1h");
    assert_eq!(bench.call(&["--settings", "{"]).status.code(), Some(2));

    let bench = Bench::example("ttl");
    let mut object = config_map("default", "a", &json!({}));
    object["metadata"]["labels"] = json!({"example.com/ttl": "30s"});
    object["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z".into();
    bench.place.object(&object);
    assert_eq!(bench.only(0, &["--now", "2026-01-01T00:00:10Z"])["requeueAfter"], "20s");
    assert_eq!(
        bench.only(0, &["--now", "2026-01-01T00:00:30Z"])["changes"],
        json!([{"deleted": "ConfigMap default/a"}])
    );
}

#[test]
fn objects_come_from_stdin_too_and_what_is_none_is_named() {
    let bench = Bench::probe("");
    bench.place.object(&replica_set("a", &[]));
    let from_stdin = |text: &str| {
        let mut command = bench.command(&["-f", "-", "-o", "json"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    };
    let output = from_stdin(&replica_set("b", &[]).to_string());
    let calls: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        calls.iter().map(|call| &call["call"]).collect::<Vec<_>>(),
        ["ReplicaSet default/a", "ReplicaSet default/b"]
    );
    let twice = stderr(&from_stdin(&replica_set("a", &[]).to_string()));
    assert!(twice.contains("stdin: ReplicaSet default/a is there already"), "{twice}");
    let wrong = stderr(&from_stdin("kind: Pod"));
    assert!(wrong.contains("stdin:1: there is no apiVersion"), "{wrong}");
}

#[test]
fn with_nothing_to_call_it_says_what_is_watched_and_what_is_given() {
    let bench = Bench::example("ttl");
    bench.place.object(&config_map("default", "a", &json!({})));
    let output = bench.call(&[]);
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(
        said.contains("it watches v1 ConfigMap with labels example.com/ttl; given are ConfigMap default/a"),
        "{said}"
    );
}

#[test]
fn files_without_objects_and_files_without_end_are_told_as_such() {
    let bench = Bench::example("ttl");
    bench.place.manifest("empty.yaml", "");
    let empty = bench.call(&[]);
    assert!(
        empty.status.code() == Some(1) && stderr(&empty) == "error: there are no objects in the files\n",
        "{empty:?}"
    );
    let endless = bench.call(&["-f", "/dev/zero"]);
    assert_eq!(
        (endless.status.code(), &*stderr(&endless)),
        (Some(1), "error: /dev/zero: it has more than 64.00 MiB\n")
    );
    let zero = fs::File::open("/dev/zero").unwrap();
    let endless = bench.command(&["-f", "-"]).stdin(zero).output().unwrap();
    assert_eq!((endless.status.code(), &*stderr(&endless)), (Some(1), "error: stdin: it has more than 64.00 MiB\n"));
}

#[test]
fn what_is_expected_is_written_compared_as_a_whole_and_taken_over() {
    let bench = Bench::example("website");
    bench.place.manifest("a.yaml", WEBSITE);
    let path = bench.place.folder.path().join("expected.yaml");
    let expect = |more: &[&str]| bench.call(&[&["--expect", path.to_str().unwrap()], more].concat());
    let code = |output: &Output| output.status.code();
    let missing = expect(&[]);
    assert!(code(&missing) == Some(1) && stderr(&missing).contains("--update writes it"), "{missing:?}");
    assert_eq!(code(&expect(&["--update"])), Some(0));
    assert_eq!(code(&expect(&[])), Some(0));

    let written = fs::read_to_string(&path).unwrap();
    let as_printed = String::from_utf8(bench.call(&[]).stdout).unwrap();
    assert!(!written.contains("# ") && as_printed.ends_with(&written), "{written}");
    // Comments and the order of fields do not matter, and what is missing does.
    fs::write(&path, format!("# as it should be\n{as_printed}")).unwrap();
    assert_eq!(code(&expect(&[])), Some(0));
    let (before, actions) = written.split_once("actions:").unwrap();
    let (_, changes) = actions.split_once("changes:").unwrap();
    fs::write(&path, format!("{before}changes:{changes}")).unwrap();
    let differs = expect(&[]);
    let shown = String::from_utf8(differs.stdout.clone()).unwrap();
    assert!(code(&differs) == Some(1) && shown.contains("\n+actions:\n+- apply:\n"), "{shown}");

    bench.place.manifest("a.yaml", &WEBSITE.replace("replicas: 1", "replicas: 2"));
    fs::write(&path, &written).unwrap();
    let differs = expect(&[]);
    let shown = String::from_utf8(differs.stdout.clone()).unwrap();
    assert!(shown.contains("\n-    replicas: 1\n+    replicas: 2\n"), "{shown}");
    assert_eq!(code(&expect(&["--update"])), Some(0));
    assert_eq!(fs::read_to_string(&path).unwrap(), written.replace("replicas: 1", "replicas: 2"));
    fs::write(&path, written.replace("children:", "childern:")).unwrap();
    let wrong = expect(&[]);
    assert!(code(&wrong) == Some(1) && stderr(&wrong).contains("childern"), "{wrong:?}");
}

#[test]
fn the_example_comes_to_what_the_file_beside_it_expects() {
    let bench = Bench::example("website");
    bench.place.manifest("a.yaml", &plugins::example_file("website", "sample.yaml"));
    let expected = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/website/expected.yaml");
    let output = bench.call(&["--expect", expected]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[test]
fn a_failure_can_be_what_is_expected() {
    let bench = Bench::probe("");
    bench.place.object(&probe("a", "terminal"));
    let path = bench.place.folder.path().join("expected.yaml");
    let printed = "printed: [version-0001 default/a terminal attempt 0]";
    fs::write(&path, format!("call: ReplicaSet default/a\nresult: terminal\nreason: never\n{printed}\n")).unwrap();
    let output = bench.call(&["--expect", path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[test]
fn a_plugin_that_does_not_load_is_told_of_as_such() {
    let bench = Bench::new("broken", b"#!/bin/sh", "");
    bench.place.object(&replica_set("a", &[]));
    let output = bench.call(&[]);
    let said = stderr(&output);
    assert!(
        output.status.code() == Some(1) && said.contains("broken.wasm cannot be loaded: it is not WebAssembly"),
        "{said}"
    );
    assert!(Path::new(&bench.plugin).exists());
}
