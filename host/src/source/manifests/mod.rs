//! A file or a folder of manifests, taken as the cluster and followed live.
//!
//! What is in the files is taken into an object store in memory, as if it were applied, and what plugins ask for is done
//! there. A document that cannot be taken in is named by file and line; while a file has such a document, no object of
//! it counts as gone.

mod fields;
mod files;
mod given;
mod kinds;
mod merge;
mod output;
mod parse;
mod patch;
mod store;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashSet};
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use serde_json::{Map, Value};
use tokio::sync::{SetOnce, mpsc};

use super::{Span, Update};
use crate::cache::Event;
use crate::digest::Digest;
use crate::folder::{Depth, FolderWatch, Timing};
use crate::object::{Gvk, Kind, Object, ObjectKey, ObjectRef, Part, RawObject};
use crate::selector::Selection;
use crate::tally::Tally;

use fields::{metadata, text};
use files::{File, Listing, name_of};
use output::OutputFolder;
use store::{Changes, Store, StoreError, Written};

pub use given::{GivenFile, read_files, read_given};
pub use kinds::Kinds;
pub use parse::{Broken, Documents, Format};
pub use store::Patch;

/// The objects of a file or folder, and what has become of them.
pub struct Manifests {
    state: Mutex<State>,
    /// Set when the files have been read once.
    read: SetOnce<()>,
}

struct State {
    store: Store,
    kinds: Kinds,
    files: BTreeMap<PathBuf, File>,
    /// What was taken in of the files last.
    loaded: BTreeMap<ObjectRef, Map<String, Value>>,
    /// What has been said of what is wrong now.
    told: HashSet<String>,
    watches: Vec<Watch>,
    /// Where objects that plugins have changed are written. None: nowhere.
    output: Option<OutputFolder>,
}

/// Somebody who is told of changes.
struct Watch {
    selection: Selection,
    /// The objects that it knows to be selected.
    known: HashSet<ObjectKey>,
    events: mpsc::UnboundedSender<Event>,
}

/// A change to one object.
#[derive(Debug)]
pub enum Edit {
    /// Server-side apply.
    Apply {
        /// The whole of what the manager says of it.
        body: Map<String, Value>,
        /// The field manager.
        manager: String,
        /// Whether it takes fields over from others.
        force: bool,
        /// What it is about.
        part: Part,
    },
    /// A patch.
    Patch(Patch),
    /// A removal.
    Delete {
        /// That it must have. None: any.
        uid: Option<String>,
    },
}

/// What an edit has made, or would make, of an object. None: there is none.
#[derive(Debug)]
pub struct Edited {
    /// Which object.
    pub target: ObjectRef,
    /// As JSON.
    pub before: Option<String>,
    /// As it is after it.
    pub after: Option<Object>,
}

impl Manifests {
    /// Nothing yet: [`Manifests::follow`] reads the files. Objects that are edited are written to the folder `output`.
    pub fn new(output: Option<PathBuf>) -> Self {
        let state = State {
            store: Store::new(|text| uid(&Digest::of(text.as_bytes()))),
            kinds: Kinds::default(),
            files: BTreeMap::new(),
            loaded: BTreeMap::new(),
            told: HashSet::new(),
            watches: Vec::new(),
            output: output.map(OutputFolder::new),
        };
        Self { state: Mutex::new(state), read: SetOnce::new() }
    }

    /// Reads the file or folder at `path`, and follows it for as long as `span` says.
    pub async fn follow(&self, path: &Path, timing: Timing, span: Span, tally: &Tally) -> anyhow::Result<()> {
        let mut watch = FolderWatch::new(path, Depth::Nested, timing)?;
        let mut open = HashSet::new();
        loop {
            // Parsing takes long for many documents; on this thread it would hold up the calls that it leads to.
            tokio::task::block_in_place(|| self.lock().read(watch.path(), &open, tally));
            // It is set the first time.
            let _ = self.read.set(());
            if span == Span::Once {
                return Ok(());
            }
            open = watch.next().await;
        }
    }

    /// What there is to know of a kind.
    pub fn kind(&self, gvk: &Gvk) -> Kind {
        self.lock().kinds.kind(gvk)
    }

    /// Follows the selected objects for as long as `span` says.
    pub(super) async fn watch(&self, selection: &Selection, span: Span, mut deliver: impl FnMut(Update)) {
        self.read.wait().await;
        let (sender, mut events) = mpsc::unbounded_channel();
        deliver(Update::Found(self.kind(&selection.gvk)));
        deliver(Update::Event(Event::Init));
        let objects = self.lock().add_watch(selection, sender);
        for object in objects {
            deliver(Update::Event(Event::InitApply(object)));
        }
        deliver(Update::Event(Event::InitDone));
        if span == Span::Once {
            return;
        }
        while let Some(event) = events.recv().await {
            deliver(Update::Event(event));
        }
    }

