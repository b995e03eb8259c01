//! A watch: its cache, and who follows it.

use std::mem;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::Written;
use super::controller::{Controller, lock};
use crate::cache::{Cache, Change, Event};
use crate::health::Heard;
use crate::object::{Kind, Object, ObjectRef, Owner};
use crate::queue::Priority;
use crate::selector::Selection;

/// A watch that somebody follows.
#[derive(Debug)]
pub(super) struct Watched {
    /// None: it is not known yet.
    pub(super) kind: Option<Kind>,
    pub(super) cache: Cache,
    pub(super) status: Status,
    pub(super) followers: Vec<(Arc<Controller>, Role)>,
    /// When something was last heard of it.
    pub(super) heard: Arc<Heard>,
    /// Cancelled when nobody follows it any more.
    pub(super) stop: CancellationToken,
}

/// How far a watch is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// It has not told of anything yet.
    Starting,
    /// A complete list has come in.
    Listed,
    /// The kind is not served.
    NotServed,
    /// It is refused, for this reason.
    Refused(Box<str>),
}

/// Why somebody follows a watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// To be called for its objects.
    Target,
    /// To be called for the owners of its objects.
    Owned,
    /// To be called for the objects whose last call has read of it.
    Read,
    /// To be called for its objects that have the plugin's finalizer and are no targets any more.
    Finalized,
}

/// An object that is to be reconciled because another one has changed.
pub(super) enum Wake {
    /// This one.
    Target(Arc<Controller>, ObjectRef),
    /// This one, which has the plugin's finalizer, if it is no target.
    Finalized(Arc<Controller>, ObjectRef),
    /// The owner of an object in that namespace.
    Owner(Arc<Controller>, Option<Box<str>>, Owner),
}

impl Watched {
    pub(super) fn new(heard: Arc<Heard>, stop: CancellationToken) -> Self {
        Self { kind: None, cache: Cache::default(), status: Status::Starting, followers: Vec::new(), heard, stop }
    }

    /// Whether somebody is called for its objects.
    pub(super) fn has_targets(&self) -> bool {
        self.followers.iter().any(|(_, role)| *role == Role::Target)
    }

    /// Who follows it.
    pub(super) fn controllers(&self) -> Vec<Arc<Controller>> {
        self.followers.iter().map(|(controller, _)| Arc::clone(controller)).collect()
    }

    /// A follower that is called for its objects is to be given those that there are.
    pub(super) fn add_follower(&mut self, controller: &Arc<Controller>, role: Role) {
        if self.followers.iter().any(|(follower, had)| Arc::ptr_eq(follower, controller) && *had == role) {
            return;
        }
        if role == Role::Owned {
            self.cache.index_owners();
        }
        self.followers.push((Arc::clone(controller), role));
    }

    /// Takes in an event, and puts what follows from it in the queues, or among the wakes where it needs other watches.
    pub(super) fn apply(&mut self, selection: &Selection, event: Event, wakes: &mut Vec<Wake>) {
        let priority = match event {
            Event::InitApply(_) if !self.cache.is_listed() => Priority::Backlog,
            _ => Priority::Live,
        };
        let Self { cache, followers, .. } = self;
        cache.apply(event, |change| tell(followers, selection, change, priority, wakes));
    }

    /// A complete list has come in. Calls that were told that it cannot be read are made again.
    pub(super) fn complete(&mut self, selection: &Selection, wakes: &mut Vec<Wake>) {
        let before = mem::replace(&mut self.status, Status::Listed);
        if matches!(before, Status::NotServed | Status::Refused(_)) {
            for (controller, _) in self.followers.iter().filter(|(_, role)| *role == Role::Read) {
                let readers = lock(&controller.reads).troubled_by(selection);
                wakes.extend(readers.into_iter().map(|target| Wake::Target(Arc::clone(controller), target)));
            }
        }
    }

    /// Takes in what the host has done.
    pub(super) fn wrote(&mut self, selection: &Selection, written: &Written, wakes: &mut Vec<Wake>) {
        let Self { cache, followers, .. } = self;
        let told = |change: Change<'_>| tell(followers, selection, change, Priority::Live, wakes);
        match written {
            Written::Gone(key, uid) => cache.wrote_end(key, uid, told),
            Written::Object(object) => match selection.selects(object) {
                Some(true) => cache.wrote(object, told),
                Some(false) => cache.wrote_unselected(&object.key, &object.resource_version, told),
                // The API server knows; what was selected may well be so still.
                None if cache.get(&object.key).is_some() => cache.wrote(object, told),
                None => {}
            },
        }
    }
}

fn tell(
    followers: &[(Arc<Controller>, Role)],
    selection: &Selection,
    change: Change<'_>,
    priority: Priority,
    wakes: &mut Vec<Wake>,
) {
    let versions = || [change.before, change.after].into_iter().flatten();
    for (controller, role) in followers {
        match role {
            Role::Target => {
                let target = ObjectRef { gvk: selection.gvk.clone(), key: change.key.clone() };
                if change.after.is_some() { controller.add(&target, priority) } else { controller.add_gone(&target) }
            }
            Role::Owned => {
                let namespace = || change.key.namespace().map(Box::from);
                let owners = versions().filter_map(|object: &Object| object.owner.as_deref());
                wakes.extend(owners.map(|owner| Wake::Owner(Arc::clone(controller), namespace(), owner.clone())));
            }
            Role::Finalized => {
                let duty = controller.duty();
                if change.after.is_some_and(|object| duty.has_left(&selection.gvk, object)) {
                    let target = ObjectRef { gvk: selection.gvk.clone(), key: change.key.clone() };
                    wakes.push(Wake::Finalized(Arc::clone(controller), target));
                }
            }
            Role::Read => {
                let woken = lock(&controller.reads).woken_by(selection, change);
                wakes.extend(woken.into_iter().map(|target| Wake::Target(Arc::clone(controller), target)));
            }
        }
    }
}
