//! Calls written down as a host made them: what a plugin was given and what it read, and what it answered. So a call can
//! be made again, without the cluster and by another version of the plugin.
//!
//! Values of Secrets are left out.

mod reads;
mod recorder;
mod result;
mod secrets;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::object::{self, Gvk, ObjectKey};
use crate::selector::Selection;
use crate::yaml;

pub use reads::{Recorded, RecordingReader};
pub use recorder::{Recorder, RecorderOptions, Tape, Which};
pub use result::{CallResult, Change, Ending, Manifest, Reference, Wish, lines};

/// The version of the format.
pub const FORMAT: u32 = 1;
/// How the names of recordings end.
pub const SUFFIX: &str = ".recording.yaml";

/// A call as it is written down.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Recording {
    /// The version of the format.
    pub recording: u32,
    /// The plugin.
    pub plugin: String,
    /// SHA-256 of its file.
    pub digest: String,
    /// When it was called; RFC 3339.
    pub time: String,
    /// Why the reconcile failed, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Whether values of Secrets were left out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub redacted: bool,
    /// The object that it was called for.
    pub target: Reference,
    /// How many calls for it had failed since the last one that did not.
    #[serde(default)]
    pub attempt: u32,
    /// The settings of the plugin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<Value>,
    /// The object. None: it was gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<Manifest>,
    /// What the call read, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reads: Vec<Read>,
    /// What it answered.
    pub result: CallResult,
    /// What it wrote to stderr.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stderr: Vec<String>,
}

/// Something that a call read, and the answer: of `get` an object or nothing, of `list` objects.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Read {
    /// The object that was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub get: Option<Reference>,
    /// Or what the objects were selected by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub list: Option<Selected>,
    /// The one that there is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<Manifest>,
    /// Those that there are.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub objects: Vec<Manifest>,
    /// Why there is no answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What objects are selected by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Selected {
    api_version: String,
    kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    label_selector: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    field_selector: String,
}

impl Recording {
    /// The recording that a file of this text is.
    pub fn parse(text: &str) -> Result<Self, String> {
        let recording: Self =
            serde_saphyr::from_str_with_options(text, yaml::of_objects()).map_err(|error| error.to_string())?;
        if recording.recording != FORMAT {
            return Err(format!("it is in format {}, and this version reads format {FORMAT}", recording.recording));
        }
        Ok(recording)
    }

    /// Its file, as YAML.
    pub fn text(&self) -> String {
        yaml::text(self)
    }

    /// The object that the plugin was called for. None: it was gone, or what was recorded is no object.
    pub fn object(&self, gvk: &Gvk) -> Option<object::Object> {
        self.object.as_ref()?.object(gvk)
    }
}

impl Selected {
    fn of(selection: &Selection) -> Self {
        Self {
            api_version: selection.gvk.api_version().to_owned(),
            kind: selection.gvk.kind().to_owned(),
            namespace: selection.namespace.as_deref().map(str::to_owned),
            label_selector: selection.labels.to_string(),
            field_selector: selection.fields.to_string(),
        }
    }
}

impl From<&object::ObjectRef> for Reference {
    fn from(target: &object::ObjectRef) -> Self {
        Self {
            api_version: target.gvk.api_version().to_owned(),
            kind: target.gvk.kind().to_owned(),
            namespace: target.key.namespace().map(str::to_owned),
            name: target.key.name().to_owned(),
        }
    }
}

impl From<&Reference> for object::ObjectRef {
    fn from(target: &Reference) -> Self {
        Self {
            gvk: Gvk::new(&target.api_version, &target.kind),
            key: ObjectKey::new(target.namespace.as_deref(), &target.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_recording_is_read_as_it_was_written() {
        let recording = json!({
            "recording": 1, "plugin": "demo", "digest": "0", "time": "2026-01-02T03:04:05Z",
            "target": {"apiVersion": "v1", "kind": "Pod", "namespace": "a", "name": "b"}, "attempt": 2,
            "object": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "b", "annotations": {}}, "spec": {"list": []}},
            "reads": [
                {"get": {"apiVersion": "v1", "kind": "Pod", "name": "c"}},
                {"list": {"apiVersion": "v1", "kind": "Pod", "labelSelector": "a=b"}},
                {"list": {"apiVersion": "v1", "kind": "Pod"}, "objects": [{"kind": "Pod", "x": []}, {}]},
                {"get": {"apiVersion": "v1", "kind": "Pod", "name": "d"}, "error": "denied: 'x'\nand more"},
            ],
            "result": {
                "call": "Pod a/b", "result": "done", "printed": ["- a: b", "", "  #"], "children": [],
                "actions": [
                    {"jsonPatch": {"target": {"apiVersion": "v1", "kind": "Pod", "name": "b"}, "patch": []}},
                    {"mergePatch": {"target": {"apiVersion": "v1", "kind": "Pod", "name": "b"}, "patch": {}}},
                    {"apply": {}},
                ],
            },
        });
        let recording: Recording = serde_json::from_value(recording).unwrap();
        let text = recording.text();
        let again = Recording::parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert_eq!(serde_json::to_value(&again).unwrap(), serde_json::to_value(&recording).unwrap(), "{text}");
    }

    #[test]
    fn a_recording_of_many_small_objects_is_read() {
        let object = json!({"kind": "ConfigMap", "metadata": {"name": "x"}, "data": {"a": "b", "c": "d", "e": "f"}});
        let recording = json!({
            "recording": 1, "plugin": "demo", "digest": "0", "time": "2026-01-02T03:04:05Z",
            "target": {"apiVersion": "v1", "kind": "Pod", "name": "b"}, "result": {},
            "reads": [{"list": {"apiVersion": "v1", "kind": "ConfigMap"}, "objects": vec![object; 20_000]}],
        });
        let recording: Recording = serde_json::from_value(recording).unwrap();
        assert_eq!(Recording::parse(&recording.text()).map(|read| read.reads[0].objects.len()), Ok(20_000));
    }
}
