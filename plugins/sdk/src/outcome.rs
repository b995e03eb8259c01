//! What a reconcile answers.

use std::error::Error;
use std::fmt::Display;
use std::time::Duration;

use crate::bindings::oarlock::plugin::types;
use crate::{Action, Event};

/// The answer to a call that did not fail. Start with [`Outcome::done`] and add to it.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Outcome {
    /// What the host is to do, in this order.
    pub actions: Vec<Action>,
    /// The whole set of objects, as JSON, that shall exist on behalf of the target. None: leave them as they are.
    pub children: Option<Vec<String>>,
    /// When to call again though nothing changes.
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

    /// Adds an action, to be carried out after those before it.
    pub fn action(mut self, action: Action) -> Self {
        self.actions.push(action);
        self
    }

    /// Adds a Kubernetes Event about the target: a CamelCase reason for machines, a note for people.
    pub fn event(self, reason: impl Into<String>, note: impl Into<String>) -> Self {
        self.action(Action::Event(Event { reason: reason.into(), note: note.into(), warning: false }))
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
        let milliseconds = |delay: Duration| u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
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
