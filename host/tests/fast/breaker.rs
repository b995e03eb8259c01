//! Plugins that keep breaking are paused, and versions that break where the one before did not are rolled back.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::{Duration, SystemTime};

use oarlock::config::{Config, Election, Source};
use oarlock::folder::Timing;
use oarlock::plugin::{Compiler, Limits};
use oarlock::progress::ProgressLine;
use oarlock::runtime;
use oarlock::selector::Scope;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::support::host::{Host, Workplace};
use crate::support::{http_get, plugins, poll, probe, replica_set};

/// What breaks the probe of that version.
fn breaks(version: u32) -> String {
    format!("trap-in version-{version:04}")
}

fn start(place: &Workplace, debounce: &str) -> (Host, String) {
    let host = place.run(&["--admin", "127.0.0.1:0", "--debounce", debounce]);
    let address = host.log("serving /livez")["address"].as_str().unwrap().to_owned();
    (host, address)
}

/// The objects of the calls of the probe of that version, up to what was waited for in the log.
fn calls(host: &Host, version: u32) -> Vec<String> {
    let begins = format!("version-{version:04} begins ");
    host.messages().iter().filter_map(|line| line.strip_prefix(&begins)).map(str::to_owned).collect()
}

fn says(host: &Host, what: &str) -> bool {
    host.messages().iter().any(|message| message.contains(what))
}

fn metric(address: &str, series: &str) -> Option<String> {
    let metrics = http_get(address, "/metrics");
    let line = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.map(str::to_owned)
}

