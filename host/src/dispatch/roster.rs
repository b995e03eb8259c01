//! Which plugins are at work, and which watches they follow.

use std::collections::BTreeSet;
use std::sync::{Arc, RwLockWriteGuard};

use tokio_util::sync::CancellationToken;

use super::controller::{Controller, Duty, lock};
use super::trust::Trust;
use super::watched::{Role, Status, Watched};
use super::{Dispatch, Order, State};
use crate::health::Heard;
use crate::object::{Object, ObjectRef};
use crate::plugin::Plugin;
use crate::queue::Priority;
use crate::selector::{Scope, Selection};

impl Dispatch {
    /// Puts a plugin in force, and returns its work. If it replaces a version of itself, calls in flight finish on that,
    /// and every object is reconciled again; watches that both have go on. Returned as well are the objects that it is not
    /// called for any more, though they have its finalizer.
    pub fn put_in_force(&self, plugin: Arc<Plugin>, stop: CancellationToken) -> (Arc<Controller>, Vec<ObjectRef>) {
        let mut state = self.write();
        let controller = Arc::clone(
            state
                .controllers
                .entry(Arc::clone(&plugin.name))
                .or_insert_with(|| Arc::new(self.new_controller(&plugin, stop))),
        );
        // What the version before has not answered as it is now tells nothing about the next one.
        let unfinished: Vec<_> = lock(&controller.queue).unfinished().cloned().collect();
        let trust = lock(&controller.trust).of_next(&controller.duty().plugin, &plugin, unfinished);
        let left = self.exchange(state, &controller, plugin, trust);
        (controller, left)
    }

    /// Puts a version in force again in place of one that breaks, as any other would be. Returns whether it is: that one
    /// may have been replaced or taken away meanwhile.
    pub(super) fn go_back(&self, controller: &Arc<Controller>, from: &Arc<Plugin>, to: &Arc<Plugin>) -> bool {
        let state = self.write();
        let duty = controller.duty();
        if !Arc::ptr_eq(&duty.plugin, from) || duty.retired || controller.stop.is_cancelled() {
            return false;
        }
        // No finalizer is left on anything: it would not be gone back to.
        self.exchange(state, controller, Arc::clone(to), Trust::proved());
        true
    }

    /// Has a controller's work done by that version from here on. Returns the objects that it is not called for any more,
    /// though they have its finalizer.
    fn exchange(
        &self,
        mut state: RwLockWriteGuard<'_, State>,
        controller: &Arc<Controller>,
        plugin: Arc<Plugin>,
        trust: Trust,
    ) -> Vec<ObjectRef> {
        let targets: Vec<_> =
            plugin.watches.iter().filter_map(|watch| self.scope.narrow(watch)).map(Arc::new).collect();
        let everywhere = Scope { namespace: self.scope.namespace.clone(), ..Scope::default() };
        let owned: Vec<_> = plugin.owns.iter().filter_map(|watch| everywhere.narrow(watch)).map(Arc::new).collect();
        let unselective =
            |watch: &Selection| Selection { namespace: watch.namespace.clone(), ..Selection::all(watch.gvk.clone()) };
        let whole = plugin.watches.iter().filter(|_| plugin.finalizer.is_some()).map(unselective);
        let finalized = whole.filter_map(|watch| self.scope.narrow(&watch)).map(Arc::new);
        let finalized: Vec<_> = finalized.filter(|watch| !targets.contains(watch)).collect();

        let before = controller.duty();
        // Another account has to be asked about first.
        let same_account = before.plugin.grant.service_account == plugin.grant.service_account;
        let may_read = |read: &&Arc<Selection>| same_account && plugin.grant.grants_reading(&read.gvk);
        let reads = before.reads.iter().filter(may_read).cloned().collect();
        let duty = Duty { targets, owned, finalized, reads, ..Duty::new(plugin) };
        controller.replace_duty(duty.clone(), trust);

        for (watch, role) in duty.roles() {
            self.follow(&mut state, watch, controller, role);
        }
        let stays: Vec<_> = duty.roles().collect();
        let gone: Vec<_> = state
            .followed_by(controller)
            .filter(|(watch, role)| !stays.iter().any(|(kept, kept_role)| *kept == watch && kept_role == role))
            .collect();
        let mut left: Vec<(ObjectRef, Arc<Object>)> = Vec::new();
        for (watch, role) in gone {
            left.extend(state.unfollow(&watch, controller, role));
        }
        left.retain(|(target, _)| state.object(&duty.targets, target).is_none());
        let unread: Vec<_> = left.iter().flat_map(|(target, _)| controller.forget(target)).collect();
        state.stop_reading(controller, &unread);
        controller.release();
        for watch in &duty.targets {
            if let Some(watched) = state.watches.get(watch) {
                controller.add_all(&watch.gvk, watched.cache.objects(), Priority::Backlog, |_| true);
            }
        }
        state.wake_finalized(controller);
        drop(state);
        // Those that wait for a watch that is no more.
        self.progressed.notify_waiters();
        let is_looked_after = |target: &ObjectRef| {
            duty.finalized.iter().any(|watch| watch.gvk == target.gvk && watch.has_place_for(&target.key))
        };
        left.retain(|(target, object)| duty.has_left(&target.gvk, object) && !is_looked_after(target));
        left.into_iter().map(|(target, _)| target).collect()
    }

    fn new_controller(&self, plugin: &Arc<Plugin>, stop: CancellationToken) -> Controller {
        Controller::new(Duty::new(Arc::clone(plugin)), Arc::clone(&self.shards), stop)
    }

