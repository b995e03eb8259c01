//! What a reconcile answers.

use std::error::Error;
use std::fmt::Display;
use std::time::Duration;

use serde_json::Value;

use crate::bindings::oarlock::plugin::types;
use crate::{Action, Deletion, Event, ObjectRef, Patch};

/// The answer to a call that did not fail. Start with [`Outcome::done`] and add to it.
///
/// ```
/// use oarlock_sdk::{ObjectRef, Outcome, json};
///
/// let outcome = Outcome::done()
///     .apply(&json!({
///         "apiVersion": "v1", "kind": "ConfigMap",
///         "metadata": {"namespace": "shop", "name": "web"},
///         "data": {"colour": "green"},
///     }))
///     .delete(ObjectRef::new("v1", "ConfigMap", "web-old").in_namespace("shop"))
///     .event("Renamed", "web-old is web now");
/// assert_eq!(outcome.actions.len(), 3);
/// ```
///
/// Nothing is done before the whole of it has been checked against the grant, and nothing at all if a part of it is not
/// granted. Actions are written so that asking for them again changes nothing: the next call may come at any time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Outcome {
    /// What the host is to do, in this order.
    pub actions: Vec<Action>,
    /// The whole set of objects, as JSON, that shall exist on behalf of the target. None: leave them as they are.
    pub children: Option<Vec<String>>,
    /// When to call again though nothing changes. The host is told milliseconds, rounded up.
    pub requeue_after: Option<Duration>,
}

impl Outcome {
    /// Nothing to do until the object changes.
    pub fn done() -> Self {
        Self::default()
    }

    /// Nothing to do until the object changes or this time has passed.
    pub fn requeue_after(delay: Duration) -> Self {
        Self { requeue_after: Some(delay), ..Self::default() }
    }

    /// The same answer, and a call again after this time though nothing changes. Replaces a time set before.
    pub fn requeue_in(self, delay: Duration) -> Self {
        Self { requeue_after: Some(delay), ..self }
    }

    /// Adds an action, to be carried out after those before it.
    pub fn action(mut self, action: Action) -> Self {
        self.actions.push(action);
        self
    }

    /// Adds a server-side apply of a whole or partial object: the fields in it become as they are here, and fields that
    /// this plugin applied earlier and are not in it any more are removed. The object is created if there is none.
    ///
    /// It names itself by `apiVersion`, `kind`, `metadata.name` and, in a namespaced kind, `metadata.namespace`. Where
    /// another manager has set a field to something else, the apply fails, unless the grant says `force`.
    ///
    /// Of a typed object, [`to_value`](crate::to_value) makes what this takes; so it is for all values here:
    ///
    /// ```
    /// use k8s_openapi::api::core::v1::ConfigMap;
    /// use oarlock_sdk::{Failure, Outcome, to_value};
    ///
    /// fn apply(config: &ConfigMap) -> Result<Outcome, Failure> {
    ///     Ok(Outcome::done().apply(&to_value(config)?))
    /// }
    /// # assert!(apply(&ConfigMap::default()).is_ok());
    /// ```
    pub fn apply(self, object: &Value) -> Self {
        self.action(Action::Apply(object.to_string()))
    }

    /// Adds a server-side apply of the status subresource. The object holds what names it, and `status`.
    pub fn apply_status(self, object: &Value) -> Self {
        self.action(Action::ApplyStatus(object.to_string()))
    }

    /// Sets the whole set of objects that shall exist on behalf of the target, replacing a set given before.
    ///
    /// Each is applied with the target as its controller owner, in the namespace of the target if it names none.
    /// Objects of earlier answers that are not in the set are deleted, if they are of the kinds that the description
    /// [owns](crate::Description::owns): an empty set deletes them all. An outcome without children leaves them alone.
    pub fn children(self, objects: impl IntoIterator<Item = Value>) -> Self {
        Self { children: Some(objects.into_iter().map(|object| object.to_string()).collect()), ..self }
    }

    /// Adds a merge patch (RFC 7386): members of the patch replace those of the object, null removes them.
    pub fn merge_patch(self, target: ObjectRef, patch: &Value) -> Self {
        self.action(Action::MergePatch(Patch { target, body: patch.to_string() }))
    }

    /// Adds a JSON patch (RFC 6902), a list of operations, of which `test` makes it fail if the object has changed.
    pub fn json_patch(self, target: ObjectRef, operations: &Value) -> Self {
        self.action(Action::JsonPatch(Patch { target, body: operations.to_string() }))
    }

    /// Adds a removal of whatever has this name when it is carried out. Its dependents follow in the background.
    pub fn delete(self, target: ObjectRef) -> Self {
        self.action(Action::Delete(Deletion { target, uid: None }))
    }

