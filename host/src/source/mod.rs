//! Where objects come from.

mod broken;
pub mod cluster;
pub mod list;
pub mod manifests;
mod watcher;

use std::sync::Arc;

use crate::cache::Event;
use crate::cluster::Cluster;
use crate::health::Heard;
use crate::object::{Gvk, Kind};
use crate::selector::Selection;

use manifests::Manifests;

/// Where objects come from; cheap to clone.
#[derive(Clone)]
pub enum Source {
    /// A cluster.
    Cluster(Arc<Cluster>),
    /// A file or a folder of manifests, taken as the cluster.
    Manifests(Arc<Manifests>),
}

/// For how long objects are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// Until all that there are have been told of. What is refused is not waited for.
    Once,
    /// For ever, whatever happens.
    Forever,
}

/// What a watch tells.
#[derive(Debug)]
pub enum Update {
    /// The kind of the objects is served.
    Found(Kind),
    /// The kind is not served, or not any more: there are no objects of it.
    NotServed,
    /// The API server refuses the watch, for this reason. It is tried again.
    Refused(String),
    /// The watch has failed, for whatever reason, and is tried again.
    Broken,
    /// Something about the objects.
    Event(Event),
}

impl Source {
    /// Follows the selected objects for as long as `span` says. What fails is said in the log and tried again. Whatever is
    /// asked of an API server, or comes from it, is `heard`.
    pub async fn watch(&self, selection: &Selection, span: Span, heard: &Heard, deliver: impl FnMut(Update)) {
        match self {
            Self::Cluster(cluster) => cluster.watch(selection, span, heard, deliver).await,
            Self::Manifests(manifests) => manifests.watch(selection, span, deliver).await,
        }
    }

    /// Whether something panicked while it changed what is kept here, so that it may be half done.
    pub fn is_poisoned(&self) -> bool {
        match self {
            // What it keeps is put in place as a whole.
            Self::Cluster(_) => false,
            Self::Manifests(manifests) => manifests.is_poisoned(),
        }
    }

    /// What is served under that name. An error says, for people, that there is no such kind or that it cannot be told.
    pub async fn kind(&self, gvk: &Gvk) -> Result<Kind, String> {
        match self {
            Self::Cluster(cluster) => match cluster.kind(gvk).await {
                Ok(Some(kind)) => Ok(kind),
                Ok(None) => Err(format!("the API server does not serve {gvk}")),
                Err(error) => Err(format!("cannot tell whether the API server serves {gvk}: {error}")),
            },
            Self::Manifests(manifests) => Ok(manifests.kind(gvk)),
        }
    }
}
