//! Brings what changes to the plugins that follow it: from the watches into their caches, from there into every queue.
//!
//! One lock orders it all. An event is put in a cache and in the queues as one step, and an object is taken from a queue
//! and from the cache as one step, so that a plugin is never called twice for the same version of an object, nor once
//! too few. No guest runs, and nothing waits, while the lock is held.

mod controller;
mod handover;
mod look;
mod roster;
mod survey;
mod trust;
mod vitals;
mod watched;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use crate::breaker::{Sign, Turn};
use crate::cache::Event;
use crate::health::{Heard, Pulse};
use crate::object::{Gvk, Object, ObjectKey, ObjectRef, Uid};
use crate::plugin::Plugin;
use crate::queue::{End, Priority, Queue};
use crate::selector::{Scope, Selection};
use crate::shards::Shards;
use crate::source::Update;

pub use controller::Controller;
use controller::{Duty, lock};
pub use look::Peek;
pub use survey::{Survey, WatchSurvey};
pub use watched::Status;
use watched::{Wake, Watched};

/// The caches of all watches, and the queues of all plugins.
#[derive(Debug)]
pub struct Dispatch {
    state: RwLock<State>,
    /// A queue has become idle, or a watch has told something about itself.
    progressed: Notify,
    orders: mpsc::UnboundedSender<Order>,
    scope: Scope,
    shards: Arc<Shards>,
}

/// A watch that is to be started.
#[derive(Debug)]
pub struct Order {
    /// What to watch.
    pub selection: Arc<Selection>,
    /// To be told when something is heard of it.
    pub heard: Arc<Heard>,
    /// Cancelled when nobody wants it any more.
    pub stop: CancellationToken,
}

#[derive(Debug, Default)]
struct State {
    watches: HashMap<Arc<Selection>, Watched>,
    controllers: BTreeMap<Arc<str>, Arc<Controller>>,
}

/// An object to reconcile, as it is now, and the version of the plugin that is to do it.
#[derive(Debug)]
pub struct Work {
    /// Which object.
    pub target: ObjectRef,
    /// None: it is gone.
    pub object: Option<Arc<Object>>,
    /// How many calls for it have failed since the last one that did not.
    pub attempt: u32,
    /// Why it is to be reconciled.
    pub priority: Priority,
    /// For how long it could have been taken.
    pub waited: Duration,
    /// The version in force.
    pub plugin: Arc<Plugin>,
    /// The plugin is gone: it is not to be called.
    pub retired: bool,
    /// Is told what is done about it.
    pub pulse: Arc<Pulse>,
}

/// What comes of the end of a call.
#[derive(Debug)]
pub struct Ended {
    /// The delay after which it is tried again, if it is.
    pub again: Option<Duration>,
    /// How long the plugin is paused for, if it is.
    pub pause: Option<Duration>,
    /// What changes with that for the plugin.
    pub turn: Option<Turn>,
    /// The version that has been put in force again, because the one that was called breaks where it did not.
    pub back_to: Option<Arc<Plugin>>,
}

/// What the host has done to an object.
#[derive(Debug)]
pub enum Written {
    /// It is this now.
    Object(Arc<Object>),
    /// The one with this uid is gone.
    Gone(ObjectKey, Uid),
}

/// How far the work is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Every watch has told what there is, or that it cannot.
    pub listed: bool,
    /// Objects that there are.
    pub objects: usize,
    /// Plugins at work.
    pub plugins: usize,
    /// Objects that wait in queues, those of paused plugins left out.
    pub waiting: usize,
    /// No object waits and none is in a call; those of paused plugins are not waited for.
    pub idle: bool,
}

impl Dispatch {
    /// Nothing yet. The watches that are to be started are told through the receiver; `scope` narrows what is watched,
    /// and `shards` says which objects of that are this replica's: for no others is a plugin called.
    pub fn new(scope: Scope, shards: Arc<Shards>) -> (Self, mpsc::UnboundedReceiver<Order>) {
        let (orders, receiver) = mpsc::unbounded_channel();
        (Self { state: RwLock::default(), progressed: Notify::new(), orders, scope, shards }, receiver)
    }

