//! The labels of metrics, and the values that they have.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};

use crate::object::Gvk;

/// A value that comes from outside. It is escaped here, because the library writes values as they are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Text(pub(super) Arc<str>);

impl From<&Arc<str>> for Text {
    fn from(text: &Arc<str>) -> Self {
        Self(Arc::clone(text))
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl EncodeLabelValue for Text {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '\\' | '"' => write!(encoder, "\\{c}")?,
                '\n' => encoder.write_str("\\n")?,
                c => encoder.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// How a reconcile ended, in controller-runtime's words.
#[allow(non_camel_case_types, reason = "they are the values of a label")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum ReconcileResult {
    /// It is done until the object changes.
    success,
    /// It asked to be called again.
    requeue_after,
    /// It failed.
    error,
}

impl ReconcileResult {
    pub(super) const ALL: [Self; 3] = [Self::success, Self::requeue_after, Self::error];
}

/// Why a reconcile failed.
#[allow(non_camel_case_types, reason = "they are the values of a label")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Failure {
    /// The guest answered that it is to be tried again.
    retry,
    /// The guest answered that trying again does not help.
    terminal,
    /// A new instance refused to start.
    describe,
    /// The guest ended itself.
    exit,
    /// The guest trapped.
    trap,
    /// The guest ran for too long.
    cpu_time,
    /// The call took too long.
    wall_time,
    /// The guest needs more memory than it may use.
    memory,
    /// The guest handed over more than it may.
    answer,
    /// The time of the call has run out while it waited for what it wanted to read.
    read,
    /// The host panicked.
    panic,
    /// It wanted what it is not granted.
    denied,
    /// It answered what cannot be done.
    invalid,
    /// What it asked for could not be done.
    action,
    /// The API server did not tell what has to be known for it.
    look_up,
}

impl Failure {
    /// All of them, in their order.
    pub(super) const ALL: [Self; 15] = [
        Self::retry,
        Self::terminal,
        Self::describe,
        Self::exit,
        Self::trap,
        Self::cpu_time,
        Self::wall_time,
        Self::memory,
        Self::answer,
        Self::read,
        Self::panic,
        Self::denied,
        Self::invalid,
        Self::action,
        Self::look_up,
    ];
}

/// What became of a plugin file.
#[allow(non_camel_case_types, reason = "they are the values of a label")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum ReloadResult {
    /// It was put in force.
    loaded,
    /// It could not be loaded.
    refused,
    /// It broke, and the one before was put in force again.
    rolled_back,
}

impl ReloadResult {
    pub(super) const ALL: [Self; 3] = [Self::loaded, Self::refused, Self::rolled_back];
}

/// What became of an action.
#[allow(non_camel_case_types, reason = "they are the values of a label")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum ActionResult {
    /// It was done.
    done,
    /// It was only tried, as a dry run.
    dry_run,
    /// It failed.
    failed,
}

impl ActionResult {
    pub(super) const ALL: [Self; 3] = [Self::done, Self::dry_run, Self::failed];
}

/// How far a watch is.
#[allow(non_camel_case_types, reason = "they are the values of a label")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum WatchStatus {
    /// It has not told of anything yet.
    starting,
    /// A complete list has come in.
    listed,
    /// The kind is not served.
    not_served,
    /// The API server refuses it.
    refused,
}

impl WatchStatus {
    pub(super) const ALL: [Self; 4] = [Self::starting, Self::listed, Self::not_served, Self::refused];
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct PluginLabels {
    pub(super) plugin: Text,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct VersionLabels {
    pub(super) plugin: Text,
    pub(super) digest: Text,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct FailureLabels {
    pub(super) plugin: Text,
    pub(super) reason: Failure,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ReloadLabels {
    pub(super) plugin: Text,
    pub(super) result: ReloadResult,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ActionLabels {
    pub(super) plugin: Text,
    pub(super) verb: &'static str,
    pub(super) result: ActionResult,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct DenialLabels {
    pub(super) plugin: Text,
    pub(super) verb: &'static str,
}

/// A controller has its plugin's name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ControllerLabels {
    pub(super) controller: Text,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ReconcileLabels {
    pub(super) controller: Text,
    pub(super) result: ReconcileResult,
}

/// A queue has its controller's name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct QueueLabels {
    pub(super) name: Text,
    pub(super) controller: Text,
}

impl From<&Arc<str>> for QueueLabels {
    fn from(name: &Arc<str>) -> Self {
        Self { name: name.into(), controller: name.into() }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct DepthLabels {
    pub(super) name: Text,
    pub(super) controller: Text,
    pub(super) priority: i32,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct LeaseLabels {
    pub(super) name: Text,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct KindLabels {
    pub(super) group: Text,
    pub(super) version: Text,
    pub(super) kind: Text,
}

impl From<&Gvk> for KindLabels {
    fn from(gvk: &Gvk) -> Self {
        Self { group: gvk.group().into(), version: gvk.version().into(), kind: gvk.kind().into() }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct WatchLabels {
    pub(super) group: Text,
    pub(super) version: Text,
    pub(super) kind: Text,
    pub(super) status: WatchStatus,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct BuildLabels {
    pub(super) version: &'static str,
}
