//! A call, from the objects that it is given to what it comes to.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use super::given::Given;
use super::guest_log::GuestLog;
use super::ms;
use super::reads::GivenReader;
use super::shape::{CallFigures, Called};
use crate::action::apply::{is_child, may_adopt};
use crate::action::guard::{Ask, Denied};
use crate::action::in_memory;
use crate::action::plan::{Draft, Invalid, Step};
use crate::diff::{self, FieldChange};
use crate::object::{Object, ObjectRef, Uid};
use crate::plugin::{Answer, Caller, Outcome, Plugin, Reader, ReconcileId, Request};
use crate::recording::{CallResult, Change, Ending, lines};
use crate::source::manifests::{Edited, Manifests};

/// Calls a plugin on the objects that are given.
pub struct Trial {
    plugin: Arc<Plugin>,
    given: Given,
    log: GuestLog,
    caller: Caller,
}

/// Why a call did not end well.
type Ended = (Ending, String);

impl Trial {
    /// Of that plugin, which may log.
    pub fn new(plugin: Arc<Plugin>, given: Given, log: GuestLog) -> Self {
        // What it logged when it was loaded it logs again in the first call.
        log.take();
        Self { plugin, given, log, caller: Caller::default() }
    }

    /// Calls the plugin for one of the objects as it was given, or as if it was gone. No call changes anything for another.
    pub async fn call(&mut self, target: &ObjectRef, gone: bool) -> Called {
        let world = Arc::new(self.given.world(gone.then_some(target)));
        let mut called = Called {
            result: CallResult { call: target.to_string(), gone, ..CallResult::default() },
            log: Vec::new(),
            stderr: Vec::new(),
            figures: CallFigures::default(),
        };
        if let Err((ending, reason)) = self.reconcile(target, &world, &mut called).await {
            called.result.result = ending;
            called.result.reason = Some(reason);
            called.result.changes.clear();
        }
        called
    }

    /// What a worker does for an object: hold, call, guard, act, let go.
    async fn reconcile(
        &mut self,
        target: &ObjectRef,
        world: &Arc<Manifests>,
        called: &mut Called,
    ) -> Result<(), Ended> {
        let plugin = Arc::clone(&self.plugin);
        let effects = Effects { plugin: &plugin, target, world };
        called.result.changes = effects.hold()?;
        let object = world.look_up(target);
        let outcome = self.ask(target, object.as_ref(), world, called).await?;
        called.result.answered(&outcome);
        let steps = effects.steps(&outcome, object.as_ref())?;
        for step in &steps {
            called.result.changes.extend(effects.of(step)?);
        }
        if outcome.requeue_after_ms.is_none() {
            called.result.changes.extend(effects.let_go(object.as_ref())?);
        }
        Ok(())
    }

    /// Has the plugin answer.
    async fn ask(
        &mut self,
        target: &ObjectRef,
        object: Option<&Object>,
        world: &Arc<Manifests>,
        called: &mut Called,
    ) -> Result<Outcome, Ended> {
        let reads = Arc::new(GivenReader::new(world, &self.plugin, target));
        let reader: Arc<dyn Reader> = Arc::clone(&reads) as _;
        let request = Request { target, object, attempt: 0, id: ReconcileId(0), reader: &reader };
        let begin = Instant::now();
        let answer = self.caller.reconcile(&self.plugin, request, self.plugin.limits.writing).await;
        let took = begin.elapsed();
        let Answer { result, stdout, stderr, dropped, usage, .. } = answer;
        called.result.printed = lines(&stdout);
        (called.log, called.stderr) = (self.log.take(), lines(&stderr));
        if dropped > 0 {
            called
                .log
                .push(format!("{dropped} bytes more were left out (output and log, among limits in its grant file)"));
        }
        called.figures = CallFigures { call_ms: ms(took), processor_ms: ms(usage.processor), memory: usage.memory };
        if let Some(denied) = reads.denied() {
            return Err((Ending::Denied, denied.to_string()));
        }
        result.map_err(|error| (Ending::of(&error, self.plugin.is_command()), error.to_string()))
    }
}

/// What becomes of the objects that are given.
struct Effects<'a> {
    plugin: &'a Plugin,
    target: &'a ObjectRef,
    world: &'a Manifests,
}

