//! What a guest is told in a call.

use std::fmt;

use super::bindings::oarlock::plugin::types::{self, ObjectRefParam};
use crate::object::{Kind, Object, ObjectKey};

/// What a guest is told.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The kind of the object.
    pub kind: &'a Kind,
    /// Which object.
    pub key: &'a ObjectKey,
    /// The object as it is now. None: it is gone.
    pub object: Option<&'a Object>,
    /// How many calls for this object have failed since the last one that did not.
    pub attempt: u32,
    /// Names the call in the log.
    pub id: ReconcileId,
}

/// Names a call in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReconcileId(pub u64);

impl fmt::Display for ReconcileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl<'a> From<Request<'a>> for types::Request<'a> {
    fn from(request: Request<'a>) -> Self {
        Self {
            target: ObjectRefParam {
                api_version: &request.kind.api_version,
                kind: &request.kind.kind,
                namespace: request.key.namespace(),
                name: request.key.name(),
            },
            object: request.object.map(|object| &*object.json),
            attempt: request.attempt,
            deleting: request.object.is_some_and(|object| object.deleting),
        }
    }
}
