//! A plugin at work: the version in force, what it follows, and its queue.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::trust::Trust;
use super::watched::Role;
use crate::hot_loop::HotLoops;
use crate::object::{Gvk, Object, ObjectRef};
use crate::plugin::Plugin;
use crate::queue::{Priority, Queue};
use crate::quota::Quota;
use crate::reads::Reads;
use crate::selector::Selection;
use crate::shards::Shards;

/// By how many field selectors the calls of one plugin may read: each takes a watch, and a cache of all that it selects.
/// Without field selectors there is a watch for each kind and namespace that it is granted, and these have nothing twice.
const MAX_FIELD_SELECTORS: usize = 100;

/// How many objects that are gone are remembered while nobody has their shards, as when Leases may not be had.
const MAX_GONE: usize = 100_000;

/// A plugin at work.
#[derive(Debug)]
pub struct Controller {
    /// The plugin's name, which stays the same over its versions.
    pub name: Arc<str>,
    /// Cancelled when the plugin is to stop: what is in its queue is dropped.
    pub stop: CancellationToken,
    /// Which objects are this replica's: there are no others in the queue.
    shards: Arc<Shards>,
    duty: Mutex<Arc<Duty>>,
    pub(super) queue: Mutex<Queue>,
    /// Of the version in force.
    pub(super) trust: Mutex<Trust>,
    pub(super) reads: Mutex<Reads>,
    /// What it keeps changing.
    pub hot_loops: Mutex<HotLoops<ObjectRef>>,
    /// What it has written.
    quota: Mutex<Quota>,
    /// What was gone when its shard was not held by this replica, and since when.
    pub(super) gone: Mutex<HashMap<ObjectRef, Instant>>,
    /// There may be something in the queue. One worker takes it, and has another one look out for what else there is or
    /// will be.
    woken: Notify,
    /// There are more workers, or fewer.
    resized: Notify,
}

/// What a controller does, and by which version of the plugin.
#[derive(Clone, Debug)]
pub(super) struct Duty {
    pub(super) plugin: Arc<Plugin>,
    /// It is called for the objects of these.
    pub(super) targets: Vec<Arc<Selection>>,
    /// It is called for the owners of the objects of these.
    pub(super) owned: Vec<Arc<Selection>>,
    /// What of these has its finalizer is still its business, also if it is no target any more.
    pub(super) finalized: Vec<Arc<Selection>>,
    /// Its calls have read from these.
    pub(super) reads: Vec<Arc<Selection>>,
    /// The plugin is gone, and only what it has left behind is looked after.
    pub(super) retired: bool,
}

impl Duty {
    /// Of a plugin that does not follow anything yet.
    pub(super) fn new(plugin: Arc<Plugin>) -> Self {
        let (targets, owned, finalized, reads) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { plugin, targets, owned, finalized, reads, retired: false }
    }

    /// Whether an object has the plugin's finalizer, and is none of its targets as far as the object itself tells.
    pub(super) fn has_left(&self, gvk: &Gvk, object: &Object) -> bool {
        let has_finalizer = self.plugin.finalizer.as_deref().is_some_and(|finalizer| object.has_finalizer(finalizer));
        has_finalizer && !self.selects(gvk, object)
    }

    /// Whether one of the target watches selects that object, in whatever version, as far as the object itself tells.
    pub(super) fn selects(&self, gvk: &Gvk, object: &Object) -> bool {
        let mut of_kind = self.targets.iter().filter(|watch| watch.gvk.is_same_kind(gvk));
        of_kind.any(|watch| watch.selects(object) == Some(true))
    }

    pub(super) fn roles(&self) -> impl Iterator<Item = (&Arc<Selection>, Role)> {
        let role = |role| move |watch| (watch, role);
        let (targets, owned) = (self.targets.iter().map(role(Role::Target)), self.owned.iter().map(role(Role::Owned)));
        let (finalized, reads) =
            (self.finalized.iter().map(role(Role::Finalized)), self.reads.iter().map(role(Role::Read)));
        targets.chain(owned).chain(finalized).chain(reads)
    }
}

impl Controller {
    pub(super) fn new(duty: Duty, shards: Arc<Shards>, stop: CancellationToken) -> Self {
        Self {
            name: Arc::clone(&duty.plugin.name),
            stop,
            shards,
            duty: Mutex::new(Arc::new(duty)),
            queue: Mutex::new(Queue::new(fastrand::u64(..))),
            trust: Mutex::default(),
            reads: Mutex::default(),
            hot_loops: Mutex::default(),
            quota: Mutex::default(),
            gone: Mutex::default(),
            woken: Notify::new(),
            resized: Notify::new(),
        }
    }

