//! Whether the host is alive and ready, and if not, what is wrong.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{SetOnce, watch};
use tokio_util::sync::CancellationToken;

use crate::dispatch::{Dispatch, Status};
use crate::health::{InFlight, Presence, UnderWay, Waits, Watchdog};
use crate::leader::Standing;
use crate::text;

/// How often it is looked whether the host is alive.
const LOOK: Duration = Duration::from_secs(1);

/// What is looked at.
pub struct Checks {
    /// The watches, and the work that waits.
    dispatch: Arc<Dispatch>,
    /// The work that is being done.
    in_flight: Arc<InFlight>,
    /// Set when the plugins that were there at the start are loaded, or refused.
    plugins_started: Arc<SetOnce<()>>,
    /// Plugins that are not in force yet.
    waits: Arc<Waits>,
    /// How the replica stands in its election. None: there is none.
    standing: Option<watch::Receiver<Standing>>,
    /// Cancelled when the host is to stop.
    stop: CancellationToken,
    watchdog: Mutex<Watchdog>,
    presence: Mutex<Presence>,
}

/// What was found, a line each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report(Vec<Line>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    good: bool,
    text: String,
}

impl Checks {
    /// Nothing is seen yet.
    pub fn new(
        dispatch: Arc<Dispatch>,
        in_flight: Arc<InFlight>,
        (plugins_started, waits): (Arc<SetOnce<()>>, Arc<Waits>),
        standing: Option<watch::Receiver<Standing>>,
        stop: CancellationToken,
    ) -> Self {
        let (watchdog, presence) = (Mutex::default(), Mutex::new(Presence::new(Instant::now())));
        Self { dispatch, in_flight, plugins_started, waits, standing, stop, watchdog, presence }
    }

    /// Looks each second whether the process is there, for ever. Nothing that may hang is asked here: it would pass for a
    /// process that was stopped.
    pub async fn watch_presence(&self) {
        loop {
            tokio::time::sleep(LOOK).await;
            self.tick(Instant::now());
        }
    }

    fn tick(&self, now: Instant) {
        if lock(&self.presence).tick(now) {
            lock(&self.watchdog).forget();
        }
    }

    /// Looks each second, for ever, and says in the log when the host is not alive.
    pub async fn run(&self) {
        let mut was_alive = true;
        loop {
            tokio::time::sleep(LOOK).await;
            let now = Instant::now();
            self.look(now);
            let alive = self.alive(now);
            if was_alive && !alive.is_good() {
                tracing::error!("the host does not do its work, and /livez says so: {}", alive.bad().join("; "));
            }
            was_alive = alive.is_good();
        }
    }

    fn look(&self, now: Instant) {
        let mut waiting = self.dispatch.waiting(now);
        // Workers of a plugin that was taken away and came back wait for those before them.
        let busy = self.in_flight.all();
        waiting.retain(|waiting| busy.iter().all(|does| does.plugin != waiting.plugin));
        lock(&self.watchdog).look(waiting, now);
    }

    /// Whether the host does its work. If not, only a new process helps.
    pub fn alive(&self, now: Instant) -> Report {
        let mut report = Report::default();
        if self.stop.is_cancelled() {
            // What is not over at the deadline is given up.
            report.add(true, "stopping");
            return report;
        }
        if lock(&self.presence).has_grace(now) {
            report.add(true, "the process was stopped for a while, and has its time again");
            return report;
        }
        let stuck = self.in_flight.all().into_iter().filter(|does| does.is_stuck(now));
        let stuck = stuck.map(|does: UnderWay| format!("{does} is not over, long after it had to be"));
        report.add_all("calls", stuck);
        let neglected = lock(&self.watchdog).neglected(now).into_iter();
        report.add_all(
            "queues",
            neglected.map(|(plugin, time)| {
                format!("plugin {plugin}: work has waited for {} s, and nobody takes it", time.as_secs())
            }),
        );
        let silent = self.dispatch.silent(now).into_iter();
        report.add_all(
            "watches",
            silent.map(|(watch, time)| format!("watch of {watch}: nothing was heard of it for {} s", time.as_secs())),
        );
        report
    }

    /// Whether all is there that the host needs for its work. A replica that stands by is ready to take over, and a kind
    /// that is not served may never be.
    pub fn ready(&self) -> Report {
        let mut report = Report::default();
        if self.stop.is_cancelled() {
            report.add(false, "stopping: calls in flight are finished, and no others begin");
        }
        let loaded = self.plugins_started.initialized();
        report.add(loaded, if loaded { "plugins loaded" } else { "plugins: not loaded yet" });
        for (plugin, reason) in self.waits.all() {
            report.add(false, format!("plugin {plugin}: waits, because {reason}"));
        }
        for (watch, status) in self.dispatch.watches() {
            match status {
                Status::Listed => report.add(true, format!("watch of {watch}")),
                Status::NotServed => report.add(true, format!("watch of {watch}: waits for the kind to be served")),
                Status::Starting => report.add(false, format!("watch of {watch}: not listed yet")),
                Status::Refused(reason) => report.add(false, format!("watch of {watch}: {reason}")),
            }
        }
        if let Some(standing) = &self.standing {
            let standing = standing.borrow();
            report.add(matches!(*standing, Standing::Holds { .. }), format!("lease: {}", *standing));
        }
        report
    }

    /// How the replica stands in its election. None: there is none.
    pub fn standing(&self) -> Option<Standing> {
        self.standing.as_ref().map(|standing| standing.borrow().clone())
    }
}