    /// Takes in what a watch tells.
    pub fn deliver(&self, Order { selection, stop, .. }: &Order, update: Update) {
        let mut state = self.write();
        // It may have been stopped a moment ago, and another one started.
        if stop.is_cancelled() {
            return;
        }
        let Some(watched) = state.watches.get_mut(selection) else { return };
        let mut wakes = Vec::new();
        let is_about_itself = match update {
            Update::Found(kind) => {
                watched.kind = Some(kind);
                false
            }
            Update::NotServed => {
                watched.apply(selection, Event::Init, &mut wakes);
                watched.apply(selection, Event::InitDone, &mut wakes);
                watched.status = Status::NotServed;
                true
            }
            Update::Refused(reason) => {
                watched.status = Status::Refused(reason.into());
                true
            }
            Update::Broken => false,
            Update::Event(event) => {
                let completes = matches!(event, Event::InitDone);
                watched.apply(selection, event, &mut wakes);
                if completes {
                    watched.complete(selection, &mut wakes);
                }
                completes
            }
        };
        let followers = if is_about_itself { watched.controllers() } else { Vec::new() };
        state.wake(wakes);
        for controller in followers {
            // It may wait for the watch to be listed before it begins.
            controller.wake();
            state.wake_finalized(&controller);
            self.judge(&state, &controller);
        }
        drop(state);
        if is_about_itself {
            self.progressed.notify_waiters();
        }
    }

    /// Takes in what the host has done to an object of that kind, so that no call sees it older than that.
    pub fn wrote(&self, gvk: &Gvk, written: &Written) {
        let mut state = self.write();
        let mut wakes = Vec::new();
        for (selection, watched) in state.watches.iter_mut().filter(|(selection, _)| selection.gvk == *gvk) {
            watched.wrote(selection, written, &mut wakes);
        }
        state.wake(wakes);
    }

    /// How far the work is.
    pub fn progress(&self) -> Progress {
        let state = self.read();
        let mut progress = Progress { listed: true, idle: true, ..Progress::default() };
        for watched in state.watches.values() {
            progress.listed &= watched.status != Status::Starting;
            if watched.has_targets() {
                progress.objects += watched.cache.len();
            }
        }
        for controller in state.controllers.values() {
            progress.plugins += usize::from(!controller.duty().retired);
            let queue = lock(&controller.queue);
            let is_paused = controller.pause().is_some();
            progress.waiting += if is_paused { 0 } else { queue.depth(Instant::now()) };
            progress.idle &= is_paused || queue.is_idle();
        }
        progress
    }

    /// Whether something panicked while it held one of the locks that a call of the controller takes, so that what they
    /// protect may be half done.
    pub fn is_poisoned(&self, controller: &Controller) -> bool {
        self.state.is_poisoned() || controller.is_poisoned()
    }

    /// Waits until every watch has told what there is and every queue is idle.
    pub async fn settled(&self) {
        loop {
            let progressed = self.progressed.notified();
            tokio::pin!(progressed);
            progressed.as_mut().enable();
            let Progress { listed, idle, .. } = self.progress();
            if listed && idle {
                return;
            }
            progressed.await;
        }
    }

    /// Waits for the next object that the controller has to reconcile, on behalf of its worker of that number, from 0, whose
    /// pulse this is. None: it is to stop.
    pub async fn next(&self, controller: &Controller, worker: usize, pulse: &Arc<Pulse>) -> Option<Work> {
        loop {
            controller.wait_while_surplus(worker).await;
            if controller.stop.is_cancelled() {
                return None;
            }
            let due = match self.take(controller, pulse) {
                Ok(work) => return Some(work),
                Err(due) => due,
            };
            controller.wait(due).await;
        }
    }

    /// The next object, or when there may be one.
    fn take(&self, controller: &Controller, pulse: &Arc<Pulse>) -> Result<Work, Option<Instant>> {
        let state = self.read();
        let duty = controller.duty();
        if state.is_held_up(&duty) {
            return Err(None);
        }
        let mut queue = lock(&controller.queue);
        let mut trust = lock(&controller.trust);
        trust.check(Instant::now())?;
        let job = loop {
            let job = queue.take(Instant::now()).ok_or_else(|| queue.next_due())?;
            if self.shards.holds(&job.key) {
                break job;
            }
            // It was, until a moment ago. Whoever has it now reconciles it, and so does this replica if it gets it back.
            queue.forget(&job.key);
            trust.forget(&job.key);
            queue.finish(&job.key, End::Done, Instant::now());
            if state.object(&duty.targets, &job.key).is_none() {
                lock(&controller.gone).insert(job.key, Instant::now());
            }
        };
        trust.begin(&job.key);
        if queue.has_more() {
            controller.wake();
        }
        drop((trust, queue));
        let mut object = state.object(&duty.targets, &job.key);
        if duty.retired {
            // It may be no target any more.
            object = object.or_else(|| state.object(&duty.finalized, &job.key));
        }
        let object = object.cloned();
        let (plugin, retired) = (Arc::clone(&duty.plugin), duty.retired);
        let (attempt, priority, waited, pulse) = (job.attempt, job.priority, job.waited, Arc::clone(pulse));
        Ok(Work { object, target: job.key, attempt, priority, waited, plugin, retired, pulse })
    }