    /// Adds a removal of the object with this `metadata.uid`; a new object of the same name is left alone.
    pub fn delete_with_uid(self, target: ObjectRef, uid: impl Into<String>) -> Self {
        self.action(Action::Delete(Deletion { target, uid: Some(uid.into()) }))
    }

    /// Adds a Kubernetes Event about the target: a CamelCase reason for machines, a note for people.
    pub fn event(self, reason: impl Into<String>, note: impl Into<String>) -> Self {
        self.action(Action::Event(Event { reason: reason.into(), note: note.into(), warning: false }))
    }

    /// The same, of type `Warning`: something is not as it should be.
    pub fn warning(self, reason: impl Into<String>, note: impl Into<String>) -> Self {
        self.action(Action::Event(Event { reason: reason.into(), note: note.into(), warning: true }))
    }
}

/// The answer to a call that failed. `?` makes a [`Failure::Retry`] of any error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Try again, after a backoff that grows with each failure.
    Retry(String),
    /// Trying again does not help: wait until the object changes.
    Terminal(String),
}

impl Failure {
    /// Try again, after a backoff that grows with each failure.
    pub fn retry(reason: impl Display) -> Self {
        Self::Retry(reason.to_string())
    }

    /// Trying again does not help: wait until the object changes.
    pub fn terminal(reason: impl Display) -> Self {
        Self::Terminal(reason.to_string())
    }
}

impl<E: Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::retry(error)
    }
}

impl From<Outcome> for types::Outcome {
    fn from(outcome: Outcome) -> Self {
        // Rounded up: a call that comes early finds that it has to wait again.
        let milliseconds = |delay: Duration| u64::try_from(delay.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
        Self {
            actions: outcome.actions,
            children: outcome.children,
            requeue_after_ms: outcome.requeue_after.map(milliseconds),
        }
    }
}

impl From<Failure> for types::Failure {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Retry(reason) => Self::Retry(reason),
            Failure::Terminal(reason) => Self::Terminal(reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn web() -> ObjectRef {
        ObjectRef::new("v1", "ConfigMap", "web").in_namespace("shop")
    }

    #[test]
    fn actions_are_told_to_the_host_in_the_order_in_which_they_were_added() {
        let object = json!({"kind": "ConfigMap"});
        let outcome = Outcome::done()
            .apply(&object)
            .apply_status(&object)
            .merge_patch(web(), &json!({"data": null}))
            .json_patch(web(), &json!([{"op": "remove", "path": "/data"}]))
            .delete(web())
            .delete_with_uid(web(), "1234")
            .event("Done", "as asked")
            .warning("Odd", "but done");
        let event = |reason: &str, note: &str, warning| {
            Action::Event(Event { reason: reason.into(), note: note.into(), warning })
        };
        let expected = [
            Action::Apply(r#"{"kind":"ConfigMap"}"#.into()),
            Action::ApplyStatus(r#"{"kind":"ConfigMap"}"#.into()),
            Action::MergePatch(Patch { target: web(), body: r#"{"data":null}"#.into() }),
            Action::JsonPatch(Patch { target: web(), body: r#"[{"op":"remove","path":"/data"}]"#.into() }),
            Action::Delete(Deletion { target: web(), uid: None }),
            Action::Delete(Deletion { target: web(), uid: Some("1234".into()) }),
            event("Done", "as asked", false),
            event("Odd", "but done", true),
        ];
        assert_eq!(types::Outcome::from(outcome).actions, expected);
    }

    #[test]
    fn no_children_and_an_empty_set_of_them_are_different_answers() {
        let children = |outcome: Outcome| types::Outcome::from(outcome).children;
        assert_eq!(children(Outcome::done()), None);
        assert_eq!(children(Outcome::done().children([])), Some(vec![]));
        let replaced = Outcome::done().children([json!(1)]).children([json!(2), json!(3)]);
        assert_eq!(children(replaced), Some(vec!["2".into(), "3".into()]));
    }

    #[test]
    fn a_requeue_is_told_in_milliseconds_and_never_early() {
        let milliseconds = |delay| types::Outcome::from(Outcome::done().requeue_in(delay)).requeue_after_ms;
        assert_eq!(milliseconds(Duration::from_millis(20)), Some(20));
        assert_eq!(milliseconds(Duration::from_nanos(20_000_001)), Some(21));
        assert_eq!(milliseconds(Duration::ZERO), Some(0));
        assert_eq!(milliseconds(Duration::MAX), Some(u64::MAX));
        assert_eq!(types::Outcome::from(Outcome::done()).requeue_after_ms, None);
        assert_eq!(Outcome::done().requeue_in(Duration::ZERO), Outcome::requeue_after(Duration::ZERO));
    }
}
