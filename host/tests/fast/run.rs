//! `oarlock run`: the main job, its output, its log and its end.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread::spawn;

use serde_json::Value;

use crate::support::host::{Host, Workplace};
use crate::support::{DEADLINE, http_get, plugins, poll, probe, replica_set, write_whole};

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
        &["run", "--plugins", ".", "--manifests", ".", "--cache-dir", "./cache"],
        &["run", "--plugins", ".", "--kubeconfig", "no/such/file", "--api-timeout", "1s"],
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
fn a_guest_has_clocks_and_randomness_no_environment_and_no_files() {
    let place = Workplace::new();
    place.plugin("probe", &plugins::probe(1));
    place.object(&probe("a", "reach"));
    let finished = place.run_once(&[]);
    let reached = finished.stdout.iter().find(|line| line.starts_with("variables")).unwrap();
    assert_eq!(reached, "variables: 0, folder: false");
    assert!(finished.stdout.iter().any(|line| line == "clock: true, random: true"), "{finished}");
}

#[test]
fn a_component_is_a_plugin_like_a_module() {
    let place = Workplace::new();
    place.plugin("print-containers", &plugins::component(&plugins::print_containers()));
    place.object(&replica_set("a", &["main"]));
    let finished = place.run_once(&[]);
    assert_eq!(finished.stdout, ["default/a: main"]);
    assert_eq!(finished.status.code(), Some(0), "{finished}");
}

