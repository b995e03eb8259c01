//! What a plugin answered, as steps that can be checked and then done. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use json_patch::Patch as JsonPatch;
use serde_json::{Map, Value, json};

use crate::grant::Verb;
use crate::names;
use crate::object::{Gvk, Kind, Object, ObjectKey, ObjectRef, Part};
use crate::plugin::{Action, Outcome};

/// Children have this annotation with the name of the plugin, so that it prunes its own and no others.
pub const CHILD_OF: &str = "oarlock.dev/child-of";

/// Each operation of a JSON patch can nest what is there one deeper.
const MAX_OPERATIONS: usize = 1000;

/// One thing to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Server-side apply.
    Apply {
        /// Which object.
        target: ObjectRef,
        /// All that the plugin says about it.
        body: Map<String, Value>,
        /// Which part of it.
        part: Part,
    },
    /// A merge patch.
    MergePatch(ObjectRef, Value),
    /// A JSON patch.
    JsonPatch(ObjectRef, JsonPatch),
    /// A removal.
    Delete {
        /// Which object.
        target: ObjectRef,
        /// That it must have. None: any.
        uid: Option<String>,
    },
    /// An Event about the object that is reconciled.
    Event(Note),
    /// The finalizers that the object that is reconciled, in this version, is to have.
    Finalizers(Arc<Object>, Vec<String>),
}

/// What an Event says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Why, for machines.
    pub reason: String,
    /// What, for people.
    pub note: String,
    /// Type `Warning` rather than `Normal`.
    pub warning: bool,
}

/// A plugin answered what is no action. What it wanted is not known, so that nothing of it can be done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} that the plugin answered is wrong: {reason}; nothing of what it answered was done")]
pub struct Invalid {
    what: String,
    reason: String,
}

/// What a plugin answered, taken apart.
#[derive(Debug)]
pub struct Draft {
    /// What they are called, with the namespace that they name, and all that is said of them. None: the children are left
    /// as they are.
    children: Option<Vec<(ObjectRef, Map<String, Value>)>>,
    actions: Vec<Step>,
}

impl Draft {
    /// Takes apart what was answered for an object of the name `target`, of at most so many actions and children.
    pub fn of(outcome: &Outcome, target: &ObjectRef, most: usize) -> Result<Self, Invalid> {
        let found = outcome.actions.len() + outcome.children.as_ref().map_or(0, Vec::len);
        if found > most {
            return Err(Invalid::too_many(found, most));
        }
        let child = |(number, text): (usize, &String)| {
            let child = object(text).and_then(|body| Ok((name_of(&body)?, body)));
            child.map_err(|reason| Invalid::child(number, reason))
        };
        let children = outcome.children.as_ref();
        let children = children.map(|children| children.iter().enumerate().map(child).collect::<Result<_, _>>());
        let action = |(number, action)| step(action, target).map_err(|reason| Invalid::action(number, reason));
        let actions = outcome.actions.iter().enumerate().map(action).collect::<Result<_, _>>()?;
        Ok(Self { children: children.transpose()?, actions })
    }

    /// Whether it says which children there shall be.
    pub fn names_children(&self) -> bool {
        self.children.is_some()
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.children.is_none() && self.actions.is_empty()
    }

    /// What has to be granted for it, as far as can be told without knowing the kinds.
    pub fn asks(&self) -> impl Iterator<Item = (Verb, &ObjectRef)> {
        let children = self.children.iter().flatten().map(|(child, _)| (Verb::Apply, child));
        children.chain(self.actions.iter().filter_map(|step| Some((step.verb(), step.target()?))))
    }

    /// The kinds of objects that it is about.
    pub fn kinds(&self) -> BTreeSet<Gvk> {
        self.asks().map(|(_, about)| about.gvk.clone()).collect()
    }

