//! The shapes of `/api/v1`, for who serves them and for who reads them. `docs/api.md` has the same for people.
//!
//! Names are as those of Kubernetes. Times are RFC 3339 in UTC. What is a duration or a size has its unit in its name.
//! Texts that come from elsewhere are as the log has them.

use serde::{Deserialize, Serialize};

/// `/api/v1/status`: the host as a whole.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// Of the host.
    pub version: String,
    /// When this was told.
    pub now: String,
    /// When the host was started.
    pub started: String,
    /// How long ago that is.
    pub uptime_seconds: u64,
    /// Where the objects come from, such as `the cluster at https://...`.
    pub source: String,
    /// What `/livez` says.
    pub alive: Health,
    /// What `/readyz` says.
    pub ready: Health,
    /// How this replica stands among others. None: there are no others.
    pub election: Option<Election>,
    /// How many plugins there are, with those that are not in force.
    pub plugins: usize,
    /// How many objects plugins are called for.
    pub objects: usize,
    /// How many objects wait in all queues, those of paused plugins included.
    pub waiting: usize,
    /// How many calls are under way.
    pub in_call: usize,
    /// Calls of all plugins.
    pub calls: Calls,
    /// Each watch, in the order of their texts.
    pub watches: Vec<Watch>,
    /// The calls of the last quarter of an hour.
    pub history: History,
}

/// Whether all is well.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    /// It is.
    pub good: bool,
    /// What was looked at.
    pub checks: Vec<Check>,
}

/// Something that was looked at.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    /// Whether it is well.
    pub good: bool,
    /// What it is or, if it is not well, what is wrong.
    pub text: String,
}

/// How a replica stands among others.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Election {
    /// For people.
    pub text: String,
    /// The shards that it holds, by their numbers from 0.
    pub holds: Vec<usize>,
    /// Into how many shards the objects are split. None: that is not known yet.
    pub shards: Option<usize>,
    /// The replicas that hold others.
    pub others: Vec<String>,
}

/// Calls since the start, and those of the last minute.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Calls {
    /// Since the start.
    pub total: u64,
    /// How many of them failed.
    pub failed: u64,
    /// In the last minute.
    pub per_second: f64,
    /// How many of them failed.
    pub failed_per_second: f64,
    /// Half of those of the last minute took no longer, with what they asked for. None: there were none.
    pub p50_seconds: Option<f64>,
    /// All but one in a hundred of them took no longer.
    pub p99_seconds: Option<f64>,
}

/// Something that is watched.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Watch {
    /// What: kind, namespace, selectors.
    pub watch: String,
    /// How far it is.
    pub state: WatchState,
    /// What is wrong. None: nothing.
    pub problem: Option<String>,
    /// How many objects it has.
    pub objects: usize,
    /// How many bytes are kept of their JSON, which is packed.
    pub bytes: usize,
    /// How many plugins follow it.
    pub plugins: usize,
}

/// How far a watch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WatchState {
    /// It has not told of anything yet.
    Starting,
    /// It has told what there is, and goes on.
    Listed,
    /// The kind is not served.
    NotServed,
    /// It is refused.
    Refused,
}

/// Calls, by when they ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct History {
    /// How long a slot is; the last one is not full yet.
    pub slot_seconds: u64,
    /// Those that had calls, from the oldest on.
    pub slots: Vec<Slot>,
}

/// Calls of a slot.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Slot {
    /// When it began.
    pub start: String,
    /// How many ended in it.
    pub calls: u32,
    /// How many of them failed.
    pub failed: u32,
    /// Half of them took no longer.
    pub p50_seconds: f64,
    /// All but one in a hundred took no longer.
    pub p99_seconds: f64,
}

/// `/api/v1/plugins`: all plugins.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Plugins {
    /// When this was told.
    pub now: String,
    /// In the order of their names.
    pub plugins: Vec<Plugin>,
}

