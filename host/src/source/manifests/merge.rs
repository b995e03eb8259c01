//! Server-side apply without schemas: what a field manager applied before, what it applies now and the live object,
//! merged three ways. Pure.
//!
//! A manager has the fields of what it applied last. Maps merge field by field. A list merges item by item where its
//! items can be told apart, and is one value otherwise; which it is the API server reads from the schema, and is read
//! from the items here: see [`Key::choose`].

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::sync::LazyLock;

use serde_json::{Map, Value};

/// What tells the items of a list apart, the first that does: the merge keys of the built-in types, without those that
/// such types use in lists that are replaced whole, such as the `key` of tolerations.
const KEYS: [&str; 6] = ["name", "type", "containerPort", "port", "mountPath", "ip"];

/// What is applied where a field is not applied any more.
static NOTHING: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);

/// A field that a manager would change and another one has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Conflict {
    /// The manager that has it.
    pub(super) manager: String,
    /// Which field.
    pub(super) field: FieldPath,
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {:?}", self.field, self.manager)
    }
}

/// The way to a field; displayed as the API server does it: `.spec.containers[name="web"].image`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct FieldPath(Vec<Step>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Field(String),
    Item(Key, Value),
}

/// What tells the items of a list apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    /// A field of theirs.
    Field(&'static str),
    /// The list is a set.
    Item,
}

/// Makes of `live` what it is after a manager, which has applied `last`, applies `applied`.
///
/// A field that is in `last` and not in `applied` goes, unless one of the `others` has it, each of which is a manager
/// and what it applied last. Returns the fields that others have and that this has changed all the same: if it was not
/// meant to, `live` has to be thrown away, else they have to be taken from them with [`FieldPath::remove_from`].
pub(super) fn merge(
    live: &mut Map<String, Value>,
    last: &Map<String, Value>,
    applied: &Map<String, Value>,
    others: &[(&str, &Map<String, Value>)],
) -> Vec<Conflict> {
    let mut merge = Merge::default();
    merge.maps(
        live,
        last,
        applied,
        &Others(others.iter().map(|&(manager, fields)| (manager, Has::Map(fields))).collect()),
    );
    merge.conflicts
}

/// Takes out of `fields`, what a manager applied, whatever a change from `before` to `after` has changed: nobody has
/// that any more.
pub(super) fn release(fields: &mut Map<String, Value>, before: &Map<String, Value>, after: &Map<String, Value>) {
    fields.retain(|name, value| match (value, before.get(name), after.get(name)) {
        (_, before, after) if before == after => true,
        (Value::Object(fields), Some(Value::Object(before)), Some(Value::Object(after))) => {
            release(fields, before, after);
            !fields.is_empty()
        }
        (Value::Array(items), Some(Value::Array(before)), Some(Value::Array(after))) => {
            let Some(key) = Key::choose(name, &[items, before, after]) else { return false };
            items.retain_mut(|item| {
                let id = key.of(item);
                match (find(before, key, id), find(after, key, id), item) {
                    (before, after, _) if before == after => true,
                    (Some(Value::Object(before)), Some(Value::Object(after)), Value::Object(item)) => {
                        release(item, before, after);
                        true
                    }
                    _ => false,
                }
            });
            !items.is_empty()
        }
        _ => false,
    });
}

#[derive(Default)]
struct Merge {
    path: FieldPath,
    conflicts: Vec<Conflict>,
}

impl Merge {
    fn maps(
        &mut self,
        live: &mut Map<String, Value>,
        last: &Map<String, Value>,
        applied: &Map<String, Value>,
        others: &Others<'_>,
    ) {
        for (name, last) in last.iter().filter(|(name, _)| !applied.contains_key(*name)) {
            self.path.0.push(Step::Field(name.clone()));
            if live.get_mut(name).is_some_and(|live| self.drop_value(name, live, last, &others.field(name))) {
                live.remove(name);
            }
            self.path.0.pop();
        }
        for (name, applied) in applied {
            self.path.0.push(Step::Field(name.clone()));
            match live.get_mut(name) {
                Some(live) => self.values(name, live, last.get(name), applied, &others.field(name)),
                None => drop(live.insert(name.clone(), applied.clone())),
            }
            self.path.0.pop();
        }
    }

