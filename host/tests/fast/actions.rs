//! What a plugin asks for: what is denied, and what is no answer.

use serde_json::json;

use crate::support::host::{Host, Workplace};
use crate::support::{config_map, http_get, plugins, poll, probe};

const MAY_APPLY: &str = "grants:\n- {apiVersion: v1, kinds: [ConfigMap], verbs: [apply]}\n";

/// The probe with this grant and one object.
fn probed(grant: &str, mode: &str) -> (Workplace, Host) {
    let place = Workplace::new();
    place.grant("probe", grant);
    place.plugin("probe", &plugins::probe(1));
    place.object(&probe("a", mode));
    let host = place.run_with_output(&["--admin", "127.0.0.1:0"]);
    (place, host)
}

/// Waits until that many denials of that verb are counted.
fn counted(host: &Host, verb: &str, denials: u32) {
    let address = host.log("serving /livez")["address"].as_str().unwrap().to_owned();
    let line = format!(r#"oarlock_plugin_denials_total{{plugin="probe",verb="{verb}"}} {denials}"#);
    poll(&line, || http_get(&address, "/metrics").lines().any(|counted| counted == line).then_some(()));
}

/// Waits for a terminal failure, and returns its reason.
fn failed(host: &Host) -> String {
    let line = host.log("reconcile failed, not trying again until it changes: ");
    line["message"].as_str().unwrap().split_once("changes: ").unwrap().1.to_owned()
}

/// What a denial says is to be added to the grants.
fn entry(denied: &str) -> String {
    let (_, entry) = denied.split_once("add to the grants in ").unwrap().1.split_once(": ").unwrap();
    format!("- {entry}\n")
}

#[test]
fn what_is_applied_without_a_grant_is_denied_and_counted() {
    let (place, host) = probed("", "apply");
    assert_eq!(
        failed(&host),
        "not granted: to apply v1 ConfigMap a in namespace default; nothing of what the plugin answered was done. To \
         grant it, add to the grants in probe.yaml: {apiVersion: v1, kinds: [ConfigMap], verbs: [apply]}"
    );
    counted(&host, "apply", 1);
    assert!(!place.output().exists());
    host.stop();
}

#[test]
fn a_read_that_is_denied_is_a_failure_even_if_the_plugin_goes_on() {
    let (place, host) = probed(MAY_APPLY, "get-anyway");
    host.line("got: false");
    let denied = failed(&host);
    assert!(denied.starts_with("not granted: to get apps/v1 ReplicaSet a in namespace default"), "{denied}");
    counted(&host, "get", 1);
    assert!(!place.output().exists(), "what it answered is not done either");

    place.grant("probe", &format!("{MAY_APPLY}{}", entry(&denied)));
    host.line("got: true");
    poll("what it applied", || place.written("configmaps.default.a.yaml"));
    host.stop();
}

#[test]
fn the_lines_that_denials_tell_are_all_that_a_plugin_needs() {
    let place = Workplace::new();
    place.grant("website", "grants:\n");
    place.plugin("website", &plugins::example("website"));
    place.manifest("crd.yaml", &plugins::example_file("website", "crd.yaml"));
    place.manifest("sample.yaml", &plugins::example_file("website", "sample.yaml"));
    let host = place.run_with_output(&[]);
    let mut grant = "grants:\n".to_owned();
    let verbs = ["finalize", "get", "apply", "apply", "apply", "apply-status"];
    for verb in verbs {
        let denied = failed(&host);
        assert!(denied.contains(&format!("to {verb} ")), "{denied}");
        grant += &entry(&denied);
        place.grant("website", &grant);
    }
    let status = poll("status", || {
        let site = place.written("websites.default.hello.yaml")?;
        site.get("status").cloned()
    });
    assert_eq!(status["url"], "http://hello.default.svc:80");
    assert!(grant.contains("namespaces: [websites]"), "{grant}");
    let finished = host.stop();
    let failures = finished.messages().iter().filter(|message| message.contains("reconcile failed")).count();
    assert_eq!(failures, verbs.len(), "{finished}");
}

#[test]
fn of_an_answer_that_is_malformed_nothing_is_done() {
    for (mode, expected) in [
        ("not-json", "action 2 that the plugin answered is wrong: no JSON object: "),
        ("no-name", "action 2 that the plugin answered is wrong: it has no metadata.name"),
        (
            "child-elsewhere",
            "child 2 that the plugin answered is wrong: it is in another namespace than its owner, which cannot be; use \
             apply",
        ),
    ] {
        let (place, host) = probed(MAY_APPLY, mode);
        let reason = failed(&host);
        assert!(reason.starts_with(expected), "{reason}");
        assert!(reason.ends_with("; nothing of what it answered was done"), "{reason}");
        host.settled();
        assert!(!place.output().exists(), "{mode}: its first action was fine, and is not done");
        place.object(&probe("a", "apply"));
        poll("what it applied", || place.written("configmaps.default.a.yaml"));
        host.stop();
    }
}

#[test]
fn an_object_of_somebody_else_is_not_overwritten_without_force() {
    let (place, host) = {
        let place = Workplace::new();
        place.grant("probe", MAY_APPLY);
        place.plugin("probe", &plugins::probe(1));
        place.manifest("config.json", &config_map("default", "a", &json!({"by": "hand"})).to_string());
        place.object(&probe("a", "apply"));
        let host = place.run_with_output(&[]);
        (place, host)
    };
    let failed = host.log("cannot apply ConfigMap default/a: ");
    assert!(failed["message"].as_str().unwrap().contains(r#".data.by of "manifests""#), "{failed}");
    assert!(!place.output().exists());
    place.grant("probe", &MAY_APPLY.replace("[apply]", "[apply], force: true"));
    let config = poll("what it applied", || place.written("configmaps.default.a.yaml"));
    assert_eq!(config["data"]["by"], "version-0001");
    host.stop();
}
