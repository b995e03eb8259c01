//! Kubernetes objects as the host holds them: a key, the few fields it goes by, and JSON that it passes on unread.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// Group, version and kind, as a manifest writes them; cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Gvk(Arc<(Box<str>, Box<str>)>);

impl Gvk {
    /// What has this `apiVersion`, such as `apps/v1` or `v1`, and this `kind`.
    pub fn new(api_version: &str, kind: &str) -> Self {
        Self(Arc::new((api_version.into(), kind.into())))
    }

    /// `apps/v1 ReplicaSet`, what a plugin watches that does not say otherwise.
    pub fn replica_set() -> Self {
        Self::new("apps/v1", "ReplicaSet")
    }

    /// Group and version: `apps/v1`, `v1`.
    pub fn api_version(&self) -> &str {
        &self.0.0
    }

    /// `ReplicaSet`.
    pub fn kind(&self) -> &str {
        &self.0.1
    }

    /// The API group; empty for the core group.
    pub fn group(&self) -> &str {
        self.api_version().split_once('/').map_or("", |(group, _)| group)
    }

    /// The version within the group.
    pub fn version(&self) -> &str {
        self.api_version().split_once('/').map_or(self.api_version(), |(_, version)| version)
    }

    /// Whether both are the same kind of objects, maybe in different versions.
    pub fn is_same_kind(&self, other: &Self) -> bool {
        self.kind() == other.kind() && self.group() == other.group()
    }
}

impl fmt::Display for Gvk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.api_version(), self.kind())
    }
}

/// A kind of object that the API server serves.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Kind {
    /// What manifests call it.
    pub gvk: Gvk,
    /// The name in URLs and RBAC rules: `replicasets`.
    pub plural: Box<str>,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.gvk.fmt(f)
    }
}

/// Names one object of any kind; cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectRef {
    /// Its kind.
    pub gvk: Gvk,
    /// Which of that kind.
    pub key: ObjectKey,
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.gvk.kind(), self.key)
    }
}

/// Names one object within its kind; cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey(Arc<(Option<Box<str>>, Box<str>)>);

impl ObjectKey {
    /// The key of the object of that name; `namespace` is none for a cluster-scoped one.
    pub fn new(namespace: Option<&str>, name: &str) -> Self {
        Self(Arc::new((namespace.map(Box::from), name.into())))
    }

    /// None for a cluster-scoped object.
    pub fn namespace(&self) -> Option<&str> {
        self.0.0.as_deref()
    }

    /// `metadata.name`.
    pub fn name(&self) -> &str {
        &self.0.1
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(namespace) = self.namespace() {
            write!(f, "{namespace}/")?;
        }
        f.write_str(self.name())
    }
}

/// Which part of an object a change is about; the other one is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// All but the status.
    Main,
    /// The status, and nothing else.
    Status,
}

/// One version of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Which object.
    pub key: ObjectKey,
    /// `metadata.uid`; empty if the server gave none.
    pub uid: Box<str>,
    /// `metadata.resourceVersion`.
    pub resource_version: Box<str>,
    /// It has a `metadata.deletionTimestamp`.
    pub deleting: bool,
    /// The owner that controls it, where there is one.
    pub owner: Option<Box<Owner>>,
    /// `metadata.finalizers`.
    pub finalizers: Box<[Box<str>]>,
    /// The object as the API server sent it, without `metadata.managedFields`, with `apiVersion` and `kind`.
    pub json: Box<str>,
}

/// The owner reference that says `controller: true`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The kind of the owner.
    pub gvk: Gvk,
    /// Its name; it is cluster-scoped, or in the namespace of what it owns.
    pub name: Box<str>,
    /// Its uid.
    pub uid: Box<str>,
}

impl Object {
    /// `metadata.labels`.
    pub fn labels(&self) -> BTreeMap<String, String> {
        self.metadata("labels")
    }

    /// `metadata.annotations`.
    pub fn annotations(&self) -> BTreeMap<String, String> {
        self.metadata("annotations")
    }

