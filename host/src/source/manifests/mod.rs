//! Objects from a file or a folder of manifests, taken as the cluster and followed live.
//!
//! What an API server would fill in and a reconciler may rely on is filled in: namespace, uid, resource version,
//! generation and creation timestamp. A document that cannot be taken in is named by file and line; while a file has
//! such a document, no object of it counts as gone.

mod parse;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;
use std::{fs, io, mem};

use serde_json::{Map, Value};

use super::{Selection, Span};
use crate::cache::Event;
use crate::digest::Digest;
use crate::folder::{Depth, FolderWatch, Signature, Timing};
use crate::object::{Kind, Object, ObjectKey};
use crate::tally::Tally;

use parse::{Broken, Documents, Format};

/// The objects of one kind in a file or folder.
pub struct Manifests {
    watch: FolderWatch,
    kind: Kind,
    selection: Selection,
    files: BTreeMap<PathBuf, File>,
    objects: BTreeMap<ObjectKey, Known>,
    /// What has been said of what is wrong now.
    told: HashSet<String>,
    /// The resource version given last.
    version: u64,
}

/// What was in a file when it was read last.
#[derive(Default)]
struct File {
    /// None: it has to be read to tell whether it has changed.
    signature: Option<Signature>,
    objects: Vec<(ObjectKey, Map<String, Value>)>,
    broken: Vec<Broken>,
}

/// An object as it was told last.
struct Known {
    manifest: Map<String, Value>,
    uid: String,
    generation: u64,
    created: String,
}

impl Manifests {
    /// The objects of that kind in the file or folder at `path`.
    pub fn new(path: &Path, kind: Kind, selection: Selection, timing: Timing) -> anyhow::Result<Self> {
        Ok(Self {
            watch: FolderWatch::new(path, Depth::Nested, timing)?,
            kind,
            selection,
            files: BTreeMap::new(),
            objects: BTreeMap::new(),
            told: HashSet::new(),
            version: 0,
        })
    }

    /// Follows the objects for as long as `span` says.
    pub async fn follow(mut self, span: Span, tally: Arc<Tally>, mut deliver: impl FnMut(Event)) {
        deliver(Event::Init);
        // Parsing takes long for many documents; on this thread it would hold up the calls that it leads to.
        for event in tokio::task::block_in_place(|| self.read(&HashSet::new(), &tally)) {
            deliver(match event {
                Event::Apply(object) => Event::InitApply(object),
                event => event,
            });
        }
        deliver(Event::InitDone);
        if span == Span::Once {
            return;
        }
        loop {
            let open = self.watch.next().await;
            for event in tokio::task::block_in_place(|| self.read(&open, &tally)) {
                deliver(event);
            }
        }
    }

    /// Reads the files that have changed, but for those that are `open`, and returns what has changed about objects.
    fn read(&mut self, open: &HashSet<PathBuf>, tally: &Tally) -> Vec<Event> {
        let mut faults = Vec::new();
        let mut files = mem::take(&mut self.files);
        let Listing { paths, unreadable, .. } = Listing::of(self.watch.path());
        for (path, error) in unreadable {
            faults.push(format!("{}: {error}; its objects stay as they are", path.display()));
            self.files.extend(files.extract_if(.., |known, _| known.starts_with(&path)));
        }
        let mut changed = false;
        for (path, format) in paths {
            let mut file = files.remove(&path).unwrap_or_default();
            if !open.contains(&path) {
                match file.read(&path, format, &self.kind) {
                    Ok(read) => changed |= read,
                    Err(error) => faults.push(format!("{}: {error}", path.display())),
                }
            }
            self.files.insert(path, file);
        }
        // What is left is gone.
        changed |= !files.is_empty();
        if !changed {
            self.tell(&faults, tally);
            self.told.extend(faults);
            return Vec::new();
        }
        let (wanted, doubles) = self.wanted();
        faults.extend(doubles);
        for (path, file) in &self.files {
            let broken = file.broken.iter();
            faults.extend(broken.map(|Broken { line, reason }| format!("{}:{line}: {reason}", path.display())));
        }
        self.tell(&faults, tally);
        self.told = faults.into_iter().collect();
        self.changes(wanted)
    }

