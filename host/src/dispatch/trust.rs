//! How far the version in force of a plugin is trusted: whether it is called, and whether it has to prove itself.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Work;
use crate::breaker::{Breaker, Sign, Turn};
use crate::object::ObjectRef;
use crate::plugin::Plugin;
use crate::probation::{Probation, Verdict};
use crate::queue::Priority;

/// How far a version of a plugin is trusted.
#[derive(Debug)]
pub(super) struct Trust {
    breaker: Breaker<ObjectRef>,
    /// None: it has proved itself.
    probation: Option<Probation<ObjectRef>>,
    /// The version to go back to if it does not. There is none after that.
    fallback: Option<Arc<Plugin>>,
}

impl Default for Trust {
    /// Of the first version of a plugin, which has nothing to go back to.
    fn default() -> Self {
        Self { breaker: Breaker::default(), probation: Some(Probation::default()), fallback: None }
    }
}

impl Trust {
    /// Of a version that has proved itself before.
    pub(super) fn proved() -> Self {
        Self { breaker: Breaker::default(), probation: None, fallback: None }
    }

    /// Of the version that comes after this one, which is `before`.
    ///
    /// It can be gone back to the last version that has proved itself, but never past the operator's word: not to what was
    /// granted by another grant file. Nor to a version that would leave the new one's finalizer on objects.
    ///
    /// What it has not answered as it is now, because the last call for it failed or something has happened since, is
    /// `unfinished`: who knows whether it could have.
    pub(super) fn of_next(&self, before: &Arc<Plugin>, next: &Plugin, unfinished: Vec<ObjectRef>) -> Self {
        let (last_good, mut excused) = match &self.probation {
            None => (Some(before), HashSet::new()),
            Some(probation) => (self.fallback.as_ref(), probation.excused().clone()),
        };
        excused.extend(self.breaker.broken_by().iter().cloned());
        excused.extend(unfinished);
        let may_return =
            |good: &&Arc<Plugin>| good.digest != next.digest && good.grant == next.grant && looks_after_all(good, next);
        let fallback = last_good.filter(may_return).cloned();
        let probation = Some(Probation::after(excused));
        Self { breaker: Breaker::default(), probation, fallback }
    }

    /// Whether a call may begin. An error says when the next one may; none: after the end of one that goes on.
    pub(super) fn check(&self, now: Instant) -> Result<(), Option<Instant>> {
        self.breaker.check(now)
    }

    /// A call begins that may do so.
    pub(super) fn begin(&mut self, target: &ObjectRef) {
        self.breaker.begin(target);
    }

    /// A call of the version has ended. `all_called`: it has been called for every object that there is.
    pub(super) fn end(&mut self, work: &Work, sign: Sign, all_called: bool, now: Instant) -> Option<Turn> {
        if let Some(probation) = &mut self.probation {
            let is_new = !self.breaker.is_broken_by(&work.target);
            match sign {
                Sign::Works => probation.answered(&work.target),
                Sign::Breaks if is_new && self.fallback.is_some() => {
                    probation.broke(&work.target, work.priority == Priority::Live);
                }
                // It comes again, as if nothing had happened to it.
                Sign::Nothing if work.priority == Priority::Live => probation.excuse(&work.target),
                Sign::Breaks | Sign::Nothing => {}
            }
        }
        self.judge(all_called);
        self.breaker.end(&work.target, sign, now)
    }

    /// The version may have proved itself, without another call: that all have been called may be known only after the last.
    pub(super) fn judge(&mut self, all_called: bool) {
        let verdict = self.probation.as_ref().map(|probation| probation.verdict(all_called));
        if verdict == Some(Verdict::Proved) {
            (self.probation, self.fallback) = (None, None);
        }
    }

    /// A call of a version before has ended.
    pub(super) fn end_of_before(&mut self, target: &ObjectRef, sign: Sign, all_called: bool) {
        if let (Some(probation), Sign::Breaks) = (&mut self.probation, sign) {
            probation.excuse(target);
        }
        self.judge(all_called);
    }

    /// The version to go back to, told once, if this one has failed to prove itself.
    pub(super) fn take_fallback(&mut self, all_called: bool) -> Option<Arc<Plugin>> {
        let has_failed = self.probation.as_ref()?.verdict(all_called) == Verdict::Failed;
        self.fallback.take_if(|_| has_failed)
    }

    /// There are no more calls for the object.
    pub(super) fn forget(&mut self, target: &ObjectRef) {
        self.breaker.forget(target);
    }

    /// The version that is gone back to if this one does not prove itself.
    pub(super) fn fallback(&self) -> Option<Arc<Plugin>> {
        self.fallback.clone()
    }

    /// How long the plugin is paused for. None: it is not.
    pub(super) fn pause(&self) -> Option<Duration> {
        self.breaker.pause()
    }
}

/// Whether a version takes the finalizer of another one from all that may have it.
fn looks_after_all(good: &Plugin, other: &Plugin) -> bool {
    let is_looked_after = |watch| good.watches.iter().any(|own| own.has_place_for_all(watch));
    good.finalizer == other.finalizer && (good.finalizer.is_none() || other.watches.iter().all(is_looked_after))
}