impl Effects<'_> {
    /// Puts the plugin's finalizer on the object, before the call.
    fn hold(&self) -> Result<Vec<Change>, Ended> {
        let (Some(finalizer), Some(object)) = (&self.plugin.finalizer, self.world.look_up(self.target)) else {
            return Ok(Vec::new());
        };
        if object.has_finalizer(finalizer) {
            return Ok(Vec::new());
        }
        if object.deleting {
            let reason = format!("it is being deleted, and does not have the plugin's finalizer {finalizer}");
            return Err((Ending::NotCalled, reason));
        }
        let finalizers = object.finalizers.iter().map(ToString::to_string).chain([finalizer.to_string()]).collect();
        self.set_finalizers(object, finalizers)
    }

    /// Takes the plugin's finalizer from an object that was called for as being deleted.
    fn let_go(&self, object: Option<&Object>) -> Result<Vec<Change>, Ended> {
        let Some(finalizer) = &self.plugin.finalizer else { return Ok(Vec::new()) };
        let now = object.filter(|object| object.deleting).and_then(|_| self.world.look_up(self.target));
        let Some(object) = now.filter(|object| object.has_finalizer(finalizer)) else { return Ok(Vec::new()) };
        let others = object.finalizers.iter().filter(|other| *other != finalizer).map(ToString::to_string).collect();
        self.set_finalizers(object, others)
    }

    fn set_finalizers(&self, object: Object, finalizers: Vec<String>) -> Result<Vec<Change>, Ended> {
        let step = Step::Finalizers(Arc::new(object), finalizers);
        self.ask().check(std::slice::from_ref(&step)).map_err(|denied| (Ending::Denied, denied.to_string()))?;
        self.of(&step)
    }

    /// What the plugin asks for as steps, all of which are granted.
    fn steps(&self, outcome: &Outcome, object: Option<&Object>) -> Result<Vec<Step>, Ended> {
        let invalid = |error: Invalid| (Ending::Invalid, error.to_string());
        let denied = |error: Denied| (Ending::Denied, error.to_string());
        let draft = Draft::of(outcome, self.target, self.plugin.limits.actions).map_err(invalid)?;
        self.ask().check_kinds(&draft).map_err(denied)?;
        let kinds: BTreeMap<_, _> = draft.kinds().into_iter().map(|gvk| (gvk.clone(), self.world.kind(&gvk))).collect();
        let owned = object.map(|object| self.owned_by(&object.uid)).unwrap_or_default();
        let steps = draft.place(&self.plugin.name, self.target, object, &owned, &kinds).map_err(invalid)?;
        self.ask().check(&steps).map_err(denied)?;
        Ok(steps)
    }

    /// The objects with that controller, of the kinds that the plugin owns.
    fn owned_by(&self, uid: &Uid) -> Vec<(ObjectRef, Arc<Object>)> {
        let mut owned = BTreeMap::new();
        for selection in &self.plugin.owns {
            for object in self.world.list(selection) {
                if object.owner.as_ref().is_some_and(|owner| owner.uid == *uid) {
                    let target = ObjectRef { gvk: selection.gvk.clone(), key: object.key.clone() };
                    owned.entry(target).or_insert_with(|| Arc::new(object));
                }
            }
        }
        owned.into_iter().collect()
    }

    /// Does a step, and says what it changes.
    fn of(&self, step: &Step) -> Result<Vec<Change>, Ended> {
        let about = step.target().unwrap_or(self.target);
        let failed = |reason: String| (Ending::Failed, format!("cannot {} {about}: {reason}", step.verb()));
        if let Step::Apply { body, .. } = step
            && is_child(body)
            && let Some(there) = self.world.look_up(about)
        {
            may_adopt(&there, &self.plugin.name, self.target).map_err(failed)?;
        }
        // Files do not tell who has set which field, so that there are no others to take them from.
        let Some(edit) = in_memory::edit(step, &self.plugin.name, true) else { return Ok(Vec::new()) };
        let edited = self.world.edit(about, edit, false).map_err(failed)?;
        Ok(edited.iter().filter_map(change).collect())
    }

    fn ask(&self) -> Ask<'_> {
        Ask::of(self.plugin, self.target)
    }
}

/// What became of an object. None: nothing.
fn change(Edited { target, before, after }: &Edited) -> Option<Change> {
    let object = target.to_string();
    match (before, after) {
        (None, None) => None,
        (None, Some(_)) => Some(Change::Created(object)),
        (Some(_), None) => Some(Change::Deleted(object)),
        (Some(before), Some(after)) => {
            let text = |value: Option<String>| value.unwrap_or_else(|| "(unset)".to_owned());
            let fields = diff::changed_fields(before, &after.json.text()).into_iter();
            let fields: BTreeMap<_, _> = fields
                .map(|FieldChange { path, before, after }| (path, format!("{} -> {}", text(before), text(after))))
                .collect();
            (!fields.is_empty()).then_some(Change::Changed { object, fields })
        }
    }
}
