//! `oarlock check`.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::support::host::Workplace;
use crate::support::plugins;

fn check(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oarlock"));
    command.arg("check").args(args).output().unwrap()
}

/// What `--json` says of a file, after it ended with that code.
fn report(path: &Path, code: i32) -> Value {
    let output = check(&["--json", path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    let mut reports: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(reports.len(), 1);
    reports.remove(0)
}

/// What it advises.
fn advice(report: &Value) -> String {
    report["advice"].as_array().unwrap().iter().map(|advice| advice.as_str().unwrap()).collect::<Vec<_>>().join("; ")
}

#[test]
fn a_plugin_is_told_what_it_is_and_what_it_says_of_itself() {
    let place = Workplace::new();
    place.example("website");
    let path = place.plugins.join("website.wasm");
    let report = report(&path, 0);
    assert_eq!(report["loads"], true);
    assert_eq!(
        (&report["form"], &report["style"], &report["contract"]),
        (&"module".into(), &"reconciler".into(), &"0.1.0".into())
    );
    assert_eq!(report["size"], fs::metadata(&path).unwrap().len());
    let described = &report["describes"];
    assert_eq!((&described["name"], &described["version"]), (&"website".into(), &"0.1.0".into()));
    assert_eq!(described["watches"][0]["kind"], "Website");
    assert_eq!(described["owns"][1]["kind"], "Service");
    assert_eq!(described["finalizer"], "example.com/website");
    let imports: Vec<_> = report["imports"].as_array().unwrap().iter().map(|import| import.as_str().unwrap()).collect();
    assert!(imports.contains(&"oarlock:plugin/cluster@0.1.0"), "{imports:?}");
    let figures = &report["figures"];
    assert!(figures["compileMs"].as_f64().unwrap() > figures["componentizeMs"].as_f64().unwrap(), "{figures}");
    assert!(figures["memory"].as_u64().unwrap() >= 64 << 10, "{figures}");
    assert_eq!((report["grant"]["mode"].as_str(), advice(&report)), (Some("enforce"), String::new()));
}

#[test]
fn components_and_programs_are_told_apart_from_modules() {
    let place = Workplace::new();
    let component = place.plugin("component", &plugins::component(&plugins::print_containers()));
    let program = place.plugin("program", &plugins::example("images"));
    let kind = |report: &Value| [&report["form"], &report["style"]].map(|part| part.as_str().unwrap().to_owned());
    assert_eq!(kind(&report(&component, 0)), ["component", "reconciler"]);
    assert_eq!(kind(&report(&program, 0)), ["module", "command"]);
}

#[test]
fn what_it_will_want_and_is_not_granted_is_said_with_the_line_to_add() {
    let place = Workplace::new();
    let path = place.plugin("website", &plugins::example("website"));
    let advice_of = |grant: &str| {
        place.grant("website", grant);
        advice(&report(&path, 0))
    };
    let nothing = advice_of("");
    for said in [
        "its finalizer example.com/website on each example.com/v1 Website",
        "it owns apps/v1 Deployment and is not granted to apply any",
        "verbs: [apply]}",
        "it reads the cluster and is not granted to read anything",
    ] {
        assert!(nothing.contains(said), "{said}: {nothing}");
    }
    let all_but_one = advice_of(
        "grants: [{apiVersion: example.com/v1, kinds: [Website], verbs: [finalize]}, {apiVersion: apps/v1, kinds: \
         [Deployment], verbs: [get, apply, delete]}, {apiVersion: v1, kinds: [Service], verbs: [apply]}]",
    );
    let lacks_one = "it owns v1 Service and is not granted to delete those that it does not want any more: add to the grants in \
         website.yaml: {apiVersion: v1, kinds: [Service], verbs: [delete]}";
    assert_eq!(all_but_one, lacks_one);
}

#[test]
fn what_would_not_load_is_told_why_and_what_may_have_gone_wrong() {
    let place = Workplace::new();
    let wat = |text: &str| wat::parse_str(text).unwrap();
    let (_, _, mut later) = plugins::hostile().into_iter().find(|(name, ..)| name == "log-for-ever").unwrap();
    let (import, next) = (b"oarlock:plugin/log@0.1.0", b"oarlock:plugin/log@0.2.0");
    let at = later.windows(import.len()).position(|part| part == import).unwrap();
    later[at..at + next.len()].copy_from_slice(next);
    let http =
        r#"(component (type (instance (export "f" (func)))) (import "wasi:http/types@0.2.0" (instance (type 0))))"#;
    for (name, bytes, reason, advised) in [
        ("empty", vec![], "it is not WebAssembly: it is empty", "nothing was written"),
        (
            "native",
            fs::read(env!("CARGO_BIN_EXE_oarlock")).unwrap()[..1000].to_vec(),
            "it is not WebAssembly",
            "--target wasm32-wasip1",
        ),
        ("http", wat(http), "it does not fit the world", "a plugin has no network"),
        ("later", plugins::reconciler(later, "0.2.0"), "it does not fit the world", "another version of the contract"),
        (
            "env",
            wat(r#"(module (import "env" "fork" (func)) (func (export "_start")))"#),
            "it does not fit",
            "nobody provides env.fork",
        ),
        ("greedy", plugins::greedy_to_compile(), "compiling it", ""),
    ] {
        let report = report(&place.plugin(name, &bytes), 1);
        assert_eq!(report["loads"], false, "{report}");
        assert!(report["reason"].as_str().unwrap().contains(reason), "{name}: {report}");
        assert!(advice(&report).contains(advised), "{name}: {report}");
    }
}

#[test]
fn a_grant_file_that_is_wrong_keeps_a_plugin_from_loading_and_the_rest_is_told() {
    let place = Workplace::new();
    let path = place.plugin("ttl", &plugins::example("ttl"));
    place.grant("ttl", "grants:\n- {apiVersion: v1, kind: [ConfigMap], verbs: [delete]}\n");
    let report = report(&path, 1);
    let reason = report["reason"].as_str().unwrap();
    assert!(reason.contains("ttl.yaml: line 2: unknown field `kind`; did you mean `kinds`?"), "{reason}");
    assert_eq!(report["describes"]["name"], "ttl");
}

#[test]
fn people_read_of_all_plugins_of_a_folder_and_one_that_is_bad_is_a_failure() {
    let place = Workplace::new();
    place.example("ttl");
    let bad = place.plugin("bad\u{1b}[2J", b"#!/bin/sh\n");
    let folder = place.plugins.to_str().unwrap();
    let output = check(&[folder]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    for line in [
        "bad\\u{1b}[2J.wasm\n  Loads:      no: it is not WebAssembly: it begins with `#!/bin/s`",
        "  Advice:     it is a script",
        "ttl.wasm\n  Loads:      yes\n  Is:         a module of ",
        "  Watches:    v1 ConfigMap with labels example.com/ttl\n",
        "wasi:cli@0.2.",
        "ttl.yaml (mode enforce)\n              delete, event v1 ConfigMap where it is called for\n",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    fs::remove_file(bad).unwrap();
    assert_eq!(check(&[folder]).status.code(), Some(0));
}

#[test]
fn wrong_usage_has_a_code_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(check(&[]).status.code(), Some(2));
    assert_eq!(check(&[folder.path().join("none.wasm").to_str().unwrap()]).status.code(), Some(2));
}
