//! What a guest may use, and that it gets no more.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::support::host::Workplace;
use crate::support::{DEADLINE, asking, config_map, plugins, poll_for, probe, replica_set};

/// Has the probe called for `a` and then, when there was nothing to do for the host, for `b`.
fn calls_one_after_the_other(grant: &str, args: &[&str]) -> (String, String) {
    let place = Workplace::new();
    place.grant("probe", grant);
    place.plugin("probe", &plugins::probe(1));
    place.object(&probe("a", "remember"));
    let host = place.run(args);
    let first = host.line_with("of the instance");
    host.settled();
    // So that the worker waits for longer than the shortest time that the tests have instances kept.
    std::thread::sleep(std::time::Duration::from_millis(300));
    place.object(&probe("b", "remember"));
    let second = host.line_with("of the instance");
    host.stop();
    (first, second)
}

#[test]
fn an_instance_is_kept_from_call_to_call() {
    let (first, second) = calls_one_after_the_other("", &[]);
    assert_eq!((&*first, &*second), ("call 1 of the instance", "call 2 of the instance"));
}

#[test]
fn an_instance_that_is_not_called_is_let_go_and_comes_back_with_the_next_call() {
    let (first, second) = calls_one_after_the_other("", &["--keep-idle", "50ms"]);
    assert_eq!((&*first, &*second), ("call 1 of the instance", "call 1 of the instance"));
}

#[test]
fn in_isolation_each_call_has_an_instance_of_its_own() {
    let (first, second) = calls_one_after_the_other("isolation: fresh\n", &[]);
    assert_eq!((&*first, &*second), ("call 1 of the instance", "call 1 of the instance"));
}

#[test]
fn what_is_of_too_many_parts_for_the_pool_is_called_in_isolation_as_well() {
    let place = Workplace::new();
    place.grant("two-memories", "isolation: fresh\n");
    place.plugin("two-memories", &plugins::reconciler(plugins::hostile_guest("everything", "(memory 1)"), "0.1.0"));
    place.object(&replica_set("a", &["main"]));
    let finished = place.run_once(&[]);
    finished.log("reconcile failed, not trying again: action 1 that the plugin answered is wrong");
}

/// Runs the probe once on such an object, and returns how the reconcile failed.
fn failure(mode: &str, grant: &str) -> String {
    let place = Workplace::new();
    place.grant("probe", grant);
    place.plugin("probe", &plugins::probe(1));
    place.object(&probe("a", mode));
    let finished = place.run_once(&[]);
    finished.log("reconcile failed")["message"].as_str().unwrap().to_owned()
}

#[test]
fn what_a_call_prints_too_much_is_left_out_in_whole_lines() {
    let place = Workplace::new();
    place.plugin("probe", &plugins::probe(1));
    place.object(&probe("a", "long-line"));
    let finished = place.run_once(&[]);
    assert_eq!(finished.stdout, ["version-0001 default/a long-line attempt 0", "before it"]);
    finished.log(&format!("it writes too much: {} bytes are left out", 2 << 20));
}

#[test]
fn what_a_call_logs_too_much_is_left_out_and_told_once() {
    let place = Workplace::new();
    place.plugin("probe", &plugins::probe(1));
    for name in ["a", "b", "c"] {
        place.object(&probe(name, "flood-log"));
    }
    let finished = place.run_once(&[]);
    let messages = finished.messages();
    let count = |what: &str| messages.iter().filter(|line| line.contains(what)).count();
    // 64 KiB each of stderr and of the log, with 100 bytes a line for what the host adds.
    let lines = 3 * ((64 << 10) / 1124);
    assert!((lines - 3..=lines).contains(&count("stderr: xxx")), "{} on stderr", count("stderr: xxx"));
    let logged = count("xxx") - count("stderr: xxx");
    assert!((lines - 3..=lines).contains(&logged), "{logged} in the log");
    assert_eq!(count("it writes too much"), 1);
    // Of the first call, what its lines have of bytes themselves; the last one says that the call ends.
    let dropped = 2 * (1024 - lines / 3) * 1024 + "version-0001 ends default/a\n".len();
    finished.log(&format!("it writes too much: {dropped} bytes are left out"));
}

