//! Puts plugins in force as they are loaded, with workers for each.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Instant;

use tokio::sync::{SetOnce, mpsc};
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admission;
use crate::dispatch::Controller;
use crate::metrics::ReloadResult;
use crate::object::ObjectRef;
use crate::plugin::{Change, Plugin};
use crate::tasks::Tasks;
use crate::text;
use crate::worker::{Repeat, Workshop};

/// Puts plugins in force as they are loaded, with workers for each.
pub struct Supervisor {
    workshop: Arc<Workshop>,
    tasks: Tasks,
    stop: CancellationToken,
    /// Set when the plugins that were there at the start are at work.
    started: Arc<SetOnce<()>>,
    staffs: HashMap<Arc<str>, Staff>,
    /// Plugins that wait for the rights of the accounts that they are to act as.
    candidates: HashMap<Arc<str>, AbortHandle>,
    admissions: JoinSet<(Arc<Plugin>, Result<(), String>)>,
    /// Plugins that are gone, told when their last call has ended.
    leaving: JoinSet<Arc<str>>,
}

/// The workers of a controller.
struct Staff {
    controller: Weak<Controller>,
    workers: usize,
    at_work: TaskTracker,
    /// The workers of the controller that it took the place of, which finish first.
    before: TaskTracker,
}

impl Default for Staff {
    fn default() -> Self {
        let nobody = TaskTracker::new();
        nobody.close();
        Self { controller: Weak::new(), workers: 0, at_work: nobody.clone(), before: nobody }
    }
}

impl Supervisor {
    /// Its workers are among the `tasks`, and end after `stop`.
    pub fn new(workshop: Workshop, tasks: Tasks, stop: CancellationToken) -> Self {
        Self {
            workshop: Arc::new(workshop),
            tasks,
            stop,
            started: Arc::default(),
            staffs: HashMap::new(),
            candidates: HashMap::new(),
            admissions: JoinSet::new(),
            leaving: JoinSet::new(),
        }
    }

    /// Set when the plugins that were there at the start are at work, or refused.
    pub fn started(&self) -> Arc<SetOnce<()>> {
        Arc::clone(&self.started)
    }

    /// Does what the changes say, until there are no more.
    pub async fn follow(mut self, mut changes: mpsc::Receiver<Change>) -> anyhow::Result<()> {
        let mut all_loaded = false;
        loop {
            // Run once, there is no later for a plugin that waits.
            if all_loaded && (self.candidates.is_empty() || self.workshop.repeat == Repeat::AsAsked) {
                // It is set once.
                let _ = self.started.set(());
            }
            tokio::select! {
                change = changes.recv() => match change {
                    Some(Change::Started) => all_loaded = true,
                    Some(change) => self.heed(change),
                    None => return Ok(()),
                },
                Some(admitted) = self.admissions.join_next_with_id() => match admitted {
                    // Another version may have come meanwhile.
                    Ok((id, (plugin, _))) if self.candidates.get(&plugin.name).is_none_or(|of| of.id() != id) => {}
                    Ok((_, (plugin, result))) => {
                        self.candidates.remove(&plugin.name);
                        match result {
                            Ok(()) => self.put_in_force(plugin),
                            Err(reason) => self.refuse(&plugin.name, "it", &reason),
                        }
                    }
                    Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                    // It was replaced by another version.
                    Err(_) => {}
                },
                // It only waits, and so it does not fail.
                Some(Ok(name)) = self.leaving.join_next() => self.forget(&name),
            }
        }
    }

    fn heed(&mut self, change: Change) {
        match change {
            Change::Loaded(plugin) => self.admit(plugin),
            Change::Removed(name) => self.remove(&name),
            Change::Restored(name) => self.workshop.metrics.restored(&name),
            Change::Failed { name, path, reason } => self.refuse(&name, &path.display().to_string(), &reason),
            Change::Started => {}
        }
    }

    fn refuse(&self, name: &Arc<str>, what: &str, reason: &str) {
        let consequence = match self.workshop.dispatch.plugin(name) {
            Some(plugin) => format!("version {:.12} stays in force", plugin.digest),
            None => "there is no other version of it".to_owned(),
        };
        let reason = text::cut(reason);
        self.workshop.tally.count_refused_plugin();
        self.workshop.metrics.reload(name, ReloadResult::refused);
        self.workshop.journals.of(name).refused(&reason, Instant::now());
        tracing::error!(plugin = &**name, "{what} is refused, {consequence}: {reason}");
    }

    /// Puts a plugin in force, as soon as the account that it is to act as may read what it is called for.
    fn admit(&mut self, plugin: Arc<Plugin>) {
        if let Some(candidate) = self.candidates.remove(&plugin.name) {
            candidate.abort();
        }
        if plugin.grant.service_account.is_none() {
            return self.put_in_force(plugin);
        }
        let workshop = Arc::clone(&self.workshop);
        let name = Arc::clone(&plugin.name);
        let candidate = self.admissions.spawn(async move {
            let admitted = admission::wait(&workshop, &plugin).await;
            (plugin, admitted)
        });
        self.candidates.insert(name, candidate);
    }

