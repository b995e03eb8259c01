//! The shapes of what is in queues.

use serde::{Deserialize, Serialize};

use super::Object;

/// `/api/v1/queue` and `/api/v1/plugins/NAME/queue`: what plugins are called for, and will be.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Queues {
    /// When this was told.
    pub now: String,
    /// In the order of the plugins' names.
    pub queues: Vec<Queue>,
}

/// What a plugin is called for, and will be.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Queue {
    /// Its name.
    pub plugin: String,
    /// What it is called for now.
    pub in_call: Vec<InCall>,
    /// What can be taken, about in the order in which it is.
    pub waiting: Vec<Waiting>,
    /// How many more there are.
    pub waiting_left_out: usize,
    /// What is due later, in the order in which it is.
    pub delayed: Vec<Delayed>,
    /// How many more there are.
    pub delayed_left_out: usize,
}

/// A call.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InCall {
    /// For which object.
    pub object: Object,
    /// What is being done, such as `the call`.
    pub step: String,
    /// How long the whole of it has taken until now.
    pub for_seconds: f64,
}

/// An object that can be taken.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Waiting {
    /// Which one.
    pub object: Object,
    /// Why.
    pub why: Why,
    /// How many of its calls have failed since the last one that did not.
    pub attempt: u32,
}

/// Why an object is to be reconciled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// Something happened to it, or to what its plugin owns or has read.
    Changed,
    /// It is of the first list, or comes back after a reload or a delay.
    Backlog,
}

/// An object that is due later.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Delayed {
    /// Which one.
    pub object: Object,
    /// Why.
    pub why: WhyLater,
    /// When.
    pub due: String,
    /// In how long that is.
    pub due_in_seconds: f64,
    /// How many of its calls have failed since the last one that did not.
    pub attempt: u32,
}

/// Why an object is due later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhyLater {
    /// Its last call has failed.
    Retry,
    /// The plugin asked for it, or the operator by `resync`.
    Requeue,
    /// It is left alone until then: the API server asks for that, or the plugin changes it with each call.
    Held,
}
