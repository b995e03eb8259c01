//! How it stands with each plugin and each watch, for people. Only what takes no longer the more objects there are is done
//! while the lock is held.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Dispatch;
use super::controller::{Controller, lock};
use super::watched::{Status, Watched};
use crate::plugin::Plugin;
use crate::queue::{Counts, Listing};
use crate::selector::Selection;

/// How it stands with a plugin.
#[derive(Debug)]
pub struct Survey {
    /// The version in force.
    pub plugin: Arc<Plugin>,
    /// Its file is gone, and only what it has left behind is looked after.
    pub retired: bool,
    /// How long it is paused for, because it breaks.
    pub pause: Option<Duration>,
    /// The version that is put in force again if this one breaks where that did not.
    pub fallback: Option<Arc<Plugin>>,
    /// It is called for the objects of these.
    pub targets: Vec<Arc<Selection>>,
    /// It is called for the owners of the objects of these.
    pub owned: Vec<Arc<Selection>>,
    /// Its calls have read from these.
    pub reads: Vec<Arc<Selection>>,
    /// What is in its queue.
    pub queue: Counts,
}

/// How it stands with a watch.
#[derive(Debug)]
pub struct WatchSurvey {
    /// What is watched.
    pub watch: Arc<Selection>,
    /// How far it is.
    pub status: Status,
    /// How many objects it has.
    pub objects: usize,
    /// How many bytes are kept of their JSON.
    pub bytes: usize,
    /// How many plugins follow it.
    pub plugins: usize,
    /// For how long nothing was heard of it, if that is too long.
    pub silence: Option<Duration>,
}

impl Dispatch {
    /// How it stands with each plugin, in the order of their names.
    pub fn survey(&self, now: Instant) -> Vec<Survey> {
        let state = self.read();
        state.controllers.values().map(|controller| survey(controller, now)).collect()
    }

    /// How it stands with one plugin.
    pub fn survey_of(&self, name: &str, now: Instant) -> Option<Survey> {
        let controller = self.read().controllers.get(name).cloned()?;
        Some(survey(&controller, now))
    }

    /// What is in the queue of a plugin, the first `limit` of each sort.
    pub fn queue(&self, name: &str, limit: usize, now: Instant) -> Option<Listing> {
        let controller = self.read().controllers.get(name).cloned()?;
        let listing = lock(&controller.queue).list(limit, now);
        Some(listing)
    }

    /// How it stands with each watch, in the order of their texts.
    pub fn survey_watches(&self, now: Instant) -> Vec<WatchSurvey> {
        let state = self.read();
        let survey = |(watch, watched): (&Arc<Selection>, &Watched)| WatchSurvey {
            watch: Arc::clone(watch),
            status: watched.status.clone(),
            objects: watched.cache.len(),
            bytes: watched.cache.bytes(),
            plugins: watched.followers.iter().map(|(of, _)| &of.name).collect::<BTreeSet<_>>().len(),
            silence: watched.heard.silence(now),
        };
        let mut watches: Vec<_> = state.watches.iter().map(survey).collect();
        drop(state);
        watches.sort_by_cached_key(|survey| survey.watch.to_string());
        watches
    }
}

fn survey(controller: &Controller, now: Instant) -> Survey {
    let (duty, queue) = (controller.duty(), lock(&controller.queue).counts(now));
    let (pause, fallback) = {
        let trust = lock(&controller.trust);
        (trust.pause(), trust.fallback())
    };
    Survey {
        plugin: Arc::clone(&duty.plugin),
        retired: duty.retired,
        pause,
        fallback,
        targets: duty.targets.clone(),
        owned: duty.owned.clone(),
        reads: duty.reads.clone(),
        queue,
    }
}