    fn values(&mut self, name: &str, live: &mut Value, last: Option<&Value>, applied: &Value, others: &Others<'_>) {
        match (live, applied) {
            (Value::Object(live), Value::Object(applied)) => {
                self.maps(live, last.and_then(Value::as_object).unwrap_or(&NOTHING), applied, others);
            }
            (live, applied) if live == applied => {}
            (live, applied) => {
                let last = last.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
                if let (Value::Array(live), Value::Array(applied)) = (&mut *live, applied)
                    && let Some(key) = others.choose_key(name, &[live, last, applied])
                {
                    return self.lists(key, live, last, applied, others);
                }
                let field = &self.path;
                self.conflicts.extend(others.managers().map(|manager| Conflict { manager, field: field.clone() }));
                live.clone_from(applied);
            }
        }
    }

    /// Takes `last` out of `live`. Returns whether `live` has to go itself.
    fn drop_value(&mut self, name: &str, live: &mut Value, last: &Value, others: &Others<'_>) -> bool {
        let emptied = match (live, last) {
            (Value::Object(live), Value::Object(last)) => {
                self.maps(live, last, &NOTHING, others);
                live.is_empty()
            }
            (Value::Array(live), Value::Array(last)) => match others.choose_key(name, &[live, last]) {
                Some(key) => {
                    self.lists(key, live, last, &[], others);
                    live.is_empty()
                }
                None => true,
            },
            _ => true,
        };
        emptied && others.0.is_empty()
    }

    /// Items that are applied come in the order in which they are, others stay behind what they were behind.
    fn lists(&mut self, key: Key, live: &mut Vec<Value>, last: &[Value], applied: &[Value], others: &Others<'_>) {
        let mut rest = VecDeque::from(std::mem::take(live));
        rest.retain_mut(|item| {
            let id = key.of(item).cloned();
            match find(last, key, id.as_ref()) {
                Some(last) if find(applied, key, id.as_ref()).is_none() => {
                    let others = others.item(key, id.as_ref());
                    if let (Value::Object(item), Value::Object(last)) = (item, last) {
                        self.at_item(key, id, |merge| merge.maps(item, last, &NOTHING, &others));
                    }
                    !others.0.is_empty()
                }
                _ => true,
            }
        });
        for item in applied {
            while let Some(alien) = rest.pop_front_if(|item| find(applied, key, key.of(item)).is_none()) {
                live.push(alien);
            }
            let id = key.of(item);
            let known = rest.iter().position(|item| key.of(item) == id).and_then(|position| rest.remove(position));
            live.push(match known {
                Some(mut known) => {
                    let (last, others) = (find(last, key, id), others.item(key, id));
                    self.at_item(key, id.cloned(), |merge| merge.values("", &mut known, last, item, &others));
                    known
                }
                None => item.clone(),
            });
        }
        live.extend(rest);
    }

    fn at_item(&mut self, key: Key, id: Option<Value>, work: impl FnOnce(&mut Self)) {
        self.path.0.push(Step::Item(key, id.unwrap_or_default()));
        work(self);
        self.path.0.pop();
    }
}

/// The other managers that have something at some place, and what.
struct Others<'a>(Vec<(&'a str, Has<'a>)>);

#[derive(Clone, Copy)]
enum Has<'a> {
    Map(&'a Map<String, Value>),
    List(&'a [Value]),
    Leaf,
}

impl<'a> Has<'a> {
    fn new(value: &'a Value) -> Self {
        match value {
            Value::Object(fields) => Self::Map(fields),
            Value::Array(items) => Self::List(items),
            _ => Self::Leaf,
        }
    }
}

impl<'a> Others<'a> {
    fn managers(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|(manager, _)| (*manager).to_owned())
    }

    fn field(&self, name: &str) -> Self {
        self.narrow(|has| if let Has::Map(fields) = has { fields.get(name) } else { None })
    }

    fn item(&self, key: Key, id: Option<&Value>) -> Self {
        self.narrow(|has| if let Has::List(items) = has { find(items, key, id) } else { None })
    }

    fn narrow(&self, inner: impl Fn(Has<'a>) -> Option<&'a Value>) -> Self {
        Self(self.0.iter().filter_map(|&(manager, has)| Some((manager, Has::new(inner(has)?)))).collect())
    }

    fn choose_key(&self, name: &str, lists: &[&[Value]]) -> Option<Key> {
        let others = self.0.iter().filter_map(|(_, has)| if let Has::List(items) = has { Some(*items) } else { None });
        Key::choose(name, &lists.iter().copied().chain(others).collect::<Vec<_>>())
    }
}

impl Key {
    /// What tells the items of all versions of a list apart. None: nothing does, so the list is one value.
    ///
    /// Finalizers are a set and owner references have their uids, as every object has them. Of any other list it is the
    /// first of [`KEYS`] that each item has, and has for itself. So ports without names that share a number with another
    /// protocol are one value, and mounts of one volume go by their path.
    fn choose(name: &str, lists: &[&[Value]]) -> Option<Self> {
        let tells_apart = |key: &Self| {
            lists.iter().all(|items| {
                let mut ids = HashSet::new();
                items.iter().all(|item| key.of(item).is_some_and(|id| ids.insert(id)))
            })
        };
        match name {
            "finalizers" => Some(Self::Item).filter(tells_apart),
            "ownerReferences" => Some(Self::Field("uid")).filter(tells_apart),
            _ => KEYS.into_iter().map(Self::Field).find(tells_apart),
        }
    }

    fn of(self, item: &Value) -> Option<&Value> {
        let id = match self {
            Self::Field(name) => item.get(name)?,
            Self::Item => item,
        };
        (id.is_string() || id.is_number()).then_some(id)
    }
}

fn find<'a>(items: &'a [Value], key: Key, id: Option<&Value>) -> Option<&'a Value> {
    items.iter().find(|item| id.is_some() && key.of(item) == id)
}

