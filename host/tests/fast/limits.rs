//! What a guest may use, and that it gets no more.

use crate::support::host::Workplace;
use crate::support::{plugins, probe};

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