    /// `metadata.deletionGracePeriodSeconds`; 0 if there is none.
    pub fn grace_period(&self) -> u64 {
        self.metadata("deletionGracePeriodSeconds")
    }

    fn metadata<T: DeserializeOwned + Default>(&self, name: &str) -> T {
        let head: Head<'_> = serde_json::from_str(&self.json).unwrap_or_default();
        let metadata = head.metadata.map(|raw| serde_json::from_str::<BTreeMap<Cow<'_, str>, &RawValue>>(raw.get()));
        let value = metadata.and_then(Result::ok).and_then(|metadata| metadata.get(name).map(|value| value.get()));
        value.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    }

    /// Whether it has that finalizer.
    pub fn has_finalizer(&self, finalizer: &str) -> bool {
        self.finalizers.iter().any(|had| **had == *finalizer)
    }

    /// Whether `other` is the same version of the same object, so that there is nothing new to reconcile.
    pub fn is_same_version(&self, other: &Self) -> bool {
        !self.resource_version.is_empty() && self.resource_version == other.resource_version && self.uid == other.uid
    }
}

/// Whether the first resource version is older than the second. They are numbers that grow (KEP-5504); where they are not,
/// it cannot be told.
pub fn is_surely_older(version: &str, than: &str) -> bool {
    matches!((version.parse::<u64>(), than.parse::<u64>()), (Ok(version), Ok(than)) if version < than)
}

/// An object as it comes from the API server, in a form that kube's watcher can carry.
///
/// Deserializing it finds the metadata and copies the rest as it stands: no tree and no typed struct is made of it. It
/// does so from borrowed text only, which is how kube reads lists, and watch events whose type comes before their
/// object, as the API server writes them. An object that lacks what the host expects is not an error here, because that
/// would fail the whole list that it came in; [`RawObject::into_object`] tells.
#[derive(Clone, Debug)]
pub struct RawObject {
    meta: ObjectMeta,
    owner: Option<Box<Owner>>,
    /// Whether it has `apiVersion` and `kind`, which items of a list lack.
    typed: (bool, bool),
    json: String,
}

impl RawObject {
    /// The object, with `apiVersion` and `kind` put in where they were left out. None: it has no name.
    pub fn into_object(mut self, gvk: &Gvk) -> Option<Object> {
        let name = self.meta.name.as_deref()?;
        // It has a name, so there is something that these come before.
        if !self.typed.1 {
            self.json.insert_str(1, &format!(r#""kind":"{}","#, gvk.kind()));
        }
        if !self.typed.0 {
            self.json.insert_str(1, &format!(r#""apiVersion":"{}","#, gvk.api_version()));
        }
        Some(Object {
            key: ObjectKey::new(self.meta.namespace.as_deref(), name),
            uid: self.meta.uid.unwrap_or_default().into(),
            resource_version: self.meta.resource_version.unwrap_or_default().into(),
            deleting: self.meta.deletion_timestamp.is_some(),
            owner: self.owner,
            finalizers: self.meta.finalizers.unwrap_or_default().into_iter().map(String::into_boxed_str).collect(),
            json: self.json.into_boxed_str(),
        })
    }
}

impl<'de> Deserialize<'de> for RawObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <&RawValue>::deserialize(deserializer)?.get();
        let head: Head<'_> = fields(text);
        let metadata: Metadata<'_> = head.metadata.map(|raw| fields(raw.get())).unwrap_or_default();
        let json = match metadata.managed_fields.and_then(|value| member_range(text, "managedFields", value)) {
            Some((start, end)) => [&text[..start], &text[end..]].concat(),
            None => text.to_owned(),
        };
        let owners =
            metadata.owner_references.and_then(|raw| serde_json::from_str::<Vec<OwnerHead<'_>>>(raw.get()).ok());
        let owner = owners.into_iter().flatten().find(|owner| owner.controller == Some(true)).map(|owner| {
            let gvk = Gvk::new(&owner.api_version, &owner.kind);
            Box::new(Owner { gvk, name: owner.name.into(), uid: owner.uid.into() })
        });
        let text_of = |field: Option<Cow<'_, str>>| field.map(Cow::into_owned);
        Ok(Self {
            meta: ObjectMeta {
                namespace: text_of(metadata.namespace),
                name: text_of(metadata.name),
                uid: text_of(metadata.uid),
                resource_version: text_of(metadata.resource_version),
                finalizers: metadata.finalizers.and_then(|raw| serde_json::from_str(raw.get()).ok()),
                deletion_timestamp: metadata.deletion_timestamp.and_then(|raw| serde_json::from_str(raw.get()).ok()),
                ..ObjectMeta::default()
            },
            owner,
            typed: (head.api_version.is_some(), head.kind.is_some()),
            json,
        })
    }
}

impl kube::Resource for RawObject {
    type DynamicType = Kind;
    type Scope = kube::core::DynamicResourceScope;

    fn kind(kind: &Kind) -> Cow<'_, str> {
        Cow::Borrowed(kind.gvk.kind())
    }
    fn group(kind: &Kind) -> Cow<'_, str> {
        Cow::Borrowed(kind.gvk.group())
    }
    fn version(kind: &Kind) -> Cow<'_, str> {
        Cow::Borrowed(kind.gvk.version())
    }
    fn plural(kind: &Kind) -> Cow<'_, str> {
        Cow::Borrowed(&kind.plural)
    }
    fn meta(&self) -> &ObjectMeta {
        &self.meta
    }
    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.meta
    }
}