#[test]
fn many_calls_that_print_little_are_cut_off_too() {
    let place = Workplace::new();
    place.grant("probe", "limits: {output: 100}\n");
    place.plugin("probe", &plugins::probe(1));
    for index in 0..1000 {
        place.object(&probe(&format!("a{index:03}"), "-"));
    }
    let finished = place.run_once(&[]);
    // A hundred times what a call may print, and what is added in a few seconds; each prints 39 bytes.
    assert!((250..900).contains(&finished.stdout.len()), "{} lines", finished.stdout.len());
    assert!(finished.stdout.iter().all(|line| line.ends_with("attempt 0")), "{finished}");
    finished.log("it writes too much");
}

#[test]
fn a_call_may_ask_for_so_many_actions() {
    let error = failure("many-actions", "");
    assert!(
        error.contains("these are 20000 actions and children, and a call may answer 1000 (actions, among limits"),
        "{error}"
    );
    let error = failure("many-actions", "limits: {actions: 20000}\n");
    assert!(error.contains("verbs: [event]"), "they are looked at, and not granted: {error}");
}

#[test]
fn a_call_may_answer_so_much() {
    let place = Workplace::new();
    place.grant("probe", "limits: {memory: 256Mi}\n");
    place.plugin("probe", &plugins::probe(1));
    place.object(&probe("a", "huge-action"));
    let host = place.run(&[]);
    let error = host.log("reconcile failed")["message"].to_string();
    let peak = host.peak_memory_mib();
    assert!(error.contains("it answers or passes to the host more than 4.00 MiB at a time (answer, among"), "{error}");
    // The 100 MiB of the guest, and not once more in the host.
    assert!(peak < 200, "{peak} MiB");
    host.stop();
    let error = failure("huge-action", "limits: {memory: 256Mi, answer: 101Mi}\n");
    assert!(error.contains("action 1 that the plugin answered is wrong: no JSON object"), "{error}");
}

#[test]
fn json_that_is_nested_too_deep_is_wrong_and_no_more() {
    let error = failure("nested", "");
    assert!(error.contains("no JSON object: recursion limit exceeded"), "{error}");
}

#[test]
fn recursion_ends_with_the_stack_of_the_guest() {
    let error = failure("recurse", "");
    assert!(error.contains("it trapped: wasm trap: call stack exhausted"), "{error}");
}

#[test]
fn what_a_read_returns_has_to_fit_in_the_guest() {
    let place = Workplace::new();
    place.grant(
        "probe",
        "limits: {memory: 4Mi}\ngrants:\n- {apiVersion: v1, kinds: [ConfigMap], verbs: [list], namespaces: ['*']}\n",
    );
    place.plugin("probe", &plugins::probe(1));
    for name in ["one", "two", "three", "four", "five"] {
        place.object(&config_map("default", name, &json!({"value": "x".repeat(1 << 20)})));
    }
    place.object(&asking("a", &json!([{"list": {"apiVersion": "v1", "kind": "ConfigMap"}}])));
    let finished = place.run_once(&[]);
    finished.log("these are 5 objects of 5.00 MiB, more than the 4.00 MiB of memory that the plugin may use");
}

#[test]
fn a_module_has_no_more_memories_than_the_host_has_room_for() {
    let place = Workplace::new();
    let memories = "(memory 0)".repeat(40);
    let module = format!("(module (memory (export \"memory\") 1) {memories} (func (export \"_start\")))");
    place.plugin("memories", &wat::parse_str(module).unwrap());
    place.object(&probe("a", "-"));
    let finished = place.run_once(&[]);
    finished.log("resource limit exceeded: memory count too high at 41");
}

#[test]
fn a_plugin_describes_so_many_watches() {
    let place = Workplace::new();
    place.grant("probe", "settings: {owns_more: 100}\n");
    place.plugin("probe", &plugins::probe(1));
    let finished = place.run_once(&[]);
    finished.log("is refused, there is no other version of it: it describes 101 watches, and a plugin may have 100");
}

