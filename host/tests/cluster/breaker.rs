//! What the cluster is told of plugins that are paused or rolled back.

use crate::control_plane::ControlPlane;
use crate::support::host::Workplace;
use crate::support::{plugins, probe};

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
