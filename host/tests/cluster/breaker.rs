//! What the cluster is told of objects that fail, and of plugins that are paused or rolled back.

use crate::control_plane::ControlPlane;
use crate::support::host::Workplace;
use crate::support::{http_get, plugins, probe};

#[test]
fn events_tell_of_a_plugin_that_is_paused_and_of_a_version_that_is_rolled_back() {
    let cluster = ControlPlane::start();
    let place = Workplace::new();
    place.plugin("probe", &plugins::probe(1));
    place.plugin("broken", &plugins::probe(2));
    for index in 0..8 {
        cluster.apply(&probe(&format!("object-{index}"), "trap-in version-0002"));
    }
    let host = cluster.host(&place.plugins, &[]);
    for index in 0..8 {
        host.line_with(&format!("version-0001 default/object-{index} "));
    }
    let wait_for = |reason: &str, reporter: &str| {
        let events = ["events", "--field-selector", &format!("reason={reason}")];
        cluster.wait_for(&events, "/items/0/type", &"Warning".into());
        cluster.wait_for(&events, "/items/0/reportingComponent", &reporter.into());
        cluster.wait_for(&events, "/items/1", &serde_json::Value::Null);
        cluster.get(events)["items"][0]["message"].as_str().unwrap().to_owned()
    };
    let note = wait_for("PluginPaused", "oarlock-broken");
    assert!(note.starts_with("the plugin broken is paused for 1s") && note.contains("it trapped"), "{note}");

    place.plugin("probe", &plugins::probe(2));
    let note = wait_for("PluginRolledBack", "oarlock-probe");
    assert!(note.contains("of the plugin probe is rolled back to") && note.contains("it trapped"), "{note}");
    for index in 0..8 {
        host.line_with(&format!("version-0001 default/object-{index} "));
    }
    host.stop();
}

#[test]
fn an_event_tells_of_an_object_that_keeps_failing_or_is_given_up_and_none_of_one_that_is_done_at_last() {
    let cluster = ControlPlane::start();
    let place = Workplace::new();
    place.plugin("probe", &plugins::probe(1));
    for (name, mode) in [("failing", "retry"), ("given-up", "terminal"), ("done", "once-more")] {
        cluster.apply(&probe(name, mode));
    }
    let host = cluster.host(&place.plugins, &["--admin", "127.0.0.1:0"]);
    cluster.wait_for_note("default", "given-up", "ReconcileFailed", "never");
    cluster.wait_for_note("default", "failing", "ReconcileFailed", "not yet");
    assert!(cluster.get(["events", "--field-selector", "involvedObject.name=done"]).is_null());
    // Those after it are counted up.
    let of_failing = ["events", "--field-selector", "involvedObject.name=failing"];
    cluster.wait_for(&of_failing, "/items/0/series/count", &2.into());
    assert_eq!(cluster.get(of_failing)["items"].as_array().unwrap().len(), 1);
    let metrics = http_get(host.log("serving /livez")["address"].as_str().unwrap(), "/metrics");
    for (method, code) in [("GET", 200), ("POST", 201), ("PATCH", 200)] {
        let series = format!(
            r#"rest_client_requests_total{{code="{code}",method="{method}",host="127.0.0.1:{}"}} "#,
            cluster.port()
        );
        assert!(metrics.contains(&series), "{series} in\n{metrics}");
    }
    let failures = |line: &&String| line.contains("reconcile failed") && line.contains("not yet");
    assert!(host.messages().iter().filter(failures).count() >= 10);
    host.stop();
}