#[test]
fn compiling_takes_so_much_time_unless_it_was_done_before() {
    let place = Workplace::new();
    place.object(&probe("a", "-"));
    let cache = place.folder.path().join("cache");
    let args = ["--cache-dir", cache.to_str().unwrap()];
    place.plugin("probe", &plugins::probe(1));
    place.grant("probe", "limits: {compile: 1ms}\n");
    let finished = place.run_once(&args);
    finished
        .log("is refused, there is no other version of it: compiling it takes more than 2ms, twice what it may take");
    place.grant("probe", "");
    assert_eq!(place.run_once(&args).status.code(), Some(0));
    place.grant("probe", "limits: {compile: 1ms}\n");
    assert_eq!(place.run_once(&args).stdout, ["version-0001 default/a - attempt 0"]);
}

#[test]
fn a_compiler_that_has_used_up_its_processor_time_ends_in_a_way_that_tells() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("greedy.wasm");
    std::fs::write(&path, plugins::greedy_to_compile()).unwrap();
    let mut compiler = Command::new(env!("CARGO_BIN_EXE_oarlock"));
    compiler.args(["compile-plugin", "1", &(1_u64 << 40).to_string()]).stdin(std::fs::File::open(path).unwrap());
    let status = compiler.stdout(Stdio::null()).status().unwrap();
    assert_eq!(status.signal(), Some(rustix::process::Signal::XCPU.as_raw()), "{status}");
}

#[test]
fn a_file_that_is_too_big_is_not_read() {
    let place = Workplace::new();
    place.plugin("probe", &plugins::probe(1));
    place.object(&probe("a", "-"));
    let huge = std::fs::File::create(place.plugins.join("huge.wasm")).unwrap();
    huge.set_len(1 << 42).unwrap();
    let finished = place.run_once(&[]);
    finished
        .log("huge.wasm is refused, there is no other version of it: it cannot be read: it has more than 64.00 MiB");
    assert_eq!(finished.stdout.len(), 1, "the other plugin is at work");
    std::fs::remove_file(place.plugins.join("huge.wasm")).unwrap();
    place.grant("probe", "limits: {wasm: 100k}\n");
    place.run_once(&[]).log("it has more than 97.66 KiB");
}

#[test]
fn compiling_takes_so_much_memory_and_the_host_stays_small() {
    let place = Workplace::new();
    place.plugin("print-containers", &plugins::print_containers());
    place.plugin("greedy", &plugins::greedy_to_compile());
    place.grant("greedy", "limits: {compile: 1h}\n");
    place.object(&probe("a", "-"));
    let host = place.run(&["--cache-dir", "off"]);
    host.line("default/a: main");
    // It takes seconds of processor time, of which it gets less than others do.
    poll_for(4 * DEADLINE, "refusal", || {
        let refused =
            |line: &String| line.contains("greedy.wasm is refused") && line.contains("MiB of memory (half of");
        host.messages().iter().any(refused).then_some(())
    });
    let peak = host.peak_memory_mib();
    assert!(peak < 200, "{peak} MiB");
    host.stop();
}

#[test]
fn what_the_host_does_for_a_guest_counts_as_its_time() {
    let place = Workplace::new();
    let rule = "{apiVersion: v1, kinds: [ConfigMap], verbs: [list], namespaces: ['*']}";
    place.grant("probe", &format!("limits: {{cpu: 1s, wall: 1m, memory: 1Gi}}\ngrants: [{rule}]\n"));
    // The host looks for a label in each of them, and is told the time only between two lists.
    for number in 0..10 {
        place.object(&config_map("default", &format!("big-{number}"), &json!({"text": "x".repeat(1 << 20)})));
    }
    let host = place.run(&[]);
    host.settled();
    let processor_time = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", host.pid())).unwrap();
        let fields: Vec<_> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
        // In hundredths of a second: proc_pid_stat(5).
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    };
    place.plugin("probe", &plugins::probe(1));
    place.object(&probe("a", "list-for-ever"));
    host.log("begins default/a");
    let begin = processor_time();
    host.log("it ran for more than the 1s of processor time");
    let took = processor_time() - begin;
    assert!(took < 300, "{took}");
}
