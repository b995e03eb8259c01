//! A call, put together and made.

use std::panic::resume_unwind;
use std::thread;

use serde::Serialize;

use super::Answer;
use super::world::{self, World};
use crate::{Description, Failure, Object, ObjectRef, Outcome, Request, Value, json};

/// A function that a plugin says by what it is, given the operator's settings.
type Describe = fn(Option<&str>) -> Result<Description, String>;

/// A call to be made for an object.
#[derive(Clone, Debug)]
#[must_use]
pub struct Call {
    target: ObjectRef,
    object: Option<Value>,
    attempt: u32,
    world: World,
    described: Option<(Describe, Option<String>)>,
}

impl Call {
    /// A first call for an object, which reads find too: a [`json!`], a [`yaml`](super::yaml), or a type of k8s-openapi.
    ///
    /// # Panics
    ///
    /// If it lacks `apiVersion`, `kind` or name.
    #[track_caller]
    pub fn on(object: &impl Serialize) -> Self {
        let object = world::value(object);
        let target = world::reference(&object);
        Self { object: Some(object), ..Self::gone(target) }
    }

    /// The call that tells that an object is gone.
    pub fn gone(target: ObjectRef) -> Self {
        Self { target, object: None, attempt: 0, world: World::default(), described: None }
    }

    /// The object is being deleted, and waits for finalizers.
    pub fn deleting(mut self) -> Self {
        if let Some(object) = &mut self.object {
            object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        }
        self
    }

    /// So many calls for the object have failed before.
    pub fn attempt(self, attempt: u32) -> Self {
        Self { attempt, ..self }
    }

    /// Adds an object that reads find.
    ///
    /// # Panics
    ///
    /// If it lacks `apiVersion`, `kind` or name.
    #[track_caller]
    pub fn with(mut self, object: &impl Serialize) -> Self {
        self.world.add(world::value(object));
        self
    }

    /// Has every read fail for this reason.
    pub fn unreadable(mut self, reason: impl Into<String>) -> Self {
        self.world.fault = Some(reason.into());
        self
    }

    /// Has `describe` called first, with the operator's settings, as in each new instance of the plugin.
    ///
    /// The call is made on a thread of its own. Settings that are kept in a `thread_local!` are therefore those of the one
    /// call, while what a `static` keeps is there for all tests of the program.
    pub fn described(self, describe: Describe, settings: Option<&Value>) -> Self {
        Self { described: Some((describe, settings.map(Value::to_string))), ..self }
    }

    /// Makes the call.
    ///
    /// # Panics
    ///
    /// If the plugin does, or refuses its settings.
    pub fn reconcile(self, reconcile: impl FnOnce(&Request) -> Result<Outcome, Failure> + Send) -> Answer {
        let Self { target, object, attempt, mut world, described } = self;
        let deleting = object.as_ref().is_some_and(|object| !object["metadata"]["deletionTimestamp"].is_null());
        let request = Request {
            target,
            object: object.as_ref().map(|object| Object::new(object.to_string())),
            attempt,
            deleting,
        };
        world.extend(object);
        let call = move || {
            if let Some((describe, settings)) = described
                && let Err(reason) = describe(settings.as_deref())
            {
                panic!("the plugin refuses its settings: {reason}");
            }
            let (result, log) = world.enter(|| reconcile(&request));
            Answer { result, log }
        };
        thread::scope(|scope| scope.spawn(call).join()).unwrap_or_else(|panic| resume_unwind(panic))
    }
}
