//! Guests that misbehave, beside one that does not.

use crate::support::host::{Host, Workplace};
use crate::support::{plugins, probe, replica_set};

/// Runs the default plugin beside `probe`, which is made to misbehave as `mode` says, and sees that the default plugin
/// goes on, though there is only one thread for both.
fn beside(mode: &str, args: &[&str]) -> Host {
    let place = Workplace::new();
    place.plugin("print-containers", &plugins::print_containers());
    place.plugin("probe", &plugins::probe(1));
    let mut command = Host::command(&place.plugins);
    command.arg("--manifests").arg(&place.manifests).args(args).env("TOKIO_WORKER_THREADS", "1");
    let host = Host::spawn(command);
    host.settled();
    place.object(&probe("bad", mode));
    host.log("begins default/bad");
    for index in 0..10 {
        place.object(&replica_set("good", &[&format!("container-{index}")]));
        host.line(&format!("default/good: container-{index}"));
    }
    host
}

#[test]
fn an_endless_loop_holds_nobody_up_while_it_goes_on() {
    let host = beside("loop", &["--call-cpu", "1h", "--call-wall", "1h"]);
    assert!(host.stdout().iter().all(|line| !line.contains("default/bad loop")), "it has not been ended");
    host.signal("KILL");
}

#[test]
fn an_endless_loop_is_ended_after_its_time() {
    let host = beside("loop", &["--call-cpu", "300ms"]);
    let failed = host.log("it ran for more than the 300ms of processor time that a call may take (--call-cpu, or limits in its grant file)");
    assert_eq!(failed["object"], "default/bad");
    host.line_with("default/bad loop attempt 1");
    host.stop();
}

#[test]
fn a_sleep_is_ended_after_its_time() {
    let host = beside("sleep", &["--call-wall", "300ms"]);
    host.log("it took more than the 300ms that a call may take (--call-wall, or limits in its grant file)");
    host.line_with("default/bad sleep attempt 1");
    host.stop();
}

#[test]
fn memory_without_end_is_refused() {
    let host = beside("memory", &["--memory", "32Mi"]);
    host.log(
        "it needs more than the 32.00 MiB of memory that a plugin may use (--memory, or limits in its grant file)",
    );
    host.line_with("default/bad memory attempt 1");
    host.stop();
}

#[test]
fn a_trap_a_panic_and_an_exit_end_the_instance_and_the_next_call_has_a_new_one() {
    for (mode, reason) in [
        ("trap", "it trapped: wasm trap: wasm `unreachable` instruction executed"),
        ("panic", "it trapped: wasm trap: wasm `unreachable` instruction executed"),
        ("exit", "it exited with an error code"),
    ] {
        let host = beside(mode, &[]);
        host.log(reason);
        host.line_with(&format!("default/bad {mode} attempt 1"));
        host.stop();
    }
}

#[test]
fn what_is_no_plugin_is_refused_with_what_to_do() {
    let place = Workplace::new();
    let command = |body: &str| wat::parse_str(format!("(module {body} (memory (export \"memory\") 1))")).unwrap();
    let mut truncated = plugins::print_containers();
    truncated.truncate(truncated.len() / 2);
    for (name, bytes, reason) in [
        ("empty", vec![], "it is not WebAssembly: it is empty"),
        ("text", b"#!/bin/sh\n".to_vec(), "it is not WebAssembly: it begins with `#!/bin/s`"),
        ("truncated", truncated, "it is not valid WebAssembly, or not whole"),
        ("library", command("(func (export \"f\"))"), "use the reconciler! macro of oarlock-sdk in a cdylib"),
        ("invalid", command("(func (export \"_start\") (result i32))"), "it does not compile: "),
        ("greedy", command("(import \"env\" \"fork\" (func)) (func (export \"_start\"))"), "it does not fit the world"),
        ("component", wat::parse_str("(component)").unwrap(), "nor is it a command"),
    ] {
        place.plugin(name, &bytes);
        let finished = place.run_once(&[]);
        let line = finished.log(&format!("{name}.wasm is refused"));
        assert!(line["message"].as_str().unwrap().contains(reason), "{name}: {line}");
        std::fs::remove_file(place.plugins.join(format!("{name}.wasm"))).unwrap();
    }
}

#[test]
fn what_is_said_of_a_plugin_does_not_flood_the_log() {
    let place = Workplace::new();
    let name = "long-".repeat(20_000);
    place.plugin("component", &wat::parse_str(format!("(component (import \"{name}name\" (func)))")).unwrap());
    place.plugin(
        "import",
        &wat::parse_str(format!("(module (import \"{name}\" \"a\" (func)) (func (export \"_start\")))")).unwrap(),
    );
    let finished = place.run_once(&[]);
    finished.log("component.wasm is refused");
    finished.log("import.wasm is refused");
    assert!(finished.stderr.iter().all(|line| line.len() < 10_000));
}

#[test]
fn what_is_no_file_is_refused_and_holds_nobody_up() {
    let place = Workplace::new();
    place.plugin("print-containers", &plugins::print_containers());
    place.object(&replica_set("a", &["main"]));
    std::fs::create_dir(place.plugins.join("folder.wasm")).unwrap();
    std::os::unix::fs::symlink("nowhere", place.plugins.join("dangling.wasm")).unwrap();
    std::os::unix::fs::symlink("loop.wasm", place.plugins.join("loop.wasm")).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(place.plugins.join("fifo.wasm")).status().unwrap().success());
    let finished = place.run_once(&[]);
    assert_eq!(finished.stdout, ["default/a: main"]);
    for name in ["folder", "dangling", "loop", "fifo"] {
        finished.log(&format!("{name}.wasm is refused"));
    }
}
