//! What has to hold for any bytes that come from outside, as plain functions: each panics if it does not hold.
//!
//! `cargo test --test fuzz` runs them on the corpus and on mutations of it, `make fuzz` lets libFuzzer look for more.

#![allow(clippy::expect_used, reason = "a panic is how they fail")]

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, LazyLock};

use oarlock::digest::Digest;
use oarlock::grant::Grant;
use oarlock::object::{Gvk, Object, RawObject};
use oarlock::plugin::{AotCache, Compiler, Engine, Limits, LoadError, Loader};
use oarlock::source::manifests::{Documents, Format};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use tokio::runtime::Runtime;

/// An object of the API server: what the host finds in its text is what is in it, and what it passes on is all of it but
/// the managed fields.
pub(crate) fn object(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let item = Object::read(text.trim(), &Gvk::replica_set()).ok();
    let Ok(raw) = serde_json::from_str::<RawObject>(text) else {
        assert!(serde_json::from_str::<Value>(text).is_err(), "JSON is refused");
        return;
    };
    let found = raw.into_object(&Gvk::replica_set());
    // It is nested too deeply for serde_json, or has a number that is none for it. The host does not look at those.
    let Ok(value) = serde_json::from_str::<Value>(text) else { return };
    if serde_json::from_str::<Unambiguous>(text).is_err() {
        // Who reads a name that is there twice, and which of them, is not laid down.
        found.inspect(|object| drop(serde_json::from_str::<Value>(&object.json.text()).expect("it stays JSON")));
        return;
    }
    assert_eq!(item, found, "an item of a list is read as any other object");
    let expected = named(&value);
    match (&found, &expected) {
        (Some(object), Some(expected)) => same(object, expected),
        (None, None) => {}
        _ => panic!("found {found:?}, expected {expected:?}"),
    }
}

/// What a manifest would be taken for that is read as a tree; none if the host may pass over it.
fn named(value: &Value) -> Option<Map<String, Value>> {
    let mut fields = value.as_object()?.clone();
    // Of an object whose metadata is not what Kubernetes' types allow, the host need not find anything.
    let metadata = fields.get_mut("metadata")?.as_object_mut()?;
    let texts = ["name", "namespace", "uid", "resourceVersion"];
    let is_text = |name: &&str| {
        let value = metadata.get(*name).filter(|value| !value.is_null());
        value.is_none_or(|value| value.as_str().is_some_and(|text| !text.contains('\0')))
    };
    if !texts.iter().all(is_text) || !metadata.get("name")?.is_string() {
        return None;
    }
    if !metadata.get("managedFields").is_none_or(Value::is_null) {
        metadata.remove("managedFields");
    }
    fields.entry("apiVersion").or_insert("apps/v1".into());
    fields.entry("kind").or_insert("ReplicaSet".into());
    Some(fields)
}

fn same(object: &Object, expected: &Map<String, Value>) {
    let text = object.json.text();
    let value: Value = serde_json::from_str(&text).expect("it stays JSON");
    assert_eq!(value.as_object(), Some(expected));
    assert!(serde_json::from_str::<Unambiguous>(&text).is_ok(), "a name is there twice: {text}");
    let metadata = &expected["metadata"];
    let text = |name: &str| metadata[name].as_str();
    assert_eq!(Some(object.key.name()), text("name"));
    assert_eq!(object.key.namespace(), text("namespace").filter(|namespace| !namespace.is_empty()));
    assert_eq!(object.uid.to_string(), text("uid").unwrap_or_default());
    assert_eq!(object.resource_version.to_string(), text("resourceVersion").unwrap_or_default());
    if let Some(finalizers) = metadata["finalizers"].as_array().filter(|all| all.iter().all(Value::is_string)) {
        assert!(object.finalizers.iter().map(|name| &**name).eq(finalizers.iter().filter_map(Value::as_str)));
    }
    if let Some(labels) = metadata["labels"].as_object().filter(|labels| labels.values().all(Value::is_string)) {
        assert!(object.labels().iter().all(|(name, value)| labels[name] == **value));
        assert_eq!(object.labels().len(), labels.len());
    }
}

