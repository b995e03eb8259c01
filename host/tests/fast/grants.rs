//! Grant files, written and changed while the host runs.

use serde_json::json;

use crate::support::host::{Host, Workplace};
use crate::support::{config_map, deployment, plugins, probe};

const APPLY: &str = "- {apiVersion: v1, kinds: [ConfigMap], verbs: [apply]}\n";
const GET: &str = "- {apiVersion: apps/v1, kinds: [ReplicaSet], verbs: [get]}\n";

fn probe_with(grant: &str) -> Workplace {
    let place = Workplace::new();
    place.grant("probe", grant);
    place.plugin("probe", &plugins::probe(1));
    place
}

fn denied(host: &Host, what: &str) {
    host.log(&format!("not granted: to {what}"));
}

fn taken_over(host: &Host) {
    host.log("with another grant file, every object is reconciled again");
}

#[test]
fn a_misspelt_grant_file_is_refused_with_the_line_and_takes_over_when_it_is_right() {
    let place = probe_with(&format!("grants:\n{APPLY}"));
    place.object(&probe("a", "get"));
    let host = place.run(&[]);
    denied(&host, "get apps/v1 ReplicaSet a ");
    host.settled();

    for (round, wrong, line) in [
        (1, format!("grants:\n{APPLY}{}", GET.replace("get", "gte")), "3: unknown verb `gte`; did you mean `get`?"),
        (2, format!("grants:\n{GET}grnats: []\n"), "3: unknown field `grnats`; did you mean `grants`?"),
        (
            3,
            format!("grants:\n{}{GET}", APPLY.replace("kinds", "kind")),
            "2: unknown field `kind`; did you mean `kinds`?",
        ),
    ] {
        place.grant("probe", &wrong);
        let refused = host.log("probe.wasm is refused, version ");
        let file = place.plugins.join("probe.yaml");
        let expected = format!("stays in force: its grant file {}: line {line}", file.display());
        assert!(refused["message"].as_str().unwrap().ends_with(&expected), "{refused}");
        // The one before is in force, and what is right of this one does not count.
        place.object(&probe(&format!("applies-{round}"), "apply"));
        host.line(&format!("+++ v1 ConfigMap default/applies-{round} (by probe)"));
        place.object(&probe(&format!("gets-{round}"), "get"));
        denied(&host, &format!("get apps/v1 ReplicaSet gets-{round} "));
    }

    place.grant("probe", &format!("grants:\n{APPLY}{GET}"));
    taken_over(&host);
    place.object(&probe("last", "get"));
    host.line_with("default/last get");
    let finished = host.stop();
    let denials = finished.messages().iter().filter(|message| message.contains("not granted")).count();
    assert_eq!(denials, 4, "{finished}");
}

#[test]
fn a_grant_file_without_a_plugin_of_its_name_is_told_of() {
    let place = probe_with("");
    place.grant("prob", "concurrency: 2\n");
    let host = place.run(&["--poll-interval", "100ms"]);
    let told = host.log("prob.yaml has no effect");
    assert!(told["message"].as_str().unwrap().contains("prob.wasm"), "{told}");
    host.stop();
}

#[test]
fn a_grant_file_that_grants_less_or_is_gone_narrows_at_once() {
    let place = probe_with(&format!("grants:\n{APPLY}{GET}"));
    place.object(&probe("gets", "get"));
    place.object(&probe("applies", "apply"));
    let host = place.run(&[]);
    host.line("+++ v1 ConfigMap default/applies (by probe)");
    host.settled();
    place.grant("probe", &format!("grants:\n{APPLY}"));
    taken_over(&host);
    denied(&host, "get apps/v1 ReplicaSet gets ");
    std::fs::remove_file(place.plugins.join("probe.yaml")).unwrap();
    taken_over(&host);
    denied(&host, "get apps/v1 ReplicaSet gets ");
    denied(&host, "apply v1 ConfigMap applies ");
    let finished = host.stop();
    let denials = finished.messages().iter().filter(|message| message.contains("not granted")).count();
    assert_eq!(denials, 3, "{finished}");
}

#[test]
fn settings_reach_the_plugin_and_those_that_it_does_not_take_are_refused() {
    let place = Workplace::new();
    place.example("label-defaulter");
    place.object(&deployment("web", 1));
    let host = place.run(&[]);
    host.line("+    team: unassigned");
    let grant = plugins::example_file("label-defaulter", "label-defaulter.yaml");
    place.grant("label-defaulter", &grant.replace("label: team", "lable: team"));
    let refused = host.log("label-defaulter.wasm is refused");
    let reason = refused["message"].as_str().unwrap();
    assert!(reason.contains("describe answered: settings: unknown field `lable`"), "{reason}");
    place.grant("label-defaulter", &grant.replace("label: team", "label: cost-centre"));
    taken_over(&host);
    host.line("+    cost-centre: unassigned");
    host.stop();
}

