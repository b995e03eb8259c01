//! The newest version of every object, and what an event changes about it.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use crate::object::{Object, ObjectKey};

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
    /// An object was deleted.
    Delete(ObjectKey),
}

/// The newest version of every object.
#[derive(Debug, Default)]
pub struct Cache {
    objects: BTreeMap<ObjectKey, Arc<Object>>,
    /// The objects of the list that is coming in.
    listing: Option<HashSet<ObjectKey>>,
    listed: bool,
}

impl Cache {
    /// Takes in an event and calls `changed` with the key of each object that is not what it was: new, of another
    /// version, or gone. A list that repeats what is known changes nothing.
    pub fn apply(&mut self, event: Event, mut changed: impl FnMut(&ObjectKey)) {
        match event {
            Event::Init => self.listing = Some(HashSet::new()),
            Event::InitApply(object) => {
                if let Some(listing) = &mut self.listing {
                    listing.insert(object.key.clone());
                }
                self.put(object, changed);
            }
            Event::InitDone => {
                self.listed = true;
                if let Some(listing) = self.listing.take() {
                    self.objects.retain(|key, _| {
                        let stays = listing.contains(key);
                        if !stays {
                            changed(key);
                        }
                        stays
                    });
                }
            }
            Event::Apply(object) => self.put(object, changed),
            Event::Delete(key) => {
                if self.objects.remove(&key).is_some() {
                    changed(&key);
                }
            }
        }
    }

    fn put(&mut self, object: Object, mut changed: impl FnMut(&ObjectKey)) {
        let known = self.objects.get(&object.key);
        if known.is_some_and(|known| known.is_same_version(&object)) {
            return;
        }
        let key = object.key.clone();
        changed(&key);
        self.objects.insert(key, Arc::new(object));
    }

    /// The object as it is now. None: there is none of that name.
    pub fn get(&self, key: &ObjectKey) -> Option<&Arc<Object>> {
        self.objects.get(key)
    }

    /// Every object there is, in the order of namespace and name.
    pub fn keys(&self) -> impl Iterator<Item = &ObjectKey> {
        self.objects.keys()
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.objects.len()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn object(name: &str, uid: &str, resource_version: &str) -> Object {
        Object {
            key: ObjectKey::new(Some("default"), name),
            uid: uid.into(),
            resource_version: resource_version.into(),
            deleting: false,
            json: "{}".into(),
        }
    }

    fn apply(cache: &mut Cache, events: Vec<Event>) -> Vec<String> {
        let mut changed = Vec::new();
        for event in events {
            cache.apply(event, |key| changed.push(key.name().to_owned()));
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
        assert_eq!(apply(&mut cache, vec![Event::Delete(key.clone()), Event::Delete(key)]), ["a"]);
        assert_eq!(apply(&mut cache, events()), ["a"]);
    }
}
