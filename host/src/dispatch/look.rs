//! What is in the caches, for calls and for what is done after them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::controller::{Controller, lock};
use super::watched::{Role, Status};
use super::{Dispatch, State};
use crate::cache::Cache;
use crate::object::{Object, ObjectRef, Uid};
use crate::plugin::Plugin;
use crate::queue::End;
use crate::reads::{Read, What};
use crate::selector::Selection;

/// What the caches have of an object.
#[derive(Debug)]
pub enum Peek {
    /// Nothing: it may be there, and not selected by any watch.
    NotWatched,
    /// There is none: it would be in a cache, and is not.
    Absent,
    /// This.
    Object(Arc<Object>),
}

impl Dispatch {
    /// An object that the plugin is called for, as it is now.
    pub fn target(&self, target: &ObjectRef, plugin: &Plugin) -> Option<Arc<Object>> {
        let state = self.read();
        let controller = state.controllers.get(&plugin.name)?;
        state.object(&controller.duty().targets, target).cloned()
    }

    /// The objects that are controlled by the owner with this uid, among those that the plugin owns.
    pub fn owned_by(&self, controller: &Controller, uid: &Uid) -> Vec<(ObjectRef, Arc<Object>)> {
        let state = self.read();
        let mut owned = BTreeMap::new();
        for watch in &controller.duty().owned {
            for object in state.watches.get(watch).into_iter().flat_map(|watched| watched.cache.owned_by(uid)) {
                let target = ObjectRef { gvk: watch.gvk.clone(), key: object.key.clone() };
                owned.entry(target).or_insert_with(|| Arc::clone(object));
            }
        }
        owned.into_iter().collect()
    }

    /// An object as it is in any of the caches.
    pub fn peek(&self, target: &ObjectRef) -> Peek {
        let state = self.read();
        let mut peek = Peek::NotWatched;
        for (watch, watched) in state.watches.iter().filter(|(watch, _)| watch.gvk == target.gvk) {
            if let Some(object) = watched.cache.get(&target.key) {
                return Peek::Object(Arc::clone(object));
            }
            if watched.status == Status::Listed && watch.selects_whatever_is(&target.key) {
                peek = Peek::Absent;
            }
        }
        peek
    }

    /// Whether a plugin is to be called for an object, as far as the caches and the object itself tell.
    pub fn selects(&self, plugin: &Plugin, target: &ObjectRef, object: &Object) -> bool {
        let state = self.read();
        state.controllers.get(&plugin.name).is_some_and(|controller| {
            let duty = controller.duty();
            state.object(&duty.targets, target).is_some() || duty.selects(&target.gvk, object)
        })
    }

    /// Has the controller follow a watch that a call of that version wants to read. An error says why it does not.
    pub fn follow_to_read(
        &self,
        controller: &Arc<Controller>,
        plugin: &Plugin,
        watch: &Arc<Selection>,
    ) -> Result<(), String> {
        let mut state = self.write();
        // What one account may read is no matter of another one's.
        let same_account = controller.duty().plugin.grant.service_account == plugin.grant.service_account;
        if controller.stop.is_cancelled() || !same_account {
            return Err("the plugin is being replaced".to_owned());
        }
        if controller.add_read(watch)? {
            self.follow(&mut state, watch, controller, Role::Read);
        }
        Ok(())
    }

    /// Waits until a watch has told what there is, and reads from it. The call for `target` is noted as a reader, so
    /// that a change wakes it. An error says why there is nothing to be read.
    pub async fn read_watch<T>(
        &self,
        controller: &Arc<Controller>,
        (plugin, target): (&Plugin, &ObjectRef),
        watch: &Arc<Selection>,
        what: What,
        read: impl Fn(&Cache) -> T,
    ) -> Result<T, String> {
        loop {
            let progressed = self.progressed.notified();
            tokio::pin!(progressed);
            progressed.as_mut().enable();
            let followed = {
                let state = self.read();
                let watched = state.watches.get(watch).filter(|_| controller.reads(watch));
                if let Some(watched) = watched {
                    let note = |what| lock(&controller.reads).note(target, Read { watch: Arc::clone(watch), what });
                    // Also that there is nothing to be read: the object is woken when there is.
                    note(what.clone());
                    let trouble = match &watched.status {
                        Status::Starting => None,
                        Status::NotServed => Some(format!("the API server does not serve {}", watch.gvk)),
                        Status::Refused(reason) => Some(format!("cannot watch {watch}: {reason}")),
                        Status::Listed => return Ok(read(&watched.cache)),
                    };
                    if let Some(trouble) = trouble {
                        note(What::Trouble);
                        return Err(trouble);
                    }
                }
                watched.is_some()
            };
            if followed {
                progressed.await;
            } else {
                // Nobody was reading from it any more, a moment ago.
                self.follow_to_read(controller, plugin, watch)?;
            }
        }
    }

    /// What the call has not read again does not wake the object any more, nor anything if there will be no more calls.
    pub(super) fn end_reads(&self, controller: &Arc<Controller>, target: &ObjectRef, end: End) {
        // Most plugins read nothing.
        if lock(&controller.reads).is_empty() {
            return;
        }
        let is_gone = matches!(end, End::Done) && self.read().object(&controller.duty().targets, target).is_none();
        let failed = matches!(end, End::Retry { .. } | End::Terminal);
        let mut reads = lock(&controller.reads);
        // Of an object that is not this replica's, nobody would look after what was read.
        let is_over = is_gone || !self.shards.holds(target);
        let unread = if is_over { reads.forget(target) } else { reads.end_call(target, failed) };
        drop(reads);
        if !unread.is_empty() {
            self.write().stop_reading(controller, &unread);
        }
    }
}

impl State {
    /// Has the controller follow those of the watches no more that none of its objects has read from.
    pub(super) fn stop_reading(&mut self, controller: &Arc<Controller>, watches: &[Arc<Selection>]) {
        for watch in watches {
            if !lock(&controller.reads).has_readers(watch) && controller.remove_read(watch) {
                self.unfollow(watch, controller, Role::Read);
            }
        }
    }
}
