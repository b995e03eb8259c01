//! What the host is to do, validated.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::cluster::ClusterOptions;
use crate::folder::Timing;
use crate::leader::ElectionOptions;
use crate::plugin::{Compiler, Limits};
use crate::recording::RecorderOptions;
use crate::selector::Scope;

/// What the host is to do.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where objects come from.
    pub source: Source,
    /// Which of them, at most.
    pub scope: Scope,
    /// The folder with the plugins.
    pub plugins: PathBuf,
    /// Where plugins are compiled.
    pub compiler: Compiler,
    /// What a plugin may use.
    pub limits: Limits,
    /// How long an instance is kept without being called.
    pub keep_idle: Duration,
    /// How folders are followed.
    pub timing: Timing,
    /// Where compiled plugins are kept. None: nowhere.
    pub cache: Option<PathBuf>,
    /// How long what is under way may take to finish when the host is to stop.
    pub drain_time: Duration,
    /// Whether to end when everything there is has been reconciled.
    pub once: bool,
    /// Whether nothing of what plugins ask for is done, but shown.
    pub dry_run: bool,
    /// Which calls are written down, and where. None: none.
    pub recorder: Option<RecorderOptions>,
    /// How replicas agree on which of them reconciles what.
    pub election: Election,
    /// Where health and metrics are served, the first address that can be had. None: nowhere.
    pub admin: Option<Vec<SocketAddr>>,
}

/// Whether there may be other replicas.
#[derive(Clone, Debug)]
pub enum Election {
    /// There are none, or they do not matter.
    Off,
    /// There may be, if the host runs in a pod of the cluster.
    InPod(ElectionOptions),
    /// There may be.
    On(ElectionOptions),
}

/// Where objects come from.
#[derive(Clone, Debug)]
pub enum Source {
    /// A cluster.
    Cluster(ClusterOptions),
    /// A file or a folder of manifests, taken as the cluster.
    Manifests {
        /// The file or folder.
        path: PathBuf,
        /// Where objects that plugins have changed are written. None: nowhere.
        output: Option<PathBuf>,
    },
}
