//! Guests that break the rules of the contract, each of which is a file in `tests/hostile`.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::host::{Finished, Host, Workplace};
use crate::support::{DEADLINE, plugins, poll_for, probe, replica_set};

/// What became of a plugin: `start: ` and why it was refused, or `call: ` and why its call failed.
pub(crate) fn fate(finished: &Finished, plugin: &str) -> Vec<String> {
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
    each_fails_as_it_must("");
}

#[test]
fn each_hostile_guest_fails_as_it_must_in_memory_that_others_had_before() {
    each_fails_as_it_must("isolation: fresh\n");
}

fn each_fails_as_it_must(grant: &str) {
    let place = Workplace::new();
    let guests = plugins::hostile();
    for (name, _, module) in &guests {
        place.grant(name, grant);
        place.plugin(name, &plugins::reconciler(module.clone(), "0.1.0"));
    }
    place.plugin("print-containers", &plugins::print_containers());
    place.object(&replica_set("a", &["main"]));
    let finished = place.run_once(&["--call-cpu", "1s", "--call-wall", "1m"]);
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

#[test]
fn a_loop_at_a_deletion_is_ended_and_the_finalizer_stays() {
    let place = Workplace::new();
    place.plugin("probe", &plugins::probe(1));
    place.grant(
        "probe",
        "settings: {finalizer: example.com/probe}\ngrants: [{apiVersion: apps/v1, kinds: [ReplicaSet], verbs: [finalize]}]\n",
    );
    let mut object = probe("bad", "loop-at-deletion");
    object["metadata"]["deletionTimestamp"] = "2026-01-02T03:04:05Z".into();
    object["metadata"]["finalizers"] = json!(["example.com/probe"]);
    place.object(&object);
    place.object(&probe("good", "-"));
    let host = place.run_with_output(&["--call-cpu", "300ms"]);
    assert_eq!(host.log("it ran for more than the 300ms of processor time")["object"], "default/bad");
    host.line("version-0001 default/good - attempt 0");
    host.line_with("default/bad deleting");
    host.line_with("default/bad deleting");
    host.stop();
}

#[test]
fn a_thousand_plugins_at_once_are_all_called_and_the_host_keeps_its_memory() {
    let place = Workplace::new();
    let module = plugins::print_containers();
    (0..1000).for_each(|number| drop(place.plugin(&format!("plugin-{number:04}"), &module)));
    place.object(&replica_set("a", &["main"]));
    let host = place.run(&[]);
    poll_for(4 * DEADLINE, "line of each", || (host.stdout().len() >= 1000).then_some(()));
    host.settled();
    assert_eq!(host.stdout(), vec!["default/a: main"; 1000]);
    let peak = host.peak_memory_mib();
    println!("{peak} MiB");
    assert!(peak < 750, "{peak} MiB");
    host.stop();
}

#[test]
fn a_file_that_may_not_be_read_is_named_and_read_when_it_may() {
    let place = Workplace::new();
    let path = place.plugin("print-containers", &plugins::print_containers());
    let allow = |mode| fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    allow(0o000);
    place.object(&replica_set("a", &["main"]));
    let oarlock = Host::command(&place.plugins);
    // Without what lets root read everything.
    let mut command = Command::new("setpriv");
    command.args(["--inh-caps=-all", "--bounding-set=-all"]).arg(oarlock.get_program()).args(oarlock.get_args());
    command.arg("--manifests").arg(&place.manifests).env("XDG_CACHE_HOME", env!("CARGO_TARGET_TMPDIR"));
    let host = Host::spawn(command);
    let refused = host.log("print-containers.wasm is refused, there is no other version of it")["message"].to_string();
    assert!(refused.contains("Permission denied"), "{refused}");
    allow(0o644);
    host.line("default/a: main");
    host.stop();
}
