//! An object of the cluster, read in place.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor, value};
use serde_json::Deserializer as JsonDeserializer;

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
        serde_json::from_str(&self.0).map_err(|error| self.unexpected("", &error))
    }

    /// The value at a JSON pointer (RFC 6901), such as `/spec/template/spec/containers` or `/spec/ports/0/name`.
    ///
    /// Where there is nothing, an `Option` is none, and any other `T` a [`Failure::Terminal`].
    pub fn at<'a, T: Deserialize<'a>>(&'a self, pointer: &str) -> Result<T, Failure> {
        let mut json = JsonDeserializer::from_str(&self.0);
        let value = At { pointer, whole: pointer, value: PhantomData }.deserialize(&mut json);
        value.map_err(|error| self.unexpected(&format!(" at {pointer}"), &error))
    }

    /// What does not fit is quoted in the error, and ends up in a log: not what is in a Secret.
    fn unexpected(&self, place: &str, error: &serde_json::Error) -> Failure {
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
        Failure::terminal(format_args!("unexpected object{place}: {error}"))
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

/// Deserializes what is at a JSON pointer, and skips the rest.
struct At<'p, T> {
    /// What is left of the pointer.
    pointer: &'p str,
    whole: &'p str,
    value: PhantomData<T>,
}

impl<'p, T> At<'p, T> {
    /// The next token of the pointer, and the rest.
    fn split(&self) -> (Cow<'p, str>, Self) {
        let pointer = self.pointer.strip_prefix('/').unwrap_or(self.pointer);
        let (token, rest) = pointer.split_at(pointer.find('/').unwrap_or(pointer.len()));
        let token =
            if token.contains('~') { token.replace("~1", "/").replace("~0", "~").into() } else { Cow::Borrowed(token) };
        (token, Self { pointer: rest, whole: self.whole, value: PhantomData })
    }

    fn missing<'de, E: de::Error>(&self) -> Result<T, E>
    where
        T: Deserialize<'de>,
    {
        // Null is none for an option, and of the wrong type for nearly all else.
        T::deserialize(value::UnitDeserializer::<E>::new())
            .map_err(|_| E::custom(format_args!("there is no `{}`", self.whole)))
    }
}

impl<'de, T: Deserialize<'de>> DeserializeSeed<'de> for At<'_, T> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        if self.pointer.is_empty() { T::deserialize(deserializer) } else { deserializer.deserialize_any(self) }
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for At<'_, T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object or a list with `{}`", self.pointer)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
        let (token, rest) = self.split();
        while let Some(Key(key)) = map.next_key()? {
            if key == token {
                let value = map.next_value_seed(rest)?;
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                return Ok(value);
            }
            map.next_value::<IgnoredAny>()?;
        }
        self.missing()
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<T, A::Error> {
        let (token, rest) = self.split();
        let Ok(index) = token.parse::<usize>() else {
            return Err(de::Error::custom(format_args!("`{token}` is no index of a list")));
        };
        for _ in 0..index {
            if list.next_element::<IgnoredAny>()?.is_none() {
                return self.missing();
            }
        }
        let Some(value) = list.next_element_seed(rest)? else { return self.missing() };
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(value)
    }

    fn visit_unit<E: de::Error>(self) -> Result<T, E> {
        self.missing()
    }
}

/// A member's name, copied only if it is written with escapes.
#[derive(serde::Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

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
