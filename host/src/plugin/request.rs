//! What a guest is told in a call.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::bindings::oarlock::plugin::types::{self, ObjectRefParam};
use super::reader::Reader;
use crate::object::{Object, ObjectRef};

/// What a guest is told.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// Which object.
    pub target: &'a ObjectRef,
    /// The object as it is now. None: it is gone.
    pub object: Option<&'a Object>,
    /// How many calls for this object have failed since the last one that did not.
    pub attempt: u32,
    /// Names the call in the log.
    pub id: ReconcileId,
    /// What it reads through.
    pub reader: &'a Arc<dyn Reader>,
}

/// Names a call in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReconcileId(pub u64);

impl fmt::Display for ReconcileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl<'a> Request<'a> {
    /// The text of the object.
    pub(super) fn json(&self) -> Option<Cow<'a, str>> {
        self.object.map(|object| object.json.text())
    }

    /// What the guest is told, with the text of the object.
    pub(super) fn told(&self, json: Option<&'a str>) -> types::Request<'a> {
        let ObjectRef { gvk, key } = self.target;
        types::Request {
            target: ObjectRefParam {
                api_version: gvk.api_version(),
                kind: gvk.kind(),
                namespace: key.namespace(),
                name: key.name(),
            },
            object: json,
            attempt: self.attempt,
            deleting: self.object.is_some_and(|object| object.deleting),
        }
    }
}
