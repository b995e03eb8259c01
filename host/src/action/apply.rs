//! Does what a plugin asked for, step by step, or shows what would come of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::Instrument as _;

use super::cluster::Author;
use super::events::Events;
use super::guard::{Ask, place_of};
use super::in_memory;
use super::plan::{CHILD_OF, Draft, Note, Step};
use crate::cluster::{Trouble, explain};
use crate::diff;
use crate::dispatch::{Dispatch, Peek, Written};
use crate::grant::{Mode, ServiceAccount, Verb};
use crate::health::Pulse;
use crate::metrics::{ActionResult, Metrics};
use crate::object::{Gvk, Kind, Object, ObjectRef};
use crate::output::Output;
use crate::plugin::Plugin;
use crate::quota::{EventQuota, Publish};
use crate::shards::Shards;
use crate::source::Source;
use crate::source::manifests::Edited;
use crate::spans;
use crate::text;

/// How long a step may take. The API server gives webhooks less, and answers by then.
pub const STEP_TIME: Duration = Duration::from_secs(30);

/// Why nothing is changed on behalf of an object.
const ANOTHERS: &str = "the object is another replica's by now, which reconciles it";

/// Does what plugins ask for.
pub struct Applier {
    source: Source,
    dispatch: Arc<Dispatch>,
    output: Output,
    metrics: Arc<Metrics>,
    events: Events,
    /// Of which plugins failures are told on the objects: a worker waits for each Event.
    failures: Mutex<EventQuota<Arc<str>>>,
    /// Which objects are this replica's: nothing is changed on behalf of others.
    shards: Arc<Shards>,
    dry_run: bool,
}

/// On whose behalf something is done.
#[derive(Clone, Copy)]
pub struct Behalf<'a> {
    /// The plugin that asked for it.
    pub plugin: &'a Plugin,
    /// The object that is reconciled.
    pub target: &'a ObjectRef,
    /// As it was. None: it is gone.
    pub object: Option<&'a Object>,
    /// Is told of each step.
    pub pulse: &'a Pulse,
}

/// A step could not be done. Those after it were not tried.
#[derive(Debug, thiserror::Error)]
#[error("cannot {verb} {what}: {trouble}")]
pub struct ActionError {
    verb: Verb,
    what: String,
    /// Why.
    pub trouble: Trouble,
}

/// What was changed of objects that are watched, a line each: what keeps a plugin busy.
pub type Changes = Vec<String>;

impl Applier {
    /// What is asked for is done to what `source` is of, on behalf of objects that `shards` says are this replica's. With
    /// `dry_run`, nothing is done, and all of it shown.
    pub fn new(
        source: Source,
        (dispatch, shards): (Arc<Dispatch>, Arc<Shards>),
        output: Output,
        metrics: Arc<Metrics>,
        dry_run: bool,
    ) -> Self {
        let events = Events::new(source.clone());
        Self { source, dispatch, output, metrics, events, failures: Mutex::default(), shards, dry_run }
    }

    /// The kinds that a draft is about, as they are served.
    pub async fn kinds(&self, draft: &Draft) -> Result<BTreeMap<Gvk, Kind>, Trouble> {
        let mut kinds = BTreeMap::new();
        for gvk in draft.kinds() {
            let kind = self.source.kind(&gvk).await?;
            kinds.insert(gvk, kind);
        }
        Ok(kinds)
    }

    /// An object as it is now where objects come from, if it is of a kind that is served.
    pub async fn look_up(
        &self,
        target: &ObjectRef,
        account: Option<&ServiceAccount>,
    ) -> Result<Option<Arc<Object>>, Trouble> {
        let found = match &self.source {
            Source::Cluster(cluster) => match cluster.kind(&target.gvk).await {
                Ok(Some(kind)) => cluster.look_up(account, &kind, target).await?,
                Ok(None) => None,
                Err(error) => return Err(explain(&error).into()),
            },
            Source::Manifests(manifests) => manifests.look_up(target),
        };
        Ok(found.map(Arc::new))
    }

    /// An object that was looked for in the caches, which may be behind about what is new.
    async fn there(&self, behalf: Behalf<'_>, target: &ObjectRef, peek: &Peek) -> Result<Option<Arc<Object>>, Trouble> {
        match peek {
            Peek::Object(object) => Ok(Some(Arc::clone(object))),
            Peek::Absent | Peek::NotWatched => self.look_up(target, behalf.plugin.grant.service_account.as_ref()).await,
        }
    }

    /// Whether nothing that this plugin asks for is done.
    pub fn is_dry_run_for(&self, plugin: &Plugin) -> bool {
        self.dry_run || plugin.grant.mode == Mode::Shadow
    }