#[test]
fn settings_that_the_plugin_does_not_take_are_refused() {
    let place = probe_with("settings: {loud: true}\n");
    let finished = place.run_once(&[]);
    finished.log("describe answered: settings: unknown field `loud`");
    assert_eq!(finished.status.code(), Some(1));
}

#[test]
fn a_plugin_watches_what_the_grant_says_rather_than_what_it_describes() {
    let place = probe_with("watches:\n- {apiVersion: v1, kind: ConfigMap, labelSelector: mine}\n");
    let mut config = config_map("default", "config", &json!({}));
    place.manifest("other.json", &config_map("default", "other", &json!({})).to_string());
    config["metadata"]["labels"] = json!({"mine": ""});
    place.object(&config);
    place.object(&probe("set", "-"));
    let host = place.run(&[]);
    host.line("version-0001 default/config - attempt 0");
    host.settled();
    assert_eq!(host.stdout().len(), 1);

    place.grant("probe", "watches:\n- {apiVersion: apps/v1, kind: ReplicaSet}\n");
    taken_over(&host);
    host.line("version-0001 default/set - attempt 0");
    place.object(&probe("set", "new"));
    host.line("version-0001 default/set new attempt 0");
    config["data"] = json!({"changed": "yes"});
    place.object(&config);
    place.object(&probe("set", "last"));
    host.line("version-0001 default/set last attempt 0");
    assert_eq!(host.stop().stdout.len(), 4, "ConfigMaps are not watched any more");
}

#[test]
fn a_program_is_given_the_objects_that_the_grant_says() {
    let place = Workplace::new();
    place.grant("replicas", "watches:\n- {apiVersion: apps/v1, kind: Deployment}\n");
    place.plugin("replicas", &plugins::example("replicas"));
    place.object(&deployment("web", 3));
    place.object(&probe("set", "-"));
    assert_eq!(place.run_once(&[]).stdout, ["default/web wants 3 replicas"]);
}

#[test]
fn a_plugin_that_the_grant_lets_watch_nothing_is_refused() {
    let place = probe_with("watches: []\n");
    let finished = place.run_once(&[]);
    finished.log("it describes no watches, so that it would never be called");
    assert_eq!(finished.status.code(), Some(1));
}

#[test]
fn a_call_has_the_limits_of_the_grant_rather_than_those_of_the_host() {
    for (limits, mode, reason) in [
        ("{memory: 16Mi}", "memory", "it needs more than the 16.00 MiB of memory that a plugin may use"),
        ("{cpu: 100ms}", "loop", "it ran for more than the 100ms of processor time that a call may take"),
        ("{wall: 200ms}", "sleep", "it took more than the 200ms that a call may take"),
    ] {
        let place = probe_with(&format!("limits: {limits}\n"));
        place.object(&probe("bad", mode));
        let host = place.run(&["--memory", "32Mi", "--call-cpu", "1h", "--call-wall", "2h"]);
        host.log(reason);
        host.stop();
    }
}

/// How many calls were begun and not ended, at the most, by these messages.
fn most_at_once(messages: &[String]) -> usize {
    let (mut now, mut most) = (0, 0);
    for message in messages.iter().filter(|message| message.starts_with("version-")) {
        if message.contains(" begins ") {
            now += 1;
        } else if message.contains(" ends ") {
            now -= 1;
        }
        most = most.max(now);
    }
    most
}

#[test]
fn as_many_calls_go_on_at_once_as_the_grant_says_and_fewer_when_it_says_so() {
    let place = probe_with("concurrency: 2\n");
    for name in ["a", "b", "c"] {
        place.object(&probe(name, "nap"));
    }
    let host = place.run(&[]);
    host.settled();
    let before = host.messages();
    assert_eq!(most_at_once(&before), 2, "{before:?}");
    place.grant("probe", "concurrency: 1\n");
    taken_over(&host);
    for _ in 0..6 {
        host.line_with(" nap attempt 0");
    }
    let after = host.stop().messages().split_off(before.len());
    assert_eq!(most_at_once(&after), 1, "{after:?}");
}

#[test]
fn an_object_is_reconciled_again_and_again_where_the_grant_says_so() {
    let place = probe_with("resync: 1s\n");
    place.object(&probe("a", "-"));
    place.object(&probe("b", "later"));
    let host = place.run(&[]);
    for _ in 0..3 {
        host.line("version-0001 default/a - attempt 0");
        host.line("version-0001 default/b later attempt 0");
    }
    place.grant("probe", "resync: 1h\n");
    taken_over(&host);
    host.stop();
}
