//! From the text of an object to what the host goes by.
//!
//! The text is passed over once, for its metadata, and copied once, without what nobody needs: no tree and no typed struct
//! is made of it.

use std::borrow::Cow;
use std::cell::RefCell;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::json::Json;
use super::{Gvk, Kind, Object, ObjectKey, Owner, scan};

impl Object {
    /// The object of that text, which is of that kind where it does not say so itself, as items of a list do not.
    pub fn read(text: &str, gvk: &Gvk) -> Result<Self, Nameless> {
        let parts = Parts::of(text);
        let uid = parts.uid.clone().unwrap_or_default();
        parts.object(text, Some(gvk)).ok_or_else(|| Nameless { uid: uid.into_owned() })
    }
}

/// A text is no object that can be handled: it has no name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nameless {
    /// Its uid; empty if it has none.
    pub uid: String,
}

/// An object as it comes from the API server, in a form that kube's client can carry.
///
/// It is read from borrowed text only, which is how kube reads what the API server answers, and watch events whose type
/// comes before their object, as the API server writes them. An object that lacks what the host expects is not an error
/// here, because that would fail all that it came with; [`RawObject::into_object`] tells.
#[derive(Clone, Debug)]
pub struct RawObject {
    /// With `uid` and `resourceVersion`, and nothing else.
    meta: ObjectMeta,
    object: Option<Object>,
    /// It says of which kind it is.
    typed: bool,
}

impl RawObject {
    /// The object, with `apiVersion` and `kind` put in where they were left out. None: it has no name.
    pub fn into_object(self, gvk: &Gvk) -> Option<Object> {
        let object = self.object?;
        if self.typed { Some(object) } else { Object::read(&object.json.text(), gvk).ok() }
    }
}

impl<'de> Deserialize<'de> for RawObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <&RawValue>::deserialize(deserializer)?.get();
        let parts = Parts::of(text);
        let text_of = |field: &Option<Cow<'_, str>>| field.as_deref().map(str::to_owned);
        let meta = ObjectMeta {
            uid: text_of(&parts.uid),
            resource_version: text_of(&parts.resource_version),
            ..ObjectMeta::default()
        };
        let typed = parts.typed == (true, true);
        Ok(Self { meta, object: parts.object(text, None), typed })
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

/// What the host goes by of a text, as it stands there.
#[derive(Default)]
struct Parts<'a> {
    /// Whether it has an `apiVersion`, and a `kind`.
    typed: (bool, bool),
    namespace: Option<Cow<'a, str>>,
    name: Option<Cow<'a, str>>,
    uid: Option<Cow<'a, str>>,
    resource_version: Option<Cow<'a, str>>,
    deletion_timestamp: Option<&'a str>,
    finalizers: Option<&'a str>,
    owner_references: Option<&'a str>,
    managed_fields: Option<&'a str>,
    /// Something is no text that has to be one: it is no object of Kubernetes'.
    is_odd: bool,
}

impl<'a> Parts<'a> {
    fn of(text: &'a str) -> Self {
        let mut parts = Self::default();
        for (name, value) in members(text) {
            match &*name {
                "apiVersion" => parts.typed.0 = true,
                "kind" => parts.typed.1 = true,
                "metadata" => parts.take_metadata(value),
                _ => {}
            }
        }
        parts
    }

    fn take_metadata(&mut self, metadata: &'a str) {
        for (name, value) in members(metadata).filter(|(_, value)| *value != "null") {
            let text = match &*name {
                "namespace" => &mut self.namespace,
                "name" => &mut self.name,
                "uid" => &mut self.uid,
                "resourceVersion" => &mut self.resource_version,
                name => {
                    match name {
                        "deletionTimestamp" => self.deletion_timestamp = Some(value),
                        "finalizers" => self.finalizers = Some(value),
                        "ownerReferences" => self.owner_references = Some(value),
                        "managedFields" => self.managed_fields = Some(value),
                        _ => {}
                    }
                    continue;
                }
            };
            // No name has a NUL, which a key has between namespace and name.
            *text = string(value).filter(|text| !text.contains('\0'));
            self.is_odd |= text.is_none();
        }
    }

    /// The object, of that kind where the text does not say and this does. None: it has no name.
    fn object(self, text: &str, gvk: Option<&Gvk>) -> Option<Object> {
        let name = self.name.as_deref().filter(|_| !self.is_odd)?;
        let key = ObjectKey::new(self.namespace.as_deref(), name);
        let json = Json::from(self.passed_on(text, gvk));
        let finalizers = self.finalizers.and_then(|value| serde_json::from_str::<Vec<Box<str>>>(value).ok());
        Some(Object {
            key,
            deleting: self.deletion_timestamp.and_then(string).is_some(),
            owner: self.owner_references.and_then(controller),
            finalizers: finalizers.unwrap_or_default().into(),
            json,
            uid: self.uid.as_deref().unwrap_or_default().into(),
            resource_version: self.resource_version.as_deref().unwrap_or_default().into(),
        })
    }

