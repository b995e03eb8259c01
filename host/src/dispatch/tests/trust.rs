//! Which versions are gone back to.

use super::*;
use crate::digest::Digest;

/// To which version each of the next three calls has the plugin go back, as they break it.
fn back_to(bench: &Bench, controller: &Arc<Controller>) -> [Option<Digest>; 3] {
    let next = || bench.call(controller, End::Retry { rest: Duration::ZERO }, Sign::Breaks);
    [next(), next(), next()].map(|ended| ended.back_to.map(|plugin| plugin.digest))
}

#[test]
fn a_version_is_not_gone_back_to_that_would_leave_the_finalizer_of_the_new_one_on_objects() {
    let finalizer = Some("example.com/cleanup");
    let (services, nodes) = (watch("Service", None, ""), watch("Node", None, ""));
    let labelled = watch("Service", None, "a=b");
    let here = watch("Service", Some("default"), "");
    for (before, after, finalizer, goes_back) in [
        (vec![&services], vec![&services], finalizer, true),
        (vec![&services], vec![&services, &nodes], finalizer, false),
        (vec![&services], vec![&services, &nodes], None, true),
        (vec![&services, &nodes], vec![&services], finalizer, true),
        (vec![&labelled], vec![&services], finalizer, true),
        (vec![&services], vec![&here], finalizer, true),
        (vec![&here], vec![&services], finalizer, false),
    ] {
        let of = |watches: &[&Selection]| watches.iter().copied().cloned().collect::<Vec<_>>();
        let mut bench = Bench::new();
        let controller = bench.put_in_force(plugin(1, of(&before), finalizer));
        bench.list(&services.gvk, &["a", "b", "c"]);
        bench.list(&nodes.gvk, &[]);
        (0..3).for_each(|_| drop(bench.call(&controller, End::Done, Sign::Works)));
        let good = bench.version();

        bench.put_in_force(plugin(2, of(&after), finalizer));
        bench.list(&services.gvk, &["a", "b", "c"]);
        let [.., last] = back_to(&bench, &controller);
        let case = format!("from {after:?} with {finalizer:?} to {before:?}");
        assert_eq!(last.is_some(), goes_back, "{case}");
        assert_eq!(bench.version() == good, goes_back, "{case}");
    }
}

#[test]
fn a_version_that_has_answered_for_all_before_its_watch_says_that_these_are_all_is_one_to_go_back_to() {
    let services = watch("Service", None, "");
    let mut bench = Bench::new();
    let controller = bench.put_in_force(plugin(1, vec![services.clone()], None));
    let good = bench.version();
    bench.tell(&services.gvk, || Event::Init);
    for name in ["a", "b", "c"] {
        bench.tell(&services.gvk, || Event::InitApply(object(name, 1)));
        bench.call(&controller, End::Done, Sign::Works);
    }
    bench.tell(&services.gvk, || Event::InitDone);

    bench.put_in_force(plugin(2, vec![services.clone()], None));
    assert_eq!(back_to(&bench, &controller), [None, None, Some(good)]);
}

#[test]
fn a_version_has_proved_itself_when_the_last_call_of_the_one_before_ends_after_its_own() {
    let (services, labelled) = (watch("Service", None, ""), watch("Service", None, "a=b"));
    let mut bench = Bench::new();
    let controller = bench.put_in_force(plugin(1, vec![services.clone()], None));
    bench.list(&services.gvk, &["slow"]);
    let slow = bench.take(&controller).unwrap();

    bench.put_in_force(plugin(2, vec![labelled], None));
    bench.list(&services.gvk, &["a", "b", "c"]);
    let good = bench.version();
    (0..3).for_each(|_| drop(bench.call(&controller, End::Done, Sign::Works)));
    bench.dispatch.finish(&controller, &slow, End::Done, Sign::Works);

    bench.put_in_force(plugin(3, vec![services.clone()], None));
    bench.list(&services.gvk, &["a", "b", "c"]);
    assert_eq!(back_to(&bench, &controller), [None, None, Some(good)]);
}

#[test]
fn a_version_has_not_proved_itself_by_what_is_not_its_replicas_any_more() {
    let mut replica = Replica::new();
    let pods = watch("Pod", None, "");
    let controller = replica.bench.put_in_force(plugin(1, vec![pods.clone()], None));
    replica.bench.list(&pods.gvk, &["a", "b", "c"]);
    replica.gain();
    assert_eq!(replica.called(&controller).len(), 3);
    let good = replica.bench.version();

    replica.bench.put_in_force(plugin(2, vec![pods], None));
    replica.bench.call(&controller, End::Done, Sign::Works);
    replica.lose();
    replica.gain();
    assert_eq!(back_to(&replica.bench, &controller), [None, None, Some(good)]);
}