/// Nothing panics while it holds one of these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Report {
    /// Whether all is good.
    pub fn is_good(&self) -> bool {
        self.0.iter().all(|line| line.good)
    }

    /// What was looked at: whether it is good, and what it is.
    pub fn lines(&self) -> impl Iterator<Item = (bool, &str)> {
        self.0.iter().map(|line| (line.good, &*line.text))
    }

    fn bad(&self) -> Vec<&str> {
        self.0.iter().filter(|line| !line.good).map(|line| &*line.text).collect()
    }

    fn add(&mut self, good: bool, text: impl AsRef<str>) {
        self.0.push(Line { good, text: text::shortened(text.as_ref()) });
    }

    /// Adds all that is wrong with something or, if nothing is, that it is good.
    fn add_all(&mut self, what: &str, wrong: impl Iterator<Item = String>) {
        let before = self.0.len();
        wrong.for_each(|text| self.add(false, text));
        if self.0.len() == before {
            self.add(true, what);
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|Line { good, text }| writeln!(f, "[{}] {text}", if *good { '+' } else { '-' }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::Event;
    use crate::dispatch::Order;
    use crate::grant::Grant;
    use crate::object::{Gvk, Object, ObjectKey, ObjectRef};
    use crate::plugin::Plugin;
    use crate::selector::{Scope, Selection};
    use crate::shards::Shards;
    use crate::source::Update;

    /// Checks of a host with a plugin that watches Pods and has no workers.
    struct Bench {
        checks: Checks,
        /// To watch Pods.
        order: Order,
        start: Instant,
    }

    impl Bench {
        fn new() -> Self {
            let (dispatch, mut orders) = Dispatch::new(Scope::default(), Arc::new(Shards::all()));
            let plugin = Plugin::idle(1, Grant::default(), vec![Selection::all(Gvk::new("v1", "Pod"))]);
            dispatch.put_in_force(Arc::new(plugin), CancellationToken::new());
            let plugins = (Arc::default(), Arc::default());
            let checks = Checks::new(Arc::new(dispatch), Arc::default(), plugins, None, CancellationToken::new());
            Self { checks, order: orders.try_recv().unwrap(), start: Instant::now() }
        }

        /// Looks each second of these after the start.
        fn look(&self, seconds: std::ops::Range<u64>) {
            for second in seconds {
                self.checks.tick(self.at(second));
                self.checks.look(self.at(second));
            }
        }

        fn at(&self, second: u64) -> Instant {
            self.start + Duration::from_secs(second)
        }

        fn bad(&self, second: u64) -> Vec<String> {
            self.checks.alive(self.at(second)).bad().into_iter().map(str::to_owned).collect()
        }

        /// Has the watch tell of one Pod.
        fn list(&self) {
            let pod = Object {
                key: ObjectKey::new(Some("default"), "a"),
                uid: "a".into(),
                resource_version: "1".into(),
                deleting: false,
                owner: None,
                finalizers: [].into(),
                json: "{}".into(),
            };
            for event in [Event::Init, Event::InitApply(pod), Event::InitDone] {
                self.checks.dispatch.deliver(&self.order, Update::Event(event));
            }
        }

        fn begin(&self, pulse: &crate::health::Pulse, time: Duration) {
            let target = ObjectRef { gvk: Gvk::replica_set(), key: ObjectKey::new(Some("default"), "a") };
            pulse.begin(&target, "the call", time, self.start);
        }
    }

    #[test]
    fn looks_that_hang_do_not_pass_for_a_process_that_was_stopped() {
        let bench = Bench::new();
        let pulse = bench.checks.in_flight.pulse(&"demo".into());
        bench.begin(&pulse, Duration::ZERO);
        (1..60).for_each(|second| bench.checks.tick(bench.at(second)));
        assert_eq!(
            bench.bad(60),
            ["plugin demo: the call for ReplicaSet default/a is not over, long after it had to be"]
        );
    }

    #[test]
    fn a_watch_that_is_silent_for_too_long_is_named() {
        let bench = Bench::new();
        bench.look(1..1000);
        assert_eq!(bench.bad(1000), [""; 0], "nothing was ever heard of it");
        bench.order.heard.note(bench.at(1000));
        bench.look(1000..1361);
        assert_eq!(bench.bad(1360), [""; 0]);
        assert_eq!(bench.bad(1361), ["watch of v1 Pod: nothing was heard of it for 361 s"]);
        bench.order.heard.note(bench.at(1361));
        assert_eq!(bench.bad(1361), [""; 0]);
    }

    #[test]
    fn work_that_nobody_takes_is_named_if_its_plugin_is_in_no_call_and_the_process_was_there() {
        let neglected = |time| format!("plugin idle: work has waited for {time} s, and nobody takes it");
        let bench = Bench::new();
        bench.look(1..100);
        bench.list();
        bench.look(100..161);
        assert_eq!(bench.bad(160), [""; 0]);
        bench.look(161..162);
        assert_eq!(bench.bad(161), [neglected(61)]);

        // The process is stopped, and has its time again.
        bench.look(300..301);
        assert_eq!(bench.bad(300), [""; 0]);
        bench.look(301..362);
        assert_eq!(bench.bad(361), [neglected(61)]);

        let pulse = bench.checks.in_flight.pulse(&"idle".into());
        bench.begin(&pulse, Duration::from_hours(1));
        bench.look(362..500);
        assert_eq!(bench.bad(499), [""; 0]);
        pulse.end();
        bench.look(500..562);
        assert_eq!(bench.bad(561), [neglected(61)]);
    }
}
