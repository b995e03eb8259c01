//! Kubernetes objects as the host holds them: a key, the few fields it goes by, and JSON that it passes on unread.

mod json;
mod marks;
mod pack;
mod read;
pub mod scan;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::de::DeserializeOwned;

pub use json::Json;
pub use marks::{ResourceVersion, Uid};
pub use pack::Packer;
pub use read::{Nameless, RawObject};

/// Group, version and kind, as a manifest writes them; cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Gvk(Arc<(Box<str>, Box<str>)>);

impl Gvk {
    /// What has this `apiVersion`, such as `apps/v1` or `v1`, and this `kind`.
    pub fn new(api_version: &str, kind: &str) -> Self {
        Self(Arc::new((api_version.into(), kind.into())))
    }

    /// `apps/v1 ReplicaSet`, what a plugin watches that does not say otherwise.
    pub fn replica_set() -> Self {
        Self::new("apps/v1", "ReplicaSet")
    }

    /// Group and version: `apps/v1`, `v1`.
    pub fn api_version(&self) -> &str {
        &self.0.0
    }

    /// `ReplicaSet`.
    pub fn kind(&self) -> &str {
        &self.0.1
    }

    /// The API group; empty for the core group.
    pub fn group(&self) -> &str {
        self.api_version().split_once('/').map_or("", |(group, _)| group)
    }

    /// The version within the group.
    pub fn version(&self) -> &str {
        self.api_version().split_once('/').map_or(self.api_version(), |(_, version)| version)
    }

    /// Whether both are the same kind of objects, maybe in different versions.
    pub fn is_same_kind(&self, other: &Self) -> bool {
        self.kind() == other.kind() && self.group() == other.group()
    }
}

impl fmt::Display for Gvk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.api_version(), self.kind())
    }
}

/// A kind of object that the API server serves.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Kind {
    /// What manifests call it.
    pub gvk: Gvk,
    /// The name in URLs and RBAC rules: `replicasets`.
    pub plural: Box<str>,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.gvk.fmt(f)
    }
}

/// Names one object of any kind; cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectRef {
    /// Its kind.
    pub gvk: Gvk,
    /// Which of that kind.
    pub key: ObjectKey,
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.gvk.kind(), self.key)
    }
}

/// Names one object within its kind; cheap to clone.
///
/// It is one text, so that there is one allocation of it: the namespace, if it has one, a NUL, and the name. No name has a
/// NUL, and none comes before it, so that keys are in the order of namespace and name.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey(Arc<str>);

impl ObjectKey {
    /// The key of the object of that name; `namespace` is none for a cluster-scoped one.
    pub fn new(namespace: Option<&str>, name: &str) -> Self {
        Self([namespace.unwrap_or_default(), "\0", name].concat().into())
    }

    /// None for a cluster-scoped object.
    pub fn namespace(&self) -> Option<&str> {
        self.parts().0
    }

    /// `metadata.name`.
    pub fn name(&self) -> &str {
        self.parts().1
    }

    fn parts(&self) -> (Option<&str>, &str) {
        let (namespace, name) = self.0.split_once('\0').unwrap_or_default();
        (Some(namespace).filter(|namespace| !namespace.is_empty()), name)
    }
}

impl fmt::Debug for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(namespace) = self.namespace() {
            write!(f, "{namespace}/")?;
        }
        f.write_str(self.name())
    }
}

/// Which part of an object a change is about; the other one is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// All but the status.
    Main,
    /// The status, and nothing else.
    Status,
}

/// One version of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Which object.
    pub key: ObjectKey,
    /// `metadata.uid`; empty if the server gave none.
    pub uid: Uid,
    /// `metadata.resourceVersion`.
    pub resource_version: ResourceVersion,
    /// It has a `metadata.deletionTimestamp`.
    pub deleting: bool,
    /// The owner that controls it, where there is one.
    pub owner: Option<Box<Owner>>,
    /// `metadata.finalizers`.
    pub finalizers: Box<[Box<str>]>,
    /// The object as the API server sent it, without `metadata.managedFields`, with `apiVersion` and `kind`.
    pub json: Json,
}

/// The owner reference that says `controller: true`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The kind of the owner.
    pub gvk: Gvk,
    /// Its name; it is cluster-scoped, or in the namespace of what it owns.
    pub name: Box<str>,
    /// Its uid.
    pub uid: Uid,
}

impl Object {
    /// `metadata.labels`.
    pub fn labels(&self) -> BTreeMap<String, String> {
        self.metadata("labels")
    }

    /// `metadata.annotations`.
    pub fn annotations(&self) -> BTreeMap<String, String> {
        self.metadata("annotations")
    }

    /// `metadata.deletionGracePeriodSeconds`; 0 if there is none.
    pub fn grace_period(&self) -> u64 {
        self.metadata("deletionGracePeriodSeconds")
    }

    fn metadata<T: DeserializeOwned + Default>(&self, name: &str) -> T {
        read::of_metadata(&self.json.text(), name).unwrap_or_default()
    }

    /// Whether it has that finalizer.
    pub fn has_finalizer(&self, finalizer: &str) -> bool {
        self.finalizers.iter().any(|had| **had == *finalizer)
    }

    /// Whether `other` is the same version of the same object, so that there is nothing new to reconcile.
    pub fn is_same_version(&self, other: &Self) -> bool {
        !self.resource_version.is_empty() && self.resource_version == other.resource_version && self.uid == other.uid
    }
}
