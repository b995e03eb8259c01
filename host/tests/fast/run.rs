//! `oarlock run`: the main job, its output, its log and its end.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::host::Workplace;
use crate::support::{plugins, poll, probe, replica_set, write_whole};

#[test]
fn once_prints_the_containers_of_each_replica_set_and_exits_0() {
    let place = Workplace::new();
    place.plugin("print-containers", &plugins::print_containers());
    place.object(&replica_set("a", &["first", "second"]));
    place.object(&replica_set("b", &["only"]));
    let finished = place.run_once(&[]);
    assert_eq!(finished.status.code(), Some(0), "{finished}");
    assert_eq!(finished.sorted_stdout(), ["default/a: first, second", "default/b: only"]);
    finished.log("2 objects, 1 plugin in ");
}

#[test]
fn once_names_what_is_broken_does_the_rest_and_exits_1() {
    let place = Workplace::new();
    place.plugin("print-containers", &plugins::print_containers());
    place.plugin("broken", b"\0asm\x01\0\0\0\x01");
    place.object(&replica_set("a", &["main"]));
    write_whole(&place.manifests.join("broken.yaml"), b"kind: ReplicaSet\nmetadata: [\n");
    let finished = place.run_once(&[]);
    assert_eq!(finished.status.code(), Some(1), "{finished}");
    assert_eq!(finished.stdout, ["default/a: main"]);
    let plugin = finished.log("broken.wasm is refused");
    assert_eq!(plugin["plugin"], "broken");
    assert!(plugin["message"].as_str().unwrap().contains("not valid WebAssembly, or not whole"), "{plugin}");
    finished.log("broken.yaml:2: ");
    finished.log("1 call, 0 failed; 1 plugin refused; 1 document left out");
}

#[test]
fn once_calls_each_object_once_and_exits_1_where_a_call_failed() {
    let place = Workplace::new();
    place.plugin("probe", &plugins::probe(1));
    for mode in ["fine", "retry", "terminal", "requeue", "trap"] {
        place.object(&probe(mode, mode));
    }
    let finished = place.run_once(&[]);
    assert_eq!(finished.status.code(), Some(1), "{finished}");
    assert_eq!(finished.stdout.len(), 5, "{finished}");
    finished.log("5 calls, 3 failed");
}

#[test]
fn once_without_a_plugin_folder_says_so() {
    let place = Workplace::new();
    std::fs::remove_dir(&place.plugins).unwrap();
    let finished = place.run_once(&[]);
    assert_eq!(finished.status.code(), Some(1), "{finished}");
    finished.log("there is no plugin folder");
}

#[test]
fn wrong_usage_exits_2() {
    for args in [
        &["run"][..],
        &["run", "--plugins", ".", "--manifests", "no/such/path"],
        &["run", "--plugins", ".", "--manifests", ".", "--context", "x"],
        &["run", "--plugins", ".", "--manifests", ".", "-l", "a is b"],
        &["run", "--plugins", ".", "--manifests", ".", "--memory", "64 sheep"],
        &["run", "--plugins", ".", "--manifests", ".", "--log", "oarlock=loud"],
        &["row"],
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_oarlock")).args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(!output.stderr.is_empty());
    }
}

#[test]
fn every_line_of_a_call_in_the_log_names_plugin_object_and_call() {
    let place = Workplace::new();
    place.plugin("probe", &plugins::probe(1));
    place.object(&probe("talks", "log"));
    place.object(&probe("fails", "panic"));
    let finished = place.run_once(&["--log", "debug"]);
    let lines = ["at debug", "at info", "at warn", "at error"].map(|message| finished.log(message));
    let levels = lines.each_ref().map(|line| line["level"].as_str().unwrap());
    assert_eq!(levels, ["DEBUG", "INFO", "WARN", "ERROR"]);
    for line in &lines {
        assert_eq!((&line["plugin"], &line["object"]), (&"probe".into(), &"default/talks".into()), "{line}");
        assert_eq!(line["reconcile_id"], lines[0]["reconcile_id"]);
    }
    let (stderr, failed) = (finished.log("stderr: as asked"), finished.log("it trapped"));
    assert_eq!(stderr["object"], "default/fails");
    assert_eq!(stderr["reconcile_id"], failed["reconcile_id"]);
    assert_ne!(failed["reconcile_id"], lines[0]["reconcile_id"]);
}

#[test]
fn the_log_is_text_where_that_is_asked_for() {
    let place = Workplace::new();
    let finished = place.run_once(&["--log-format", "text"]);
    assert!(finished.stderr.iter().all(|line| serde_json::from_str::<Value>(line).is_err()), "{finished}");
    assert!(finished.stderr.iter().any(|line| line.contains("INFO 0 objects, 0 plugins in ")), "{finished}");
}