/// The fields of an object; none of them if it is no object, or one that has them otherwise.
fn fields<'a, T: Deserialize<'a> + Default>(text: &'a str) -> T {
    // An array would pass for the fields in their order.
    Some(text).filter(|text| text.starts_with('{')).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

/// What is there even if it is null.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Head<'a> {
    #[serde(borrow, deserialize_with = "present")]
    api_version: Option<&'a RawValue>,
    #[serde(borrow, deserialize_with = "present")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    metadata: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Metadata<'a> {
    #[serde(borrow)]
    namespace: Option<Cow<'a, str>>,
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    uid: Option<Cow<'a, str>>,
    #[serde(borrow)]
    resource_version: Option<Cow<'a, str>>,
    #[serde(borrow)]
    deletion_timestamp: Option<&'a RawValue>,
    #[serde(borrow)]
    finalizers: Option<&'a RawValue>,
    #[serde(borrow)]
    owner_references: Option<&'a RawValue>,
    #[serde(borrow)]
    managed_fields: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OwnerHead<'a> {
    #[serde(borrow)]
    api_version: Cow<'a, str>,
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    uid: Cow<'a, str>,
    controller: Option<bool>,
}

/// Where the member `name` with this `value` stands in `text`, with the one comma that goes with it. None if it is
/// written in an unusual way, such as with an escape in its name.
///
/// `value` must be a part of `text`.
fn member_range(text: &str, name: &str, value: &RawValue) -> Option<(usize, usize)> {
    let value_start = (value.get().as_ptr() as usize).checked_sub(text.as_ptr() as usize)?;
    let value_end = value_start + value.get().len();
    let before = text.get(..value_start)?.trim_end().strip_suffix(':')?.trim_end();
    let before = before.strip_suffix('"')?.strip_suffix(name)?.strip_suffix('"')?;
    let after = text.get(value_end..)?.trim_start();
    if let Some(after) = after.strip_prefix(',') {
        return Some((before.len(), text.len() - after.len()));
    }
    let before = before.trim_end();
    Some((before.strip_suffix(',').unwrap_or(before).len(), value_end))
}

#[cfg(test)]
mod tests {
    use kube::api::{ObjectList, WatchEvent};
    use serde_json::{Value, json};

    use super::*;

    fn parse(text: &str) -> Object {
        serde_json::from_str::<RawObject>(text).unwrap().into_object(&Gvk::replica_set()).unwrap()
    }

