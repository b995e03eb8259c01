//! The newest version of every object that a watch selects, and what an event changes about it.
//!
//! What the host itself has written is put in at once, and the watch tells of it later. Until it has, what it tells of
//! that object is older than what was written, and is passed over: nobody is given a version older than one before.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use crate::object::{Object, ObjectKey, ResourceVersion, Uid};

/// What a source tells, in the vocabulary of kube's watcher.
#[derive(Debug)]
pub enum Event {
    /// A complete list begins.
    Init,
    /// An object of that list.
    InitApply(Object),
    /// The list is complete: what was not in it is gone.
    InitDone,
    /// An object was created or changed.
    Apply(Object),
    /// An object was deleted, or is not selected any more.
    Delete {
        /// Which object.
        key: ObjectKey,
        /// Its uid.
        uid: Uid,
        /// The resource version of its end, or of the change by which it is not selected any more.
        version: ResourceVersion,
    },
}

/// An object that is not what it was: new, of another version, or gone.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a> {
    /// Which object.
    pub key: &'a ObjectKey,
    /// None: it is new.
    pub before: Option<&'a Object>,
    /// None: it is gone.
    pub after: Option<&'a Object>,
}

/// The newest version of every object.
#[derive(Debug, Default)]
pub struct Cache {
    objects: BTreeMap<ObjectKey, Arc<Object>>,
    /// That are kept of the JSON of all objects.
    bytes: usize,
    /// The objects of the list that is coming in.
    listing: Option<HashSet<ObjectKey>>,
    listed: bool,
    /// What the host has written and the watch has not told of yet.
    written: HashMap<ObjectKey, Written>,
    /// The newest resource version that the watch has told of, where they are numbers.
    newest: u64,
    /// The keys by the uid of the controlling owner. None: nobody asks for that.
    by_owner: Option<HashMap<Uid, BTreeSet<ObjectKey>>>,
}

#[derive(Debug)]
enum Written {
    /// This resource version.
    Version(ResourceVersion),
    /// That it is not selected any more, in this resource version.
    Unselected(ResourceVersion),
    /// The end of the object with this uid.
    Gone(Uid),
}