#[test]
fn a_plugin_that_breaks_whatever_the_object_is_paused_and_its_neighbour_is_not() {
    const OBJECTS: usize = 200;
    let place = Workplace::new();
    place.plugin("probe", &plugins::probe(1));
    place.plugin("print-containers", &plugins::print_containers());
    (0..OBJECTS).for_each(|index| place.object(&probe(&format!("object-{index}"), &breaks(1))));
    let (host, address) = start(&place, "50ms");
    let paused = host.log("the plugin probe is paused for 1s, because it breaks whatever the object");
    assert_eq!(paused["plugin"], "probe");
    assert!(paused["message"].as_str().unwrap().contains("it trapped: "), "{paused}");
    for index in 0..OBJECTS {
        host.line(&format!("default/object-{index}: main"));
    }
    // Each with a backoff of its own, all objects would have been called nine times by now.
    host.log("reconcile failed, the plugin is paused for 4s: it trapped");
    assert_eq!(calls(&host, 1).len(), 5 + 2, "five that pause it, and two trials");
    assert_eq!(metric(&address, r#"oarlock_plugin_paused{plugin="probe"}"#).as_deref(), Some("1"));
    assert_eq!(metric(&address, r#"oarlock_plugin_paused{plugin="print-containers"}"#).as_deref(), Some("0"));
    assert_eq!(metric(&address, r#"oarlock_plugin_pauses_total{plugin="probe"}"#).as_deref(), Some("1"));

    // The next trial is for what has changed.
    place.object(&probe("object-150", "-"));
    assert_eq!(host.log("it answers again, and goes on")["plugin"], "probe");
    host.line("version-0001 default/object-150 - attempt 0");
    host.log("the plugin probe is paused for 1s");

    // Another version begins at once, and with all of them.
    place.plugin("probe", &plugins::probe(2));
    for index in (0..OBJECTS).filter(|index| *index != 150) {
        host.line_with(&format!("version-0002 default/object-{index} trap-in version-0001"));
    }
    assert_eq!(metric(&address, r#"oarlock_plugin_paused{plugin="probe"}"#).as_deref(), Some("0"));
    let resumed = host.messages().iter().filter(|message| message.contains("it answers again")).count();
    assert_eq!((resumed, says(&host, "rolled back")), (1, false), "it has not been paused at all");
    host.stop();
}

#[test]
fn of_several_workers_only_one_makes_the_trial() {
    let place = Workplace::new();
    place.grant("probe", "concurrency: 4\n");
    place.plugin("probe", &plugins::probe(1));
    (0..100).for_each(|index| place.object(&probe(&format!("object-{index}"), "trap")));
    let (host, _) = start(&place, "50ms");
    host.log("reconcile failed, the plugin is paused for 2s");
    let before_the_trial = calls(&host, 1).len();
    host.log("reconcile failed, the plugin is paused for 4s");
    assert!(before_the_trial <= 5 + 3 + 1, "those of the other workers in flight: {before_the_trial}");
    assert_eq!(calls(&host, 1).len(), before_the_trial + 1);
    // What a paused plugin has to do is not waited for.
    host.settled();
    host.stop();
}

#[test]
fn objects_that_a_plugin_cannot_stand_pause_it_for_nobody() {
    const BAD: usize = 8;
    let place = Workplace::new();
    place.plugin("probe", &plugins::probe(1));
    let (host, _) = start(&place, "50ms");
    host.settled();
    for index in 0..BAD {
        place.object(&probe(&format!("bad-{index}"), "trap"));
        host.line(&format!("version-0001 default/bad-{index} trap attempt 0"));
        place.object(&probe(&format!("good-{index}"), "-"));
        host.line(&format!("version-0001 default/good-{index} - attempt 0"));
    }
    // From here on there is no answer in between.
    for index in 0..BAD {
        host.line(&format!("version-0001 default/bad-{index} trap attempt 7"));
    }
    place.object(&probe("good-0", "blink"));
    host.line("version-0001 default/good-0 blink attempt 0");
    assert!(!says(&host, "is paused"));
    host.stop();
}

#[test]
fn answers_that_say_no_pause_nobody() {
    let place = Workplace::new();
    place.plugin("probe", &plugins::probe(1));
    for mode in ["retry", "terminal", "apply", "not-json", "many-actions"] {
        (0..10).for_each(|index| place.object(&probe(&format!("{mode}-{index}"), mode)));
    }
    let exits = r#"(module (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (memory (export "memory") 1) (func (export "_start") (call $exit (i32.const 1))))"#;
    place.plugin("command", &wat::parse_str(exits).unwrap());
    let (host, address) = start(&place, "50ms");
    for index in 0..10 {
        host.line(&format!("version-0001 default/retry-{index} retry attempt 5"));
    }
    let failed = r#"controller_runtime_reconcile_total{controller="command",result="error"}"#;
    poll("calls of the command", || (metric(&address, failed)?.parse::<u32>().unwrap() >= 80).then_some(()));
    assert!(!says(&host, "is paused"));
    host.stop();
}

#[test]
fn once_there_is_no_pause() {
    let place = Workplace::new();
    place.plugin("probe", &plugins::probe(1));
    (0..20).for_each(|index| place.object(&probe(&format!("object-{index}"), "trap")));
    let finished = place.run_once(&[]);
    finished.log("20 calls, 20 failed");
    assert_eq!(finished.stdout.len(), 20);
}

#[test]
fn a_version_that_breaks_where_the_one_before_did_not_is_rolled_back_and_remembered_until_its_file_changes() {
    const OBJECTS: usize = 20;
    let place = Workplace::new();
    place.plugin("probe", &plugins::probe(1));
    // Every other object is none that it breaks on.
    let mode = |index: usize| if index.is_multiple_of(2) { "-".to_owned() } else { breaks(2) };
    (0..OBJECTS).for_each(|index| place.object(&probe(&format!("object-{index}"), &mode(index))));
    let (host, address) = start(&place, "50ms");
    host.settled();
    let bad = place.plugin("probe", &plugins::probe(2));
    let told = host.log("is rolled back to ");
    assert_eq!((&told["plugin"], &told["level"]), (&"probe".into(), &"ERROR".into()));
    let message = told["message"].as_str().unwrap();
    assert!(message.contains("probe.wasm is not loaded again until it changes") && message.contains("it trapped"));
    let tried = calls(&host, 2);
    assert_eq!(tried.iter().filter(|object| object.ends_with(['1', '3', '5', '7', '9'])).count(), 3, "{tried:?}");
    poll("last call of each object by the version before", || {
        let stdout = host.stdout();
        let by =
            |object: String| stdout.iter().rfind(|line| line.contains(&object)).unwrap().starts_with("version-0001");
        let calls = stdout.iter().filter(|line| line.starts_with("version-0001")).count();
        let all = (0..OBJECTS).all(|index| by(format!(" default/object-{index} ")));
        (all && calls == 2 * OBJECTS).then_some(())
    });
    let rolled_back = r#"oarlock_plugin_reloads_total{plugin="probe",result="rolled_back"}"#;
    assert_eq!(metric(&address, rolled_back).as_deref(), Some("1"));

    File::options().append(true).open(&bad).unwrap().set_modified(SystemTime::now()).unwrap();
    sleep(Duration::from_millis(300));
    place.plugin("probe", &plugins::probe(2));
    sleep(Duration::from_millis(300));
    // That it is at work shows that the folder has been read.
    place.plugin("second", &plugins::probe(4));
    host.line_with("version-0004 default/object-0");
    let loaded = r#"oarlock_plugin_reloads_total{plugin="probe",result="loaded"}"#;
    assert_eq!(metric(&address, loaded).as_deref(), Some("2"));
    assert_eq!(calls(&host, 2), tried);

    place.plugin("probe", &plugins::probe(3));
    for index in 0..OBJECTS {
        host.line_with(&format!("version-0003 default/object-{index} {} attempt", mode(index)));
    }
    assert!(!says(&host, "is paused"));
    host.stop();
}

#[test]
fn after_a_rollback_the_file_of_the_version_in_force_changes_nothing_and_the_other_is_tried_again() {
    let place = Workplace::new();
    place.plugin("probe", &plugins::probe(1));
    place.object(&probe("only", &breaks(2)));
    let (host, address) = start(&place, "50ms");
    let refused = |expected: &str| {
        let told = || metric(&address, r#"oarlock_plugin_refused{plugin="probe"}"#);
        poll("metric of what is refused", || (told().as_deref() == Some(expected)).then_some(()));
    };
    host.settled();
    refused("0");
    place.plugin("probe", &plugins::probe(2));
    host.log("is rolled back to ");
    host.line_with("version-0001 default/only");
    host.line_with("version-0001 default/only");
    refused("1");
    place.plugin("probe", &plugins::probe(1));
    host.log("the files are again what is in force");
    refused("0");
    place.plugin("probe", &plugins::probe(2));
    host.log("is rolled back to ");
    host.line_with("version-0001 default/only");
    host.stop();
}

#[test]
fn a_rollback_under_a_stream_of_changes_loses_none() {
    const OBJECTS: usize = 60;
    let place = Workplace::new();
    place.grant("probe", "concurrency: 3\n");
    place.plugin("probe", &plugins::probe(1));
    let change = |index: usize, round: usize| {
        let mut object = probe(&format!("object-{index}"), &breaks(2));
        object["metadata"]["annotations"]["probe-counter"] = Value::from(round.to_string());
        place.object(&object);
    };
    (0..OBJECTS).for_each(|index| change(index, 0));
    let (host, _) = start(&place, "10ms");
    host.settled();
    for round in 1..=20 {
        if round == 5 {
            place.plugin("probe", &plugins::probe(2));
        }
        (0..OBJECTS).filter(|index| index % 20 == round % 20).for_each(|index| change(index, round));
        sleep(Duration::from_millis(50));
    }
    host.log("is rolled back to ");
    let last = |index: usize| (1..=20).find(|round| index % 20 == round % 20).unwrap();
    poll("last call of each object, with its last state and by the version before", || {
        let stdout = host.stdout();
        let seen = (0..OBJECTS).filter(|index| {
            let object = format!(" default/object-{index} ");
            let line = stdout.iter().rfind(|line| line.contains(&object));
            let (version, counter) = ("version-0001", format!(" counter {}", last(*index)));
            line.is_some_and(|line| line.starts_with(version) && line.ends_with(&counter))
        });
        (seen.count() == OBJECTS).then_some(())
    });
    let broken: BTreeSet<_> = calls(&host, 2).into_iter().collect();
    // Those that waited when it came, of which there are few, do not count.
    assert!((3..OBJECTS / 3).contains(&broken.len()), "{broken:?}");
    host.stop();
}

#[test]
fn a_version_that_breaks_only_where_the_one_before_did_stays() {
    let place = Workplace::new();
    place.plugin("probe", &plugins::probe(1));
    (0..4).for_each(|index| place.object(&probe(&format!("bad-{index}"), "trap")));
    (0..4).for_each(|index| place.object(&probe(&format!("good-{index}"), "-")));
    let (host, _) = start(&place, "50ms");
    for index in 0..4 {
        host.line(&format!("version-0001 default/bad-{index} trap attempt 0"));
        host.line(&format!("version-0001 default/good-{index} - attempt 0"));
    }
    place.plugin("probe", &plugins::probe(2));
    for index in 0..4 {
        host.line_with(&format!("version-0002 default/bad-{index} trap"));
        host.line_with(&format!("version-0002 default/good-{index} -"));
    }
    place.object(&probe("good-0", "blink"));
    host.line_with("version-0002 default/good-0 blink");
    assert!(!says(&host, "rolled back"));
    host.stop();
}

#[test]
fn objects_that_have_just_become_such_that_no_version_can_stand_them_roll_nothing_back() {
    let place = Workplace::new();
    place.plugin("probe", &plugins::probe(1));
    (0..10).for_each(|index| place.object(&probe(&format!("object-{index}"), "-")));
    let (host, _) = start(&place, "10ms");
    host.settled();
    place.object(&probe("slow", "nap"));
    host.log("version-0001 begins default/slow");
    // While it is in its call, these wait, and are called for by the next version first.
    (0..4).for_each(|index| place.object(&probe(&format!("object-{index}"), "trap")));
    sleep(Duration::from_millis(500));
    place.plugin("probe", &plugins::probe(2));
    host.log("is in force, every object is reconciled again");
    host.log("version-0001 ends default/slow");
    for index in 4..10 {
        host.line_with(&format!("version-0002 default/object-{index} -"));
    }
    let first = poll("first calls", || calls(&host, 2).first_chunk::<4>().cloned());
    assert!(first.iter().all(|object| ["0", "1", "2", "3"].iter().any(|bad| object.ends_with(bad))));
    assert!(!says(&host, "rolled back") && !says(&host, "is paused"));
    host.stop();
}

#[test]
fn nothing_is_rolled_back_past_another_grant_file_or_to_what_never_worked() {
    for (grant, works) in [(Some("concurrency: 2\n"), true), (None, false)] {
        let place = Workplace::new();
        place.plugin("probe", &plugins::probe(1));
        let mode = if works { breaks(2) } else { "trap".to_owned() };
        (0..20).for_each(|index| place.object(&probe(&format!("object-{index}"), &mode)));
        // Time to change both files at once.
        let (host, _) = start(&place, "1s");
        host.log(if works { "everything there was is reconciled" } else { "the plugin probe is paused for 1s" });
        if let Some(grant) = grant {
            place.grant("probe", grant);
        }
        place.plugin("probe", &plugins::probe(2));
        host.log("is in force, every object is reconciled again");
        host.log("the plugin probe is paused for 1s");
        host.log("reconcile failed, the plugin is paused for 2s");
        assert!(!says(&host, "rolled back"));
        host.stop();
    }
}

#[test]
fn of_a_plugin_that_is_gone_no_metrics_are_left() {
    let place = Workplace::new();
    let file = place.plugin("probe", &plugins::probe(1));
    place.plugin("print-containers", &plugins::print_containers());
    let broken = place.plugin("broken", b"no plugin");
    place.object(&probe("a", "-"));
    let (host, address) = start(&place, "50ms");
    host.log("broken.wasm is refused");
    host.settled();
    let has = |plugin: &str| http_get(&address, "/metrics").contains(&format!("\"{plugin}\""));
    assert!(has("probe") && has("broken"));
    fs::remove_file(file).unwrap();
    fs::remove_file(broken).unwrap();
    poll("metrics without it", || (!has("probe") && !has("broken")).then_some(()));
    assert!(has("print-containers"));
    place.plugin("probe", &plugins::probe(2));
    host.line_with("version-0002 default/a");
    poll("metrics of what is back", || has("probe").then_some(()));
    host.stop();
}

#[test]
fn that_a_file_is_refused_is_told_also_after_the_last_call_of_a_version_that_was_removed() {
    let place = Workplace::new();
    let file = place.plugin("probe", &plugins::probe(1));
    place.object(&probe("a", "sleep"));
    let host = place.run(&["--admin", "127.0.0.1:0", "--debounce", "50ms", "--call-wall", "6s"]);
    let address = host.log("serving /livez")["address"].as_str().unwrap().to_owned();
    host.log("version-0001 begins default/a");
    fs::remove_file(file).unwrap();
    host.log("stopped: its file is gone");
    place.plugin("probe", b"no plugin");
    host.log("probe.wasm is refused");
    host.log("reconcile failed");
    for _ in 0..10 {
        assert_eq!(metric(&address, r#"oarlock_plugin_refused{plugin="probe"}"#).as_deref(), Some("1"));
        sleep(Duration::from_millis(50));
    }
    host.stop();
}

/// What a host in this process prints.
#[derive(Clone, Default)]
struct Printed(Arc<Mutex<Vec<u8>>>);

impl Write for Printed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_of_the_host_in_the_calls_of_one_plugin_is_the_matter_of_that_plugin() {
    let place = Workplace::new();
    // Its calls have a time that no clock can hold, which the command line does not let through. A command is not started
    // before its first call.
    place.plugin(
        "panics",
        &wat::parse_str(r#"(module (memory (export "memory") 1) (func (export "_start")))"#).unwrap(),
    );
    place.plugin("print-containers", &plugins::print_containers());
    place.grant("print-containers", "limits: {wall: 10s}\n");
    (0..10).for_each(|index| place.object(&replica_set(&format!("object-{index}"), &["main"])));
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = Config {
        source: Source::Manifests { path: place.manifests.clone(), output: None },
        scope: Scope::default(),
        plugins: place.plugins.clone(),
        limits: Limits { cpu: Duration::from_secs(1), wall: Duration::MAX / 2, ..Limits::default() },
        timing: Timing { debounce: Duration::from_millis(10), poll: Duration::ZERO },
        cache: None,
        once: false,
        dry_run: false,
        recorder: None,
        election: Election::Off,
        admin: Some(vec![([127, 0, 0, 1], port).into()]),
        drain_time: Duration::from_secs(5),
        keep_idle: Duration::from_mins(1),
        compiler: Compiler::Thread,
    };
    let (printed, stop) = (Printed::default(), CancellationToken::new());
    let (to, stopped) = (printed.clone(), stop.clone());
    let host = tokio::spawn(async move { runtime::run(config, to, &ProgressLine::new(), stopped).await });

    let printed_says = |what: &str| String::from_utf8_lossy(&printed.0.lock().unwrap()).contains(what).then_some(());
    poll("line of the neighbour", || printed_says("default/object-9: main"));
    let address = format!("127.0.0.1:{port}");
    poll("pause of the one that panics", || {
        (metric(&address, r#"oarlock_plugin_paused{plugin="panics"}"#)? == "1").then_some(())
    });
    let failed = r#"controller_runtime_reconcile_total{controller="panics",result="error"}"#;
    poll("trial of the one that panics", || (metric(&address, failed)?.parse::<u32>().unwrap() > 5).then_some(()));
    place.object(&replica_set("object-0", &["another"]));
    poll("line of the neighbour", || printed_says("default/object-0: another"));
    stop.cancel();
    host.await.unwrap().unwrap();
}