    #[test]
    fn managed_fields_are_cut_wherever_they_stand_and_nothing_else_is() {
        let managed = r#""managedFields": [{"manager":"a,b","fieldsV1":{"f:spec":{}}}]"#;
        for metadata in [
            format!(r#"{{{managed}, "name":"a"}}"#),
            format!(r#"{{"name":"a" , {managed} }}"#),
            format!(r#"{{"name":"a",{managed},"uid":"u"}}"#),
        ] {
            let text =
                format!(r#"{{"apiVersion":"apps/v1","kind":"ReplicaSet","metadata":{metadata},"spec":{{"x":1}}}}"#);
            let mut expected: Value = serde_json::from_str(&text).unwrap();
            expected["metadata"].as_object_mut().unwrap().remove("managedFields");
            assert_eq!(serde_json::from_str::<Value>(&parse(&text).json).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn an_object_with_nothing_but_managed_fields_in_its_metadata_stays_json() {
        let raw: RawObject = serde_json::from_str(r#"{"metadata":{"managedFields":[]}}"#).unwrap();
        assert_eq!(raw.json, r#"{"metadata":{}}"#);
        assert!(raw.into_object(&Gvk::replica_set()).is_none(), "it has no name");
    }

    #[test]
    fn items_of_a_list_get_the_type_that_the_list_leaves_out() {
        let list = json!({
            "kind": "ReplicaSetList", "apiVersion": "apps/v1", "metadata": {"resourceVersion": "7"},
            "items": [{"metadata": {"name": "a", "namespace": "default", "resourceVersion": "5", "uid": "u"}}],
        });
        let list: ObjectList<RawObject> = serde_json::from_str(&list.to_string()).unwrap();
        let object = list.items.into_iter().next().unwrap().into_object(&Gvk::replica_set()).unwrap();
        assert_eq!(object.key.to_string(), "default/a");
        assert_eq!((&*object.uid, &*object.resource_version, object.deleting), ("u", "5", false));
        assert_eq!(
            serde_json::from_str::<Value>(&object.json).unwrap(),
            json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata":
                {"name": "a", "namespace": "default", "resourceVersion": "5", "uid": "u"}}),
        );
    }

    #[test]
    fn watch_events_carry_it_and_a_deletion_timestamp_is_seen() {
        let line = r#"{"type":"MODIFIED","object":{"apiVersion":"apps/v1","kind":"ReplicaSet","metadata":{"name":"a","deletionTimestamp":"2026-01-02T03:04:05Z"}}}"#;
        let WatchEvent::Modified(raw) = serde_json::from_str::<WatchEvent<RawObject>>(line).unwrap() else {
            panic!("a modification");
        };
        assert!(raw.into_object(&Gvk::replica_set()).unwrap().deleting);
    }

    #[test]
    fn the_controlling_owner_finalizers_and_labels_are_found() {
        let object = parse(
            r#"{"metadata":{"name":"a","finalizers":["x/y"],"labels":{"app":"w\u0065b"},"ownerReferences":[
                {"apiVersion":"v1","kind":"Pod","name":"other","uid":"1"},
                {"apiVersion":"example.com/v1","kind":"Website","name":"site","uid":"2","controller":true}]}}"#,
        );
        let owner = object.owner.as_deref().unwrap();
        assert_eq!(
            (owner.gvk.group(), owner.gvk.version(), &*owner.name, &*owner.uid),
            ("example.com", "v1", "site", "2")
        );
        assert!(object.has_finalizer("x/y") && !object.has_finalizer("x"));
        assert_eq!(object.labels(), BTreeMap::from([("app".into(), "web".into())]));
        assert_eq!(object.annotations(), BTreeMap::new());
        assert_eq!(Gvk::new("v1", "Pod").group(), "");
    }

    #[test]
    fn escaped_names_and_odd_shapes_do_not_fail_the_list() {
        assert_eq!(parse(r#"{"metadata":{"name":"a\u002db"}}"#).key.name(), "a-b");
        for text in ["{}", "[]", "3", r#"{"metadata":[1]}"#, r#"{"metadata":{"name":7}}"#] {
            let raw: RawObject = serde_json::from_str(text).unwrap();
            assert!(raw.into_object(&Gvk::replica_set()).is_none(), "{text}");
        }
    }
}