    /// An object as it is now.
    pub fn look_up(&self, target: &ObjectRef) -> Option<Object> {
        let state = self.lock();
        object(state.store.get(target)?.clone(), &target.gvk)
    }

    /// Edits an object. Returns what has become of it and of those that had to follow it; with `dry_run`, what would
    /// have. An error says, for people, why nothing was done.
    pub fn edit(&self, target: &ObjectRef, edit: Edit, dry_run: bool) -> Result<Vec<Edited>, String> {
        let mut guard = self.lock();
        let state = &mut *guard;
        let mut tried;
        let store = if dry_run {
            tried = state.store.clone();
            &mut tried
        } else {
            &mut state.store
        };
        let now = now();
        let done = match edit {
            Edit::Apply { body, manager, force, part } => store.apply(target, body, &manager, force, part, &now),
            Edit::Patch(patch) => store.patch(target, patch, &now),
            Edit::Delete { uid } => match store.delete(target, uid.as_deref(), &now) {
                // It is gone already, or was made anew and is not the one that is meant.
                Err(StoreError::NotFound(_) | StoreError::UidMismatch { .. }) => return Ok(Vec::new()),
                done => done,
            },
        };
        let changes = done.map_err(|error| error.to_string())?;
        if !dry_run {
            state.tell(&changes);
            if let Some(output) = &mut state.output {
                output.edited(&state.kinds, &changes)?;
            }
        }
        let json = |map: Map<String, Value>| Value::Object(map).to_string();
        Ok(changes
            .into_iter()
            .map(|(target, written)| {
                let (before, after) = match written {
                    Written::Unchanged(object) => (Some(json(object.clone())), Some(object)),
                    Written::Changed { before, after } => (before.map(json), Some(after)),
                    Written::Deleted { before } => (Some(json(before)), None),
                };
                Edited { before, after: after.and_then(|after| object(after, &target.gvk)), target }
            })
            .collect())
    }

