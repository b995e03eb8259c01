//! Guests that break the rules of the contract, each of which is a file in `tests/hostile`.

use serde_json::Value;

use crate::support::host::{Finished, Workplace};
use crate::support::{plugins, replica_set};

/// What became of a plugin: `start: ` and why it was refused, or `call: ` and why its call failed.
fn fate(finished: &Finished, plugin: &str) -> Vec<String> {
    let lines = finished.stderr.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let of_plugin = lines.filter(|line| line["plugin"] == plugin && line["level"] != "INFO");
    let messages = of_plugin.map(|line| line["message"].as_str().unwrap().to_owned());
    let fate = messages.filter_map(|message| {
        let (refused, failed) = ("there is no other version of it: ", "reconcile failed, not trying again: ");
        let refused = message.split_once(refused).map(|(_, reason)| format!("start: {reason}"));
        refused.or_else(|| message.strip_prefix(failed).map(|reason| format!("call: {reason}")))
    });
    fate.map(|fate| fate.replace("start: it does not start: ", "start: ")).collect()
}

#[test]
fn each_hostile_guest_fails_as_it_must_and_the_others_do_their_work() {
    let place = Workplace::new();
    let guests = plugins::hostile();
    for (name, _, module) in &guests {
        place.plugin(name, &plugins::reconciler(module.clone(), "0.1.0"));
    }
    place.plugin("print-containers", &plugins::print_containers());
    place.object(&replica_set("a", &["main"]));
    let finished = place.run_once(&["--call-cpu", "300ms"]);
    assert!(finished.stdout.contains(&"default/a: main".to_owned()), "{finished}");
    let mut wrong = Vec::new();
    for (name, expected, _) in &guests {
        let fate = fate(&finished, name);
        if !matches!(&*fate, [fate] if fate.starts_with(expected)) {
            wrong.push(format!("{name}: {fate:?}, and not {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(guests.len() > 30, "they are there");
}

#[test]
fn a_plugin_of_another_version_of_the_contract_is_refused() {
    let place = Workplace::new();
    let (_, _, mut module) = plugins::hostile().into_iter().find(|(name, ..)| name == "log-for-ever").unwrap();
    let (import, later) = (b"oarlock:plugin/log@0.1.0", b"oarlock:plugin/log@0.2.0");
    let at = module.windows(import.len()).position(|part| part == import).unwrap();
    module[at..at + later.len()].copy_from_slice(later);
    place.plugin("later", &plugins::reconciler(module, "0.2.0"));
    let finished = place.run_once(&[]);
    finished.log("later.wasm is refused, there is no other version of it: it does not fit the world");
}