    /// What it has written.
    pub fn quota(&self) -> MutexGuard<'_, Quota> {
        lock(&self.quota)
    }

    /// Lets go of what only calls need, if there are none.
    pub fn rest(&self) {
        self.duty().plugin.rest();
    }

    /// The same, if there is nothing to call for by now.
    pub fn rest_if_idle(&self) {
        if lock(&self.queue).is_idle() {
            self.rest();
        }
    }

    /// How many calls at a time the operator wants.
    pub fn concurrency(&self) -> usize {
        lock(&self.duty).plugin.grant.concurrency
    }

    pub(super) fn duty(&self) -> Arc<Duty> {
        Arc::clone(&lock(&self.duty))
    }

    pub(super) fn replace_duty(&self, duty: Duty, trust: Trust) {
        *lock(&self.duty) = Arc::new(duty);
        *lock(&self.trust) = trust;
        self.resized.notify_waiters();
        self.wake();
    }

    /// How long the plugin is paused for, because it keeps breaking. None: it is not. What waits in its queue meanwhile is
    /// held up on purpose.
    pub fn pause(&self) -> Option<Duration> {
        lock(&self.trust).pause()
    }

    /// Whether its calls have read from that watch.
    pub fn reads(&self, watch: &Selection) -> bool {
        lock(&self.duty).reads.iter().any(|read| **read == *watch)
    }

    /// Notes a watch that a call wants to read. Returns whether it is a new one. An error says that it is one too many.
    pub(super) fn add_read(&self, watch: &Arc<Selection>) -> Result<bool, String> {
        let mut duty = lock(&self.duty);
        if duty.reads.contains(watch) {
            return Ok(false);
        }
        let has_fields = |watch: &Arc<Selection>| !watch.fields.selects_all();
        if has_fields(watch) && duty.reads.iter().filter(|read| has_fields(read)).count() >= MAX_FIELD_SELECTORS {
            return Err(format!(
                "cannot watch {watch}: what the plugin reads has {MAX_FIELD_SELECTORS} field selectors already, and may not \
                 have more; list without one, and choose from what there is"
            ));
        }
        Arc::make_mut(&mut duty).reads.push(Arc::clone(watch));
        Ok(true)
    }

    /// Takes a watch back that no call wants to read any more. Returns whether it was there.
    pub(super) fn remove_read(&self, watch: &Selection) -> bool {
        let mut duty = lock(&self.duty);
        let had = duty.reads.iter().any(|read| **read == *watch);
        if had {
            Arc::make_mut(&mut duty).reads.retain(|read| **read != *watch);
        }
        had
    }

    pub(super) fn add(&self, target: &ObjectRef, priority: Priority) {
        if self.shards.holds(target) {
            lock(&self.queue).add(target, priority, Instant::now());
            self.wake();
        }
    }

    /// Has the plugin told that an object is gone: now, or when this replica has its shard, if nobody else does by then.
    pub(super) fn add_gone(&self, target: &ObjectRef) {
        if self.shards.holds(target) {
            lock(&self.queue).add(target, Priority::Live, Instant::now());
            self.wake();
            return;
        }
        let mut gone = lock(&self.gone);
        if gone.len() < MAX_GONE {
            gone.insert(target.clone(), Instant::now());
        }
    }

    /// Adds those of the objects that are this replica's and that are `meant`.
    pub(super) fn add_all<'a>(
        &self,
        gvk: &Gvk,
        objects: impl Iterator<Item = &'a Arc<Object>>,
        priority: Priority,
        meant: impl Fn(&ObjectRef) -> bool,
    ) {
        let (mut queue, now) = (lock(&self.queue), Instant::now());
        for object in objects {
            let target = ObjectRef { gvk: gvk.clone(), key: object.key.clone() };
            if meant(&target) && self.shards.holds(&target) {
                queue.add(&target, priority, now);
            }
        }
        drop(queue);
        self.wake();
    }

    /// Begins anew, with whatever was held back.
    pub(super) fn release(&self) {
        lock(&self.queue).release(Instant::now());
        *lock(&self.hot_loops) = HotLoops::default();
    }

    /// There is nothing more to do about an object. Returns the watches that nobody has read from any more.
    pub(super) fn forget(&self, target: &ObjectRef) -> Vec<Arc<Selection>> {
        lock(&self.queue).forget(target);
        lock(&self.trust).forget(target);
        lock(&self.reads).forget(target)
    }

    /// Whether something panicked while it held one of the locks, so that what they protect may be half done.
    pub(super) fn is_poisoned(&self) -> bool {
        let Self { duty, queue, trust, reads, hot_loops, quota, gone, .. } = self;
        duty.is_poisoned()
            || queue.is_poisoned()
            || trust.is_poisoned()
            || reads.is_poisoned()
            || hot_loops.is_poisoned()
            || quota.is_poisoned()
            || gone.is_poisoned()
    }

    /// Has a worker look whether there is something to do.
    pub(super) fn wake(&self) {
        self.woken.notify_one();
    }

    /// Waits until there may be something to do, at the latest until it is `due`.
    pub(super) async fn wait(&self, due: Option<Instant>) {
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = self.woken.notified() => {}
            () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now).into()), if due.is_some() => {}
        }
    }

    /// Waits while the worker of that number is one too many.
    pub(super) async fn wait_while_surplus(&self, worker: usize) {
        loop {
            let resized = self.resized.notified();
            if worker < self.concurrency() || self.stop.is_cancelled() {
                return;
            }
            // What woke this one may be for another.
            self.wake();
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = resized => {}
            }
        }
    }
}

/// If something panics while it holds one of these locks, the host ends.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
