//! Whether the work goes on.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::controller::{Controller, Duty, lock};
use super::watched::{Status, Watched};
use super::{Dispatch, State};
use crate::health::Waiting;
use crate::metrics::{PluginGauges, WatchGauges, WatchStatus};
use crate::queue::Figures;
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
    pub fn plugin_gauges(&self, now: Instant) -> Vec<PluginGauges> {
        let state = self.read();
        let gauges = |controller: &Arc<Controller>| {
            let Duty { plugin, retired, .. } = &*controller.duty();
            let Figures { live, backlog, running, adds, retries } = lock(&controller.queue).figures(now);
            PluginGauges {
                plugin: Arc::clone(&controller.name),
                digest: (!retired).then_some(plugin.digest),
                paused: controller.pause().is_some(),
                memory_limit: plugin.limits.memory,
                concurrency: plugin.grant.concurrency,
                running,
                live,
                backlog,
                adds,
                retries,
            }
        };
        state.controllers.values().map(gauges).collect()
    }

    /// How it stands with each watch.
    pub fn watch_gauges(&self) -> Vec<WatchGauges> {
        let state = self.read();
        let gauges = |(watch, watched): (&Arc<Selection>, &Watched)| WatchGauges {
            gvk: watch.gvk.clone(),
            status: match watched.status {
                Status::Starting => WatchStatus::starting,
                Status::Listed => WatchStatus::listed,
                Status::NotServed => WatchStatus::not_served,
                Status::Refused(_) => WatchStatus::refused,
            },
            objects: watched.cache.len(),
            bytes: watched.cache.bytes(),
        };
        state.watches.iter().map(gauges).collect()
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
        let silence =
            |(watch, watched): (&Arc<Selection>, &Watched)| Some((Arc::clone(watch), watched.heard.silence(now)?));
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