impl Cache {
    /// Takes in an event and calls `changed` for each object that is not what it was. A list that repeats what is known
    /// changes nothing.
    pub fn apply(&mut self, event: Event, mut changed: impl FnMut(Change<'_>)) {
        match event {
            Event::Init => {
                self.listing = Some(HashSet::new());
                // A server that was set back begins with smaller numbers again.
                self.newest = 0;
                // The list is asked for after this, and so has what was written before.
                self.written.clear();
            }
            Event::InitApply(object) => {
                if let Some(listing) = &mut self.listing {
                    listing.insert(object.key.clone());
                }
                self.told(object, changed);
            }
            Event::InitDone => {
                self.listed = true;
                let Some(listing) = self.listing.take() else { return };
                // What was written after the list was read is not in it.
                let is_later = |key: &ObjectKey| match self.written.get(key) {
                    Some(Written::Version(version)) => version.number().is_none_or(|version| version > self.newest),
                    Some(Written::Unselected(_) | Written::Gone(_)) | None => false,
                };
                let is_gone = |key: &&ObjectKey| !listing.contains(*key) && !is_later(key);
                let gone: Vec<_> = self.objects.keys().filter(is_gone).cloned().collect();
                for key in gone {
                    self.remove(&key, &mut changed);
                }
            }
            // A list may be of what was set back, but a watch does not go back: this was told out of turn.
            Event::Apply(object) if self.is_overtaken(&object.key, &object.uid, &object.resource_version) => {
                self.note(&object.resource_version);
            }
            Event::Apply(object) => self.told(object, changed),
            Event::Delete { key, uid, version } => {
                self.note(&version);
                // It is the end of another object of that name, or of what has been selected again since.
                if self.is_overtaken(&key, &uid, &version) || self.objects.get(&key).is_some_and(|had| had.uid != uid) {
                    return;
                }
                match self.written.get(&key) {
                    // It is the end of what was before the version that was written.
                    Some(Written::Version(written)) if version.is_older(written) => return,
                    Some(Written::Gone(gone)) if uid != *gone => {}
                    Some(_) => drop(self.written.remove(&key)),
                    None => {}
                }
                self.remove(&key, &mut changed);
            }
        }
    }

    /// Takes in what the host has written.
    pub fn wrote(&mut self, object: &Arc<Object>, changed: impl FnMut(Change<'_>)) {
        let overtaken = match self.objects.get(&object.key) {
            Some(known) => !known.resource_version.is_older(&object.resource_version),
            // It has come and gone again.
            None => object.resource_version.number().is_some_and(|version| version <= self.newest),
        };
        if overtaken {
            // The watch was faster.
            return;
        }
        self.written.insert(object.key.clone(), Written::Version(object.resource_version.clone()));
        self.put(object, changed);
    }

    /// Takes in that what the host has written is not selected any more.
    pub fn wrote_unselected(
        &mut self,
        key: &ObjectKey,
        version: &ResourceVersion,
        mut changed: impl FnMut(Change<'_>),
    ) {
        match self.objects.get(key) {
            Some(known) if !known.resource_version.is_older(version) => return,
            // It may come in the list, which is older.
            None if self.listing.is_none() => return,
            _ => {}
        }
        self.written.insert(key.clone(), Written::Unselected(version.clone()));
        self.remove(key, &mut changed);
    }

    /// Takes in that the host has deleted the object with this uid.
    pub fn wrote_end(&mut self, key: &ObjectKey, uid: &Uid, mut changed: impl FnMut(Change<'_>)) {
        match self.objects.get(key) {
            Some(known) if known.uid != *uid => return,
            // It may come in the list, which is older.
            None if self.listing.is_none() => return,
            _ => {}
        }
        self.written.insert(key.clone(), Written::Gone(uid.clone()));
        self.remove(key, &mut changed);
    }

    /// Whether a newer version of the same object is known, by numbers.
    fn is_overtaken(&self, key: &ObjectKey, uid: &Uid, version: &ResourceVersion) -> bool {
        let known = self.objects.get(key).filter(|known| known.uid == *uid);
        known.is_some_and(|known| version.is_surely_older(&known.resource_version))
    }

    fn note(&mut self, version: &ResourceVersion) {
        self.newest = version.number().map_or(self.newest, |version| self.newest.max(version));
    }

    fn told(&mut self, object: Object, changed: impl FnMut(Change<'_>)) {
        self.note(&object.resource_version);
        let is_overtaken = match self.written.get(&object.key) {
            Some(Written::Version(version) | Written::Unselected(version)) => object.resource_version.is_older(version),
            Some(Written::Gone(uid)) => object.uid == *uid,
            None => false,
        };
        if !is_overtaken {
            self.written.remove(&object.key);
            self.put(&Arc::new(object), changed);
        }
    }

    fn put(&mut self, object: &Arc<Object>, mut changed: impl FnMut(Change<'_>)) {
        if let Some(known) = self.objects.get_mut(&object.key).filter(|known| known.is_same_version(object)) {
            // What the host has written is packed when the watch tells of it.
            if object.json.kept() < known.json.kept() {
                self.bytes -= known.json.kept() - object.json.kept();
                *known = Arc::clone(object);
            }
            return;
        }
        let key = object.key.clone();
        let before = self.objects.insert(key.clone(), Arc::clone(object));
        self.bytes += object.json.kept();
        self.bytes -= before.as_ref().map_or(0, |before| before.json.kept());
        if let Some(index) = &mut self.by_owner {
            if let Some(before) = &before {
                unindex(index, before);
            }
            enter(index, object);
        }
        changed(Change { key: &key, before: before.as_deref(), after: Some(object) });
    }

    fn remove(&mut self, key: &ObjectKey, changed: &mut impl FnMut(Change<'_>)) {
        let Some(before) = self.objects.remove(key) else { return };
        self.bytes -= before.json.kept();
        if let Some(index) = &mut self.by_owner {
            unindex(index, &before);
        }
        changed(Change { key, before: Some(&before), after: None });
    }

    /// The object as it is now. None: there is none of that name.
    pub fn get(&self, key: &ObjectKey) -> Option<&Arc<Object>> {
        self.objects.get(key)
    }

    /// Every object, in the order of namespace and name.
    pub fn objects(&self) -> impl Iterator<Item = &Arc<Object>> {
        self.objects.values()
    }

    /// From now on, [`Cache::owned_by`] answers.
    pub fn index_owners(&mut self) {
        if self.by_owner.is_none() {
            let mut index = HashMap::new();
            self.objects.values().for_each(|object| enter(&mut index, object));
            self.by_owner = Some(index);
        }
    }

    /// The objects that are controlled by the owner with this uid, if [`Cache::index_owners`] was called.
    pub fn owned_by(&self, uid: &Uid) -> impl Iterator<Item = &Arc<Object>> {
        let keys = self.by_owner.as_ref().and_then(|index| index.get(uid)).into_iter().flatten();
        keys.filter_map(|key| self.objects.get(key))
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.objects.len()
    }

    /// How many bytes are kept of the JSON of all objects.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// Whether a complete list has come in since the start.
    pub fn is_listed(&self) -> bool {
        self.listed
    }
}

fn enter(index: &mut HashMap<Uid, BTreeSet<ObjectKey>>, object: &Object) {
    if let Some(owner) = &object.owner {
        index.entry(owner.uid.clone()).or_default().insert(object.key.clone());
    }
}

fn unindex(index: &mut HashMap<Uid, BTreeSet<ObjectKey>>, object: &Object) {
    if let Some(owner) = &object.owner
        && let Some(keys) = index.get_mut(&owner.uid)
    {
        keys.remove(&object.key);
        if keys.is_empty() {
            index.remove(&owner.uid);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::{Gvk, Json, Owner, Packer};

    fn object(name: &str, uid: &str, resource_version: &str) -> Object {
        Object {
            key: ObjectKey::new(Some("default"), name),
            uid: uid.into(),
            resource_version: resource_version.into(),
            deleting: false,
            owner: None,
            finalizers: [].into(),
            json: "{}".into(),
        }
    }

    fn delete(key: &ObjectKey, uid: &str, version: &str) -> Event {
        Event::Delete { key: key.clone(), uid: uid.into(), version: version.into() }
    }

    fn wrote(cache: &mut Cache, object: Object) -> bool {
        let mut changes = false;
        cache.wrote(&Arc::new(object), |_| changes = true);
        changes
    }

    fn version(cache: &Cache) -> Option<String> {
        cache.get(&ObjectKey::new(Some("default"), "a")).map(|object| object.resource_version.to_string())
    }

    fn apply(cache: &mut Cache, events: Vec<Event>) -> Vec<String> {
        let mut changed = Vec::new();
        for event in events {
            cache.apply(event, |change| changed.push(change.key.name().to_owned()));
        }
        changed.sort();
        changed
    }

    #[test]
    fn a_relist_tells_of_what_is_new_changed_or_gone_and_of_nothing_else() {
        let mut cache = Cache::default();
        let list = ["same", "changed", "gone", "remade"].map(|name| Event::InitApply(object(name, "u", "1")));
        apply(&mut cache, [Event::Init].into_iter().chain(list).chain([Event::InitDone]).collect());
        let changed = apply(
            &mut cache,
            vec![
                Event::Init,
                Event::InitApply(object("same", "u", "1")),
                Event::InitApply(object("changed", "u", "2")),
                Event::InitApply(object("remade", "v", "1")),
                Event::InitApply(object("new", "u", "3")),
                Event::InitDone,
            ],
        );
        assert_eq!(changed, ["changed", "gone", "new", "remade"]);
        assert!(cache.get(&ObjectKey::new(Some("default"), "gone")).is_none());
        assert_eq!(cache.len(), 4);
    }

    #[test]
    fn a_list_that_breaks_off_takes_nothing_away() {
        let mut cache = Cache::default();
        apply(&mut cache, vec![Event::Apply(object("a", "u", "1"))]);
        assert!(!cache.is_listed());
        let changed =
            apply(&mut cache, vec![Event::Init, Event::Init, Event::InitApply(object("a", "u", "1")), Event::InitDone]);
        assert_eq!(changed, [""; 0]);
        assert!(cache.is_listed());
    }

    #[test]
    fn repeated_events_change_nothing() {
        let mut cache = Cache::default();
        let key = ObjectKey::new(Some("default"), "a");
        let events = || vec![Event::Apply(object("a", "u", "1")), Event::Apply(object("a", "u", "1"))];
        assert_eq!(apply(&mut cache, events()), ["a"]);
        assert_eq!(apply(&mut cache, vec![delete(&key, "u", "2"), delete(&key, "u", "2")]), ["a"]);
        assert_eq!(apply(&mut cache, events()), ["a"]);
    }

    #[test]
    fn an_event_out_of_turn_takes_nothing_back_but_a_list_may() {
        let mut cache = Cache::default();
        apply(&mut cache, vec![Event::Apply(object("a", "u", "12"))]);
        assert_eq!(apply(&mut cache, vec![Event::Apply(object("a", "u", "9"))]), [""; 0]);
        assert_eq!(version(&cache).as_deref(), Some("12"));
        assert_eq!(apply(&mut cache, vec![Event::Apply(object("a", "other", "9"))]), ["a"], "it is another object");
        let set_back = vec![Event::Init, Event::InitApply(object("a", "other", "3")), Event::InitDone];
        assert_eq!(apply(&mut cache, set_back), ["a"]);
        assert_eq!(version(&cache).as_deref(), Some("3"));
    }

    #[test]
    fn an_end_out_of_turn_takes_nothing_away() {
        let mut cache = Cache::default();
        let key = ObjectKey::new(Some("default"), "a");
        apply(&mut cache, vec![Event::Apply(object("a", "new", "7"))]);
        assert_eq!(apply(&mut cache, vec![delete(&key, "old", "6")]), [""; 0], "it is another object");
        assert_eq!(apply(&mut cache, vec![delete(&key, "old", "x")]), [""; 0], "whatever its version");
        assert_eq!(apply(&mut cache, vec![delete(&key, "new", "5")]), [""; 0], "it was not selected for a while");
        assert_eq!(version(&cache).as_deref(), Some("7"));
        assert_eq!(apply(&mut cache, vec![delete(&key, "new", "7")]), ["a"]);
    }

    #[test]
    fn what_was_written_is_there_at_once_and_nothing_older_comes_after_it() {
        let mut cache = Cache::default();
        apply(&mut cache, vec![Event::Init, Event::InitApply(object("a", "u", "3")), Event::InitDone]);
        assert!(wrote(&mut cache, object("a", "u", "7")));
        assert_eq!(apply(&mut cache, vec![Event::Apply(object("a", "u", "5"))]), [""; 0]);
        assert_eq!(version(&cache).as_deref(), Some("7"));
        assert_eq!(apply(&mut cache, vec![Event::Apply(object("a", "u", "7"))]), [""; 0], "the echo is no change");
        assert_eq!(apply(&mut cache, vec![Event::Apply(object("a", "u", "8"))]), ["a"]);
        assert!(!wrote(&mut cache, object("a", "u", "7")), "the watch was faster");
        assert_eq!(version(&cache).as_deref(), Some("8"));
    }

    #[test]
    fn what_was_written_is_kept_packed_once_the_watch_has_told_of_it() {
        let with = |json: &Json| Object { json: json.clone(), ..object("a", "u", "7") };
        let text = r#"{"metadata":{"name":"a"}}"#.repeat(100);
        let (mut packer, mut echo) = (Packer::default(), Json::from(&*text));
        while echo.kept() == text.len() {
            packer.pack(&mut echo);
        }
        let mut cache = Cache::default();
        wrote(&mut cache, with(&Json::from(&*text)));
        assert_eq!(apply(&mut cache, vec![Event::Apply(with(&echo))]), [""; 0], "the echo is no change");
        let kept = cache.get(&ObjectKey::new(Some("default"), "a")).unwrap();
        assert_eq!((kept.json.kept(), kept.json.len()), (echo.kept(), text.len()));
        assert_eq!(cache.bytes(), echo.kept());
    }

    #[test]
    fn what_was_written_during_a_list_that_does_not_have_it_stays() {
        let mut cache = Cache::default();
        apply(&mut cache, vec![Event::Init]);
        wrote(&mut cache, object("a", "u", "7"));
        assert_eq!(apply(&mut cache, vec![Event::InitApply(object("a", "u", "3")), Event::InitDone]), [""; 0]);
        assert_eq!(version(&cache).as_deref(), Some("7"));
        apply(&mut cache, vec![Event::Init, Event::InitDone]);
        assert_eq!(version(&cache), None, "a list that was begun later does not have it because it is gone");
    }

    #[test]
    fn what_was_deleted_stays_so_until_it_is_made_anew() {
        let mut cache = Cache::default();
        let key = ObjectKey::new(Some("default"), "a");
        apply(&mut cache, vec![Event::Apply(object("a", "u", "3"))]);
        cache.wrote_end(&key, &"u".into(), |change| assert!(change.after.is_none()));
        assert_eq!(apply(&mut cache, vec![Event::Apply(object("a", "u", "4"))]), [""; 0]);
        wrote(&mut cache, object("a", "v", "9"));
        assert_eq!(apply(&mut cache, vec![delete(&key, "u", "5")]), [""; 0], "the end of the one before");
        assert_eq!(version(&cache).as_deref(), Some("9"));
        assert_eq!(apply(&mut cache, vec![delete(&key, "v", "10")]), ["a"]);
    }

    #[test]
    fn what_was_deleted_or_unselected_before_the_first_list_came_to_it_is_not_in_it() {
        let (mut cache, key) = (Cache::default(), ObjectKey::new(Some("default"), "a"));
        cache.apply(Event::Init, |_| {});
        cache.wrote_end(&key, &"1".into(), |_| panic!("it was not there"));
        let list =
            vec![Event::InitApply(object("a", "1", "5")), Event::InitApply(object("b", "2", "6")), Event::InitDone];
        cache.wrote_unselected(&ObjectKey::new(Some("default"), "c"), &"9".into(), |_| panic!("it was not there"));
        assert_eq!(apply(&mut cache, list), ["b"]);
        // Another one of that name.
        assert_eq!(apply(&mut cache, vec![delete(&key, "1", "7"), Event::Apply(object("a", "3", "8"))]), ["a"]);
    }

    #[test]
    fn what_was_written_and_has_come_and_gone_by_the_watch_does_not_come_back() {
        let mut cache = Cache::default();
        let key = ObjectKey::new(Some("default"), "a");
        apply(
            &mut cache,
            vec![Event::Init, Event::InitDone, Event::Apply(object("a", "u", "5")), delete(&key, "u", "6")],
        );
        assert!(!wrote(&mut cache, object("a", "u", "5")));
        assert_eq!(version(&cache), None);
    }

    #[test]
    fn what_is_selected_again_is_there_again_however_late_the_answer_comes() {
        let mut cache = Cache::default();
        let key = ObjectKey::new(Some("default"), "a");
        apply(&mut cache, vec![Event::Apply(object("a", "u", "5"))]);
        cache.wrote_unselected(&key, &"7".into(), |change| assert!(change.after.is_none()));
        assert_eq!(apply(&mut cache, vec![Event::Apply(object("a", "u", "6"))]), [""; 0]);
        assert_eq!(apply(&mut cache, vec![delete(&key, "u", "7"), Event::Apply(object("a", "u", "9"))]), ["a"]);
        cache.wrote_unselected(&key, &"7".into(), |_| panic!("the watch was faster"));
        assert_eq!(version(&cache).as_deref(), Some("9"));
    }

    #[test]
    fn what_was_written_before_a_list_was_read_that_does_not_have_it_is_gone() {
        let mut cache = Cache::default();
        apply(&mut cache, vec![Event::Init]);
        wrote(&mut cache, object("a", "u", "7"));
        apply(&mut cache, vec![Event::InitApply(object("b", "u", "8")), Event::InitDone]);
        assert_eq!(version(&cache), None);
    }

    #[test]
    fn an_end_that_is_older_than_what_was_written_is_no_end() {
        let mut cache = Cache::default();
        let key = ObjectKey::new(Some("default"), "a");
        apply(&mut cache, vec![Event::Apply(object("a", "u", "3"))]);
        wrote(&mut cache, object("a", "u", "9"));
        assert_eq!(apply(&mut cache, vec![delete(&key, "u", "5")]), [""; 0], "it was not selected for a moment");
        assert_eq!(version(&cache).as_deref(), Some("9"));
    }

    #[test]
    fn objects_are_found_by_their_owner_as_it_changes() {
        let owned = |name: &str, version: &str, owner: &str| {
            let owner = Owner { gvk: Gvk::new("v1", "Pod"), name: "o".into(), uid: owner.into() };
            Object { owner: Some(Box::new(owner)), ..object(name, "u", version) }
        };
        let names = |cache: &Cache, uid: &str| -> Vec<_> {
            cache.owned_by(&uid.into()).map(|object| object.key.name().to_owned()).collect()
        };
        let mut cache = Cache::default();
        apply(&mut cache, vec![Event::Apply(owned("a", "1", "x"))]);
        cache.index_owners();
        apply(&mut cache, vec![Event::Apply(owned("b", "1", "x"))]);
        assert_eq!(names(&cache, "x"), ["a", "b"]);
        apply(
            &mut cache,
            vec![Event::Apply(owned("a", "2", "y")), delete(&ObjectKey::new(Some("default"), "b"), "u", "3")],
        );
        assert_eq!((names(&cache, "x"), names(&cache, "y")), (vec![], vec!["a".to_owned()]));
    }
}