    /// The object of some work as it is now, for a call that begins only now. What has happened to it since the work was
    /// taken is no reason for another call then.
    pub fn take_anew(&self, controller: &Controller, work: &Work) -> Option<Arc<Object>> {
        let state = self.read();
        let duty = controller.duty();
        let object = state.object(&duty.targets, &work.target).cloned();
        // Another version of the plugin is to be called all the same, and so is this one for an object that is gone.
        if object.is_some() && !duty.retired && Arc::ptr_eq(&duty.plugin, &work.plugin) {
            lock(&controller.queue).begin(&work.target);
        }
        object
    }

    /// Tells how a call has ended, and what that tells about the plugin.
    pub fn finish(&self, controller: &Arc<Controller>, work: &Work, end: End, sign: Sign) -> Ended {
        let Work { target, plugin, .. } = work;
        self.end_reads(controller, target, end);
        let state = self.read();
        let duty = controller.duty();
        let mut queue = lock(&controller.queue);
        let mut trust = lock(&controller.trust);
        let again = queue.finish(target, end, Instant::now());
        // Forgotten during its call, or called only once, an object is not remembered because of it.
        let sign = if sign == Sign::Breaks && again.is_none() { Sign::Nothing } else { sign };
        let (mut turn, mut fallback) = (None, None);
        let all_called = self.has_called_all(&state, &duty, &queue);
        if Arc::ptr_eq(&duty.plugin, plugin) {
            turn = trust.end(work, sign, all_called, Instant::now());
            fallback = trust.take_fallback(all_called);
        } else {
            trust.end_of_before(target, sign, all_called);
        }
        let pause = trust.pause();
        let (idle, has_more) = (queue.is_idle() || pause.is_some(), queue.has_more());
        drop((trust, queue, state));
        if has_more {
            controller.wake();
        }
        if idle {
            self.progressed.notify_waiters();
        }
        let back_to = fallback.filter(|fallback| self.go_back(controller, plugin, fallback));
        Ended { again, pause, turn, back_to }
    }

    /// Whether the plugin has been called for every object that is this replica's.
    fn has_called_all(&self, state: &State, duty: &Duty, queue: &Queue) -> bool {
        queue.is_idle() && self.shards.holds_any() && !duty.targets.iter().any(|watch| state.is_starting(watch))
    }

    /// Has the version in force trusted, if it has proved itself by now.
    fn judge(&self, state: &State, controller: &Controller) {
        let all_called = self.has_called_all(state, &controller.duty(), &lock(&controller.queue));
        lock(&controller.trust).judge(all_called);
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_starting(&self, watch: &Selection) -> bool {
        self.watches.get(watch).is_some_and(|watched| watched.status == Status::Starting)
    }

    /// An object as the first of these watches that has it has it.
    fn object(&self, watches: &[Arc<Selection>], target: &ObjectRef) -> Option<&Arc<Object>> {
        let of_kind = watches.iter().filter(|watch| watch.gvk == target.gvk);
        of_kind.filter_map(|watch| self.watches.get(watch)).find_map(|watched| watched.cache.get(&target.key))
    }

    /// Wakes objects because something else has changed, where they are there to be woken: one that is not there yet, or
    /// not any more, has its own events.
    fn wake(&self, wakes: Vec<Wake>) {
        for wake in wakes {
            match wake {
                Wake::Target(controller, target) => {
                    if self.object(&controller.duty().targets, &target).is_some() {
                        controller.add(&target, Priority::Live);
                    }
                }
                Wake::Finalized(controller, target) => self.wake_one_finalized(&controller, &target),
                Wake::Owner(controller, namespace, owner) => {
                    for watch in controller.duty().targets.iter().filter(|watch| watch.gvk.is_same_kind(&owner.gvk)) {
                        let Some(watched) = self.watches.get(watch) else { continue };
                        let namespaced = watched.kind.as_ref().is_some_and(|kind| kind.namespaced);
                        let key = ObjectKey::new(namespace.as_deref().filter(|_| namespaced), &owner.name);
                        if watched.cache.get(&key).is_some_and(|object| object.uid == owner.uid) {
                            controller.add(&ObjectRef { gvk: watch.gvk.clone(), key }, Priority::Live);
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