#[test]
fn output_is_whole_lines_and_no_more_than_a_call_may_print() {
    let place = Workplace::new();
    place.plugin("probe", &plugins::probe(1));
    place.object(&probe("a", "partial"));
    place.object(&probe("b", "flood"));
    let finished = place.run_once(&[]);
    assert!(finished.stdout.iter().any(|line| line == "no line feed"), "it is ended with one");
    let flood: usize = finished.stdout.iter().filter(|line| line.starts_with("xx")).map(|line| line.len() + 1).sum();
    assert!(((1 << 20) - 1024..=1 << 20).contains(&flood), "{flood} bytes");
    finished.log("bytes are left out");
}

#[test]
fn what_is_not_granted_fails_with_a_reason_and_is_not_tried_again() {
    let place = Workplace::new();
    place.plugin("probe", &plugins::probe(1));
    place.object(&probe("a", "apply"));
    place.object(&probe("b", "get"));
    let host = place.run(&[]);
    assert_eq!(host.log("not granted: to apply an object")["object"], "default/a");
    let read = host.log("not granted: get apps/v1 ReplicaSet in namespace default");
    assert!(read["message"].as_str().unwrap().starts_with("reconcile failed, not trying again until it changes"));
    host.settled();
    place.object(&probe("a", "-"));
    host.line("version-0001 default/a - attempt 1");
    assert_eq!(host.stop().stdout.len(), 3);
}

#[test]
fn a_failure_is_tried_again_until_it_succeeds_and_a_requeue_comes_back() {
    let place = Workplace::new();
    place.plugin("probe", &plugins::probe(1));
    place.object(&probe("a", "once-more"));
    place.object(&probe("b", "requeue"));
    let host = place.run(&[]);
    for attempt in 0..=3 {
        host.line(&format!("version-0001 default/a once-more attempt {attempt}"));
    }
    for _ in 0..5 {
        host.line("version-0001 default/b requeue attempt 0");
    }
    host.log("reconcile failed, trying again in ");
    let stdout = host.stop().stdout;
    assert_eq!(stdout.iter().filter(|line| line.contains("/a")).count(), 4);
}

#[test]
fn sigterm_lets_the_call_in_flight_finish_and_exits_0() {
    let place = Workplace::new();
    place.plugin("probe", &plugins::probe(1));
    place.object(&replica_set("first", &["main"]));
    let host = place.run(&[]);
    host.line_with("default/first");
    // While one call naps, the other object waits and is not begun any more.
    place.object(&probe("a", "nap"));
    std::thread::sleep(Duration::from_millis(400));
    place.object(&probe("b", "nap"));
    let finished = host.stop();
    assert!(finished.stdout.len() <= 3, "{finished}");
    finished.log("stopped: ");
}

#[test]
fn a_second_signal_ends_at_once() {
    let place = Workplace::new();
    place.plugin("probe", &plugins::probe(1));
    place.object(&probe("a", "sleep"));
    let host = place.run(&["--call-wall", "1h", "--admin", "127.0.0.1:0"]);
    let address = host.log("serving /livez")["address"].as_str().unwrap().to_owned();
    poll("plugin at work", || get(&address, "/metrics").contains("oarlock_plugin_reloads_total").then_some(()));
    host.signal("INT");
    host.log("calls in flight are finished");
    let start = Instant::now();
    host.signal("TERM");
    let finished = host.finish();
    assert_eq!(finished.status.code(), Some(128 + 15), "{finished}");
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_host_whose_output_nobody_reads_ends() {
    let place = Workplace::new();
    place.plugin("print-containers", &plugins::print_containers());
    place.object(&replica_set("a", &["main"]));
    let mut child = Command::new(env!("CARGO_BIN_EXE_oarlock"))
        .args(["run", "--cache-dir", "off", "--plugins"])
        .arg(&place.plugins)
        .arg("--manifests")
        .arg(&place.manifests)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let status = poll("end of the host", || child.try_wait().unwrap());
    assert_eq!(status.code(), Some(1));
}

#[test]
fn health_and_metrics_are_served() {
    let place = Workplace::new();
    place.plugin("probe", &plugins::probe(1));
    place.object(&probe("a", "-"));
    place.object(&probe("b", "terminal"));
    let host = place.run(&["--admin", "127.0.0.1:0"]);
    let address = host.log("serving /livez")["address"].as_str().unwrap().to_owned();
    host.settled();
    assert!(get(&address, "/livez").starts_with("HTTP/1.1 200 "));
    assert!(get(&address, "/readyz").starts_with("HTTP/1.1 200 "));
    let metrics = get(&address, "/metrics");
    for line in [
        r#"controller_runtime_reconcile_total{controller="probe",result="success"} 1"#,
        r#"controller_runtime_reconcile_total{controller="probe",result="error"} 1"#,
        r#"controller_runtime_reconcile_time_seconds_count{controller="probe"} 2"#,
        r#"oarlock_plugin_reloads_total{plugin="probe",result="loaded"} 1"#,
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
}

/// The whole answer to a GET.
pub(crate) fn get(address: &str, path: &str) -> String {
    use std::io::{Read as _, Write as _};
    let mut connection = std::net::TcpStream::connect(address).unwrap();
    write!(connection, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    answer
}
