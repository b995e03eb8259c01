//! Objects in memory, changed in the ways of an API server. Pure: the time is passed in, and uids are made by a function
//! of what is passed to it.
//!
//! What an API server keeps to itself is kept here: name, namespace, uid, resource version, generation and the
//! timestamps of creation and deletion. Callers cannot change them; a uid or resource version that they give is one that
//! the object must have. There are no schemas, so nothing is defaulted and hardly anything validated, and every object is
//! taken to have a status subresource.

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Map, Value};

use super::fields::{KEPT, differ, items, metadata, metadata_mut, part_of, restore, text, tidy};
use super::merge::{Conflict, merge, release};
use super::patch::patch_json;
use crate::object::{ObjectRef, Part};

/// The field manager of what is in files.
pub(super) const MANIFESTS: &str = "manifests";

/// Objects of all kinds, each as its last change left it. What fails changes nothing.
#[derive(Clone)]
pub(super) struct Store {
    objects: BTreeMap<ObjectRef, Stored>,
    /// The resource version given last.
    version: u64,
    uid: fn(&str) -> String,
}

/// A change to what is there.
#[derive(Clone, Debug, PartialEq)]
pub enum Patch {
    /// A merge patch (RFC 7386).
    Merge(Value),
    /// A JSON patch (RFC 6902): all of it or nothing is done.
    Json(json_patch::Patch),
}

/// What became of an object; whole objects, with what the store keeps.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Written {
    /// It is what it was, in the same resource version.
    Unchanged(Map<String, Value>),
    /// It is new, or in a new resource version.
    Changed {
        /// None: it was not there.
        before: Option<Map<String, Value>>,
        /// As it is now.
        after: Map<String, Value>,
    },
    /// It is gone.
    Deleted {
        /// As it was last.
        before: Map<String, Value>,
    },
}

/// What became of the object that was asked for, and after it of those that had to follow it, in the order in which it
/// was done.
pub(super) type Changes = Vec<(ObjectRef, Written)>;

/// Why nothing was done. Only [`StoreError::Stale`] is worth another try, with what is there now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum StoreError {
    /// There is no such object.
    #[error("{0} does not exist")]
    NotFound(ObjectRef),
    /// Other managers have applied other values.
    #[error(
        "{key}: other field managers have applied other values: {}; leave them out or force it",
        conflicts.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    )]
    Conflict {
        /// Of which object.
        key: ObjectRef,
        /// Which managers and fields; at least one.
        conflicts: Vec<Conflict>,
    },
    /// The `metadata.resourceVersion` given is not that of the object.
    #[error("{key} is not at resource version {given} (any more); read it again")]
    Stale {
        /// Which object.
        key: ObjectRef,
        /// What was given.
        given: String,
    },
    /// The uid given is not that of the object, or there is no object.
    #[error("{key} is not the one with uid {given} (any more)")]
    UidMismatch {
        /// Which object.
        key: ObjectRef,
        /// What was given.
        given: String,
    },
    /// What was given cannot be an object, or not that one.
    #[error("{0}")]
    Invalid(String),
}

/// An object and who has which of its fields.
#[derive(Clone, Default)]
struct Stored {
    object: Map<String, Value>,
    /// What each manager applied last, without what others have taken from it.
    managers: BTreeMap<(String, Part), Map<String, Value>>,
}

impl Store {
    /// An empty store. `uid` makes a uid of a text that is another one for each object that there ever is.
    pub(super) fn new(uid: fn(&str) -> String) -> Self {
        Self { objects: BTreeMap::new(), version: 0, uid }
    }

