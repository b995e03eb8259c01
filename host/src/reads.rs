//! What each reconcile of one plugin has read, so that a change to it wakes the object that was reconciled. Pure.

use std::cell::LazyCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::mem;
use std::sync::Arc;

use crate::cache::Change;
use crate::object::{Object, ObjectKey, ObjectRef};
use crate::selector::{LabelSelector, Selection};

/// Something that was read from the cache of a watch.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Read {
    /// The watch.
    pub watch: Arc<Selection>,
    /// What of it.
    pub what: What,
}

/// What was read of a watch.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum What {
    /// This object, or that there is none of this name.
    Object(ObjectKey),
    /// All objects of this namespace (none: of all) with these labels.
    List(Option<Box<str>>, LabelSelector),
    /// That it cannot be read.
    Trouble,
}

/// What the reconciles of one plugin have read last, by the objects that were reconciled, and the other way round.
#[derive(Debug, Default)]
pub struct Reads {
    targets: HashMap<ObjectRef, TargetReads>,
    readers: HashMap<Arc<Selection>, HashMap<What, HashSet<ObjectRef>>>,
}

#[derive(Debug, Default)]
struct TargetReads {
    /// By the last call that has ended well.
    before: HashSet<Read>,
    /// By the last call since then that has failed.
    failed: HashSet<Read>,
    /// By the call that goes on.
    now: HashSet<Read>,
}

type Labels = BTreeMap<String, String>;

impl Reads {
    /// The call for `target` that goes on has read this.
    pub fn note(&mut self, target: &ObjectRef, read: Read) {
        let readers = self.readers.entry(Arc::clone(&read.watch)).or_default();
        readers.entry(read.what.clone()).or_default().insert(target.clone());
        self.targets.entry(target.clone()).or_default().now.insert(read);
    }

    /// The call for `target` has ended: what it has not read again does not wake it any more. One that failed may not have
    /// come to what it had to read. Returns the watches that nobody has read from any more.
    pub fn end_call(&mut self, target: &ObjectRef, failed: bool) -> Vec<Arc<Selection>> {
        let Some(reads) = self.targets.get_mut(target) else { return Vec::new() };
        let (now, mut old) = (mem::take(&mut reads.now), mem::take(&mut reads.failed));
        if failed {
            reads.failed = now;
        } else {
            old.extend(mem::replace(&mut reads.before, now));
        }
        old.retain(|read| !reads.before.contains(read) && !reads.failed.contains(read));
        if reads.before.is_empty() && reads.failed.is_empty() {
            self.targets.remove(target);
        }
        let mut unread = Vec::new();
        for Read { watch, what } in old {
            let Some(readers) = self.readers.get_mut(&watch) else { continue };
            if let Some(targets) = readers.get_mut(&what) {
                targets.remove(target);
                if targets.is_empty() {
                    readers.remove(&what);
                }
            }
            if readers.is_empty() {
                self.readers.remove(&watch);
                unread.push(watch);
            }
        }
        unread
    }

    /// There are no more calls for `target`. Returns the watches that nobody has read from any more.
    pub fn forget(&mut self, target: &ObjectRef) -> Vec<Arc<Selection>> {
        let mut unread = self.end_call(target, false);
        unread.extend(self.end_call(target, false));
        unread
    }

    /// The objects whose calls have read anything.
    pub fn targets(&self) -> impl Iterator<Item = &ObjectRef> {
        self.targets.keys()
    }

    /// Whether nobody has read anything.
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }

    /// Whether anybody has read from that watch.
    pub fn has_readers(&self, watch: &Selection) -> bool {
        self.readers.contains_key(watch)
    }

    /// The objects whose last or present call was told that the watch cannot be read.
    pub fn troubled_by(&self, watch: &Selection) -> HashSet<ObjectRef> {
        self.readers.get(watch).and_then(|readers| readers.get(&What::Trouble)).cloned().unwrap_or_default()
    }

    /// The objects whose last or present call has read what this changes.
    pub fn woken_by(&self, watch: &Selection, change: Change<'_>) -> HashSet<ObjectRef> {
        let Some(readers) = self.readers.get(watch) else { return HashSet::new() };
        let by_name = readers.get(&What::Object(change.key.clone()));
        // Looked for in the text at most once for all the lists.
        let labels = LazyCell::new(|| {
            [change.before, change.after].into_iter().flatten().map(Object::labels).collect::<Vec<_>>()
        });
        let touched = |what: &What| what.is_list_with(change.key, &labels);
        let lists = readers.iter().filter(|(what, _)| touched(what)).map(|(_, targets)| targets);
        by_name.into_iter().chain(lists).flatten().cloned().collect()
    }
}

