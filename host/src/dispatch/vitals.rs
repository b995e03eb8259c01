//! Whether the work goes on.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::controller::{Controller, Duty, lock};
use super::watched::Status;
use super::{Dispatch, State};
use crate::health::Waiting;
use crate::metrics::PluginGauges;
use crate::selector::Selection;

impl Dispatch {
    /// The work that could be taken, of controllers with no call under way.
    pub fn waiting(&self, now: Instant) -> Vec<Waiting> {
        let state = self.read();
        let is_free = |controller: &&Arc<Controller>| {
            // What a paused plugin is called for once in a while waits on purpose.
            !state.is_held_up(&controller.duty()) && controller.pause().is_none()
        };
        let waiting = state.controllers.values().filter(is_free).filter_map(|controller| {
            let taken = lock(&controller.queue).left_since(now)?;
            Some(Waiting { plugin: Arc::clone(&controller.name), taken })
        });
        waiting.collect()
    }

    /// How it stands with each plugin.
    pub fn gauges(&self) -> Vec<PluginGauges> {
        let state = self.read();
        let gauges = |controller: &Arc<Controller>| PluginGauges {
            plugin: Arc::clone(&controller.name),
            paused: controller.pause().is_some(),
            depth: lock(&controller.queue).depth(Instant::now()),
        };
        state.controllers.values().map(gauges).collect()
    }

    /// How far each watch is, in the order of their texts.
    pub fn watches(&self) -> Vec<(Arc<Selection>, Status)> {
        let state = self.read();
        let mut watches: Vec<_> =
            state.watches.iter().map(|(watch, watched)| (Arc::clone(watch), watched.status.clone())).collect();
        watches.sort_by_cached_key(|(watch, _)| watch.to_string());
        watches
    }

    /// The watches of which nothing was heard for too long, and for how long that is.
    pub fn silent(&self, now: Instant) -> Vec<(Arc<Selection>, Duration)> {
        let state = self.read();
        let silence = |(watch, watched): (&Arc<Selection>, &super::Watched)| {
            Some((Arc::clone(watch), watched.heard.silence(now)?))
        };
        state.watches.iter().filter_map(silence).collect()
    }
}

impl State {
    /// Whether work of that duty is held back on purpose, so that it does not wait for a worker.
    pub(super) fn is_held_up(&self, duty: &Duty) -> bool {
        // Children of earlier answers are looked for among them.
        duty.owned.iter().any(|watch| self.is_starting(watch))
    }
}
