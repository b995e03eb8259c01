//! Leaves the values of Secrets out of what is written down. Pure.

use serde_json::{Map, Value};

use super::Recording;
use super::result::{CallResult, Manifest, Reference, Wish, WishedPatch};

/// What stands for a value; `stringData` has it as it is.
const LEFT_OUT: &str = "(left out)";
/// The same in base64, which `data` is in.
const LEFT_OUT_BASE64: &str = "KGxlZnQgb3V0KQ==";

impl Recording {
    /// Leaves values of Secrets out.
    pub(super) fn leave_out_secrets(&mut self) {
        let mut redacted = self.object.as_mut().is_some_and(leave_out);
        for read in &mut self.reads {
            for object in read.object.iter_mut().chain(&mut read.objects) {
                redacted |= leave_out(object);
            }
        }
        redacted |= self.result.leave_out_secrets();
        self.redacted |= redacted;
    }
}

impl CallResult {
    /// Leaves values of Secrets out, and tells whether there were any.
    pub fn leave_out_secrets(&mut self) -> bool {
        let mut redacted = false;
        for child in self.children.iter_mut().flatten() {
            redacted |= leave_out(child);
        }
        for wish in &mut self.actions {
            redacted |= match wish {
                Wish::Apply(object) | Wish::ApplyStatus(object) => leave_out(object),
                Wish::MergePatch(WishedPatch { target, patch: Manifest::Object(patch) }) if is_secret(target) => {
                    leave_out_values(patch)
                }
                Wish::MergePatch(WishedPatch { target, patch }) | Wish::JsonPatch(WishedPatch { target, patch })
                    if is_secret(target) =>
                {
                    *patch = Manifest::Other(LEFT_OUT.into());
                    true
                }
                _ => false,
            };
        }
        redacted
    }
}

fn is_secret(target: &Reference) -> bool {
    target.api_version == "v1" && target.kind == "Secret"
}

/// Whether there is a Secret in it, the values of which are gone then. What is no object might be one.
fn leave_out(manifest: &mut Manifest) -> bool {
    match manifest {
        Manifest::Object(object) => leave_out_of(object),
        Manifest::Other(other) => {
            *other = LEFT_OUT.into();
            true
        }
    }
}

fn leave_out_of(object: &mut Map<String, Value>) -> bool {
    if object.get("kind").is_none_or(|kind| kind == "Secret") {
        return leave_out_values(object);
    }
    let Some(Value::Array(items)) = object.get_mut("items") else { return false };
    let items = items.iter_mut().filter_map(Value::as_object_mut);
    // An item without a kind has that of the list.
    items.map(leave_out_of).fold(false, |redacted, found| redacted | found)
}

/// What no value is left of: data, and annotations, in which tools keep whole manifests.
fn leave_out_values(secret: &mut Map<String, Value>) -> bool {
    for (field, value) in [("data", LEFT_OUT_BASE64), ("stringData", LEFT_OUT)] {
        if let Some(values) = secret.get_mut(field) {
            replace(values, value);
        }
    }
    if let Some(values) = secret.get_mut("metadata").and_then(|metadata| metadata.get_mut("annotations")) {
        replace(values, LEFT_OUT);
    }
    true
}

/// Puts that in the place of each value; null, which removes one, stays.
fn replace(values: &mut Value, by: &str) {
    match values {
        Value::Object(values) => values.values_mut().filter(|old| !old.is_null()).for_each(|old| *old = by.into()),
        Value::Null => {}
        other => *other = by.into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::recording::Read;

    const VALUE: &str = "aHVudGVyMg==";

    fn secret() -> Manifest {
        let annotations = json!({"kubectl.kubernetes.io/last-applied-configuration": VALUE, "kapp": VALUE});
        let metadata = json!({"name": "a", "annotations": annotations});
        of(
            &json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": {"k": VALUE}, "stringData": {"s": VALUE}}),
        )
    }

    fn of(value: &Value) -> Manifest {
        serde_json::from_value(value.clone()).unwrap()
    }

    fn recording(object: Manifest) -> Recording {
        let target = json!({"apiVersion": "v1", "kind": "Secret", "name": "a"});
        let target: Reference = serde_json::from_value(target).unwrap();
        let patch = of(&json!({"data": {"k": VALUE, "gone": null}}));
        let operations = of(&json!([{"op": "add", "path": "/data/k", "value": VALUE}]));
        Recording {
            recording: 1,
            plugin: "demo".into(),
            digest: "0".into(),
            time: "2026-01-02T03:04:05Z".into(),
            failure: None,
            redacted: false,
            target: target.clone(),
            attempt: 0,
            settings: None,
            object: Some(object),
            reads: vec![
                Read { get: Some(target.clone()), object: Some(secret()), ..Read::default() },
                Read { objects: vec![secret()], ..Read::default() },
            ],
            result: CallResult {
                children: Some(vec![secret(), of(&json!("{\"kind\": \"Secret\", aHVudGVyMg=="))]),
                actions: vec![
                    Wish::Apply(secret()),
                    Wish::Apply(of(&json!({"apiVersion": "v1", "kind": "List", "items": [secret()]}))),
                    Wish::MergePatch(WishedPatch { target: target.clone(), patch }),
                    Wish::JsonPatch(WishedPatch { target, patch: operations }),
                ],
                ..CallResult::default()
            },
            stderr: Vec::new(),
        }
    }

    #[test]
    fn no_value_of_a_secret_is_left_wherever_it_stands() {
        let mut written = recording(secret());
        written.leave_out_secrets();
        assert!(written.redacted);
        let text = serde_json::to_string(&written).unwrap();
        assert!(!text.contains(VALUE), "{text}");
        assert!(text.contains(r#""gone":null"#), "what is removed is no value: {text}");
        assert_eq!(text.matches(LEFT_OUT_BASE64).count(), 7, "{text}");
    }

    #[test]
    fn what_is_no_secret_is_as_it_was() {
        let config = of(&json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"k": "v"}}));
        let mut before = recording(config.clone());
        (before.reads, before.result) = (Vec::new(), CallResult::default());
        before.leave_out_secrets();
        assert!(!before.redacted);
        assert_eq!(before.object, Some(config));
    }
}
