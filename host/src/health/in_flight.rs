//! What is being done for which object, and by when it has to be over.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::object::ObjectRef;

/// How long after its limit something counts as stuck: whatever has a limit is ended at it by other means.
const GRACE: Duration = Duration::from_secs(30);

/// What all workers do.
#[derive(Debug, Default)]
pub struct InFlight(Mutex<Vec<Weak<Pulse>>>);

/// What one worker does.
#[derive(Debug)]
pub struct Pulse {
    plugin: Arc<str>,
    does: Mutex<Option<UnderWay>>,
}

/// Something that is being done.
#[derive(Clone, Debug)]
pub struct UnderWay {
    /// By which plugin's worker.
    pub plugin: Arc<str>,
    /// For which object.
    pub target: ObjectRef,
    /// What it is, for people.
    pub what: &'static str,
    /// When the worker took the object on.
    since: Instant,
    /// When it has to be over.
    over: Instant,
}

impl InFlight {
    /// For a worker of that plugin, to tell what it does.
    pub fn pulse(&self, plugin: &Arc<str>) -> Arc<Pulse> {
        let pulse = Arc::new(Pulse { plugin: Arc::clone(plugin), does: Mutex::default() });
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|pulse| pulse.strong_count() > 0);
        all.push(Arc::downgrade(&pulse));
        pulse
    }

    /// All that is being done.
    pub fn all(&self) -> Vec<UnderWay> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().filter_map(|pulse| pulse.upgrade()?.lock().clone()).collect()
    }
}

impl Pulse {
    /// Something begins for that object, and whatever the worker did before is over.
    pub fn begin(&self, target: &ObjectRef, what: &'static str, limit: Duration, now: Instant) {
        let (plugin, target) = (Arc::clone(&self.plugin), target.clone());
        // What may take for ever is never over.
        let over = now.checked_add(limit).unwrap_or(now + Duration::from_hours(24 * 365));
        let mut does = self.lock();
        let since = does.as_ref().map_or(now, |before| before.since);
        *does = Some(UnderWay { plugin, target, what, since, over });
    }

    /// The worker does nothing.
    pub fn end(&self) {
        *self.lock() = None;
    }

    /// Nothing panics while it holds this lock.
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<UnderWay>> {
        self.does.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl UnderWay {
    /// For how long the worker has been at the object.
    pub fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.since)
    }

    /// Whether it has to be over, and for so long that nothing will end it any more.
    pub fn is_stuck(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.over) > GRACE
    }
}

impl fmt::Display for UnderWay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "plugin {}: {} for {}", self.plugin, self.what, self.target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::{Gvk, ObjectKey};

    #[test]
    fn a_call_that_is_not_ended_at_its_limit_is_stuck_and_one_within_it_is_not() {
        let (in_flight, start) = (InFlight::default(), Instant::now());
        let target = ObjectRef { gvk: Gvk::replica_set(), key: ObjectKey::new(Some("default"), "a") };
        let pulse = in_flight.pulse(&"demo".into());
        assert!(in_flight.all().is_empty());
        pulse.begin(&target, "the call", Duration::from_secs(10), start);
        let stuck = |seconds| in_flight.all()[0].is_stuck(start + Duration::from_secs(seconds));
        assert!(!stuck(9) && !stuck(39) && stuck(41));
        assert_eq!(in_flight.all()[0].to_string(), "plugin demo: the call for ReplicaSet default/a");
        pulse.begin(&target, "a change", Duration::from_secs(30), start + Duration::from_secs(10));
        assert!(!stuck(41) && stuck(71), "each has a limit of its own");
        assert_eq!(in_flight.all()[0].age(start + Duration::from_secs(41)), Duration::from_secs(41), "of all it does");
        pulse.begin(&target, "the call", Duration::MAX, start);
        assert!(!stuck(1_000_000), "what may take for ever is never over");
        pulse.end();
        assert!(in_flight.all().is_empty());
        pulse.begin(&target, "the call", Duration::ZERO, start);
        assert_eq!(in_flight.all()[0].age(start), Duration::ZERO, "this is another call");
        drop(pulse);
        assert!(in_flight.all().is_empty(), "a worker that is gone does nothing");
    }
}
