//! What changes when a shard comes to this replica, or leaves it.

use std::collections::{BTreeSet, HashSet};
use std::time::Instant;

use super::Dispatch;
use super::controller::lock;
use crate::object::ObjectRef;
use crate::queue::Priority;

impl Dispatch {
    /// Holds a shard until then, or longer if it is told so before. Returns whether it was not held: then all of its objects
    /// are to be reconciled, and those told of that went away when nobody else may have had the shard.
    pub fn gain(&self, shard: usize, until: Instant) -> bool {
        if self.shards.extend(shard, until) {
            return false;
        }
        // Whoever waits for a shard finds its objects in the queues, for which this lock has to be had.
        let state = self.write();
        self.shards.hold(shard, until);
        for controller in state.controllers.values() {
            let gone: Vec<_> = lock(&controller.gone).extract_if(|target, _| self.shards.of(target) == shard).collect();
            for (target, _) in gone {
                controller.add_gone(&target);
            }
            for watch in &controller.duty().targets {
                if let Some(watched) = state.watches.get(watch) {
                    let in_shard = |target: &_| self.shards.of(target) == shard;
                    controller.add_all(&watch.gvk, watched.cache.objects(), Priority::Backlog, in_shard);
                }
            }
            state.wake_finalized(controller);
        }
        drop(state);
        self.progressed.notify_waiters();
        true
    }

    /// The objects of a shard are not this replica's any more: what is in the queues of them is dropped, but for what is gone,
    /// which nobody else knows of.
    pub fn lose(&self, shard: usize) {
        let mut state = self.write();
        let controllers: Vec<_> = state.controllers.values().cloned().collect();
        for controller in controllers {
            let is_lost = |key: &&ObjectRef| self.shards.of(key) == shard;
            let mut lost: HashSet<_> = lock(&controller.queue).keys().filter(is_lost).cloned().collect();
            let duty = controller.duty();
            let gone = lost.iter().filter(|target| state.object(&duty.targets, target).is_none());
            lock(&controller.gone).extend(gone.map(|target| (target.clone(), Instant::now())));
            lost.extend(lock(&controller.reads).targets().filter(is_lost).cloned());
            let unread: Vec<_> = lost.iter().flat_map(|target| controller.forget(target)).collect();
            state.stop_reading(&controller, &unread);
            self.judge(&state, &controller);
        }
        drop(state);
        self.progressed.notify_waiters();
    }

    /// Others have these shards: what was gone by then is told by them, or has been.
    pub fn leave_gone(&self, shards: &BTreeSet<usize>, by: Instant) {
        for controller in self.read().controllers.values() {
            lock(&controller.gone).retain(|target, since| *since > by || !shards.contains(&self.shards.of(target)));
        }
    }
}