    /// Server-side apply of `body` as field manager `manager`. An object that is not there is created, but not by its
    /// status, nor if the owners that it names are gone, so that nothing stays behind. Without `force`, values that other managers have applied are not changed; with it, they are taken over.
    pub(super) fn apply(
        &mut self,
        key: &ObjectRef,
        body: Map<String, Value>,
        manager: &str,
        force: bool,
        part: Part,
        now: &str,
    ) -> Result<Changes, StoreError> {
        self.check(key, &body)?;
        let mut draft = match part {
            Part::Main => self.existing_or_new(key, now),
            Part::Status => self.existing(key)?,
        };
        draft
            .apply(manager, part, part_of(body, part), force)
            .map_err(|conflicts| StoreError::Conflict { key: key.clone(), conflicts })?;
        if !self.objects.contains_key(key) && self.is_orphan(&draft.object) {
            // It would go as soon as it is there.
            return Ok(Changes::new());
        }
        self.commit(key, draft, now)
    }

    /// Takes in an object that a file has: a forced apply as [`MANIFESTS`].
    ///
    /// A file may come from a cluster, so its resource version says nothing, its uid and creation timestamp become those
    /// of a new object, and its deletion timestamp counts if the object has none. Its status is what the file said last
    /// and no claim: it is taken in when the file says something else, and conflicts with nobody. An object that waits
    /// for no finalizer to be deleted is not taken in.
    pub(super) fn load(
        &mut self,
        key: &ObjectRef,
        mut manifest: Map<String, Value>,
        now: &str,
    ) -> Result<Changes, StoreError> {
        let mut given = Map::new();
        if let Some(Value::Object(metadata)) = manifest.get_mut("metadata") {
            metadata.remove("resourceVersion");
            for name in ["uid", "creationTimestamp", "deletionTimestamp"] {
                given.extend(metadata.remove_entry(name).filter(|(_, value)| !text(Some(value)).is_empty()));
            }
        }
        self.check(key, &manifest)?;
        let mut draft = self.existing_or_new(key, now);
        let status = part_of(manifest.clone(), Part::Status);
        if draft.managers.get(&(MANIFESTS.to_owned(), Part::Status)).unwrap_or(&Map::new()) != &status {
            // Forced, it cannot fail.
            let _ = draft.apply(MANIFESTS, Part::Status, status, true);
        }
        let _ = draft.apply(MANIFESTS, Part::Main, part_of(manifest, Part::Main), true);
        let is_new = !self.objects.contains_key(key);
        let metadata = metadata_mut(&mut draft.object);
        for (name, value) in given {
            if is_new || name == "deletionTimestamp" && !metadata.contains_key(&name) {
                metadata.insert(name, value);
            }
        }
        self.commit(key, draft, now)
    }

    /// Changes what is there, but for its status. A field that is changed is no manager's any more.
    pub(super) fn patch(&mut self, key: &ObjectRef, patch: Patch, now: &str) -> Result<Changes, StoreError> {
        let mut draft = self.existing(key)?;
        let mut object = Value::Object(draft.object.clone());
        match patch {
            Patch::Merge(patch) => json_patch::merge(&mut object, &patch),
            Patch::Json(patch) => patch_json(&mut object, &patch)
                .map_err(|error| StoreError::Invalid(format!("{key} cannot be patched: {error}")))?,
        }
        let Value::Object(mut after) = object else {
            return Err(StoreError::Invalid(format!("{key} would not be an object after the patch")));
        };
        self.check(key, &after)?;
        restore(&mut after, &draft.object, ["status"]);
        restore(metadata_mut(&mut after), metadata_mut(&mut draft.object), KEPT);
        tidy(metadata_mut(&mut after));
        for fields in draft.managers.values_mut() {
            release(fields, &draft.object, &after);
        }
        draft.object = after;
        self.commit(key, draft, now)
    }

    /// Deletes an object, in the background: it goes, and after it what has no other owner, each at once unless it has
    /// finalizers to wait for.
    pub(super) fn delete(&mut self, key: &ObjectRef, uid: Option<&str>, now: &str) -> Result<Changes, StoreError> {
        let mut draft = self.existing(key)?;
        if let Some(given) = uid.filter(|uid| *uid != text(metadata(&draft.object, "uid"))) {
            return Err(StoreError::UidMismatch { key: key.clone(), given: given.to_owned() });
        }
        draft.mark_deleted(now);
        self.commit(key, draft, now)
    }

