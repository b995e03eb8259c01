//! An object of the cluster, read in place.

use std::borrow::Cow;

use serde::de::value::UnitDeserializer;
use serde::de::{Deserialize, Error as _};
use serde_json::Error;

use crate::json::Reader;
use crate::{Failure, ObjectRef};

/// An object as the API server serves it, in JSON.
///
/// What a reconcile needs of it is declared as a small type and deserialized from the text; everything else is skipped,
/// and texts are borrowed rather than copied. Declare texts as `&str` where Kubernetes lets them hold nothing that JSON
/// escapes (names, images, label values), and as `Cow<str>` with `#[serde(borrow)]` elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object(String);

impl Object {
    /// An object of that JSON text.
    pub fn new(json: impl Into<String>) -> Self {
        Self(json.into())
    }

    /// The JSON text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The object as a `T`, which names the fields that are needed, or has all of them as the types of k8s-openapi do.
    ///
    /// ```
    /// use k8s_openapi::api::apps::v1::ReplicaSet;
    /// use oarlock_sdk::{Failure, Object};
    /// use serde::Deserialize;
    ///
    /// #[derive(Deserialize)]
    /// struct Scaled {
    ///     spec: Spec,
    /// }
    ///
    /// #[derive(Deserialize)]
    /// struct Spec {
    ///     replicas: i32,
    /// }
    ///
    /// # fn main() -> Result<(), Failure> {
    /// let object = Object::new(r#"{"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {}, "spec": {
    ///     "replicas": 3, "selector": {}, "template": {}}}"#);
    /// let small: Scaled = object.parse()?;
    /// let whole: ReplicaSet = object.parse()?;
    /// assert_eq!(whole.spec.and_then(|spec| spec.replicas), Some(small.spec.replicas));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// A small type is a smaller and faster plugin: k8s-openapi reads, and has code for, every field of the kind.
    ///
    /// A shape that does not fit is a [`Failure::Terminal`]: it stays so until the object changes.
    pub fn parse<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Failure> {
        let mut json = Reader::new(&self.0);
        T::deserialize(&mut json).map_err(|error| self.unexpected("", &error, &json))
    }

    /// The value at a JSON pointer (RFC 6901), such as `/spec/template/spec/containers` or `/spec/ports/0/name`.
    ///
    /// Where there is nothing, an `Option` is none, and any other `T` a [`Failure::Terminal`].
    pub fn at<'a, T: Deserialize<'a>>(&'a self, pointer: &str) -> Result<T, Failure> {
        let mut json = Reader::new(&self.0);
        let value = match json.go_to(pointer) {
            Ok(true) => T::deserialize(&mut json),
            // Null is none for an option, and of the wrong type for nearly all else.
            Ok(false) => T::deserialize(UnitDeserializer::<Error>::new())
                .map_err(|_| Error::custom(format_args!("there is no `{pointer}`"))),
            Err(error) => Err(error),
        };
        value.map_err(|error| self.unexpected(&format!(" at {pointer}"), &error, &json))
    }

    /// What does not fit is quoted in the error, and ends up in a log: not what is in a Secret.
    fn unexpected(&self, place: &str, error: &Error, json: &Reader<'_>) -> Failure {
        #[derive(serde::Deserialize)]
        struct Kind<'a> {
            #[serde(borrow)]
            kind: Cow<'a, str>,
        }
        let is_secret = serde_json::from_str(&self.0).is_ok_and(|Kind { kind }| kind == "Secret");
        if is_secret && error.is_data() {
            return Failure::terminal(format_args!(
                "unexpected object{place}: it is a Secret, of which no more is said"
            ));
        }
        let text = error.to_string();
        // A line and a column are those within a number or the like.
        let what = text.rsplit_once(" at line ").filter(|_| error.line() > 0).map_or(&*text, |(what, _)| what);
        Failure::terminal(format_args!("unexpected object{place}: {what}, at byte {}", json.place()))
    }

    /// The name of the object, to read, change or delete it by.
    ///
    /// Every object from the host has one. Without `apiVersion`, `kind` or name, it is a [`Failure::Terminal`].
    pub fn reference(&self) -> Result<ObjectRef, Failure> {
        #[derive(serde::Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Named {
            api_version: String,
            kind: String,
            metadata: Metadata,
        }
        #[derive(serde::Deserialize)]
        struct Metadata {
            name: String,
            namespace: Option<String>,
        }
        let Named { api_version, kind, metadata: Metadata { name, namespace } } = self.parse()?;
        Ok(ObjectRef { api_version, kind, namespace, name })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object() -> Object {
        Object::new(
            r#"{"metadata": {"labels": {"example.com/tier": "front", "a~b": "c"}, "n\u0061me": "x"},
                "spec": {"replicas": 3, "paused": null, "ports": [{"name": "http"}, {"name": "https"}]}, "status": {}}"#,
        )
    }

    #[test]
    fn a_pointer_finds_members_elements_and_escaped_names() {
        let object = object();
        assert_eq!(object.at("/spec/replicas"), Ok(3));
        assert_eq!(object.at("/spec/ports/1/name"), Ok("https"));
        assert_eq!(object.at("/metadata/labels/example.com~1tier"), Ok("front"));
        assert_eq!(object.at("/metadata/labels/a~0b"), Ok("c"));
        assert_eq!(object.at("/metadata/name"), Ok("x"));
    }

    #[test]
    fn what_is_in_a_secret_is_not_quoted_where_it_is_not_what_was_expected() {
        for (kind, quoted) in [("Secret", false), ("ConfigMap", true)] {
            let object = Object::new(format!(r#"{{"kind": "{kind}", "data": {{"key": "hunter2"}}}}"#));
            let Err(Failure::Terminal(reason)) = object.at::<u32>("/data/key") else { panic!("it is a number") };
            assert_eq!(reason.contains("hunter2"), quoted, "{reason}");
            assert!(reason.contains("/data/key"), "{reason}");
        }
    }

    #[test]
    fn what_is_not_there_is_none_or_a_terminal_failure_that_says_so() {
        let object = object();
        for pointer in ["/spec/nodes", "/spec/paused", "/spec/paused/since", "/spec/ports/2/name", "/none/at/all"] {
            assert_eq!(object.at::<Option<u32>>(pointer), Ok(None), "{pointer}");
            let Err(Failure::Terminal(reason)) = object.at::<u32>(pointer) else { panic!("{pointer} is found") };
            assert!(reason.contains(pointer), "{reason}");
        }
    }

    #[test]
    fn an_object_refers_to_itself_with_its_namespace_where_it_has_one() {
        let config = r#"{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": "shop", "name": "web"}}"#;
        let namespace = r#"{"kind": "Namespace", "metadata": {"name": "shop", "labels": {}}, "apiVersion": "v1"}"#;
        let reference = |json: &str| Object::new(json).reference();
        assert_eq!(reference(config), Ok(ObjectRef::new("v1", "ConfigMap", "web").in_namespace("shop")));
        assert_eq!(reference(namespace), Ok(ObjectRef::new("v1", "Namespace", "shop")));
        assert!(matches!(reference(r#"{"kind": "Namespace"}"#), Err(Failure::Terminal(_))));
    }

    #[test]
    fn another_shape_than_asked_for_is_a_terminal_failure() {
        let object = object();
        for pointer in ["/spec/replicas", "/spec/replicas/x", "/spec/ports/http"] {
            assert!(matches!(object.at::<&str>(pointer), Err(Failure::Terminal(_))), "{pointer}");
        }
        assert!(matches!(object.parse::<Vec<u8>>(), Err(Failure::Terminal(_))));
    }
}
