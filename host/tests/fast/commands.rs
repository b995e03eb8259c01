//! Ordinary programs as plugins.

use crate::support::host::Workplace;
use crate::support::{plugins, probe, replica_set};

#[test]
fn a_program_in_rust_is_given_the_object_and_told_when_it_is_gone() {
    let place = Workplace::new();
    place.plugin("replicas", &plugins::example("replicas"));
    place.object(&replica_set("a", &["main"]));
    let host = place.run(&[]);
    host.line("default/a wants 0 replicas");
    std::fs::remove_file(place.manifests.join("a.json")).unwrap();
    host.line("default/a is gone");
    host.stop();
}

#[test]
fn a_program_in_c_is_given_the_object() {
    let place = Workplace::new();
    place.plugin("images", &plugins::example("images"));
    place.object(&replica_set("a", &["main", "side"]));
    let finished = place.run_once(&[]);
    assert_eq!(finished.stdout, ["default/a uses image", "default/a uses image"]);
    assert_eq!(finished.status.code(), Some(0));
}

#[test]
fn an_exit_code_is_a_failure() {
    let place = Workplace::new();
    place.plugin(
        "exits",
        &wat("(module
        (import \"wasi_snapshot_preview1\" \"proc_exit\" (func $exit (param i32)))
        (memory (export \"memory\") 1)
        (func (export \"_start\") (call $exit (i32.const 3))))"),
    );
    place.object(&probe("a", "-"));
    let finished = place.run_once(&[]);
    assert_eq!(finished.status.code(), Some(1));
    assert_eq!(finished.log("it exited with an error code")["plugin"], "exits");
}

fn wat(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}