    /// Takes an object away, as if it had never been.
    pub(super) fn forget(&mut self, key: &ObjectRef) {
        self.objects.remove(key);
    }

    /// An object as it is now.
    pub(super) fn get(&self, key: &ObjectRef) -> Option<&Map<String, Value>> {
        self.objects.get(key).map(|stored| &stored.object)
    }

    /// All objects, in the order of their keys.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&ObjectRef, &Map<String, Value>)> {
        self.objects.iter().map(|(key, stored)| (key, &stored.object))
    }

    /// Whether `body` may be a new version of that object.
    fn check(&self, key: &ObjectRef, body: &Map<String, Value>) -> Result<(), StoreError> {
        let namespace = text(metadata(body, "namespace"));
        // It may be left out, and says nothing about a cluster-scoped object.
        let own_namespace = key.key.namespace().filter(|_| !namespace.is_empty()).unwrap_or(namespace);
        for (field, given, expected) in [
            ("apiVersion", text(body.get("apiVersion")), key.gvk.api_version()),
            ("kind", text(body.get("kind")), key.gvk.kind()),
            ("metadata.name", text(metadata(body, "name")), key.key.name()),
            ("metadata.namespace", namespace, own_namespace),
        ] {
            if given != expected {
                return Err(StoreError::Invalid(format!("{key} cannot have {given:?} for its {field}")));
            }
        }
        let current = self.get(key);
        let differs = |name| {
            let given = text(metadata(body, name));
            let differs = !given.is_empty() && current.is_none_or(|current| text(metadata(current, name)) != given);
            differs.then(|| given.to_owned())
        };
        if let Some(given) = differs("uid") {
            return Err(StoreError::UidMismatch { key: key.clone(), given });
        }
        match differs("resourceVersion") {
            Some(given) => Err(StoreError::Stale { key: key.clone(), given }),
            None => Ok(()),
        }
    }

    fn existing(&self, key: &ObjectRef) -> Result<Stored, StoreError> {
        self.objects.get(key).cloned().ok_or_else(|| StoreError::NotFound(key.clone()))
    }

    fn existing_or_new(&self, key: &ObjectRef, now: &str) -> Stored {
        self.existing(key).unwrap_or_else(|_| {
            let mut object = Map::new();
            object.insert("apiVersion".into(), key.gvk.api_version().into());
            object.insert("kind".into(), key.gvk.kind().into());
            let metadata = metadata_mut(&mut object);
            metadata.insert("name".into(), key.key.name().into());
            metadata.extend(key.key.namespace().map(|namespace| ("namespace".into(), namespace.into())));
            metadata.insert("uid".into(), (self.uid)(&format!("{} {} {}", key.gvk, key.key, self.version + 1)).into());
            metadata.insert("creationTimestamp".into(), now.into());
            Stored { object, managers: BTreeMap::new() }
        })
    }

    /// Makes the draft what is there, in a new version if it differs.
    fn commit(&mut self, key: &ObjectRef, mut draft: Stored, now: &str) -> Result<Changes, StoreError> {
        let before = self.get(key).cloned();
        let deleting = |object: &Map<String, Value>| metadata(object, "deletionTimestamp").is_some();
        let was_deleting = before.as_ref().is_some_and(deleting);
        if let Some(before) = before.as_ref().filter(|_| was_deleting)
            && let Some(new) =
                items(&draft.object, "finalizers").iter().find(|new| !items(before, "finalizers").contains(new))
        {
            return Err(StoreError::Invalid(format!("{key} is being deleted and cannot get the finalizer {new}")));
        }
        if deleting(&draft.object) && items(&draft.object, "finalizers").is_empty() {
            return Ok(self.remove(key, now));
        }
        let written = if before.as_ref() == Some(&draft.object) {
            Written::Unchanged(draft.object.clone())
        } else {
            self.version += 1;
            let generation = before.as_ref().map_or(1, |before| {
                // The deletion is something to act upon as well.
                let next = differ(before, &draft.object) || deleting(&draft.object) != was_deleting;
                metadata(before, "generation").and_then(Value::as_u64).unwrap_or(1) + u64::from(next)
            });
            let metadata = metadata_mut(&mut draft.object);
            metadata.insert("generation".into(), generation.into());
            metadata.insert("resourceVersion".into(), self.version.to_string().into());
            Written::Changed { before, after: draft.object.clone() }
        };
        self.objects.insert(key.clone(), draft);
        Ok(vec![(key.clone(), written)])
    }

    /// Removes the object, and what is without an owner for that.
    fn remove(&mut self, key: &ObjectRef, now: &str) -> Changes {
        let mut changes = Changes::new();
        let mut doomed = VecDeque::from([key.clone()]);
        while let Some(key) = doomed.pop_front() {
            let Some(Stored { object: before, .. }) = self.objects.remove(&key) else { continue };
            self.version += 1;
            let uid = text(metadata(&before, "uid")).to_owned();
            changes.push((key, Written::Deleted { before }));
            for key in self.orphans(&uid) {
                let Ok(mut draft) = self.existing(&key) else { continue };
                draft.mark_deleted(now);
                if items(&draft.object, "finalizers").is_empty() {
                    doomed.push_back(key);
                } else {
                    // It gets no finalizer, so it cannot fail.
                    let marked = self.commit(&key, draft, now).unwrap_or_default();
                    changes.extend(marked.into_iter().filter(|(_, written)| !matches!(written, Written::Unchanged(_))));
                }
            }
        }
        changes
    }

    /// What had the owner with that uid, and has no other one that is there.
    fn orphans(&self, uid: &str) -> Vec<ObjectRef> {
        let had = |object: &Map<String, Value>| owners(object).any(|owner| owner == uid);
        self.iter().filter(|(_, object)| had(object) && self.is_orphan(object)).map(|(key, _)| key.clone()).collect()
    }

    /// Whether it has owners, none of which is there.
    fn is_orphan(&self, object: &Map<String, Value>) -> bool {
        let is_there = |uid: &str| self.iter().any(|(_, object)| text(metadata(object, "uid")) == uid);
        owners(object).next().is_some() && !owners(object).any(is_there)
    }
}

