//! Dispatch with plugins that are not called: the tests say how their calls end.

mod trust;
mod vitals;

use futures::FutureExt as _;

use super::*;
use crate::cache::Cache;
use crate::grant::Grant;
use crate::health::InFlight;
use crate::object::{Kind, Owner};
use crate::reads::What;

/// A dispatch, and the watches that it has ordered.
struct Bench {
    dispatch: Dispatch,
    orders: Vec<Order>,
    receiver: mpsc::UnboundedReceiver<Order>,
    pulse: Arc<Pulse>,
}

impl Bench {
    fn new() -> Self {
        Self::of_a_replica(Arc::new(Shards::all()))
    }

    fn of_a_replica(shards: Arc<Shards>) -> Self {
        let (dispatch, receiver) = Dispatch::new(Scope::default(), shards);
        Self { dispatch, orders: Vec::new(), receiver, pulse: InFlight::default().pulse(&"idle".into()) }
    }

    fn put_in_force(&mut self, plugin: Plugin) -> Arc<Controller> {
        let controller = self.dispatch.put_in_force(Arc::new(plugin), CancellationToken::new()).0;
        self.orders.extend(std::iter::from_fn(|| self.receiver.try_recv().ok()));
        controller
    }

    /// Has the watches of that kind tell this.
    fn update(&self, gvk: &Gvk, update: impl Fn() -> Update) {
        for order in self.orders.iter().filter(|order| order.selection.gvk == *gvk) {
            self.dispatch.deliver(order, update());
        }
    }

    fn tell(&self, gvk: &Gvk, event: impl Fn() -> Event) {
        self.update(gvk, || Update::Event(event()));
    }

    fn list(&self, gvk: &Gvk, names: &[&str]) {
        self.tell(gvk, || Event::Init);
        for name in names {
            self.tell(gvk, || Event::InitApply(object(name, 1)));
        }
        self.tell(gvk, || Event::InitDone);
    }

    fn take(&self, controller: &Controller) -> Option<Work> {
        self.dispatch.take(controller, &self.pulse).ok()
    }

    /// Has the next call end like that.
    fn call(&self, controller: &Arc<Controller>, end: End, sign: Sign) -> Ended {
        let work = self.take(controller).unwrap();
        self.dispatch.finish(controller, &work, end, sign)
    }

    fn version(&self) -> crate::digest::Digest {
        self.dispatch.plugin("idle").unwrap().digest
    }
}

fn object(name: &str, version: u32) -> Object {
    Object {
        key: ObjectKey::new(Some("default"), name),
        uid: name.into(),
        resource_version: version.to_string().as_str().into(),
        deleting: false,
        owner: None,
        finalizers: [].into(),
        json: "{}".into(),
    }
}

fn watch(kind: &str, namespace: Option<&str>, labels: &str) -> Selection {
    Selection {
        namespace: namespace.map(Into::into),
        labels: labels.parse().unwrap(),
        ..Selection::all(Gvk::new("v1", kind))
    }
}

/// With the finalizer, if there is one.
fn plugin(version: u8, watches: Vec<Selection>, finalizer: Option<&str>) -> Plugin {
    let mut plugin = Plugin::idle(version, Grant::default(), watches);
    plugin.finalizer = finalizer.map(Into::into);
    plugin
}

fn owning(mut plugin: Plugin, owns: Vec<Selection>) -> Plugin {
    plugin.owns = owns;
    plugin
}

#[tokio::test]
async fn a_worker_that_is_one_too_many_stays_so_over_a_reload() {
    let mut bench = Bench::new();
    let pods = watch("Pod", None, "");
    let with = |version, concurrency| {
        Plugin::idle(version, Grant { concurrency, ..Grant::default() }, vec![watch("Pod", None, "")])
    };
    let controller = bench.put_in_force(with(1, 2));
    bench.list(&pods.gvk, &["a", "b"]);
    bench.put_in_force(with(2, 1));
    let pulse = Arc::clone(&bench.pulse);
    let mut surplus = std::pin::pin!(bench.dispatch.next(&controller, 1, &pulse));
    assert!(futures::poll!(&mut surplus).is_pending());
    bench.dispatch.put_in_force(Arc::new(with(3, 1)), CancellationToken::new());
    assert!(futures::poll!(&mut surplus).is_pending(), "it is still one too many");
    bench.dispatch.put_in_force(Arc::new(with(4, 2)), CancellationToken::new());
    assert!(futures::poll!(&mut surplus).is_ready());
}