    /// The text without managed fields, and with the type if that is missing and known.
    fn passed_on(&self, text: &str, gvk: Option<&Gvk>) -> String {
        let mut missing = String::new();
        if let Some(gvk) = gvk {
            if !self.typed.0 {
                missing.extend([r#""apiVersion":""#, gvk.api_version(), r#"","#]);
            }
            if !self.typed.1 {
                missing.extend([r#""kind":""#, gvk.kind(), r#"","#]);
            }
        }
        let whole = (text.len(), text.len());
        let managed_fields = self.managed_fields.and_then(|value| member_range(text, "managedFields", value));
        let (cut, resume) = managed_fields.unwrap_or(whole);
        // It has members, which the type comes before.
        let open = text.find('{').map_or(0, |brace| brace + 1);
        [&text[..open], &missing, &text[open..cut], &text[resume..]].concat()
    }
}

/// The owner that says `controller: true`.
fn controller(references: &str) -> Option<Box<Owner>> {
    let owners: Vec<OwnerHead<'_>> = serde_json::from_str(references).ok()?;
    let owner = owners.into_iter().find(|owner| owner.controller == Some(true))?;
    let gvk = shared(&owner.api_version, &owner.kind);
    Some(Box::new(Owner { gvk, name: owner.name.into(), uid: (*owner.uid).into() }))
}

/// That kind, in memory that is shared with the last one if it is the same: most objects of a watch have owners of one kind.
fn shared(api_version: &str, kind: &str) -> Gvk {
    thread_local! {
        static LAST: RefCell<Option<Gvk>> = const { RefCell::new(None) };
    }
    LAST.with_borrow_mut(|last| match last {
        Some(gvk) if gvk.api_version() == api_version && gvk.kind() == kind => gvk.clone(),
        _ => last.insert(Gvk::new(api_version, kind)).clone(),
    })
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

/// The members of an object. A name is mostly as it stands in the text.
fn members(object: &str) -> impl Iterator<Item = (Cow<'_, str>, &str)> {
    let unescaped = |name: &str| serde_json::from_str::<String>(&format!("\"{name}\"")).unwrap_or_default();
    scan::members(object).map(move |(name, value)| {
        (if name.contains('\\') { Cow::Owned(unescaped(name)) } else { Cow::Borrowed(name) }, value)
    })
}

/// What a string stands for. None: it is none.
fn string(value: &str) -> Option<Cow<'_, str>> {
    let text = value.strip_prefix('"')?.strip_suffix('"')?;
    if text.contains('\\') { serde_json::from_str(value).ok().map(Cow::Owned) } else { Some(Cow::Borrowed(text)) }
}

/// One field of the metadata of that text.
pub(super) fn of_metadata<T: DeserializeOwned>(text: &str, name: &str) -> Option<T> {
    let (_, metadata) = scan::members(text).find(|(member, _)| *member == "metadata")?;
    let (_, value) = scan::members(metadata).find(|(member, _)| *member == name)?;
    serde_json::from_str(value).ok()
}

/// Where the member `name` with this `value` stands in `text`, with the one comma that goes with it. None if it is
/// written in an unusual way, such as with an escape in its name.
///
/// `value` must be a part of `text`.
fn member_range(text: &str, name: &str, value: &str) -> Option<(usize, usize)> {
    let value_start = (value.as_ptr() as usize).checked_sub(text.as_ptr() as usize)?;
    let value_end = value_start + value.len();
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
    use std::collections::BTreeMap;

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
            assert_eq!(serde_json::from_str::<Value>(&parse(&text).json.text()).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn an_object_with_nothing_but_managed_fields_in_its_metadata_stays_json() {
        let text = r#"{"metadata":{"managedFields":[]}}"#;
        assert_eq!(Parts::of(text).passed_on(text, None), r#"{"metadata":{}}"#);
        assert!(Object::read(text, &Gvk::replica_set()).is_err(), "it has no name");
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
        assert_eq!((object.uid, object.resource_version, object.deleting), ("u".into(), "5".into(), false));
        assert_eq!(
            serde_json::from_str::<Value>(&object.json.text()).unwrap(),
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
            (owner.gvk.group(), owner.gvk.version(), &*owner.name, &owner.uid),
            ("example.com", "v1", "site", &"2".into())
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