/// A plugin.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Plugin {
    /// The name of its file, without `.wasm`.
    pub name: String,
    /// How it stands.
    pub state: PluginState,
    /// What is wrong, and what to do. None: nothing.
    pub problem: Option<String>,
    /// The version in force. None: there is none.
    pub in_force: Option<InForce>,
    /// Whether its file is being read and compiled.
    pub loading: bool,
    /// What is in its queue.
    pub queue: Counts,
    /// Its calls.
    pub calls: Calls,
    /// The last one that failed.
    pub last_error: Option<Error>,
    /// What became of its last file.
    pub last_reload: Option<Reload>,
}

/// How it stands with a plugin, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PluginState {
    /// Its file cannot be loaded. A version from before may be in force.
    Refused,
    /// It breaks whatever the object, and is called once in a while.
    Paused,
    /// Its file is gone, and objects have its finalizer.
    LeftBehind,
    /// Its file broke, and the version before is in force again.
    RolledBack,
    /// It waits for rights of the service account that it is to act as.
    Waiting,
    /// Its file is being loaded for the first time.
    Loading,
    /// It is in force, and taken back if it breaks where the version before did not.
    OnProbation,
    /// It is in force.
    Ready,
}

/// A version of a plugin.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InForce {
    /// SHA-256 of its file.
    pub digest: String,
    /// Since when.
    pub since: Option<String>,
    /// `reconciler` or `command`.
    pub kind: String,
    /// What it calls itself.
    pub described_name: Option<String>,
    /// What it says its version is.
    pub described_version: Option<String>,
    /// How long compiling it took. None: its code was in the cache.
    pub compile_seconds: Option<f64>,
    /// It is called for the objects of these.
    pub watches: Vec<String>,
    /// It is called for the owners of the objects of these.
    pub owns: Vec<String>,
    /// Its calls have read from these.
    pub reads: Vec<String>,
    /// The finalizer that it has on what it is called for.
    pub finalizer: Option<String>,
    /// How many calls at a time there are at most.
    pub concurrency: usize,
    /// The service account that it acts as. None: the host's.
    pub service_account: Option<String>,
    /// How long it is paused for. None: it is not.
    pub pause_seconds: Option<f64>,
    /// The version that is put in force again if this one breaks where that one did not.
    pub falls_back_to: Option<String>,
}

/// How many objects are in a queue.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// That can be taken.
    pub waiting: usize,
    /// That are due later: after a failure, or because the plugin asked for it.
    pub delayed: usize,
    /// That are in a call.
    pub in_call: usize,
    /// Whose last call has failed.
    pub failing: usize,
}

/// Calls that failed in the same way.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Error {
    /// The object that they were for.
    pub object: Object,
    /// Why, as the log says it.
    pub reason: String,
    /// How many there were.
    pub count: u64,
    /// When the first one failed.
    pub first: String,
    /// When the last one failed.
    pub last: String,
}

/// Names an object.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Object {
    /// Such as `apps/v1`.
    pub api_version: String,
    /// Such as `ReplicaSet`.
    pub kind: String,
    /// None for what is cluster-scoped.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

/// What became of a file.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reload {
    /// When.
    pub at: String,
    /// What.
    pub result: ReloadResult,
    /// The version that is in force since then. None: it was refused.
    pub digest: Option<String>,
    /// The version that was rolled back.
    pub rolled_back: Option<String>,
    /// Why it was refused or rolled back.
    pub reason: Option<String>,
}

/// What became of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReloadResult {
    /// It was put in force.
    Loaded,
    /// It could not be loaded.
    Refused,
    /// It broke, and the one before was put in force again.
    RolledBack,
}

/// `/api/v1/plugins/NAME`: a plugin, with what has happened lately.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Detail {
    /// When this was told.
    pub now: String,
    /// What there is of each plugin.
    #[serde(flatten)]
    pub plugin: Plugin,
    /// The last calls that failed, the last one first.
    pub errors: Vec<Error>,
    /// What became of its last files, the last one first.
    pub reloads: Vec<Reload>,
    /// The calls of the last quarter of an hour.
    pub history: History,
}

/// Any answer but 200.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// What is wrong with the question.
    pub error: String,
}
