//! What the host is to do, validated.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::folder::Timing;
use crate::plugin::Limits;
use crate::selector::LabelSelector;
use crate::worker::Repeat;

/// What the host is to do.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where objects come from.
    pub source: Source,
    /// Which of them.
    pub selection: Selection,
    /// The folder with the plugins.
    pub plugins: PathBuf,
    /// What a plugin may use.
    pub limits: Limits,
    /// How folders are followed.
    pub timing: Timing,
    /// Where compiled plugins are kept. None: nowhere.
    pub cache: Option<PathBuf>,
    /// Whether to end when everything there is has been reconciled.
    pub once: bool,
    /// Where health and metrics are served. None: nowhere.
    pub admin: Option<SocketAddr>,
}

/// Where objects come from.
#[derive(Clone, Debug)]
pub enum Source {
    /// A cluster.
    Cluster(ClusterOptions),
    /// A file or a folder of manifests, taken as the cluster.
    Manifests(PathBuf),
}

/// Which cluster. By default, the one that every Kubernetes client would find.
#[derive(Clone, Debug, Default)]
pub struct ClusterOptions {
    /// The kubeconfig file.
    pub kubeconfig: Option<PathBuf>,
    /// The context in it.
    pub context: Option<String>,
}

/// Which objects.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// None: those of all namespaces.
    pub namespace: Option<String>,
    /// By their labels.
    pub labels: LabelSelector,
}

impl Config {
    /// Whether objects are called for again though they have not changed.
    pub fn repeat(&self) -> Repeat {
        if self.once { Repeat::Never } else { Repeat::AsAsked }
    }
}