    /// Has the controller follow a watch, and the watch started if it is the first.
    pub(super) fn follow(&self, state: &mut State, watch: &Arc<Selection>, controller: &Arc<Controller>, role: Role) {
        let watched = state.watches.entry(Arc::clone(watch)).or_insert_with(|| {
            let (heard, stop) = (Arc::<Heard>::default(), CancellationToken::new());
            let order = Order { selection: Arc::clone(watch), heard: Arc::clone(&heard), stop: stop.clone() };
            // Without somebody to take the order, the host is ending.
            let _ = self.orders.send(order);
            Watched::new(heard, stop)
        });
        watched.add_follower(controller, role);
    }

    /// Stops a plugin: its calls in flight finish, and no other begins. Watches that nobody else follows are stopped.
    pub fn stop(&self, name: &str) {
        let mut state = self.write();
        if let Some(controller) = state.controllers.remove(name) {
            controller.stop.cancel();
            let followed: Vec<_> = state.followed_by(&controller).collect();
            for (watch, role) in followed {
                state.unfollow(&watch, &controller, role);
            }
        }
        drop(state);
        self.progressed.notify_waiters();
    }

    /// Stops a plugin. If it leaves its finalizer behind on objects, these are returned, and go on being looked after.
    pub fn retire(&self, name: &str) -> Option<(Box<str>, Vec<ObjectRef>)> {
        let left = self.leave_behind(name);
        if left.is_none() {
            self.stop(name);
        }
        left
    }

    fn leave_behind(&self, name: &str) -> Option<(Box<str>, Vec<ObjectRef>)> {
        let state = self.write();
        let controller = state.controllers.get(name)?;
        let duty = controller.duty();
        let (finalizer, holders) = state.finalizer_holders(&duty)?;
        controller.replace_duty(Duty { retired: true, ..Duty::clone(&duty) }, Trust::default());
        for holder in &holders {
            controller.add(holder, Priority::Backlog);
        }
        Some((finalizer, holders.into_iter().collect()))
    }

    /// The finalizer of the version in force of a plugin, and the objects that have it, if there are any.
    pub fn finalizer_holders(&self, name: &str) -> Option<(Box<str>, Vec<ObjectRef>)> {
        let state = self.read();
        let (finalizer, holders) = state.finalizer_holders(&state.controllers.get(name)?.duty())?;
        Some((finalizer, holders.into_iter().collect()))
    }

    /// The version in force of the plugin of that name, if it is at work.
    pub fn plugin(&self, name: &str) -> Option<Arc<Plugin>> {
        let state = self.read();
        let duty = state.controllers.get(name)?.duty();
        (!duty.retired).then(|| Arc::clone(&duty.plugin))
    }
}

impl State {
    /// What has the finalizer of a plugin and is no target of it any more, as far as that can be told by now.
    pub(super) fn wake_finalized(&self, controller: &Arc<Controller>) {
        let duty = controller.duty();
        for watch in &duty.finalized {
            let objects = self.watches.get(watch).into_iter().flat_map(|watched| watched.cache.objects());
            for object in objects.filter(|object| duty.has_left(&watch.gvk, object)) {
                self.wake_one_finalized(controller, &ObjectRef { gvk: watch.gvk.clone(), key: object.key.clone() });
            }
        }
    }

    pub(super) fn wake_one_finalized(&self, controller: &Arc<Controller>, target: &ObjectRef) {
        let duty = controller.duty();
        let mut of_kind = duty.targets.iter().filter(|watch| watch.gvk == target.gvk);
        let is_listed =
            |watch: &Arc<Selection>| self.watches.get(watch).is_some_and(|watched| watched.status == Status::Listed);
        if of_kind.all(is_listed) && self.object(&duty.targets, target).is_none() {
            controller.add(target, Priority::Backlog);
        }
    }

    fn finalizer_holders(&self, duty: &Duty) -> Option<(Box<str>, BTreeSet<ObjectRef>)> {
        let finalizer = duty.plugin.finalizer.clone()?;
        let mut holders = BTreeSet::new();
        // What lost its labels may have it still.
        for watch in duty.targets.iter().chain(&duty.finalized) {
            let objects = self.watches.get(watch).into_iter().flat_map(|watched| watched.cache.objects());
            let held = objects.filter(|object| object.has_finalizer(&finalizer));
            holders.extend(held.map(|object| ObjectRef { gvk: watch.gvk.clone(), key: object.key.clone() }));
        }
        (!holders.is_empty()).then_some((finalizer, holders))
    }

    fn followed_by(&self, controller: &Arc<Controller>) -> impl Iterator<Item = (Arc<Selection>, Role)> {
        self.watches.iter().flat_map(|(watch, watched)| {
            let mine = watched.followers.iter().filter(|(follower, _)| Arc::ptr_eq(follower, controller));
            mine.map(|(_, role)| (Arc::clone(watch), *role))
        })
    }

    /// Stops the watch if nobody else follows it. Returns the objects that the controller was called for because of it.
    pub(super) fn unfollow(
        &mut self,
        watch: &Arc<Selection>,
        controller: &Arc<Controller>,
        role: Role,
    ) -> Vec<(ObjectRef, Arc<Object>)> {
        let Some(watched) = self.watches.get_mut(watch) else { return Vec::new() };
        watched.followers.retain(|(follower, had)| !(Arc::ptr_eq(follower, controller) && *had == role));
        let target =
            |object: &Arc<Object>| (ObjectRef { gvk: watch.gvk.clone(), key: object.key.clone() }, Arc::clone(object));
        let left = if role == Role::Target { watched.cache.objects().map(target).collect() } else { Vec::new() };
        if watched.followers.is_empty() {
            watched.stop.cancel();
            self.watches.remove(watch);
        }
        left
    }
}