    fn put_in_force(&mut self, plugin: Arc<Plugin>) {
        let (name, digest, before) =
            (Arc::clone(&plugin.name), plugin.digest, self.workshop.dispatch.plugin(&plugin.name));
        let left = self.workshop.dispatch.finalizer_holders(&name);
        if let Some((finalizer, holders)) = left.filter(|(finalizer, _)| plugin.finalizer.as_ref() != Some(finalizer)) {
            tracing::warn!(
                plugin = &*name,
                "the version before had the finalizer {finalizer}, which is still on {}, and which the new one does not \
                 take away; a plugin's finalizer has to stay the same",
                some_of(&holders),
            );
        }
        // It may be rolled back as soon as it is in force.
        self.workshop.metrics.reload(&name, ReloadResult::loaded);
        self.workshop.journals.of(&name).loaded(digest, Instant::now());
        let (controller, left) = self.workshop.dispatch.put_in_force(Arc::clone(&plugin), self.stop.child_token());
        if let (Some(finalizer), false) = (&plugin.finalizer, left.is_empty()) {
            tracing::warn!(
                plugin = &*name,
                "it is not called for {} any more, which have its finalizer {finalizer} and cannot be deleted with it: \
                 widen its watches again, or take the finalizer from them",
                some_of(&left),
            );
        }
        let consequence = match before {
            None => "",
            Some(before) if before.digest == digest => " with another grant file, every object is reconciled again",
            Some(_) => ", every object is reconciled again",
        };
        tracing::info!(plugin = &*name, "version {digest:.12} is in force{consequence}");
        self.staff(&controller);

        let workshop = Arc::clone(&self.workshop);
        let check = async move { admission::check_rights(&workshop, &plugin).await };
        let stop = self.stop.clone();
        self.tasks.spawn(format!("rights of plugin {name}"), async move {
            stop.run_until_cancelled(check).await;
            Ok(())
        });
    }

    /// Sees to it that there are as many workers as the operator wants calls at a time. Those too many wait.
    fn staff(&mut self, controller: &Arc<Controller>) {
        let staff = self.staffs.entry(Arc::clone(&controller.name)).or_default();
        if staff.controller.upgrade().is_some_and(|known| Arc::ptr_eq(&known, controller)) {
            // They may be at rest, and then would not let go of the code of a version that is not called.
            controller.rest_if_idle();
        } else {
            // A file that was removed and is back makes another controller, and calls for the one before may be in flight.
            staff.at_work.close();
            let (before, at_work) = (staff.at_work.clone(), TaskTracker::new());
            *staff = Staff { controller: Arc::downgrade(controller), workers: 0, at_work, before };
        }
        for number in staff.workers..controller.concurrency() {
            let (workshop, controller, before) =
                (Arc::clone(&self.workshop), Arc::clone(controller), staff.before.clone());
            let what = format!("plugin {}", controller.name);
            let work = async move {
                before.wait().await;
                workshop.work(&controller, number).await;
                Ok(())
            };
            self.tasks.spawn(what, staff.at_work.track_future(work));
        }
        staff.workers = staff.workers.max(controller.concurrency());
    }

    fn remove(&mut self, name: &Arc<str>) {
        let dispatch = &self.workshop.dispatch;
        let candidate = self.candidates.remove(name);
        let was_loaded = candidate.is_some() || dispatch.plugin(name).is_some();
        if let Some(candidate) = candidate {
            candidate.abort();
        }
        if let Some((finalizer, holders)) = dispatch.retire(name) {
            tracing::warn!(
                plugin = &**name,
                "its file is gone, and its finalizer {finalizer} is still on {}, which cannot be deleted without it. Put \
                 {name}.wasm back, or take the finalizer from them; what is being deleted and waits for it is named with \
                 the command that frees it",
                some_of(&holders),
            );
        } else {
            if was_loaded {
                tracing::info!(plugin = &**name, "stopped: its file is gone");
            }
            // What its last calls tell is told nobody.
            self.workshop.journals.forget(name);
            let at_work = self.staffs.entry(Arc::clone(name)).or_default().at_work.clone();
            at_work.close();
            let name = Arc::clone(name);
            self.leaving.spawn(async move {
                at_work.wait().await;
                name
            });
        }
    }

    /// Keeps nothing about a plugin that is gone, unless it is back, be it that it is refused.
    fn forget(&mut self, name: &Arc<str>) {
        if self.workshop.journals.get(name).is_none() {
            self.workshop.metrics.forget(name);
            self.staffs.remove(name);
        }
    }
}

/// The first of the objects, and how many there are.
fn some_of(objects: &[ObjectRef]) -> String {
    let some: Vec<_> = objects.iter().take(5).map(ObjectRef::to_string).collect();
    let more = if objects.len() > some.len() { ", ..." } else { "" };
    format!(
        "{} ({}{more})",
        if objects.len() == 1 { "1 object".to_owned() } else { format!("{} objects", objects.len()) },
        some.join(", ")
    )
}
