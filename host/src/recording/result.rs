//! What a call came to, in the shape in which it is printed, recorded and compared. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::diff::InOrder;
use crate::object::{self, Gvk, Object, RawObject};
use crate::plugin::{Action, CallError, ObjectRef, Outcome, Patch};

/// What a call came to, the same each time. What is empty is left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct CallResult {
    /// The object: `Website default/shop`.
    pub call: String,
    /// It was told as gone.
    #[serde(skip_serializing_if = "is_false")]
    pub gone: bool,
    /// How it ended.
    pub result: Ending,
    /// Why it ended so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The lines that the plugin printed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub printed: Vec<String>,
    /// When it wants to be called again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requeue_after: Option<String>,
    /// The children that it wants, as it answered. None: it leaves them as they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub children: Option<Vec<Manifest>>,
    /// What it wants to be done, as it answered.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub actions: Vec<Wish>,
    /// What that changes about the objects that were given.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Ending {
    /// Well.
    #[default]
    Done,
    /// The plugin wants to be called again later.
    Retry,
    /// The plugin says that trying again does not help.
    Terminal,
    /// The plugin wants to read or to change what it is not granted.
    Denied,
    /// The plugin answered what is no action.
    Invalid,
    /// What it asks for cannot be done to the objects that are given.
    Failed,
    /// It gave no answer: a trap, an exit, a limit.
    Broke,
    /// The host would not have called it.
    NotCalled,
}

impl Ending {
    /// That of a call that gave no outcome.
    pub fn of(error: &CallError, is_command: bool) -> Self {
        match error {
            CallError::Retry(_) => Self::Retry,
            CallError::Terminal(_) => Self::Terminal,
            CallError::Exit(_) if is_command => Self::Retry,
            _ => Self::Broke,
        }
    }

    /// Whether nothing has failed.
    pub fn is_well(self) -> bool {
        matches!(self, Self::Done | Self::NotCalled)
    }
}

/// An object, or a text that is to be one and is not.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Manifest {
    /// An object.
    Object(Map<String, Value>),
    /// Anything else.
    Other(Value),
}

/// An action that a plugin asks for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Wish {
    /// Server-side apply.
    Apply(Manifest),
    /// The same on the status.
    ApplyStatus(Manifest),
    /// A merge patch.
    MergePatch(WishedPatch),
    /// A JSON patch.
    JsonPatch(WishedPatch),
    /// A removal.
    Delete(WishedDeletion),
    /// An Event.
    Event(WishedEvent),
}

/// A patch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WishedPatch {
    /// Of this object.
    pub target: Reference,
    /// The patch or, of a JSON patch, its operations.
    pub patch: Manifest,
}

/// A removal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WishedDeletion {
    /// Of this object.
    pub target: Reference,
    /// That it must have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
}

/// An Event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WishedEvent {
    /// For machines.
    pub reason: String,
    /// For people.
    pub note: String,
    /// Whether it is a warning.
    #[serde(default, skip_serializing_if = "is_false")]
    pub warning: bool,
}

/// What becomes of an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Change {
    /// This one was not there.
    Created(String),
    /// It is another one now.
    Changed {
        /// Which object.
        object: String,
        /// Where, and from what to what.
        fields: BTreeMap<String, String>,
    },
    /// It is gone.
    Deleted(String),
}

/// What an object is called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Reference {
    pub(super) api_version: String,
    pub(super) kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) namespace: Option<String>,
    pub(super) name: String,
}

impl CallResult {
    /// Of a call for that object that printed this and answered so, before anything of it was done.
    pub fn of(
        target: &object::ObjectRef,
        gone: bool,
        stdout: &[u8],
        answer: Result<&Outcome, (Ending, String)>,
    ) -> Self {
        let mut called = Self { call: target.to_string(), gone, printed: lines(stdout), ..Self::default() };
        match answer {
            Ok(outcome) => called.answered(outcome),
            Err((ending, reason)) => (called.result, called.reason) = (ending, Some(reason)),
        }
        called
    }

    /// Takes in what a plugin answered.
    pub fn answered(&mut self, outcome: &Outcome) {
        self.requeue_after =
            outcome.requeue_after_ms.map(|ms| humantime::format_duration(Duration::from_millis(ms)).to_string());
        self.children =
            outcome.children.as_ref().map(|children| children.iter().map(|text| Manifest::of(text)).collect());
        self.actions = outcome.actions.iter().map(Wish::of).collect();
    }
}

impl Manifest {
    /// The object that it is. None: it is none.
    pub(super) fn object(&self, gvk: &Gvk) -> Option<Object> {
        let Self::Object(object) = self else { return None };
        let text = serde_json::to_string(object).ok()?;
        serde_json::from_str::<RawObject>(&text).ok()?.into_object(gvk)
    }

    pub(super) fn of(text: &str) -> Self {
        match serde_json::from_str(text) {
            Ok(Value::Object(object)) => Self::Object(object),
            Ok(other) => Self::Other(other),
            Err(_) => Self::Other(text.into()),
        }
    }
}

impl Serialize for Manifest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Object(object) => InOrder(object).serialize(serializer),
            Self::Other(value) => value.serialize(serializer),
        }
    }
}

impl Wish {
    fn of(action: &Action) -> Self {
        match action {
            Action::Apply(text) => Self::Apply(Manifest::of(text)),
            Action::ApplyStatus(text) => Self::ApplyStatus(Manifest::of(text)),
            Action::MergePatch(patch) => Self::MergePatch(WishedPatch::of(patch)),
            Action::JsonPatch(patch) => Self::JsonPatch(WishedPatch::of(patch)),
            Action::Delete(deletion) => {
                Self::Delete(WishedDeletion { target: Reference::of(&deletion.target), uid: deletion.uid.clone() })
            }
            Action::Event(event) => {
                let (reason, note, warning) = (event.reason.clone(), event.note.clone(), event.warning);
                Self::Event(WishedEvent { reason, note, warning })
            }
        }
    }
}

impl WishedPatch {
    fn of(patch: &Patch) -> Self {
        Self { target: Reference::of(&patch.target), patch: Manifest::of(&patch.body) }
    }
}

impl Reference {
    fn of(target: &ObjectRef) -> Self {
        let ObjectRef { api_version, kind, namespace, name } = target.clone();
        Self { api_version, kind, namespace, name }
    }
}

/// What a plugin wrote, line by line.
pub fn lines(text: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(text).lines().map(str::to_owned).collect()
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn is_false(value: &bool) -> bool {
    !value
}