#[test]
fn what_could_not_be_read_wakes_its_reader_when_it_can_be_also_if_there_is_nothing() {
    let (pods, nodes) = (watch("Pod", None, ""), Arc::new(watch("Node", None, "")));
    for refusal in [|| Update::Refused("forbidden".to_owned()), || Update::NotServed] {
        let mut bench = Bench::new();
        let controller = bench.put_in_force(plugin(1, vec![pods.clone()], None));
        bench.list(&pods.gvk, &["reader", "other"]);
        let target = ObjectRef { gvk: pods.gvk.clone(), key: ObjectKey::new(Some("default"), "reader") };
        let in_force = bench.dispatch.plugin("idle").unwrap();
        bench.dispatch.follow_to_read(&controller, &in_force, &nodes).unwrap();
        bench.orders.extend(std::iter::from_fn(|| bench.receiver.try_recv().ok()));
        bench.list(&nodes.gvk, &[]);
        let mut work = [bench.take(&controller).unwrap(), bench.take(&controller).unwrap()];
        work.sort_by_key(|work| work.target == target);
        let [other, reader] = work;
        let read = |work: &Work| {
            let (what, target) = (What::List(None, "".parse().unwrap()), (&*in_force, &work.target));
            bench.dispatch.read_watch(&controller, target, &nodes, what, Cache::len).now_or_never().unwrap()
        };
        assert_eq!(read(&other), Ok(0));
        bench.update(&nodes.gvk, refusal);
        assert!(read(&reader).is_err());
        for work in [other, reader] {
            bench.dispatch.finish(&controller, &work, End::Terminal, Sign::Works);
        }
        assert!(bench.take(&controller).is_none());
        bench.list(&nodes.gvk, &[]);
        assert_eq!(bench.take(&controller).map(|work| work.target), Some(target));
        assert!(bench.take(&controller).is_none(), "the other one could read it");
    }
}

#[test]
fn what_a_plugin_that_is_gone_has_left_on_an_object_that_lost_its_labels_is_looked_after() {
    let (finalizer, labelled) = ("example.com/cleanup", watch("Service", None, "a=b"));
    let holder = |version| Object { finalizers: [finalizer.into()].into(), ..object("a", version) };
    let mut bench = Bench::new();
    let controller = bench.put_in_force(plugin(1, vec![labelled.clone()], Some(finalizer)));
    // It has no such label any more, so that only the watch for what has the finalizer has it.
    for order in &bench.orders {
        bench.dispatch.deliver(order, Update::Event(Event::Init));
        if order.selection.labels.selects_all() {
            bench.dispatch.deliver(order, Update::Event(Event::InitApply(holder(1))));
        }
        bench.dispatch.deliver(order, Update::Event(Event::InitDone));
    }
    bench.call(&controller, End::RequeueAfter(Duration::from_mins(1)), Sign::Works);

    let (_, holders) = bench.dispatch.retire("idle").expect("its finalizer is still on an object");
    assert_eq!(holders.len(), 1);
    bench.dispatch.finish(&controller, &bench.take(&controller).unwrap(), End::Done, Sign::Nothing);
    for order in bench.orders.iter().filter(|order| order.selection.labels.selects_all()) {
        let deleting = Object { deleting: true, ..holder(2) };
        bench.dispatch.deliver(order, Update::Event(Event::Apply(deleting)));
    }
    let work = bench.take(&controller).unwrap();
    assert!(work.retired && work.object.is_some_and(|object| object.deleting));
}