    /// Whether something panicked while it changed the objects, so that they may be half done.
    pub fn is_poisoned(&self) -> bool {
        self.state.is_poisoned()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Reads the files that have changed, but for those that are `open`, and takes in what has changed about objects.
    fn read(&mut self, path: &Path, open: &HashSet<PathBuf>, tally: &Tally) {
        let mut faults = Vec::new();
        let mut files = mem::take(&mut self.files);
        let Listing { paths, unreadable, .. } = Listing::of(path);
        for (path, error) in unreadable {
            faults.push(format!("{}: {error}; its objects stay as they are", path.display()));
            self.files.extend(files.extract_if(.., |known, _| known.starts_with(&path)));
        }
        let mut changed = false;
        for (path, format) in paths {
            let mut file = files.remove(&path).unwrap_or_default();
            if !open.contains(&path) {
                match file.read(&path, format) {
                    Ok(read) => changed |= read,
                    Err(error) => faults.push(format!("{}: {error}", path.display())),
                }
            }
            self.files.insert(path, file);
        }
        // What is left is gone.
        changed |= !files.is_empty();
        if !changed {
            self.tell_faults(&faults, tally);
            self.told.extend(faults);
            return;
        }
        for (path, file) in &self.files {
            file.documents.iter().for_each(|object| self.kinds.learn(object));
            let broken = file.broken.iter();
            faults.extend(broken.map(|Broken { line, reason }| format!("{}:{line}: {reason}", path.display())));
        }
        let wanted = self.wanted(&mut faults);
        self.take_in(wanted, &mut faults);
        self.tell_faults(&faults, tally);
        self.told = faults.into_iter().collect();
    }

    /// The objects of all files, and a complaint for each that is there twice: the first one counts.
    fn wanted(&self, faults: &mut Vec<String>) -> BTreeMap<ObjectRef, (Map<String, Value>, PathBuf)> {
        let mut wanted: BTreeMap<ObjectRef, (Map<String, Value>, PathBuf)> = BTreeMap::new();
        for (path, file) in &self.files {
            for object in &file.documents {
                let Some(target) = name_of(object, &self.kinds) else { continue };
                match wanted.entry(target) {
                    Entry::Occupied(first) => {
                        let (target, (_, origin)) = (first.key(), first.get());
                        faults.push(format!("{}: {target} is in {} already", path.display(), origin.display()));
                    }
                    Entry::Vacant(place) => drop(place.insert((object.clone(), path.clone()))),
                }
            }
        }
        wanted
    }

    fn take_in(&mut self, wanted: BTreeMap<ObjectRef, (Map<String, Value>, PathBuf)>, faults: &mut Vec<String>) {
        let now = now();
        let gone: Vec<_> = self.loaded.keys().filter(|target| !wanted.contains_key(*target)).cloned().collect();
        for target in gone {
            self.loaded.remove(&target);
            // A plugin may have deleted it already.
            if let Ok(changes) = self.store.delete(&target, None, &now) {
                self.took_in(&changes);
            }
        }
        for (target, (manifest, path)) in wanted {
            if self.loaded.get(&target) == Some(&manifest) {
                continue;
            }
            match self.store.load(&target, manifest.clone(), &now) {
                Ok(changes) => {
                    self.took_in(&changes);
                    self.loaded.insert(target, manifest);
                }
                Err(error) => faults.push(format!("{}: {error}", path.display())),
            }
        }
    }

    fn took_in(&mut self, changes: &Changes) {
        self.tell(changes);
        if let Some(output) = &mut self.output
            && let Err(error) = output.changed(&self.kinds, changes)
        {
            tracing::error!("{error}");
        }
    }

    /// Says what is wrong that was not said yet.
    fn tell_faults(&self, faults: &[String], tally: &Tally) {
        for fault in faults {
            if !self.told.contains(fault) {
                tracing::error!("a manifest cannot be taken in: {fault}");
                tally.count_broken_document();
            }
        }
    }

    fn add_watch(&mut self, selection: &Selection, events: mpsc::UnboundedSender<Event>) -> Vec<Object> {
        let of_kind = self.store.iter().filter(|(target, _)| target.gvk == selection.gvk);
        let selected = of_kind.filter_map(|(target, fields)| selected(selection, target, fields));
        let objects: Vec<_> = selected.collect();
        let known = objects.iter().map(|object| object.key.clone()).collect();
        self.watches.push(Watch { selection: selection.clone(), known, events });
        objects
    }

    /// Tells those that watch what has changed.
    fn tell(&mut self, changes: &Changes) {
        self.watches.retain(|watch| !watch.events.is_closed());
        for (target, written) in changes {
            let (after, last) = match written {
                Written::Unchanged(_) => continue,
                Written::Changed { after, .. } => (Some(after), after),
                Written::Deleted { before } => (None, before),
            };
            for Watch { selection, known, events } in &mut self.watches {
                if selection.gvk != target.gvk {
                    continue;
                }
                let event = match after.and_then(|after| selected(selection, target, after)) {
                    Some(object) => {
                        known.insert(target.key.clone());
                        Event::Apply(object)
                    }
                    None if known.remove(&target.key) => {
                        // Without it, the end of one would be taken for the end of the next one of its name.
                        let member = |name| text(metadata(last, name));
                        Event::Delete {
                            key: target.key.clone(),
                            uid: member("uid").into(),
                            version: member("resourceVersion").into(),
                        }
                    }
                    None => continue,
                };
                // Whoever is gone is left out the next time.
                let _ = events.send(event);
            }
        }
    }
}

/// The object if it is selected.
fn selected(selection: &Selection, target: &ObjectRef, fields: &Map<String, Value>) -> Option<Object> {
    if !selection.has_place_for(&target.key) || !selection.fields.matches(&Value::Object(fields.clone())) {
        return None;
    }
    let object = object(fields.clone(), &target.gvk)?;
    (selection.labels.selects_all() || selection.labels.matches(&object.labels())).then_some(object)
}

fn object(fields: Map<String, Value>, gvk: &Gvk) -> Option<Object> {
    let text = Value::Object(fields).to_string();
    serde_json::from_str::<RawObject>(&text).ok()?.into_object(gvk)
}

fn now() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string()
}

/// A UUID of the custom kind (RFC 9562, version 8).
fn uid(digest: &Digest) -> String {
    let mut hex = digest.to_string();
    hex.truncate(32);
    hex.replace_range(12..13, "8");
    hex.replace_range(16..17, "8");
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_told_with_the_uid_of_what_has_ended() {
        let gvk = Gvk::new("v1", "ConfigMap");
        let target = ObjectRef { gvk: gvk.clone(), key: ObjectKey::new(Some("default"), "a") };
        let manifests = Manifests::new(None);
        let apply = || Edit::Apply {
            body: serde_json::from_str(r#"{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}"#)
                .unwrap(),
            manager: "tests".into(),
            force: false,
            part: Part::Main,
        };
        let made = manifests.edit(&target, apply(), false).unwrap().remove(0).after.unwrap();
        let (sender, mut events) = mpsc::unbounded_channel();
        manifests.lock().add_watch(&Selection::all(gvk), sender);
        manifests.edit(&target, Edit::Delete { uid: None }, false).unwrap();
        manifests.edit(&target, apply(), false).unwrap();
        let Ok(Event::Delete { uid, .. }) = events.try_recv() else { panic!("it has ended") };
        assert_eq!(uid, made.uid);
        let Ok(Event::Apply(again)) = events.try_recv() else { panic!("there is another one") };
        assert_ne!(again.uid, made.uid);
    }
}
