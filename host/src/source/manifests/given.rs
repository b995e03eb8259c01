//! Objects that are given once and not followed.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use indicatif::HumanBytes;

use super::files::{Listing, name_of};
use super::parse::{Broken, Documents, Format};
use super::{Manifests, selected};
use crate::object::{Object, ObjectRef};
use crate::selector::Selection;

/// How much a file may hold.
const MAX_BYTES: u64 = 64 << 20;

impl Manifests {
    /// Takes in what is in these files, which is new at that time if it says nothing else. Returns which objects these are,
    /// in the order of the files, or all that is wrong.
    pub fn take(&self, files: &[GivenFile], now: SystemTime) -> Result<Vec<ObjectRef>, Vec<String>> {
        let mut guard = self.lock();
        let state = &mut *guard;
        let mut faults = Vec::new();
        for (path, documents) in files {
            // A definition may stand after the objects of its kind.
            documents.objects.iter().for_each(|object| state.kinds.learn(object));
            let broken = documents.broken.iter();
            faults.extend(broken.map(|Broken { line, reason }| format!("{}:{line}: {reason}", path.display())));
        }
        let (mut taken, now) = (Vec::new(), humantime::format_rfc3339_seconds(now).to_string());
        for (path, manifest) in files.iter().flat_map(|(path, file)| file.objects.iter().map(move |of| (path, of))) {
            let Some(target) = name_of(manifest, &state.kinds) else { continue };
            if taken.contains(&target) {
                faults.push(format!("{}: {target} is there already", path.display()));
                continue;
            }
            match state.store.load(&target, manifest.clone(), &now) {
                Err(error) => faults.push(format!("{}: {error}", path.display())),
                Ok(_) if state.store.get(&target).is_none() => faults.push(format!(
                    "{}: {target} has a deletionTimestamp and no finalizers, so that it would be gone",
                    path.display()
                )),
                Ok(_) => taken.push(target),
            }
        }
        if faults.is_empty() { Ok(taken) } else { Err(faults) }
    }

    /// The selected objects as they are now, in the order of namespace and name.
    pub fn list(&self, selection: &Selection) -> Vec<Object> {
        let state = self.lock();
        let of_kind = state.store.iter().filter(|(target, _)| target.gvk == selection.gvk);
        of_kind.filter_map(|(target, fields)| selected(selection, target, fields)).collect()
    }

    /// Takes an object away, as if it had never been.
    pub fn forget(&self, target: &ObjectRef) {
        self.lock().store.forget(target);
    }
}

/// A file, with what is in it.
pub type GivenFile = (PathBuf, Documents);

/// Reads the file at that path, or all files of that folder.
pub fn read_files(path: &Path) -> io::Result<Vec<GivenFile>> {
    let Listing { paths, unreadable, .. } = Listing::of(path);
    if let Some((path, error)) = unreadable.into_iter().next() {
        return Err(io::Error::new(error.kind(), format!("{}: {error}", path.display())));
    }
    let read = |(path, format): (PathBuf, _)| match File::open(&path) {
        Ok(file) => read_given(path, format, file),
        Err(error) => Err(io::Error::new(error.kind(), format!("{}: {error}", path.display()))),
    };
    paths.into_iter().map(read).collect()
}

/// Reads what is called that to its end, unless it is too big.
pub fn read_given(path: PathBuf, format: Format, from: impl Read) -> io::Result<GivenFile> {
    let mut bytes = Vec::new();
    let read = from.take(MAX_BYTES + 1).read_to_end(&mut bytes).and_then(|read| match read as u64 {
        0..=MAX_BYTES => Ok(()),
        _ => Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it has more than {}", HumanBytes(MAX_BYTES)))),
    });
    match read {
        Ok(()) => Ok((path, Documents::parse(&bytes, format))),
        Err(error) => Err(io::Error::new(error.kind(), format!("{}: {error}", path.display()))),
    }
}
