//! The files of a folder of manifests, and the objects in them.

use std::collections::HashSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::{fs, io, mem};

use serde_json::{Map, Value};

use super::kinds::Kinds;
use super::parse::{Broken, Documents, Format};
use crate::folder::Signature;
use crate::object::{Gvk, ObjectKey, ObjectRef};

/// What was in a file when it was read last.
#[derive(Default)]
pub(super) struct File {
    /// None: it has to be read to tell whether it has changed.
    signature: Option<Signature>,
    pub(super) documents: Vec<Map<String, Value>>,
    pub(super) broken: Vec<Broken>,
}

impl File {
    /// Reads the file if it may have changed. Returns whether it did.
    pub(super) fn read(&mut self, path: &Path, format: Format) -> io::Result<bool> {
        let signature = Signature::of(path)?;
        if self.signature.as_ref() == Some(&signature) {
            return Ok(false);
        }
        let bytes = fs::read(path)?;
        self.signature = Some(signature).filter(Signature::is_settled);
        let documents = Documents::parse(&bytes, format);
        let before = mem::replace(&mut self.documents, documents.objects);
        self.broken = documents.broken;
        if !self.broken.is_empty() {
            // What is broken may be one of those that were there.
            let found: HashSet<_> = self.documents.iter().map(identity).collect();
            let missing: Vec<_> = before.into_iter().filter(|object| !found.contains(&identity(object))).collect();
            self.documents.extend(missing);
        }
        Ok(true)
    }
}

fn identity(object: &Map<String, Value>) -> [String; 4] {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
    let member = |name: &str| text(object.get("metadata").and_then(|metadata| metadata.get(name)));
    [text(object.get("apiVersion")), text(object.get("kind")), member("namespace"), member("name")]
}

/// Which object a manifest is of. A namespaced one without a namespace is in `default`, as kubectl has it.
pub(super) fn name_of(object: &Map<String, Value>, kinds: &Kinds) -> Option<ObjectRef> {
    let [api_version, kind, namespace, name] = identity(object);
    let gvk = Gvk::new(&api_version, &kind);
    let namespaced = kinds.kind(&gvk).namespaced;
    let namespace = if namespace.is_empty() { "default" } else { &namespace };
    let key = ObjectKey::new(namespaced.then_some(namespace), &name);
    (!name.is_empty()).then_some(ObjectRef { gvk, key })
}

/// The manifest files at a path and below, in order, and what could not be looked into. Hidden ones are left out.
#[derive(Default)]
pub(super) struct Listing {
    pub(super) paths: Vec<(PathBuf, Format)>,
    pub(super) unreadable: Vec<(PathBuf, io::Error)>,
    /// Device and inode of the folder being looked into and of those above it, against symlinks that lead back.
    above: Vec<(u64, u64)>,
}

impl Listing {
    pub(super) fn of(path: &Path) -> Self {
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