#[test]
fn what_is_not_granted_fails_with_a_reason_and_is_not_tried_again() {
    let place = Workplace::new();
    place.plugin("probe", &plugins::probe(1));
    place.object(&probe("a", "apply"));
    place.object(&probe("b", "get"));
    let host = place.run(&[]);
    let applied = host.log("not granted: to apply v1 ConfigMap a in namespace default; nothing of what");
    assert_eq!(applied["object"], "default/a");
    let read = host.log("not granted: to get apps/v1 ReplicaSet b in namespace default; nothing of what");
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
fn sigterm_and_ctrl_c_let_the_call_in_flight_finish_begin_no_other_and_exit_0() {
    for signal in ["TERM", "INT"] {
        let place = Workplace::new();
        place.plugin("probe", &plugins::probe(1));
        place.object(&probe("a", "nap"));
        let host = place.run(&["--debounce", "10ms", "--admin", "127.0.0.1:0"]);
        let address = host.log("serving /livez")["address"].as_str().unwrap().to_owned();
        host.log("begins default/a");
        place.object(&probe("b", "-"));
        // Which must not be begun; the nap is far longer.
        poll("other object", || http_get(&address, "/api/v1/queue").contains(r#""name":"b""#).then_some(()));
        host.signal(signal);
        let finished = host.finish();
        assert_eq!(finished.status.code(), Some(0), "{finished}");
        assert_eq!(finished.stdout, ["version-0001 default/a nap attempt 0"]);
        finished.log("stopped: 2 objects, ");
    }
}

#[test]
fn a_second_signal_ends_at_once() {
    let place = Workplace::new();
    place.plugin("probe", &plugins::probe(1));
    place.object(&probe("a", "sleep"));
    let host = place.run(&["--call-wall", "1h"]);
    host.log("begins default/a");
    host.signal("INT");
    host.log("calls in flight are finished");
    host.signal("TERM");
    let finished = host.finish();
    assert_eq!(finished.status.code(), Some(128 + 15), "{finished}");
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
fn a_host_has_as_many_files_open_as_it_may() {
    let place = Workplace::new();
    place.plugin("print-containers", &plugins::print_containers());
    place.object(&replica_set("a", &["main"]));
    let mut child = Command::new("sh")
        .args(["-c", r#"ulimit -S -n 64; exec "$@""#, "sh", env!("CARGO_BIN_EXE_oarlock"), "run", "--cache-dir", "off"])
        .arg("--plugins")
        .arg(&place.plugins)
        .arg("--manifests")
        .arg(&place.manifests)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(stdout.next().unwrap().unwrap(), "default/a: main");
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", child.id())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let numbers: Vec<_> = line.split_whitespace().skip(3).take(2).collect();
    assert!(numbers[0] == numbers[1] && numbers[0] != "64", "{line}");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_host_whose_log_nobody_reads_goes_on_and_stops_when_asked() {
    let place = Workplace::new();
    place.plugin("probe", &plugins::probe(1));
    place.object(&probe("a", "log"));
    let mut command = Host::command(&place.plugins);
    command.arg("--manifests").arg(&place.manifests).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(child.stderr.take());
    let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(stdout.next().unwrap().unwrap(), "version-0001 default/a log attempt 0");
    place.object(&probe("a", "-"));
    assert_eq!(stdout.next().unwrap().unwrap(), "version-0001 default/a - attempt 0");
    assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    let status = poll("end of the host", || child.try_wait().unwrap());
    assert_eq!(status.code(), Some(0));
}

#[test]
fn a_log_that_is_not_read_for_a_while_holds_nobody_up_and_what_is_lost_of_it_is_told() {
    let place = Workplace::new();
    place.grant("probe", "limits: {log: 4Mi}\n");
    place.plugin("probe", &plugins::probe(1));
    // A bit more than 2 MiB of the log each.
    let objects = 20;
    for number in 0..objects {
        place.object(&probe(&format!("a{number}"), "flood-log"));
    }
    let mut command = Host::command(&place.plugins);
    command.arg("--manifests").arg(&place.manifests).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let stdout = lines(child.stdout.take().unwrap());
    for _ in 0..objects {
        assert!(stdout.recv_timeout(DEADLINE).unwrap().ends_with("flood-log attempt 0"));
    }
    let stderr = lines(child.stderr.take().unwrap());
    while !stderr.recv_timeout(DEADLINE).unwrap().contains("lines of the log are lost, because stderr was not read") {}
    assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    let status = poll("end of the host", || child.try_wait().unwrap());
    assert_eq!(status.code(), Some(0));
}

/// The lines of a stream as they come.
fn lines(stream: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel();
    spawn(move || BufReader::new(stream).lines().try_for_each(|line| sender.send(line.unwrap())));
    lines
}

#[test]
fn neither_a_stalled_reader_nor_an_open_connection_holds_up_the_end() {
    let place = Workplace::new();
    place.plugin("probe", &plugins::probe(1));
    place.object(&probe("a", "flood"));
    let mut command = Host::command(&place.plugins);
    command.arg("--manifests").arg(&place.manifests).args(["--admin", "127.0.0.1:0", "--drain-time", "1s"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
    let serving = log
        .find_map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap()["address"].as_str().map(str::to_owned));
    let mut connection = std::net::TcpStream::connect(serving.unwrap()).unwrap();
    connection.write_all(b"GET /li").unwrap();
    assert!(
        log.any(|line| line.unwrap().contains("bytes are left out")),
        "the call has ended, and its output is on its way"
    );
    assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    let status = poll("end of the host", || child.try_wait().unwrap());
    assert_eq!(status.code(), Some(0));
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
    assert!(http_get(&address, "/livez").starts_with("HTTP/1.1 200 "));
    assert!(http_get(&address, "/readyz").starts_with("HTTP/1.1 200 "));
    let metrics = http_get(&address, "/metrics");
    assert!(metrics.contains("content-type: text/plain; version=0.0.4"), "{metrics}");
    for line in [
        r#"controller_runtime_reconcile_total{controller="probe",result="success"} 1"#,
        r#"controller_runtime_reconcile_total{controller="probe",result="error"} 1"#,
        r#"controller_runtime_reconcile_time_seconds_count{controller="probe"} 2"#,
        r#"workqueue_depth{name="probe",controller="probe",priority="0"} 0"#,
        r#"workqueue_adds_total{name="probe",controller="probe"} 2"#,
        r#"workqueue_queue_duration_seconds_count{name="probe",controller="probe"} 2"#,
        r#"oarlock_plugin_failures_total{plugin="probe",reason="terminal"} 1"#,
        r#"oarlock_plugin_kept_instances{plugin="probe"} 1"#,
        r#"oarlock_cache_objects{group="apps",version="v1",kind="ReplicaSet"} 2"#,
        r#"oarlock_watches{group="apps",version="v1",kind="ReplicaSet",status="listed"} 1"#,
        r#"oarlock_plugin_paused{plugin="probe"} 0"#,
        r#"oarlock_plugin_reloads_total{plugin="probe",result="loaded"} 1"#,
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
}

#[test]
fn an_address_that_is_taken_is_said_and_the_host_does_not_run_without_it() {
    let place = Workplace::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let finished = place.run(&["--admin", &taken.local_addr().unwrap().to_string()]).finish();
    assert_eq!(finished.status.code(), Some(1));
    finished.log("cannot listen on ");
}