/// The uids of its owners.
fn owners(object: &Map<String, Value>) -> impl Iterator<Item = &str> {
    items(object, "ownerReferences").iter().map(|owner| text(owner.get("uid")))
}

impl Stored {
    /// Merges what a manager applies into the object. What fails leaves it half done.
    fn apply(
        &mut self,
        manager: &str,
        part: Part,
        applied: Map<String, Value>,
        force: bool,
    ) -> Result<(), Vec<Conflict>> {
        let own = (manager.to_owned(), part);
        let last = self.managers.remove(&own).unwrap_or_default();
        let claims =
            self.managers.iter().filter(|((manager, part), _)| (&**manager, *part) != (MANIFESTS, Part::Status));
        let others: Vec<_> = claims.map(|((manager, _), fields)| (&**manager, fields)).collect();
        let conflicts = merge(&mut self.object, &last, &applied, &others);
        if !force && !conflicts.is_empty() {
            return Err(conflicts);
        }
        for Conflict { manager, field } in conflicts {
            self.managers.iter_mut().filter(|((other, _), _)| *other == manager).for_each(|(_, fields)| {
                field.remove_from(fields);
            });
        }
        self.managers.insert(own, applied);
        Ok(())
    }

    fn mark_deleted(&mut self, now: &str) {
        let metadata = metadata_mut(&mut self.object);
        if !metadata.contains_key("deletionTimestamp") {
            metadata.insert("deletionTimestamp".into(), now.into());
            metadata.insert("deletionGracePeriodSeconds".into(), 0.into());
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::needless_pass_by_value, reason = "objects are written where they are used")]

    use serde_json::json;

    use super::*;
    use crate::object::{Gvk, ObjectKey};

