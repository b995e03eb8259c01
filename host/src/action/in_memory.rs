//! Actions on manifests, as edits of what is in memory. Pure.

use std::sync::Arc;

use serde_json::Value;

use super::plan::{Step, finalizers_patch};
use crate::dispatch::Written;
use crate::object::{Gvk, Object, ObjectRef};
use crate::source::manifests::{Edit, Patch};

/// A step as an edit by that plugin. None: it changes no object.
pub fn edit(step: &Step, plugin: &str, force: bool) -> Option<Edit> {
    Some(match step {
        Step::Apply { body, part, .. } => {
            Edit::Apply { body: body.clone(), manager: format!("oarlock-{plugin}"), force, part: *part }
        }
        Step::MergePatch(_, patch) => Edit::Patch(Patch::Merge(patch.clone())),
        Step::JsonPatch(_, patch) => Edit::Patch(Patch::Json(patch.clone())),
        Step::Finalizers(object, finalizers) => Edit::Patch(Patch::Merge(finalizers_patch(object, finalizers))),
        Step::Delete { uid, .. } => Edit::Delete { uid: uid.clone() },
        Step::Event(_) => return None,
    })
}

/// What an edit has made of an object, of which both sides are as JSON.
pub(super) fn written(target: &ObjectRef, before: Option<&str>, after: Option<Object>) -> Option<(Gvk, Written)> {
    let written = match (after, before) {
        (Some(object), _) => Written::Object(Arc::new(object)),
        (None, Some(before)) => {
            let before: Value = serde_json::from_str(before).ok()?;
            let uid = before.pointer("/metadata/uid").and_then(Value::as_str).unwrap_or_default();
            Written::Gone(target.key.clone(), uid.into())
        }
        (None, None) => return None,
    };
    Some((target.gvk.clone(), written))
}