    /// The steps to do: first the children, then the removal of those that there are no more, then the rest.
    ///
    /// `controlled` are the objects that the target controls, as far as they are known; `kinds` has every kind that
    /// [`Draft::kinds`] names.
    pub fn place(
        self,
        plugin: &str,
        owner: &ObjectRef,
        object: Option<&Object>,
        controlled: &[(ObjectRef, Arc<Object>)],
        kinds: &BTreeMap<Gvk, Kind>,
    ) -> Result<Vec<Step>, Invalid> {
        let mut steps = match (self.children, object) {
            (Some(children), Some(object)) => place_children(children, plugin, (owner, object), controlled, kinds)?,
            // What is gone has no uid to be owned by; its children go with it.
            (Some(children), None) if !children.is_empty() => {
                let (what, reason) = ("the children".into(), "the object is gone, and can have none any more".into());
                return Err(Invalid { what, reason });
            }
            _ => Vec::new(),
        };
        for (number, step) in self.actions.into_iter().enumerate() {
            let step = place(step, kinds).map_err(|reason| Invalid::action(number, reason))?;
            if let Step::Apply { target, part, .. } = &step {
                // The second would take back what only the first says, such as whose child it is.
                let is_same = |other: &Step| matches!(other, Step::Apply { target: of, part: by, .. } if of == target && by == part);
                if steps.iter().any(is_same) {
                    return Err(Invalid::action(number, format!("{target} is applied twice")));
                }
            }
            steps.push(step);
        }
        Ok(steps)
    }
}

impl Invalid {
    fn too_many(found: usize, most: usize) -> Self {
        let reason = format!(
            "these are {found} actions and children, and a call may answer {most} (actions, among limits in its grant file)"
        );
        Self { what: "all".to_owned(), reason }
    }

    /// About the child of that number, from 0.
    fn child(number: usize, reason: impl Into<String>) -> Self {
        Self { what: format!("child {}", number + 1), reason: reason.into() }
    }

    /// About the action of that number, from 0.
    fn action(number: usize, reason: impl Into<String>) -> Self {
        Self { what: format!("action {}", number + 1), reason: reason.into() }
    }
}

/// Gives the children their owner and their namespace, and removes those of earlier answers.
fn place_children(
    children: Vec<(ObjectRef, Map<String, Value>)>,
    plugin: &str,
    (owner, object): (&ObjectRef, &Object),
    controlled: &[(ObjectRef, Arc<Object>)],
    kinds: &BTreeMap<Gvk, Kind>,
) -> Result<Vec<Step>, Invalid> {
    let mut steps = Vec::new();
    let mut wanted = BTreeSet::new();
    let home = owner.key.namespace();
    for (number, (ObjectRef { gvk, key }, mut body)) in children.into_iter().enumerate() {
        let invalid = |reason| Invalid::child(number, reason);
        let namespaced = kinds.get(&gvk).is_none_or(|kind| kind.namespaced);
        let namespace = match (namespaced, key.namespace(), home) {
            (false, _, Some(_)) => {
                return Err(invalid("it is cluster-scoped, and a namespaced object cannot own it; use apply"));
            }
            (false, _, None) => None,
            (true, Some(namespace), Some(home)) if namespace != home => {
                return Err(invalid("it is in another namespace than its owner, which cannot be; use apply"));
            }
            (true, None, None) => return Err(invalid("it has no metadata.namespace")),
            (true, namespace, home) => namespace.or(home),
        };
        let target = ObjectRef { gvk, key: ObjectKey::new(namespace, key.name()) };
        adopt(&mut body, &target.key, plugin, owner, object).map_err(invalid)?;
        if !wanted.insert(target.clone()) {
            return Err(invalid("it is there twice"));
        }
        steps.push(Step::Apply { target, body, part: Part::Main });
    }
    let is_own = |child: &Object| child.annotations().get(CHILD_OF).is_some_and(|of| of == plugin);
    let pruned = controlled.iter().filter(|(target, child)| {
        !child.deleting && !wanted.iter().any(|wanted| is_same(wanted, target)) && is_own(child)
    });
    let delete = |(target, child): &(ObjectRef, Arc<Object>)| Step::Delete {
        target: target.clone(),
        uid: Some(child.uid.to_string()),
    };
    steps.extend(pruned.map(delete));
    Ok(steps)
}

fn is_same(one: &ObjectRef, other: &ObjectRef) -> bool {
    one.key == other.key && one.gvk.is_same_kind(&other.gvk)
}

/// The merge patch of [`Step::Finalizers`], which fails if the object is not in that version any more.
pub(super) fn finalizers_patch(object: &Object, finalizers: &[String]) -> Value {
    json!({"metadata": {"resourceVersion": object.resource_version.to_string(), "finalizers": finalizers}})
}

impl Step {
    /// The object that it is about, where it names one.
    pub fn target(&self) -> Option<&ObjectRef> {
        match self {
            Self::Apply { target, .. }
            | Self::Delete { target, .. }
            | Self::MergePatch(target, _)
            | Self::JsonPatch(target, _) => Some(target),
            Self::Event(_) | Self::Finalizers(..) => None,
        }
    }