    /// Does the steps in their order, up to one that fails. All of them have been checked.
    pub async fn carry_out(&self, behalf: Behalf<'_>, steps: &[Step]) -> Result<Changes, ActionError> {
        let mut changes = Changes::new();
        for step in steps {
            let span = spans::action(step.verb().as_str(), step.target().unwrap_or(behalf.target));
            let done = self.step_in_time(behalf, step, &mut changes).instrument(span.clone()).await;
            if let Err(trouble) = &done {
                spans::failed(&span, trouble);
            }
            drop(span);
            let result = match &done {
                Ok(()) if self.is_dry_run_for(behalf.plugin) => ActionResult::dry_run,
                Ok(()) => ActionResult::done,
                Err(_) => ActionResult::failed,
            };
            self.metrics.action(&behalf.plugin.name, step.verb().as_str(), result);
            done.map_err(|trouble| {
                let about = step.target().unwrap_or(behalf.target);
                ActionError { verb: step.verb(), what: about.to_string(), trouble }
            })?;
        }
        Ok(changes)
    }

    /// Does a step for as long as the object that it is done for is this replica's.
    async fn step_in_time(&self, behalf: Behalf<'_>, step: &Step, changes: &mut Changes) -> Result<(), Trouble> {
        let Some(pass) = self.shards.enter(behalf.target) else {
            return Err(ANOTHERS.to_owned().into());
        };
        let time = pass.left().map_or(STEP_TIME, |left| left.min(STEP_TIME));
        behalf.pulse.begin(behalf.target, "a change", time, Instant::now());
        let done = tokio::time::timeout(time, self.step(behalf, step, changes)).await;
        done.unwrap_or_else(|_| Err(format!("there was no answer in {} s", time.as_secs()).into()))
    }

    async fn step(&self, behalf: Behalf<'_>, step: &Step, changes: &mut Changes) -> Result<(), Trouble> {
        if let Step::Event(note) = step {
            return self.note(behalf, note).await;
        }
        let about = step.target().unwrap_or(behalf.target);
        let kind = self.source.kind(&about.gvk).await?;
        let before = self.dispatch.peek(about);
        if let Step::Apply { body, .. } = step
            && is_child(body)
            && let Some(there) = self.there(behalf, about, &before).await?
        {
            may_adopt(&there, &behalf.plugin.name, behalf.target)?;
        }
        let dry_run = self.is_dry_run_for(behalf.plugin);
        let written = match &self.source {
            Source::Cluster(cluster) => {
                let author = Author {
                    name: &behalf.plugin.name,
                    account: behalf.plugin.grant.service_account.as_ref(),
                    force: may_force(behalf, step),
                    dry_run,
                };
                if dry_run {
                    let (before, after) = cluster.try_out(author, &kind, about, step).await?;
                    self.show(behalf, about, before.as_deref(), after.as_deref()).await;
                    return Ok(());
                }
                // The process may have been stopped since, for longer than the time that there was.
                if !self.shards.holds(behalf.target) {
                    return Err(ANOTHERS.to_owned().into());
                }
                cluster.carry_out(author, &kind, about, step).await?.into_iter().collect()
            }
            Source::Manifests(manifests) => {
                let force = may_force(behalf, step);
                let Some(edit) = in_memory::edit(step, &behalf.plugin.name, force) else { return Ok(()) };
                let mut written = Vec::new();
                for Edited { target, before, after } in manifests.edit(about, edit, dry_run)? {
                    let text = after.as_ref().map(|object| object.json.text());
                    self.show(behalf, &target, before.as_deref(), text.as_deref()).await;
                    written.extend(in_memory::written(&target, before.as_deref(), after));
                }
                if dry_run {
                    return Ok(());
                }
                written
            }
        };
        for (gvk, written) in &written {
            self.dispatch.wrote(gvk, written);
        }
        if !matches!(step, Step::Finalizers(..))
            && let Some((_, written)) = written.first()
        {
            changes.extend(change(about, &before, written));
        }
        Ok(())
    }

    /// Shows what an action would change, or has changed.
    async fn show(&self, behalf: Behalf<'_>, about: &ObjectRef, before: Option<&str>, after: Option<&str>) {
        let by = if self.is_dry_run_for(behalf.plugin) { "as %s would have it" } else { "by %s" };
        let by = by.replace("%s", &behalf.plugin.name);
        let title = format!("{} {} ({by})", about.gvk, about.key);
        if let Some(text) = diff::unified(&title, before, after) {
            self.output.print(text.into_bytes()).await;
        }
    }