impl FieldPath {
    /// Takes the field out of what a manager applied, with whatever is empty after that.
    pub(super) fn remove_from(&self, fields: &mut Map<String, Value>) {
        let Some((Step::Field(name), inner)) = self.0.split_first() else { return };
        if fields.get_mut(name).is_some_and(|value| remove(inner, value)) {
            fields.remove(name);
        }
    }
}

/// Takes what the path leads to out of the value. Returns whether the value has to go itself.
fn remove(path: &[Step], value: &mut Value) -> bool {
    let Some((step, inner)) = path.split_first() else { return true };
    match (step, value) {
        (Step::Field(name), Value::Object(fields)) => {
            if fields.get_mut(name).is_some_and(|value| remove(inner, value)) {
                fields.remove(name);
            }
            fields.is_empty()
        }
        (Step::Item(key, id), Value::Array(items)) => {
            items.retain_mut(|item| key.of(item) != Some(id) || !remove(inner, item));
            items.is_empty()
        }
        _ => false,
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|step| match step {
            Step::Field(name) => write!(f, ".{name}"),
            Step::Item(Key::Field(key), id) => write!(f, "[{key}={id}]"),
            Step::Item(Key::Item, id) => write!(f, "[={id}]"),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn map(value: Value) -> Map<String, Value> {
        serde_json::from_value(value).unwrap()
    }

    /// The live object after the merge, and the conflicts as texts.
    fn merged(live: Value, last: Value, applied: Value, others: &[(&str, Value)]) -> (Value, Vec<String>) {
        let others: Vec<_> = others.iter().map(|(manager, fields)| (*manager, fields.as_object().unwrap())).collect();
        let mut live = map(live);
        let conflicts = merge(&mut live, &map(last), &map(applied), &others);
        (live.into(), conflicts.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn fields_of_nobody_stay_and_those_not_applied_any_more_go() {
        let (live, conflicts) = merged(
            json!({"spec": {"a": 1, "b": {"c": 1}, "d": 4}, "data": {"x": "y"}}),
            json!({"spec": {"a": 1, "b": {"c": 1}}, "data": {"x": "y"}}),
            json!({"spec": {"a": 2, "e": 5}}),
            &[],
        );
        assert_eq!(live, json!({"spec": {"a": 2, "d": 4, "e": 5}}));
        assert!(conflicts.is_empty());
    }

    #[test]
    fn a_field_not_applied_any_more_stays_while_another_manager_has_it() {
        let both = json!({"labels": {"a": "1", "b": "2"}});
        let others = [("other", json!({"labels": {"a": "1"}}))];
        assert_eq!(merged(both.clone(), both, json!({}), &others).0, json!({"labels": {"a": "1"}}));
    }

    #[test]
    fn an_empty_map_goes_when_it_is_not_applied_any_more_and_nothing_was_put_into_it() {
        let empty = json!({"emptyDir": {}});
        assert_eq!(merged(empty.clone(), empty.clone(), json!({}), &[]).0, json!({}));
        let filled = json!({"emptyDir": {"medium": "Memory"}});
        assert_eq!(merged(filled.clone(), empty, json!({}), &[]).0, filled);
    }

    #[test]
    fn a_leaf_of_another_manager_conflicts_only_if_it_changes() {
        let live = json!({"spec": {"replicas": 3, "template": {"containers": [{"name": "web", "image": "v1"}]}}});
        let others = [("other", live.clone())];
        assert!(merged(live.clone(), json!({}), live.clone(), &others).1.is_empty(), "both have it now");
        let applied = json!({"spec": {"replicas": 4, "template": {"containers": [{"name": "web", "image": "v2"}]}}});
        let (_, conflicts) = merged(live, json!({}), applied, &others);
        assert_eq!(
            conflicts,
            [r#".spec.replicas of "other""#, r#".spec.template.containers[name="web"].image of "other""#]
        );
    }

    #[test]
    fn lists_merge_by_name_in_the_order_applied_and_keep_the_items_of_others() {
        let (live, conflicts) = merged(
            json!({"list": [{"name": "alien"}, {"name": "a", "x": 1, "y": 1}, {"name": "b"}, {"name": "gone", "x": 1}]}),
            json!({"list": [{"name": "a", "x": 1}, {"name": "b"}, {"name": "gone"}]}),
            json!({"list": [{"name": "new"}, {"name": "b"}, {"name": "a", "z": 1}]}),
            &[("other", json!({"list": [{"name": "alien"}]}))],
        );
        let list = json!([{"name": "alien"}, {"name": "new"}, {"name": "b"}, {"name": "a", "y": 1, "z": 1}]);
        assert_eq!(live, json!({"list": list}));
        assert!(conflicts.is_empty());
    }

    #[test]
    fn an_item_that_another_manager_has_too_loses_only_what_that_one_does_not_have() {
        let (live, _) = merged(
            json!({"list": [{"name": "a", "x": 1, "y": 1}]}),
            json!({"list": [{"name": "a", "x": 1}]}),
            json!({}),
            &[("other", json!({"list": [{"name": "a", "y": 1}]}))],
        );
        assert_eq!(live, json!({"list": [{"name": "a", "y": 1}]}));
    }

    #[test]
    fn conditions_merge_by_type_mounts_of_one_volume_by_path_and_finalizers_as_a_set() {
        for (field, live, applied, expected) in [
            ("conditions", json!([{"type": "A"}]), json!([{"type": "B"}]), json!([{"type": "A"}, {"type": "B"}])),
            (
                "volumeMounts",
                json!([{"name": "v", "mountPath": "/a"}, {"name": "v", "mountPath": "/b"}]),
                json!([{"name": "v", "mountPath": "/b", "readOnly": true}]),
                json!([{"name": "v", "mountPath": "/a"}, {"name": "v", "mountPath": "/b", "readOnly": true}]),
            ),
            ("finalizers", json!(["a/b"]), json!(["c/d"]), json!(["a/b", "c/d"])),
        ] {
            assert_eq!(
                merged(json!({field: live}), json!({}), json!({field: applied}), &[]).0,
                json!({field: expected})
            );
        }
    }

    #[test]
    fn a_list_whose_items_nothing_tells_apart_is_one_value() {
        for (live, applied) in [
            (json!(["a", "b"]), json!(["c"])),
            (json!([{"key": "a"}]), json!([{"key": "b"}])),
            (json!([{"name": "a"}]), json!([{"name": "b"}, {"name": "b"}])),
        ] {
            let others = [("other", json!({"args": live}))];
            let (after, conflicts) = merged(json!({"args": live}), json!({}), json!({"args": applied}), &others);
            assert_eq!((after, conflicts), (json!({"args": applied}), vec![r#".args of "other""#.to_owned()]));
        }
    }

    #[test]
    fn what_a_conflict_is_about_can_be_taken_from_the_one_who_has_it() {
        let mut fields = map(json!({"a": {"b": [{"name": "x", "y": 1}, {"name": "z"}]}, "c": {"d": 1}}));
        let (mut live, applied) = (fields.clone(), json!({"a": {"b": [{"name": "x", "y": 2}]}, "c": {"d": 2}}));
        let conflicts = merge(&mut live, &NOTHING, applied.as_object().unwrap(), &[("other", &fields.clone())]);
        for conflict in conflicts {
            conflict.field.remove_from(&mut fields);
        }
        assert_eq!(Value::from(fields), json!({"a": {"b": [{"name": "x"}, {"name": "z"}]}}));
    }

    #[test]
    fn what_a_change_has_changed_is_released() {
        let before = map(json!({"spec": {"replicas": 3, "list": [{"name": "a", "x": 1}, {"name": "b"}], "args": [1]}}));
        let after = map(json!({"spec": {"replicas": 5, "list": [{"name": "a", "x": 2}], "args": [1]}}));
        let mut fields = before.clone();
        release(&mut fields, &before, &after);
        assert_eq!(Value::from(fields), json!({"spec": {"list": [{"name": "a"}], "args": [1]}}));
    }
}