    /// What the plugin must be granted for it.
    pub fn verb(&self) -> Verb {
        match self {
            Self::Apply { part: Part::Main, .. } => Verb::Apply,
            Self::Apply { part: Part::Status, .. } => Verb::ApplyStatus,
            Self::MergePatch(..) | Self::JsonPatch(..) => Verb::Patch,
            Self::Delete { .. } => Verb::Delete,
            Self::Event(_) => Verb::Event,
            Self::Finalizers(..) => Verb::Finalize,
        }
    }
}

fn step(action: &Action, owner: &ObjectRef) -> Result<Step, String> {
    let apply = |text: &str, part| -> Result<Step, String> {
        let body = object(text)?;
        let mut target = name_of(&body)?;
        // Said of the object that is reconciled, its namespace goes without saying.
        if target.gvk == owner.gvk && target.key.name() == owner.key.name() && target.key.namespace().is_none() {
            target.key = owner.key.clone();
        }
        Ok(Step::Apply { target, body, part })
    };
    let target = |named: &crate::plugin::ObjectRef| {
        names::check_object(&named.api_version, &named.kind, named.namespace.as_deref(), &named.name)?;
        let gvk = Gvk::new(&named.api_version, &named.kind);
        Ok::<_, String>(ObjectRef { gvk, key: ObjectKey::new(named.namespace.as_deref(), &named.name) })
    };
    Ok(match action {
        Action::Apply(text) => apply(text, Part::Main)?,
        Action::ApplyStatus(text) => apply(text, Part::Status)?,
        Action::MergePatch(patch) => Step::MergePatch(target(&patch.target)?, Value::Object(object(&patch.body)?)),
        Action::JsonPatch(patch) => {
            let patch_of: JsonPatch =
                serde_json::from_str(&patch.body).map_err(|error| format!("no JSON patch: {error}"))?;
            if patch_of.0.len() > MAX_OPERATIONS {
                return Err(format!("a JSON patch has {MAX_OPERATIONS} operations at most, not {}", patch_of.0.len()));
            }
            Step::JsonPatch(target(&patch.target)?, patch_of)
        }
        Action::Delete(deletion) => Step::Delete { target: target(&deletion.target)?, uid: deletion.uid.clone() },
        Action::Event(event) => {
            if event.reason.is_empty() || event.reason.len() > 128 {
                return Err("an Event's reason has 1 to 128 bytes".into());
            }
            let (reason, note) = (event.reason.clone(), event.note.clone());
            Step::Event(Note { reason, note, warning: event.warning })
        }
    })
}

/// Gives a step the namespace that its kind needs.
fn place(step: Step, kinds: &BTreeMap<Gvk, Kind>) -> Result<Step, String> {
    let check = |target: &mut ObjectRef| {
        let namespaced = kinds.get(&target.gvk).is_none_or(|kind| kind.namespaced);
        match target.key.namespace() {
            None if namespaced => Err(format!("{} {} has no namespace", target.gvk.kind(), target.key.name())),
            Some(_) if !namespaced => {
                target.key = ObjectKey::new(None, target.key.name());
                Ok(())
            }
            _ => Ok(()),
        }
    };
    let mut step = step;
    match &mut step {
        Step::Apply { target, body, .. } => {
            check(target)?;
            set_namespace(body, &target.key);
        }
        Step::MergePatch(target, _) | Step::JsonPatch(target, _) | Step::Delete { target, .. } => check(target)?,
        Step::Event(_) | Step::Finalizers(..) => {}
    }
    Ok(step)
}

fn object(text: &str) -> Result<Map<String, Value>, String> {
    // That it is JSON of another type would be said with a quotation of it.
    let reason = |error: serde_json::Error| if error.is_data() { "it is JSON".to_owned() } else { error.to_string() };
    serde_json::from_str(text).map_err(|error| format!("no JSON object: {}", reason(error)))
}

/// What an object is called; its namespace is the one that it names.
fn name_of(body: &Map<String, Value>) -> Result<ObjectRef, String> {
    fn text(value: Option<&Value>) -> Option<&str> {
        value.and_then(Value::as_str).filter(|text| !text.is_empty())
    }
    let metadata = body.get("metadata");
    let member = |name: &str| text(metadata.and_then(|metadata| metadata.get(name)));
    let api_version = text(body.get("apiVersion")).ok_or("it has no apiVersion")?;
    let kind = text(body.get("kind")).ok_or("it has no kind")?;
    let name = member("name").ok_or("it has no metadata.name")?;
    let namespace = member("namespace");
    names::check_object(api_version, kind, namespace, name)?;
    Ok(ObjectRef { gvk: Gvk::new(api_version, kind), key: ObjectKey::new(namespace, name) })
}