    /// Publishes an Event of the plugin's about the object that is reconciled.
    async fn note(&self, behalf: Behalf<'_>, note: &Note) -> Result<(), Trouble> {
        if self.is_dry_run_for(behalf.plugin) || matches!(self.source, Source::Manifests(_)) {
            let kind = if note.warning { "Warning" } else { "Normal" };
            let said = format!("Event {kind} {} {}: {}", note.reason, behalf.target, note.note);
            let line = format!("{}\n", text::one_line(&said));
            self.output.print(line.into_bytes()).await;
            return Ok(());
        }
        let account = behalf.plugin.grant.service_account.as_ref();
        self.publish(behalf, account, note).await;
        Ok(())
    }

    /// Publishes an Event. That it could not be published is only logged: an Event is for people, and nothing may hang
    /// on it. In a namespace that is being deleted, say, there can be no new ones.
    async fn publish(&self, behalf: Behalf<'_>, account: Option<&ServiceAccount>, note: &Note) {
        let Behalf { plugin, target, object, .. } = behalf;
        if !self.shards.holds(target) {
            return;
        }
        if let Err(error) = self.events.publish(&plugin.name, account, target, object, note).await {
            let (kind, object) = (target.gvk.kind(), &target.key);
            tracing::warn!(plugin = &*plugin.name, kind, %object, "cannot publish the Event {}: {error}", note.reason);
        }
    }

    /// Publishes a warning of the host's about an object that a plugin reconciles.
    pub async fn warn(&self, behalf: Behalf<'_>, reason: &str, note: String) {
        if matches!(self.source, Source::Manifests(_)) || self.dry_run {
            return;
        }
        let note = Note { reason: reason.to_owned(), note, warning: true };
        behalf.pulse.begin(behalf.target, "an Event", STEP_TIME, Instant::now());
        // If there is no answer, it is done without.
        let _ = tokio::time::timeout(STEP_TIME, self.publish(behalf, None, &note)).await;
    }

    /// The same of a failure. A plugin that fails for many objects is told of on some of them: its worker waits for each.
    pub async fn warn_of_failure(&self, behalf: Behalf<'_>, note: String) {
        let plugin = Arc::clone(&behalf.plugin.name);
        let publish = self.failures.lock().unwrap_or_else(PoisonError::into_inner).publish(plugin, Instant::now());
        if publish == Publish::Yes {
            self.warn(behalf, "ReconcileFailed", note).await;
        }
    }
}

/// Whether a plugin wants to have this as a child.
pub fn is_child(body: &serde_json::Map<String, serde_json::Value>) -> bool {
    let annotations = body.get("metadata").and_then(|metadata| metadata.get("annotations"));
    annotations.is_some_and(|annotations| annotations.get(CHILD_OF).is_some())
}

/// Whether what is there already may become, or is, a child of that owner, as that plugin has it. One of an earlier object
/// of that name may.
pub fn may_adopt(there: &Object, plugin: &str, owner: &ObjectRef) -> Result<(), String> {
    let whose = match &there.owner {
        Some(had) if *had.name == *owner.key.name() && had.gvk.is_same_kind(&owner.gvk) => return Ok(()),
        Some(other) => format!("a child of {} {}", other.gvk.kind(), other.name),
        None if there.annotations().get(CHILD_OF).is_some_and(|of| **of == *plugin) => return Ok(()),
        None => "nobody's child".to_owned(),
    };
    Err(format!("it is there already, and {whose}: it is left alone. Delete it, or name the child otherwise"))
}

/// Whether an apply may take fields over from others.
fn may_force(behalf: Behalf<'_>, step: &Step) -> bool {
    let Step::Apply { target, .. } = step else { return false };
    let ask = Ask::of(behalf.plugin, behalf.target);
    ask.may(step.verb(), &target.gvk, place_of(target), None).unwrap_or(false)
}

/// What was changed of an object, if it is one that is watched, and if anything was.
fn change(about: &ObjectRef, before: &Peek, written: &Written) -> Option<String> {
    match (before, written) {
        (Peek::NotWatched, _) | (Peek::Absent, Written::Gone(..)) => None,
        (Peek::Absent, Written::Object(_)) => Some(format!("{about}: created")),
        (Peek::Object(_), Written::Gone(..)) => Some(format!("{about}: deleted")),
        (Peek::Object(before), Written::Object(after)) if before.is_same_version(after) => None,
        (Peek::Object(before), Written::Object(after)) => {
            let fields = diff::changed_fields(&before.json.text(), &after.json.text());
            let fields: Vec<_> = fields.iter().take(5).map(ToString::to_string).collect();
            (!fields.is_empty()).then(|| format!("{about}: {}", fields.join(", ")))
        }
    }
}
