//! The fields of objects in memory: what of them is whose. Pure.

use serde_json::{Map, Value};

use crate::object::Part;

/// What of `metadata` only the store writes, but for what it takes from files.
pub(super) const KEPT: [&str; 10] = [
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "managedFields",
    "selfLink",
];

/// That part of an object, as far as callers may write it.
pub(super) fn part_of(mut object: Map<String, Value>, part: Part) -> Map<String, Value> {
    object.retain(|name, value| {
        let is_status = name == "status";
        !value.is_null() && is_status == (part == Part::Status) && name != "apiVersion" && name != "kind"
    });
    if object.contains_key("metadata") {
        let metadata = metadata_mut(&mut object);
        metadata.retain(|name, _| !KEPT.contains(&&**name));
        tidy(metadata);
        if metadata.is_empty() {
            object.remove("metadata");
        }
    }
    object
}

/// Takes out what an API server leaves out: nulls, and what is empty.
pub(super) fn tidy(metadata: &mut Map<String, Value>) {
    metadata.retain(|_, value| match value {
        Value::Null => false,
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            !fields.is_empty()
        }
        Value::Array(items) => !items.is_empty(),
        _ => true,
    });
}

/// Makes those fields of `after` what they were.
pub(super) fn restore<const N: usize>(after: &mut Map<String, Value>, before: &Map<String, Value>, names: [&str; N]) {
    for name in names {
        after.remove(name);
        after.extend(before.get(name).map(|value| (name.to_owned(), value.clone())));
    }
}

/// Whether a new generation begins, which it does not for metadata and status.
pub(super) fn differ(before: &Map<String, Value>, after: &Map<String, Value>) -> bool {
    let mut names = before.keys().chain(after.keys()).filter(|name| !["metadata", "status"].contains(&&***name));
    names.any(|name| before.get(name) != after.get(name))
}

pub(super) fn metadata<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    object.get("metadata")?.get(name)
}

/// The metadata of an object, which is made a map if it is none.
pub(super) fn metadata_mut(object: &mut Map<String, Value>) -> &mut Map<String, Value> {
    let metadata = object.entry("metadata").or_insert(Value::Null);
    if !metadata.is_object() {
        *metadata = Map::new().into();
    }
    match metadata {
        Value::Object(metadata) => metadata,
        _ => unreachable!("it was made a map"),
    }
}

pub(super) fn items<'a>(object: &'a Map<String, Value>, name: &str) -> &'a [Value] {
    metadata(object, name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

pub(super) fn text(value: Option<&Value>) -> &str {
    value.and_then(Value::as_str).unwrap_or_default()
}