    const NOW: &str = "2026-01-02T03:04:05Z";

    fn store() -> Store {
        Store::new(|text| format!("uid of {text}"))
    }

    fn key(kind: &str, name: &str) -> ObjectRef {
        ObjectRef { gvk: Gvk::new("v1", kind), key: ObjectKey::new(Some("default"), name) }
    }

    fn web() -> ObjectRef {
        key("Web", "site")
    }

    /// An object of that key, with `fields` merged in.
    fn body(key: &ObjectRef, fields: Value) -> Map<String, Value> {
        let mut body =
            json!({"apiVersion": key.gvk.api_version(), "kind": key.gvk.kind(), "metadata": {"name": key.key.name()}});
        json_patch::merge(&mut body, &fields);
        serde_json::from_value(body).unwrap()
    }

    fn owned_by(owners: &[&Value]) -> Value {
        let owner = |uid: &&Value| json!({"apiVersion": "v1", "kind": "Web", "name": "x", "uid": uid});
        json!({"metadata": {"ownerReferences": owners.iter().map(owner).collect::<Vec<_>>()}})
    }

    impl Store {
        fn applied(&mut self, key: &ObjectRef, fields: Value) -> Value {
            self.apply(key, body(key, fields), "tests", false, Part::Main, NOW).unwrap();
            self.at(key)
        }

        fn by(&mut self, manager: &str, force: bool, fields: Value) -> Result<Changes, StoreError> {
            self.apply(&web(), body(&web(), fields), manager, force, Part::Main, NOW)
        }

        fn status(&mut self, fields: Value) -> Result<Changes, StoreError> {
            self.apply(&web(), body(&web(), fields), "tests", false, Part::Status, NOW)
        }

        fn merge_patch(&mut self, patch: Value) -> Result<Changes, StoreError> {
            self.patch(&web(), Patch::Merge(patch), NOW)
        }

        fn at(&self, key: &ObjectRef) -> Value {
            self.get(key).cloned().unwrap().into()
        }
    }

    /// What became of which objects.
    fn told(changes: &Changes) -> Vec<(&str, &str)> {
        let what = |written: &Written| match written {
            Written::Unchanged(_) => "unchanged",
            Written::Changed { .. } => "changed",
            Written::Deleted { .. } => "deleted",
        };
        changes.iter().map(|(key, written)| (key.key.name(), what(written))).collect()
    }

    #[test]
    fn an_object_is_created_with_what_an_api_server_fills_in_and_without_what_callers_may_not_write() {
        let metadata = json!({"labels": {"a": "b"}, "annotations": null, "generation": 7, "managedFields": [{}],
            "creationTimestamp": null, "deletionTimestamp": NOW});
        let object = store().applied(&web(), json!({"metadata": metadata, "spec": {"x": 1}, "status": {"y": 1}}));
        let metadata = json!({"name": "site", "namespace": "default", "uid": "uid of v1 Web default/site 1",
            "resourceVersion": "1", "generation": 1, "creationTimestamp": NOW, "labels": {"a": "b"}});
        assert_eq!(object, json!({"apiVersion": "v1", "kind": "Web", "metadata": metadata, "spec": {"x": 1}}));
    }

    #[test]
    fn an_apply_that_changes_nothing_keeps_the_resource_version() {
        let mut store = store();
        let before = store.applied(&web(), json!({"spec": {"x": 1}}));
        let changes =
            store.by("other", false, json!({"metadata": {"resourceVersion": "1"}, "spec": {"x": 1}})).unwrap();
        assert_eq!(changes, [(web(), Written::Unchanged(before.as_object().unwrap().clone()))]);
        assert_eq!(store.applied(&key("Web", "next"), json!({}))["metadata"]["resourceVersion"], "2");
    }