/// A manifest file: each document is taken or named with its line, and JSON is read as `serde_json` reads it.
pub(crate) fn manifests(bytes: &[u8]) {
    let lines = lines(bytes);
    for format in [Format::Yaml, Format::Json] {
        let found = Documents::parse(bytes, format);
        for broken in &found.broken {
            assert!((1..=lines).contains(&broken.line), "{broken:?} of {lines} lines");
            assert!(!broken.reason.is_empty());
        }
        for object in &found.objects {
            let is_text = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
            assert!(["apiVersion", "kind"].iter().all(|name| is_text(&object[*name])), "{object:?}");
            assert!(is_text(&object["metadata"]["name"]), "{object:?}");
        }
    }
    let value = serde_json::from_slice::<Value>(bytes).unwrap_or_default();
    if value.is_object() && !value["kind"].as_str().is_some_and(|kind| kind.ends_with("List")) {
        let found = Documents::parse(bytes, Format::Json);
        assert_eq!(found.objects.len() + found.broken.len(), 1, "{value}");
        assert!(found.objects.into_iter().all(|object| Value::Object(object) == value));
    }
}

/// How many lines there are at most. For YAML, a carriage return ends one too.
fn lines(bytes: &[u8]) -> usize {
    1 + bytes.iter().filter(|byte| b"\n\r".contains(byte)).count()
}

/// A grant file: it is a grant, or the line is named that is wrong.
pub(crate) fn grant(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match Grant::parse(text) {
        Ok(grant) => {
            for kind in grant.kinds() {
                assert!(!kind.kind().is_empty() && !kind.api_version().is_empty());
            }
        }
        Err(error) => assert!((1..=lines(bytes)).contains(&error.line()), "{error}"),
    }
}

/// A plugin file: it is a plugin or is refused, and neither the host nor the compiler comes to harm.
pub(crate) fn plugin(bytes: &[u8]) {
    static LOADER: LazyLock<(Runtime, Arc<Loader>)> = LazyLock::new(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let limits = Limits { cpu: MOST_TIME, wall: MOST_TIME, ..Limits::default() };
        (runtime, Arc::new(Loader::new(Engine::new().expect("an engine"), Compiler::Thread, AotCache::off(), limits)))
    });
    const MOST_TIME: std::time::Duration = std::time::Duration::from_millis(100);
    let (runtime, loader) = &*LOADER;
    // Small modules are written as text.
    let bytes = if bytes.starts_with(b"(") { wat::parse_bytes(bytes).unwrap_or_default() } else { bytes.into() };
    let file = (Digest::of(&bytes), bytes.into_owned());
    let result = runtime.block_on(Arc::clone(loader).load("fuzzed".into(), file, Grant::default()));
    assert!(!matches!(result, Err(LoadError::Panicked)), "loading it panicked");
}

/// JSON in which no object has a name twice.
struct Unambiguous;

impl<'de> Deserialize<'de> for Unambiguous {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;
        impl<'de> Visitor<'de> for Names {
            type Value = Unambiguous;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Unambiguous, A::Error> {
                let mut names = HashSet::new();
                while let Some((name, Unambiguous)) = map.next_entry::<String, _>()? {
                    if !names.insert(name) {
                        return Err(A::Error::custom("a name is there twice"));
                    }
                }
                Ok(Unambiguous)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Unambiguous, A::Error> {
                while seq.next_element::<Unambiguous>()?.is_some() {}
                Ok(Unambiguous)
            }
            fn visit_bool<E>(self, _: bool) -> Result<Unambiguous, E> {
                Ok(Unambiguous)
            }
            fn visit_i64<E>(self, _: i64) -> Result<Unambiguous, E> {
                Ok(Unambiguous)
            }
            fn visit_u64<E>(self, _: u64) -> Result<Unambiguous, E> {
                Ok(Unambiguous)
            }
            fn visit_f64<E>(self, _: f64) -> Result<Unambiguous, E> {
                Ok(Unambiguous)
            }
            fn visit_str<E>(self, _: &str) -> Result<Unambiguous, E> {
                Ok(Unambiguous)
            }
            fn visit_unit<E>(self) -> Result<Unambiguous, E> {
                Ok(Unambiguous)
            }
        }
        deserializer.deserialize_any(Names)
    }
}
