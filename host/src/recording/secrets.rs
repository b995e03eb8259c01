//! Leaves the values of Secrets out of what is written down. Pure.

use serde_json::{Map, Value};

use super::result::{Manifest, Reference, Wish};
use super::{Read, Recording};

/// What stands for a value; `stringData` has it as it is.
const LEFT_OUT: &str = "(left out)";
/// The same in base64, which `data` is in.
const LEFT_OUT_BASE64: &str = "KGxlZnQgb3V0KQ==";
/// Where `kubectl apply` keeps the manifest, with the values in it.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

impl Recording {
    /// The same without values of Secrets.
    pub(super) fn without_secrets(mut self) -> Self {
        let mut redacted = self.object.as_mut().is_some_and(leave_out);
        for read in &mut self.reads {
            let objects = match read {
                Read::Get { object, .. } => object.as_mut_slice(),
                Read::List { objects, .. } => objects,
            };
            for object in objects {
                redacted |= leave_out(object);
            }
        }
        for child in self.result.children.iter_mut().flatten() {
            redacted |= leave_out(child);
        }
        for wish in &mut self.result.actions {
            redacted |= match wish {
                Wish::Apply(object) | Wish::ApplyStatus(object) => leave_out(object),
                Wish::MergePatch { target, patch: Manifest::Object(patch) } if is_secret(target) => {
                    leave_out_values(patch)
                }
                Wish::MergePatch { target, patch } | Wish::JsonPatch { target, patch } if is_secret(target) => {
                    *patch = Manifest::Other(LEFT_OUT.into());
                    true
                }
                _ => false,
            };
        }
        self.redacted = redacted;
        self
    }
}

fn is_secret(target: &Reference) -> bool {
    target.api_version == "v1" && target.kind == "Secret"
}

/// Whether it is a Secret, whose values are gone then. What is no object might be one.
fn leave_out(manifest: &mut Manifest) -> bool {
    match manifest {
        Manifest::Object(object) if object.get("kind").is_none_or(|kind| kind == "Secret") => leave_out_values(object),
        Manifest::Object(_) => false,
        Manifest::Other(other) => {
            *other = LEFT_OUT.into();
            true
        }
    }
}

fn leave_out_values(object: &mut Map<String, Value>) -> bool {
    for (field, value) in [("data", LEFT_OUT_BASE64), ("stringData", LEFT_OUT)] {
        match object.get_mut(field) {
            Some(Value::Object(values)) => values.values_mut().for_each(|old| *old = value.into()),
            Some(other) => *other = Value::Null,
            None => {}
        }
    }
    if let Some(Value::Object(annotations)) = object.get_mut("metadata").and_then(|data| data.get_mut("annotations")) {
        annotations.remove(LAST_APPLIED);
    }
    true
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::recording::CallResult;

    const VALUE: &str = "aHVudGVyMg==";

    fn secret() -> Manifest {
        let annotations = json!({LAST_APPLIED: VALUE, "other": "stays"});
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
        let patch = of(&json!({"data": {"k": VALUE}}));
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
                Read::Get { target: target.clone(), object: Some(secret()), error: None },
                Read::List {
                    selection: serde_json::from_value(json!({"apiVersion": "v1", "kind": "Secret"})).unwrap(),
                    objects: vec![secret()],
                    error: None,
                },
            ],
            result: CallResult {
                children: Some(vec![secret(), of(&json!("{\"kind\": \"Secret\", aHVudGVyMg=="))]),
                actions: vec![
                    Wish::Apply(secret()),
                    Wish::MergePatch { target: target.clone(), patch },
                    Wish::JsonPatch { target, patch: operations },
                ],
                ..CallResult::default()
            },
            stderr: Vec::new(),
        }
    }

    #[test]
    fn no_value_of_a_secret_is_left_wherever_it_stands() {
        let written = recording(secret()).without_secrets();
        assert!(written.redacted);
        let text = serde_json::to_string(&written).unwrap();
        assert!(!text.contains(VALUE), "{text}");
        assert_eq!(text.matches("\"other\":\"stays\"").count(), 5, "{text}");
        assert_eq!(text.matches(LEFT_OUT_BASE64).count(), 6, "{text}");
    }

    #[test]
    fn what_is_no_secret_is_as_it_was() {
        let config = of(&json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"k": "v"}}));
        let mut before = recording(config.clone());
        (before.reads, before.result) = (Vec::new(), CallResult::default());
        let after = before.without_secrets();
        assert!(!after.redacted);
        assert_eq!(after.object, Some(config));
    }
}
