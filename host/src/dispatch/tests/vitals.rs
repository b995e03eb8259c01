//! What is told of plugins and watches.

use super::*;
use crate::metrics::{PluginGauges, WatchGauges, WatchStatus};

#[test]
fn the_depth_of_the_queue_and_the_pause_are_told_as_they_are_at_each_moment() {
    let mut bench = Bench::new();
    let pods = watch("Pod", None, "");
    let controller = bench.put_in_force(plugin(1, vec![pods.clone()], None));
    let told = |bench: &Bench, depth, paused| {
        let [PluginGauges { live, backlog, paused: is_paused, .. }] =
            bench.dispatch.plugin_gauges(Instant::now()).try_into().unwrap();
        assert_eq!((live + backlog, is_paused), (depth, paused));
    };
    told(&bench, 0, false);
    bench.list(&pods.gvk, &["a", "b", "c", "d", "e", "f", "g", "h"]);
    told(&bench, 8, false);
    let [one, other, another] = [(); 3].map(|()| bench.take(&controller).unwrap());
    told(&bench, 5, false);
    bench.dispatch.finish(&controller, &one, End::Done, Sign::Works);
    bench.dispatch.finish(&controller, &other, End::RequeueAfter(Duration::from_hours(1)), Sign::Works);
    told(&bench, 5, false);
    bench.dispatch.finish(&controller, &another, End::RequeueAfter(Duration::ZERO), Sign::Works);
    told(&bench, 6, false);
    bench.tell(&pods.gvk, || Event::Apply(object("b", 2)));
    bench.tell(&pods.gvk, || Event::Apply(object("b", 3)));
    told(&bench, 7, false);

    for left in (2..7).rev() {
        told(&bench, left + 1, false);
        bench.call(&controller, End::RequeueAfter(Duration::from_hours(1)), Sign::Breaks);
    }
    told(&bench, 2, true);
    bench.put_in_force(plugin(2, vec![pods.clone()], None));
    told(&bench, 8, false);
    bench.dispatch.stop("idle");
    assert_eq!(bench.dispatch.plugin_gauges(Instant::now()), []);
}

#[test]
fn how_it_stands_with_a_plugin_and_a_watch_is_told_whole() {
    let mut bench = Bench::new();
    let pods = watch("Pod", None, "");
    let version = plugin(1, vec![pods.clone()], None);
    let digest = version.digest;
    let controller = bench.put_in_force(version);
    let watch_gauges = |status, objects, bytes| [WatchGauges { gvk: pods.gvk.clone(), status, objects, bytes }];
    assert_eq!(bench.dispatch.watch_gauges(), watch_gauges(WatchStatus::starting, 0, 0));
    bench.list(&pods.gvk, &["a", "b", "c"]);
    let bytes = ["a", "b", "c"].map(|name| object(name, 1).json.len()).iter().sum();
    assert_eq!(bench.dispatch.watch_gauges(), watch_gauges(WatchStatus::listed, 3, bytes));

    let failed = bench.take(&controller).unwrap();
    bench.dispatch.finish(&controller, &failed, End::Retry { rest: Duration::from_hours(1) }, Sign::Works);
    let running = bench.take(&controller).unwrap();
    bench.tell(&pods.gvk, || Event::Apply(object("c", 2)));
    let expected = PluginGauges {
        plugin: "idle".into(),
        digest: Some(digest),
        paused: false,
        memory_limit: 64 << 20,
        concurrency: 1,
        running: 1,
        live: 1,
        backlog: 0,
        adds: 3,
        retries: 1,
    };
    assert_eq!(bench.dispatch.plugin_gauges(Instant::now()), [expected]);
    drop(running);
    let (key, uid) = (object("a", 1).key, object("a", 1).uid);
    bench.tell(&pods.gvk, || Event::Delete { key: key.clone(), uid: uid.clone(), version: "3".into() });
    let bytes = object("b", 1).json.len() + object("c", 2).json.len();
    assert_eq!(bench.dispatch.watch_gauges(), watch_gauges(WatchStatus::listed, 2, bytes));
    bench.update(&pods.gvk, || Update::Refused("no".into()));
    assert_eq!(bench.dispatch.watch_gauges()[0].status, WatchStatus::refused);
}

#[tokio::test]
async fn no_call_begins_before_the_kinds_that_the_plugin_owns_are_listed() {
    let mut bench = Bench::new();
    let [pods, maps, secrets] = ["Pod", "ConfigMap", "Secret"].map(|kind| watch(kind, None, ""));
    let owns = vec![maps.clone(), secrets.clone()];
    let controller = bench.put_in_force(owning(plugin(1, vec![pods.clone()], None), owns));
    bench.list(&pods.gvk, &["a"]);
    bench.list(&secrets.gvk, &[]);
    {
        let mut next = std::pin::pin!(bench.dispatch.next(&controller, 0, &bench.pulse));
        assert!(futures::poll!(&mut next).is_pending());
        bench.tell(&maps.gvk, || Event::Init);
        let owner = Owner { gvk: pods.gvk.clone(), name: "a".into(), uid: "a".into() };
        bench.tell(&maps.gvk, || {
            Event::InitApply(Object { owner: Some(Box::new(owner.clone())), ..object("child", 1) })
        });
        assert!(futures::poll!(&mut next).is_pending());
        bench.tell(&maps.gvk, || Event::InitDone);
        let work = tokio::time::timeout(Duration::from_secs(10), next).await.unwrap().unwrap();
        assert_eq!(work.target.to_string(), "Pod default/a");
        bench.dispatch.finish(&controller, &work, End::Done, Sign::Works);
    }
    assert_eq!(bench.dispatch.owned_by(&controller, &"a".into()).len(), 1);
    assert_eq!(bench.take(&controller).map(|work| work.target), None, "what is listed wakes nobody once more");
}