    /// Says what is wrong that was not said yet.
    fn tell(&self, faults: &[String], tally: &Tally) {
        for fault in faults {
            if !self.told.contains(fault) {
                tracing::error!("a manifest cannot be taken in: {fault}");
                tally.count_broken_document();
            }
        }
    }

    /// The selected objects of all files, and a complaint for each that is there twice: the first one counts.
    fn wanted(&self) -> (BTreeMap<ObjectKey, Map<String, Value>>, Vec<String>) {
        let mut wanted = BTreeMap::new();
        let mut origins: BTreeMap<&ObjectKey, &Path> = BTreeMap::new();
        let mut doubles = Vec::new();
        for (path, file) in &self.files {
            for (key, manifest) in &file.objects {
                match origins.entry(key) {
                    Entry::Occupied(first) => doubles.push(format!(
                        "{}: {} {key} is in {} already",
                        path.display(),
                        self.kind.kind,
                        first.get().display()
                    )),
                    Entry::Vacant(origin) => {
                        origin.insert(path);
                        if self.selects(key, manifest) {
                            wanted.insert(key.clone(), manifest.clone());
                        }
                    }
                }
            }
        }
        (wanted, doubles)
    }

    fn selects(&self, key: &ObjectKey, manifest: &Map<String, Value>) -> bool {
        let labels = manifest.get("metadata").and_then(|metadata| metadata.get("labels"));
        let labels = labels.and_then(|labels| serde_json::from_value(labels.clone()).ok()).unwrap_or_default();
        self.selection.namespace.as_deref().is_none_or(|namespace| key.namespace() == Some(namespace))
            && self.selection.labels.matches(&labels)
    }

    fn changes(&mut self, wanted: BTreeMap<ObjectKey, Map<String, Value>>) -> Vec<Event> {
        let gone: Vec<_> = self.objects.keys().filter(|key| !wanted.contains_key(*key)).cloned().collect();
        let mut events: Vec<_> = gone
            .into_iter()
            .map(|key| {
                self.objects.remove(&key);
                Event::Delete(key)
            })
            .collect();
        for (key, manifest) in wanted {
            let known = self.objects.get(&key);
            if known.is_some_and(|known| known.manifest == manifest) {
                continue;
            }
            self.version += 1;
            let known = match self.objects.remove(&key) {
                Some(known) => Known {
                    generation: known.generation + u64::from(differ(&known.manifest, &manifest)),
                    manifest,
                    ..known
                },
                None => Known {
                    uid: uid(&Digest::of(format!("{} {key} {}", self.kind, self.version).as_bytes())),
                    generation: 1,
                    created: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
                    manifest,
                },
            };
            events.push(Event::Apply(known.object(key.clone(), self.version)));
            self.objects.insert(key, known);
        }
        events
    }
}

impl File {
    /// Reads the file if it may have changed. Returns whether it did.
    fn read(&mut self, path: &Path, format: Format, kind: &Kind) -> io::Result<bool> {
        let signature = Signature::of(path)?;
        if self.signature.as_ref() == Some(&signature) {
            return Ok(false);
        }
        let bytes = fs::read(path)?;
        self.signature = Some(signature).filter(Signature::is_settled);
        let documents = Documents::parse(&bytes, format);
        let before = mem::take(&mut self.objects);
        self.objects = documents.objects.into_iter().filter_map(|object| of_kind(kind, object)).collect();
        self.broken = documents.broken;
        if !self.broken.is_empty() {
            let found: HashSet<_> = self.objects.iter().map(|(key, _)| key.clone()).collect();
            self.objects.extend(before.into_iter().filter(|(key, _)| !found.contains(key)));
        }
        Ok(true)
    }
}

