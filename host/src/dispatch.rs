//! Brings what changes to the plugins that follow it: from a source into the cache, from there into every queue.
//!
//! One lock orders it all. An event is put in the cache and in the queues as one step, and an object is taken from a
//! queue and from the cache as one step, so that a plugin is never called twice for the same version of an object, nor
//! once too few. No guest runs, and nothing waits, while the lock is held.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::cache::{Cache, Event};
use crate::object::{Object, ObjectKey};
use crate::plugin::Plugin;
use crate::queue::{End, Priority, Queue};

/// The cache, and the queues of all plugins.
#[derive(Debug, Default)]
pub struct Dispatch {
    state: RwLock<State>,
    /// A queue has become idle, or a list complete.
    progressed: Notify,
}

#[derive(Debug, Default)]
struct State {
    cache: Cache,
    controllers: BTreeMap<Arc<str>, Arc<Controller>>,
}

/// A plugin at work: the version in force, and its queue.
#[derive(Debug)]
pub struct Controller {
    /// The plugin's name, which stays the same over its versions.
    pub name: Arc<str>,
    /// Cancelled when the plugin is to stop: what is in its queue is dropped.
    pub stop: CancellationToken,
    plugin: Mutex<Arc<Plugin>>,
    queue: Mutex<Queue>,
    woken: Notify,
}

/// An object to reconcile, as it is now, and the version of the plugin that is to do it.
#[derive(Debug)]
pub struct Work {
    /// Which object.
    pub key: ObjectKey,
    /// None: it is gone.
    pub object: Option<Arc<Object>>,
    /// How many calls for it have failed since the last one that did not.
    pub attempt: u32,
    /// The version in force.
    pub plugin: Arc<Plugin>,
}

/// How far the work is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// A complete list has come in.
    pub listed: bool,
    /// Objects that there are.
    pub objects: usize,
    /// Plugins at work.
    pub plugins: usize,
    /// Objects that wait in queues.
    pub waiting: usize,
    /// No object waits and none is in a call.
    pub idle: bool,
}

impl Dispatch {
    /// Takes in what a source tells.
    pub fn deliver(&self, event: Event) {
        let mut state = self.write();
        let State { cache, controllers } = &mut *state;
        let completes = matches!(event, Event::InitDone);
        let priority = match event {
            Event::InitApply(_) if !cache.is_listed() => Priority::Backlog,
            _ => Priority::Live,
        };
        cache.apply(event, |key| {
            for controller in controllers.values() {
                controller.add([key], priority);
            }
        });
        drop(state);
        if completes {
            self.progressed.notify_waiters();
        }
    }

    /// Puts a plugin in force. If it replaces a version of itself, calls in flight finish on that, and every object is
    /// reconciled again. Otherwise its work begins, and is returned for somebody to do.
    pub fn put_in_force(&self, plugin: Arc<Plugin>, stop: CancellationToken) -> Option<Arc<Controller>> {
        let mut state = self.write();
        let State { cache, controllers } = &mut *state;
        match controllers.entry(Arc::clone(&plugin.name)) {
            Entry::Occupied(known) => {
                let controller = known.get();
                *lock(&controller.plugin) = plugin;
                controller.add(cache.keys(), Priority::Backlog);
                None
            }
            Entry::Vacant(place) => {
                let controller = Arc::new(Controller::new(plugin, stop));
                controller.add(cache.keys(), Priority::Backlog);
                Some(Arc::clone(place.insert(controller)))
            }
        }
    }

    /// Stops a plugin: its call in flight finishes, and no other begins.
    pub fn stop(&self, name: &str) {
        if let Some(controller) = self.write().controllers.remove(name) {
            controller.stop.cancel();
        }
        self.progressed.notify_waiters();
    }

    /// The version in force of the plugin of that name, if it is at work.
    pub fn plugin(&self, name: &str) -> Option<Arc<Plugin>> {
        self.read().controllers.get(name).map(|controller| Arc::clone(&lock(&controller.plugin)))
    }

    /// How far the work is.
    pub fn progress(&self) -> Progress {
        let state = self.read();
        let mut progress = Progress {
            listed: state.cache.is_listed(),
            objects: state.cache.len(),
            plugins: state.controllers.len(),
            waiting: 0,
            idle: true,
        };
        for controller in state.controllers.values() {
            let queue = lock(&controller.queue);
            progress.waiting += queue.len();
            progress.idle &= queue.is_idle();
        }
        progress
    }

    /// Waits until a list is complete and every queue is idle.
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

    /// Waits for the next object that the controller has to reconcile. None: it is to stop.
    pub async fn next(&self, controller: &Controller) -> Option<Work> {
        loop {
            if controller.stop.is_cancelled() {
                return None;
            }
            let due = match self.take(controller) {
                Ok(work) => return Some(work),
                Err(due) => due,
            };
            tokio::select! {
                () = controller.stop.cancelled() => {}
                () = controller.woken.notified() => {}
                () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now).into()), if due.is_some() => {}
            }
        }
    }

    /// The next object, or when there may be one.
    fn take(&self, controller: &Controller) -> Result<Work, Option<Instant>> {
        let state = self.read();
        let mut queue = lock(&controller.queue);
        let job = queue.take(Instant::now()).ok_or_else(|| queue.next_due())?;
        Ok(Work {
            object: state.cache.get(&job.key).cloned(),
            key: job.key,
            attempt: job.attempt,
            plugin: Arc::clone(&lock(&controller.plugin)),
        })
    }

    /// Tells how a call has ended. Returns the delay after which it is tried again, if it is.
    pub fn finish(&self, controller: &Controller, key: &ObjectKey, end: End) -> Option<Duration> {
        let mut queue = lock(&controller.queue);
        let delay = queue.finish(key, end, Instant::now());
        if queue.is_idle() {
            self.progressed.notify_waiters();
        }
        delay
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Controller {
    fn new(plugin: Arc<Plugin>, stop: CancellationToken) -> Self {
        Self {
            name: Arc::clone(&plugin.name),
            stop,
            plugin: Mutex::new(plugin),
            queue: Mutex::new(Queue::new(fastrand::u64(..))),
            woken: Notify::new(),
        }
    }

    fn add<'a>(&self, keys: impl IntoIterator<Item = &'a ObjectKey>, priority: Priority) {
        let mut queue = lock(&self.queue);
        for key in keys {
            queue.add(key, priority);
        }
        drop(queue);
        self.woken.notify_one();
    }
}

/// Nothing panics while it holds one of these locks; if something did, what they protect is still whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