#[tokio::test]
async fn after_a_trial_there_is_always_a_worker_that_looks_out_for_what_is_delayed() {
    let mut bench = Bench::new();
    let pods = watch("Pod", None, "");
    let grant = Grant { concurrency: 3, ..Grant::default() };
    let controller = bench.put_in_force(Plugin::idle(1, grant, vec![pods.clone()]));
    bench.list(&pods.gvk, &["first", "second", "a", "b", "c", "d", "e", "trial"]);
    let after = |millis| End::RequeueAfter(Duration::from_millis(millis));
    bench.call(&controller, after(1200), Sign::Works);
    bench.call(&controller, after(1300), Sign::Works);
    let paused = (0..5).map(|_| bench.call(&controller, after(3_600_000), Sign::Breaks)).last().unwrap();
    assert_eq!(paused.pause, Some(Duration::from_secs(1)));

    let (sender, mut taken) = mpsc::unbounded_channel();
    let (dispatch, pulse) = (Arc::new(bench.dispatch), bench.pulse);
    for worker in 0..3 {
        let (dispatch, controller, pulse, sender) =
            (Arc::clone(&dispatch), Arc::clone(&controller), Arc::clone(&pulse), sender.clone());
        tokio::spawn(async move {
            let work = dispatch.next(&controller, worker, &pulse).await.unwrap();
            sender.send(work.target.key.name().to_owned()).unwrap();
            if work.target.key.name() == "trial" {
                // Meanwhile the others find that none but this one may begin.
                tokio::time::sleep(Duration::from_millis(50)).await;
                dispatch.finish(&controller, &work, End::Done, Sign::Works);
            }
            // It goes on with its call, or with what is to be said of it.
            controller.stop.cancelled().await;
        });
    }
    for expected in ["trial", "first", "second"] {
        let name = tokio::time::timeout(Duration::from_secs(10), taken.recv()).await;
        assert_eq!(name.expect(expected).unwrap(), expected);
    }
    controller.stop.cancel();
}

#[test]
fn a_change_to_a_child_wakes_its_owner_with_or_without_a_namespace_and_nobody_else() {
    let mut bench = Bench::new();
    let [spaces, pods, maps] = ["Namespace", "Pod", "ConfigMap"].map(|kind| watch(kind, None, ""));
    let controller =
        bench.put_in_force(owning(plugin(1, vec![spaces.clone(), pods.clone()], None), vec![maps.clone()]));
    for (gvk, namespaced) in [(&spaces.gvk, false), (&pods.gvk, true)] {
        bench.update(gvk, || Update::Found(Kind { gvk: gvk.clone(), plural: "any".into(), namespaced }));
    }
    bench.tell(&spaces.gvk, || Event::Apply(Object { key: ObjectKey::new(None, "team"), ..object("space", 1) }));
    bench.tell(&pods.gvk, || Event::Apply(Object { uid: "pod".into(), ..object("team", 1) }));
    bench.list(&maps.gvk, &[]);
    bench.call(&controller, End::Done, Sign::Works);
    bench.call(&controller, End::Done, Sign::Works);

    for (child, api_version, kind, uid, owner) in [
        ("a", "v1", "Namespace", "space", Some("Namespace team")),
        ("b", "v1", "Pod", "pod", Some("Pod default/team")),
        ("c", "v2", "Namespace", "space", Some("Namespace team")),
        ("d", "v1", "Namespace", "another", None),
        ("e", "v1", "Node", "space", None),
        ("f", "no/api/version", "Namespace", "space", None),
    ] {
        let reference = Owner { gvk: Gvk::new(api_version, kind), name: "team".into(), uid: uid.into() };
        let owned = |version| Object { owner: Some(Box::new(reference.clone())), ..object(child, version) };
        let end = || Event::Delete { key: owned(3).key, uid: child.into(), version: "3".into() };
        let (made, changed) = (|| Event::Apply(owned(1)), || Event::Apply(owned(2)));
        for event in [&made as &dyn Fn() -> Event, &changed, &end] {
            bench.tell(&maps.gvk, event);
            let woken = bench.take(&controller);
            assert_eq!(woken.as_ref().map(|work| work.target.to_string()).as_deref(), owner, "{child}");
            if let Some(work) = woken {
                bench.dispatch.finish(&controller, &work, End::Done, Sign::Works);
            }
            assert!(bench.take(&controller).is_none());
        }
    }
}

fn deletion(name: &str, version: u32) -> Event {
    let Object { key, uid, resource_version, .. } = object(name, version);
    Event::Delete { key, uid, version: resource_version }
}

/// A replica with one shard, which it may hold.
struct Replica {
    bench: Bench,
    shards: Arc<Shards>,
}

impl Replica {
    fn new() -> Self {
        let shards = Arc::new(Shards::none_of(1));
        Self { bench: Bench::of_a_replica(Arc::clone(&shards)), shards }
    }

    fn gain(&self) {
        assert!(self.bench.dispatch.gain(0, Instant::now() + Duration::from_mins(1)));
    }

