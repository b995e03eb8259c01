//! What changes when a shard comes to this replica, or leaves it.

use super::Dispatch;
use super::controller::lock;
use crate::object::ObjectRef;
use crate::queue::Priority;

impl Dispatch {
    /// The objects of a shard have become this replica's: all of them are to be reconciled.
    pub fn gain(&self, shard: usize) {
        let state = self.write();
        for controller in state.controllers.values() {
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
    }

    /// The objects of a shard are not this replica's any more: what is in the queues of them is dropped.
    pub fn lose(&self, shard: usize) {
        let mut state = self.write();
        let controllers: Vec<_> = state.controllers.values().cloned().collect();
        for controller in controllers {
            let is_lost = |key: &&ObjectRef| self.shards.of(key) == shard;
            let lost: Vec<_> = lock(&controller.queue).keys().filter(is_lost).cloned().collect();
            let unread: Vec<_> = lost.iter().flat_map(|target| controller.forget(target)).collect();
            state.stop_reading(&controller, &unread);
        }
        drop(state);
        self.progressed.notify_waiters();
    }
}