    #[test]
    fn two_managers_conflict_and_force_takes_over() {
        let mut store = store();
        store.by("a", false, json!({"spec": {"replicas": 1}})).unwrap();
        let error = store.by("b", false, json!({"spec": {"replicas": 2, "y": 1}})).unwrap_err();
        assert!(error.to_string().contains(r#".spec.replicas of "a""#), "{error}");
        assert_eq!(store.at(&web())["spec"], json!({"replicas": 1}), "nothing of it was done");

        store.by("b", true, json!({"spec": {"replicas": 2}})).unwrap();
        store.by("a", false, json!({})).unwrap();
        assert_eq!(store.at(&web())["spec"], json!({"replicas": 2}), "it was not a's to remove any more");
        assert!(matches!(store.by("a", false, json!({"spec": {"replicas": 1}})), Err(StoreError::Conflict { .. })));
    }

    #[test]
    fn a_field_not_applied_any_more_goes_unless_another_manager_has_it() {
        let mut store = store();
        store.by("a", false, json!({"data": {"mine": 1, "ours": 1}})).unwrap();
        store.by("b", false, json!({"data": {"ours": 1}})).unwrap();
        store.by("a", false, json!({})).unwrap();
        assert_eq!(store.at(&web())["data"], json!({"ours": 1}));
        store.by("b", false, json!({})).unwrap();
        assert_eq!(store.at(&web()).get("data"), None);
    }

    #[test]
    fn lists_of_two_managers_merge_by_name() {
        let mut store = store();
        store.by("a", false, json!({"spec": {"containers": [{"name": "web", "image": "v1"}]}})).unwrap();
        store.by("b", false, json!({"spec": {"containers": [{"name": "sidecar"}]}})).unwrap();
        store.by("a", false, json!({"spec": {"containers": [{"name": "web", "image": "v2"}]}})).unwrap();
        let containers = json!([{"name": "web", "image": "v2"}, {"name": "sidecar"}]);
        assert_eq!(store.at(&web())["spec"]["containers"], containers);
    }

    #[test]
    fn status_and_main_leave_each_other_alone() {
        let mut store = store();
        assert_eq!(store.status(json!({"status": {"ready": 1}})), Err(StoreError::NotFound(web())));
        store.applied(&web(), json!({"spec": {"x": 1}}));
        store.status(json!({"spec": {"x": 2}, "metadata": {"labels": {"a": "b"}}, "status": {"ready": 1}})).unwrap();
        store.applied(&web(), json!({"spec": {"x": 1}, "status": {"ready": 2}}));
        store.merge_patch(json!({"status": null})).unwrap();
        let object = store.at(&web());
        assert_eq!((&object["spec"], &object["status"]), (&json!({"x": 1}), &json!({"ready": 1})));
        assert_eq!((&object["metadata"]["resourceVersion"], object["metadata"].get("labels")), (&json!("2"), None));
        store.status(json!({})).unwrap();
        assert_eq!(store.at(&web()).get("status"), None);
    }

    #[test]
    fn a_merge_patch_removes_by_null_and_takes_fields_from_managers() {
        let mut store = store();
        store.applied(&web(), json!({"spec": {"x": 1, "y": 1}, "metadata": {"labels": {"a": "b"}}}));
        store.merge_patch(json!({"spec": {"x": null, "y": 2}, "metadata": {"labels": null, "uid": null}})).unwrap();
        let object = store.at(&web());
        assert_eq!((&object["spec"], object["metadata"].get("labels")), (&json!({"y": 2}), None));
        assert!(object["metadata"]["uid"].is_string());
        store.applied(&web(), json!({}));
        assert_eq!(store.at(&web())["spec"], json!({"y": 2}));
    }

    #[test]
    fn a_patch_cannot_make_another_object_of_it() {
        let mut store = store();
        store.applied(&web(), json!({}));
        for patch in [
            json!({"kind": "Other"}),
            json!({"apiVersion": null}),
            json!({"metadata": {"name": "other"}}),
            json!({"metadata": {"namespace": "other"}}),
            json!({"metadata": null}),
            json!([]),
        ] {
            assert!(matches!(store.merge_patch(patch), Err(StoreError::Invalid(_))));
        }
        let stale = store.merge_patch(json!({"metadata": {"resourceVersion": "0"}}));
        assert!(matches!(stale, Err(StoreError::Stale { .. })));
        assert!(matches!(store.merge_patch(json!({"metadata": {"uid": "x"}})), Err(StoreError::UidMismatch { .. })));
        assert_eq!(
            store.patch(&key("Web", "no"), Patch::Merge(json!({})), NOW),
            Err(StoreError::NotFound(key("Web", "no")))
        );
    }

    #[test]
    fn a_json_patch_whose_test_fails_does_nothing() {
        let mut store = store();
        let before = store.applied(&web(), json!({"spec": {"x": 1}}));
        let patch = |tested: u8| {
            let patch = json!([{"op": "replace", "path": "/spec/x", "value": 2}, {"op": "test", "path": "/spec/x", "value": tested}]);
            Patch::Json(serde_json::from_value(patch).unwrap())
        };
        assert!(matches!(store.patch(&web(), patch(1), NOW), Err(StoreError::Invalid(_))));
        assert_eq!(store.at(&web()), before);
        store.patch(&web(), patch(2), NOW).unwrap();
        assert_eq!(store.at(&web())["spec"]["x"], 2);
    }

    #[test]
    fn a_uid_that_is_given_must_be_that_of_the_object() {
        let mut store = store();
        let uid = json!({"metadata": {"uid": "other"}});
        assert!(matches!(store.by("a", true, uid.clone()), Err(StoreError::UidMismatch { .. })), "there is none");
        let object = store.applied(&web(), json!({}));
        assert!(matches!(store.by("a", true, uid), Err(StoreError::UidMismatch { .. })));
        assert!(matches!(store.delete(&web(), Some("other"), NOW), Err(StoreError::UidMismatch { .. })));
        let changes = store.delete(&web(), object["metadata"]["uid"].as_str(), NOW).unwrap();
        assert_eq!(changes, [(web(), Written::Deleted { before: object.as_object().unwrap().clone() })]);
        assert_eq!(store.delete(&web(), None, NOW), Err(StoreError::NotFound(web())));
        let again = store.applied(&web(), json!({}));
        assert_ne!(again["metadata"]["uid"], object["metadata"]["uid"]);
    }

    #[test]
    fn a_finalizer_holds_the_deletion_and_its_removal_ends_it_with_what_the_object_owns() {
        let mut store = store();
        let site = store.applied(&web(), json!({"metadata": {"finalizers": ["a/b"]}}));
        let other = store.applied(&key("Web", "other"), json!({}));
        let (site, other) = (&site["metadata"]["uid"], &other["metadata"]["uid"]);
        let child = store.applied(&key("Pod", "child"), owned_by(&[site]));
        store.applied(&key("Pod", "grandchild"), owned_by(&[&child["metadata"]["uid"]]));
        store.applied(&key("Pod", "shared"), owned_by(&[site, other]));
        let held = owned_by(&[site]);
        store.applied(&key("Pod", "held"), held.clone());
        store.patch(&key("Pod", "held"), Patch::Merge(json!({"metadata": {"finalizers": ["c/d"]}})), NOW).unwrap();

        assert_eq!(told(&store.delete(&web(), None, NOW).unwrap()), [("site", "changed")]);
        assert_eq!(told(&store.delete(&web(), None, "later").unwrap()), [("site", "unchanged")]);
        let metadata = &store.at(&web())["metadata"];
        assert_eq!((&metadata["deletionTimestamp"], &metadata["generation"]), (&json!(NOW), &json!(2)));
        let new = store.merge_patch(json!({"metadata": {"finalizers": ["a/b", "c/d"]}}));
        assert!(matches!(new, Err(StoreError::Invalid(_))), "it is too late for another one");

        let changes = store.merge_patch(json!({"metadata": {"finalizers": []}})).unwrap();
        let expected = [("site", "deleted"), ("held", "changed"), ("child", "deleted"), ("grandchild", "deleted")];
        assert_eq!(told(&changes), expected);
        assert_eq!(store.iter().map(|(key, _)| key.key.name()).collect::<Vec<_>>(), ["held", "shared", "other"]);
        assert_eq!(store.at(&key("Pod", "held"))["metadata"]["deletionTimestamp"], NOW);
    }

    #[test]
    fn what_is_made_for_an_owner_that_is_gone_is_not_made() {
        let mut store = store();
        let site = store.applied(&web(), json!({}))["metadata"]["uid"].clone();
        store.delete(&web(), None, NOW).unwrap();
        let child = key("Pod", "child");
        assert_eq!(store.apply(&child, body(&child, owned_by(&[&site])), "tests", false, Part::Main, NOW), Ok(vec![]));
        assert_eq!(store.get(&child), None);
        // What a file has may be owned by what no file has.
        store.load(&child, body(&child, owned_by(&[&site])), NOW).unwrap();
        store.applied(&child, json!({"spec": {"x": 1}}));
    }

    #[test]
    fn a_generation_begins_with_each_change_to_anything_but_metadata_and_status() {
        let mut store = store();
        let generation = |store: &Store| store.at(&web())["metadata"]["generation"].clone();
        store.applied(&web(), json!({"spec": {"x": 1}}));
        store.applied(&web(), json!({"spec": {"x": 1}, "metadata": {"labels": {"a": "b"}}}));
        store.status(json!({"status": {"ready": 1}})).unwrap();
        assert_eq!((generation(&store), store.version), (json!(1), 3));
        store.merge_patch(json!({"spec": {"x": 2}})).unwrap();
        assert_eq!(generation(&store), 2);
        store.merge_patch(json!({"data": {"x": 2}, "metadata": {"generation": 9}})).unwrap();
        assert_eq!(generation(&store), 3);
    }

    #[test]
    fn a_file_gives_a_new_object_its_uid_and_status_and_claims_the_rest() {
        let mut store = store();
        let metadata =
            json!({"uid": "from afar", "resourceVersion": "77", "generation": 5, "creationTimestamp": "then"});
        let file = |x: u8, ready: u8| {
            body(&web(), json!({"metadata": metadata, "spec": {"x": x}, "status": {"ready": ready}}))
        };
        assert_eq!(told(&store.load(&web(), file(1, 0), NOW).unwrap()), [("site", "changed")]);
        let object = store.at(&web());
        assert_eq!(object["metadata"]["uid"], "from afar");
        assert_eq!((&object["metadata"]["creationTimestamp"], &object["status"]["ready"]), (&json!("then"), &json!(0)));

        store.status(json!({"status": {"ready": 1}})).unwrap();
        store.load(&web(), file(2, 0), NOW).unwrap();
        let object = store.at(&web());
        assert_eq!((&object["spec"]["x"], &object["status"]["ready"]), (&json!(2), &json!(1)));
        store.load(&web(), file(2, 3), NOW).unwrap();
        assert_eq!(store.at(&web())["status"]["ready"], 3);
        assert!(matches!(store.by("a", false, json!({"spec": {"x": 5}})), Err(StoreError::Conflict { .. })));
    }

    #[test]
    fn a_deletion_timestamp_in_a_file_counts_and_finalizers_of_others_stay() {
        let mut store = store();
        let gone = json!({"metadata": {"deletionTimestamp": NOW}});
        assert_eq!(store.load(&web(), body(&web(), gone.clone()), NOW), Ok(vec![]));
        store.load(&web(), body(&web(), json!({})), NOW).unwrap();
        store.merge_patch(json!({"metadata": {"finalizers": ["a/b"]}})).unwrap();
        assert_eq!(told(&store.load(&web(), body(&web(), gone), NOW).unwrap()), [("site", "changed")]);
        assert_eq!(store.at(&web())["metadata"]["finalizers"], json!(["a/b"]));
        assert_eq!(told(&store.merge_patch(json!({"metadata": {"finalizers": null}})).unwrap()), [("site", "deleted")]);
    }
}