    fn lose(&self) {
        self.shards.close(0);
        self.bench.dispatch.lose(0);
    }

    /// The objects that the plugin is called for until there is nothing more to do, and whether they are there.
    fn called(&self, controller: &Arc<Controller>) -> Vec<(String, bool)> {
        let mut called = Vec::new();
        while let Some(work) = self.bench.take(controller) {
            self.bench.dispatch.finish(controller, &work, End::Done, Sign::Works);
            called.push((work.target.key.name().to_owned(), work.object.is_some()));
        }
        called.sort();
        called
    }
}

fn called_for(objects: &[(&str, bool)]) -> Vec<(String, bool)> {
    objects.iter().map(|(name, is_there)| ((*name).to_owned(), *is_there)).collect()
}

#[test]
fn what_goes_away_while_nobody_has_its_shard_is_told_by_who_has_it_next_and_once() {
    let mut replica = Replica::new();
    let pods = watch("Pod", None, "");
    let controller = replica.bench.put_in_force(plugin(1, vec![pods.clone()], None));
    replica.bench.list(&pods.gvk, &["a", "b", "c", "stays"]);
    replica.gain();
    assert_eq!(replica.called(&controller).len(), 4);
    let deleted = |name, version| replica.bench.tell(&pods.gvk, || deletion(name, version));

    deleted("a", 2);
    replica.lose();
    assert_eq!(replica.called(&controller), []);
    deleted("b", 2);
    // Again there, it is no more gone than any other.
    deleted("c", 2);
    replica.bench.tell(&pods.gvk, || Event::Apply(object("c", 3)));
    replica.gain();
    let expected = [("a", false), ("b", false), ("c", true), ("stays", true)];
    assert_eq!(replica.called(&controller), called_for(&expected));

    // Its time may also pass before it is given up.
    deleted("c", 4);
    replica.shards.hold(0, Instant::now());
    assert_eq!(replica.called(&controller), []);
    replica.gain();
    assert_eq!(replica.called(&controller), called_for(&[("c", false), ("stays", true)]));
    replica.lose();
    replica.gain();
    assert_eq!(replica.called(&controller), called_for(&[("stays", true)]));
}

#[test]
fn what_went_away_while_somebody_else_had_its_shard_is_told_there() {
    let mut replica = Replica::new();
    let pods = watch("Pod", None, "");
    let controller = replica.bench.put_in_force(plugin(1, vec![pods.clone()], None));
    replica.bench.list(&pods.gvk, &["before", "after"]);
    let deleted = |name, version| replica.bench.tell(&pods.gvk, || deletion(name, version));
    deleted("before", 2);
    let by = Instant::now();
    deleted("after", 2);
    replica.bench.dispatch.leave_gone(&[1].into(), by);
    replica.bench.dispatch.leave_gone(&[0].into(), by);
    replica.gain();
    assert_eq!(replica.called(&controller), called_for(&[("after", false)]));
}

#[tokio::test]
async fn what_is_read_for_objects_of_a_shard_that_is_lost_is_not_watched_any_more() {
    let mut replica = Replica::new();
    let (pods, shared) = (watch("Pod", None, ""), Arc::new(watch("ConfigMap", None, "")));
    let controller = replica.bench.put_in_force(plugin(1, vec![pods.clone()], None));
    replica.bench.list(&pods.gvk, &["a"]);
    let version = replica.bench.dispatch.plugin("idle").unwrap();
    for loses_it_in_the_call in [false, true] {
        replica.gain();
        let work = replica.bench.take(&controller).unwrap();
        if loses_it_in_the_call {
            replica.lose();
        }
        replica.bench.dispatch.follow_to_read(&controller, &version, &shared).unwrap();
        replica.bench.orders.extend(std::iter::from_fn(|| replica.bench.receiver.try_recv().ok()));
        replica.bench.list(&shared.gvk, &[]);
        let (dispatch, what) = (&replica.bench.dispatch, What::List(None, "".parse().unwrap()));
        dispatch.read_watch(&controller, (&version, &work.target), &shared, what, |_| ()).await.unwrap();
        dispatch.finish(&controller, &work, End::Done, Sign::Works);
        assert_eq!(controller.reads(&shared), !loses_it_in_the_call);
        if !loses_it_in_the_call {
            replica.lose();
        }
        assert!(!controller.reads(&shared));
    }
}