impl Known {
    /// The object with what an API server would have filled in.
    fn object(&self, key: ObjectKey, version: u64) -> Object {
        let mut object = self.manifest.clone();
        let resource_version = version.to_string();
        let mut uid = self.uid.clone();
        let mut deleting = false;
        if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
            metadata.remove("managedFields");
            if let Some(namespace) = key.namespace() {
                metadata.insert("namespace".into(), namespace.into());
            }
            metadata.insert("resourceVersion".into(), resource_version.clone().into());
            metadata.insert("generation".into(), self.generation.into());
            metadata.retain(|_, value| !value.is_null());
            metadata.entry("creationTimestamp").or_insert_with(|| self.created.clone().into());
            if let Some(given) = metadata.entry("uid").or_insert_with(|| uid.clone().into()).as_str() {
                given.clone_into(&mut uid);
            }
            deleting = metadata.contains_key("deletionTimestamp");
        }
        Object {
            key,
            uid: uid.into(),
            resource_version: resource_version.into(),
            deleting,
            json: Value::Object(object).to_string().into(),
        }
    }
}

/// The key of an object if it is of this kind.
fn of_kind(kind: &Kind, object: Map<String, Value>) -> Option<(ObjectKey, Map<String, Value>)> {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
    if !kind.is(&text(object.get("apiVersion")), &text(object.get("kind"))) {
        return None;
    }
    let metadata = object.get("metadata")?;
    let given = metadata.get("namespace").and_then(Value::as_str).filter(|namespace| !namespace.is_empty());
    let namespace = kind.namespaced.then(|| given.unwrap_or("default"));
    let key = ObjectKey::new(namespace, metadata.get("name")?.as_str()?);
    Some((key, object))
}

/// Whether a new generation begins, which it does not for metadata and status.
fn differ(before: &Map<String, Value>, after: &Map<String, Value>) -> bool {
    let content = |object: &Map<String, Value>| {
        let mut object = object.clone();
        object.retain(|name, _| name != "metadata" && name != "status");
        object
    };
    content(before) != content(after)
}

/// A UUID of the custom kind (RFC 9562, version 8).
fn uid(digest: &Digest) -> String {
    let mut hex = digest.to_string();
    hex.truncate(32);
    hex.replace_range(12..13, "8");
    hex.replace_range(16..17, "8");
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

/// The manifest files at a path and below, in order, and what could not be looked into. Hidden ones are left out.
#[derive(Default)]
struct Listing {
    paths: Vec<(PathBuf, Format)>,
    unreadable: Vec<(PathBuf, io::Error)>,
    /// Device and inode of the folder being looked into and of those above it, against symlinks that lead back.
    above: Vec<(u64, u64)>,
}

impl Listing {
    fn of(path: &Path) -> Self {
        let mut listing = Self::default();
        listing.add(path);
        listing
    }

    fn add(&mut self, path: &Path) {
        if let Err(error) = self.try_add(path)
            // It was removed a moment ago, or is a symlink to nothing.
            && error.kind() != io::ErrorKind::NotFound
        {
            self.unreadable.push((path.to_owned(), error));
        }
    }

    fn try_add(&mut self, path: &Path) -> io::Result<()> {
        let metadata = fs::metadata(path)?;
        if !metadata.is_dir() {
            self.paths.push((path.to_owned(), format_of(path).unwrap_or(Format::Yaml)));
            return Ok(());
        }
        let id = (metadata.dev(), metadata.ino());
        if self.above.contains(&id) {
            return Ok(());
        }
        let mut entries: Vec<_> = fs::read_dir(path)?.collect::<Result<_, _>>()?;
        entries.sort_by_key(fs::DirEntry::file_name);
        self.above.push(id);
        for entry in entries {
            let path = entry.path();
            let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
            if !hidden && (format_of(&path).is_some() || path.is_dir()) {
                self.add(&path);
            }
        }
        self.above.pop();
        Ok(())
    }
}

fn format_of(path: &Path) -> Option<Format> {
    match path.extension()?.to_str()? {
        "yaml" | "yml" => Some(Format::Yaml),
        "json" => Some(Format::Json),
        _ => None,
    }
}