impl What {
    /// Whether it is a list that has, or had, an object of that key which has, or had, such labels.
    fn is_list_with(&self, key: &ObjectKey, had: &LazyCell<Vec<Labels>, impl FnOnce() -> Vec<Labels>>) -> bool {
        let Self::List(namespace, labels) = self else { return false };
        let in_place = namespace.is_none() || namespace.as_deref() == key.namespace();
        in_place && (labels.selects_all() || had.iter().any(|had| labels.matches(had)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::Gvk;

    fn key(name: &str) -> ObjectKey {
        ObjectKey::new(Some("default"), name)
    }

    fn target(name: &str) -> ObjectRef {
        ObjectRef { gvk: Gvk::replica_set(), key: key(name) }
    }

    fn object(name: &str, labels: &str) -> Object {
        Object {
            key: key(name),
            uid: "u".into(),
            resource_version: "1".into(),
            deleting: false,
            owner: None,
            finalizers: [].into(),
            json: format!(r#"{{"metadata":{{"labels":{labels}}}}}"#).into(),
        }
    }

    fn woken(reads: &Reads, watch: &Selection, before: &Object, after: &Object) -> Vec<String> {
        let change = Change { key: &after.key, before: Some(before), after: Some(after) };
        let mut names: Vec<_> = reads.woken_by(watch, change).iter().map(|woken| woken.key.name().to_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_change_wakes_who_has_read_it_by_name_or_in_a_list_that_has_or_had_it() {
        let watch = Arc::new(Selection::all(Gvk::new("v1", "ConfigMap")));
        let mut reads = Reads::default();
        let mut note = |name: &str, what| reads.note(&target(name), Read { watch: Arc::clone(&watch), what });
        note("by-name", What::Object(key("a")));
        note("all", What::List(None, LabelSelector::default()));
        note("labelled", What::List(None, "x=1".parse().unwrap()));
        note("elsewhere", What::List(Some("other".into()), LabelSelector::default()));
        let (with, without) = (object("a", r#"{"x":"1"}"#), object("a", "{}"));
        assert_eq!(woken(&reads, &watch, &without, &without), ["all", "by-name"]);
        assert_eq!(woken(&reads, &watch, &with, &without), ["all", "by-name", "labelled"], "it has left the list");
        assert_eq!(woken(&reads, &watch, &object("b", "{}"), &object("b", "{}")), ["all"]);
    }

    #[test]
    fn what_the_last_call_has_not_read_again_does_not_wake_any_more() {
        let watch = Arc::new(Selection::all(Gvk::new("v1", "ConfigMap")));
        let mut reads = Reads::default();
        let read = |name: &str| Read { watch: Arc::clone(&watch), what: What::Object(key(name)) };
        reads.note(&target("t"), read("a"));
        reads.end_call(&target("t"), false);
        reads.note(&target("t"), read("b"));
        for name in ["a", "b"] {
            assert_eq!(
                woken(&reads, &watch, &object(name, "{}"), &object(name, "{}")),
                ["t"],
                "{name}, during the call"
            );
        }
        reads.end_call(&target("t"), false);
        assert_eq!(woken(&reads, &watch, &object("a", "{}"), &object("a", "{}")), [""; 0]);
        assert_eq!(woken(&reads, &watch, &object("b", "{}"), &object("b", "{}")), ["t"]);
        assert_eq!(reads.end_call(&target("t"), false), [watch]);
        assert!(reads.targets.is_empty() && reads.readers.is_empty());
    }

    #[test]
    fn a_call_that_failed_takes_back_nothing_of_what_the_one_before_has_read() {
        let watch = Arc::new(Selection::all(Gvk::new("v1", "ConfigMap")));
        let mut reads = Reads::default();
        let read = |name: &str| Read { watch: Arc::clone(&watch), what: What::Object(key(name)) };
        let wakes = |reads: &Reads, name: &str| woken(reads, &watch, &object(name, "{}"), &object(name, "{}")) == ["t"];
        let mut call = |names: &[&str], failed, expected: &[&str]| {
            for name in names {
                reads.note(&target("t"), read(name));
            }
            let unread = reads.end_call(&target("t"), failed);
            let all: Vec<_> = ["a", "b", "c", "d"].into_iter().filter(|name| wakes(&reads, name)).collect();
            assert_eq!(all, expected, "{names:?}");
            assert_eq!(unread.is_empty(), !expected.is_empty());
        };
        call(&["a", "b"], false, &["a", "b"]);
        call(&["b", "c"], true, &["a", "b", "c"]);
        // Only of the last one of those that failed, so that they do not add up.
        call(&["d"], true, &["a", "b", "d"]);
        call(&["a"], false, &["a"]);
        call(&["c"], true, &["a", "c"]);
        call(&[], false, &[]);
    }
}