fn set_namespace(body: &mut Map<String, Value>, key: &ObjectKey) {
    if let Some(Value::Object(metadata)) = body.get_mut("metadata") {
        match key.namespace() {
            Some(namespace) => metadata.insert("namespace".into(), namespace.into()),
            None => metadata.remove("namespace"),
        };
    }
}

/// Makes it a child of the object that is reconciled.
fn adopt(
    body: &mut Map<String, Value>,
    key: &ObjectKey,
    plugin: &str,
    owner: &ObjectRef,
    object: &Object,
) -> Result<(), &'static str> {
    set_namespace(body, key);
    let Some(Value::Object(metadata)) = body.get_mut("metadata") else { return Ok(()) };
    // As good as not there.
    metadata.retain(|_, value| !value.is_null());
    let uid = object.uid.to_string();
    let reference = json!({
        "apiVersion": owner.gvk.api_version(), "kind": owner.gvk.kind(), "name": owner.key.name(), "uid": &uid,
        "controller": true, "blockOwnerDeletion": true,
    });
    let owners = metadata.entry("ownerReferences").or_insert_with(|| json!([]));
    let owners = owners.as_array_mut().ok_or("its metadata.ownerReferences are no list")?;
    // The plugin may have said so itself.
    owners.retain(|had| had.get("uid").and_then(Value::as_str) != Some(&uid));
    owners.push(reference);
    let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
    let annotations = annotations.as_object_mut().ok_or("its metadata.annotations are no object")?;
    annotations.insert(CHILD_OF.into(), plugin.into());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::{Event, Patch};

    /// Actions and children.
    const MOST: usize = 3;

    fn outcome(actions: Vec<Action>, children: Option<Vec<Value>>) -> Outcome {
        let children = children.map(|children| children.iter().map(Value::to_string).collect());
        Outcome { actions, children, requeue_after_ms: None }
    }

    fn website() -> (ObjectRef, Object) {
        let key = ObjectKey::new(Some("team"), "site");
        let object = Object {
            key: key.clone(),
            uid: "uid-1".into(),
            resource_version: "1".into(),
            deleting: false,
            owner: None,
            finalizers: [].into(),
            json: "{}".into(),
        };
        (ObjectRef { gvk: Gvk::new("example.com/v1", "Website"), key }, object)
    }

    fn kinds() -> BTreeMap<Gvk, Kind> {
        let kind = |api_version, name, plural: &str, namespaced| {
            let gvk = Gvk::new(api_version, name);
            (gvk.clone(), Kind { gvk, plural: plural.into(), namespaced })
        };
        [kind("v1", "Service", "services", true), kind("v1", "Namespace", "namespaces", false)].into()
    }

    fn service(name: &str, namespace: Option<&str>) -> Value {
        let mut service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}});
        if let Some(namespace) = namespace {
            service["metadata"]["namespace"] = namespace.into();
        }
        service
    }

    fn steps(outcome: &Outcome, controlled: &[(ObjectRef, Arc<Object>)]) -> Result<Vec<Step>, String> {
        let (owner, object) = website();
        let draft = Draft::of(outcome, &owner, MOST).map_err(|error| error.to_string())?;
        draft.place("website", &owner, Some(&object), controlled, &kinds()).map_err(|error| error.to_string())
    }

    fn owned(name: &str, plugin: &str) -> (ObjectRef, Arc<Object>) {
        let (_, object) = website();
        let key = ObjectKey::new(Some("team"), name);
        let json = json!({"metadata": {"annotations": {CHILD_OF: plugin}}}).to_string().into();
        let gvk = Gvk::new("v1", "Service");
        (ObjectRef { gvk, key: key.clone() }, Arc::new(Object { key, uid: "child".into(), json, ..object }))
    }

    #[test]
    fn more_actions_and_children_than_there_may_be_are_none() {
        let event = || Action::Event(Event { reason: "Again".into(), note: String::new(), warning: false });
        let with_children = |actions| steps(&outcome(vec![event(); actions], Some(vec![service("a", None)])), &[]);
        assert_eq!(with_children(MOST - 1).unwrap().len(), MOST);
        let error = with_children(MOST).unwrap_err();
        assert!(error.contains("these are 4 actions and children, and a call may answer 3"), "{error}");
    }

    #[test]
    fn a_child_is_owned_marked_and_in_the_namespace_of_its_owner() {
        let steps = steps(&outcome(vec![], Some(vec![service("a", None)])), &[]).unwrap();
        let [Step::Apply { target, body, part: Part::Main }] = &steps[..] else { panic!("{steps:?}") };
        assert_eq!(target.to_string(), "Service team/a");
        let metadata = &body["metadata"];
        assert_eq!(metadata["namespace"], "team");
        assert_eq!(metadata["annotations"][CHILD_OF], "website");
        assert_eq!(metadata["ownerReferences"][0]["uid"], "uid-1");
        assert_eq!(metadata["ownerReferences"][0]["controller"], true);
    }

    #[test]
    fn children_that_are_not_answered_any_more_are_deleted_and_those_of_others_are_not() {
        let owned = [owned("a", "website"), owned("old", "website"), owned("theirs", "another")];
        let answered = outcome(vec![], Some(vec![service("a", None)]));
        let steps = steps(&answered, &owned).unwrap();
        let deleted: Vec<_> = steps.iter().filter(|step| step.verb() == Verb::Delete).collect();
        let [Step::Delete { target, uid }] = deleted[..] else { panic!("{deleted:?}") };
        assert_eq!((target.key.name(), uid.as_deref()), ("old", Some("child")));
        assert!(super::tests::steps(&outcome(vec![], None), &owned).unwrap().is_empty(), "they are left as they are");
    }

    #[test]
    fn a_name_that_would_reach_something_else_is_none() {
        let named = |kind: &str, namespace: Option<&str>, name: &str| crate::plugin::ObjectRef {
            api_version: "v1".into(),
            kind: kind.into(),
            namespace: namespace.map(str::to_owned),
            name: name.into(),
        };
        for target in [
            named("Namespace", None, "kube-system/secrets/a"),
            named("Service", Some("x/secrets/a?b="), "a"),
            named("Service", Some("team"), "a/status"),
            named("Service", Some("team"), ".."),
            named("Service", Some("team"), "a?fieldManager=other"),
        ] {
            let patch = Action::MergePatch(Patch { target, body: "{}".into() });
            let error = steps(&outcome(vec![patch], None), &[]).unwrap_err();
            assert!(error.contains("is no name of"), "{error}");
        }
        assert!(steps(&outcome(vec![], Some(vec![service("a/status", None)])), &[]).is_err());
    }

    #[test]
    fn two_applies_of_one_object_would_undo_each_other() {
        let apply = Action::Apply(service("a", Some("team")).to_string());
        let error = steps(&outcome(vec![apply], Some(vec![service("a", None)])), &[]).unwrap_err();
        assert!(error.contains("Service team/a is applied twice"), "{error}");
    }

    #[test]
    fn what_cannot_be_is_named_by_its_number() {
        let object_ref = crate::plugin::ObjectRef {
            api_version: "v1".into(),
            kind: "Service".into(),
            namespace: None,
            name: "a".into(),
        };
        let event = Action::Event(Event { reason: "Fine".into(), note: String::new(), warning: false });
        let operations = json!(vec![json!({"op": "remove", "path": "/a"}); 1001]).to_string();
        for (answer, reason) in [
            (outcome(vec![event.clone(), Action::Apply("{".into())], None), "action 2 that"),
            (outcome(vec![Action::Apply("{}".into())], None), "it has no apiVersion"),
            (outcome(vec![Action::Apply(service("a", None).to_string())], None), "Service a has no namespace"),
            (outcome(vec![], Some(vec![service("a", Some("other"))])), "another namespace than its owner"),
            (outcome(vec![], Some(vec![service("a", None), service("a", None)])), "child 2 that the plugin answered"),
            (
                outcome(
                    vec![],
                    Some(vec![json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}})]),
                ),
                "cannot own it",
            ),
            (
                outcome(vec![Action::JsonPatch(Patch { target: object_ref.clone(), body: "{}".into() })], None),
                "no JSON patch",
            ),
            (
                outcome(vec![Action::JsonPatch(Patch { target: object_ref.clone(), body: operations })], None),
                "1000 operations at most",
            ),
        ] {
            let error = steps(&answer, &[]).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }
}
