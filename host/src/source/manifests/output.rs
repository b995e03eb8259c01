//! The folder with the objects that plugins have changed, a file each.

use std::collections::HashSet;
use std::path::PathBuf;
use std::{fs, io};

use super::kinds::Kinds;
use super::store::{Changes, Written};
use crate::object::ObjectRef;

/// The folder. Its files are whole at any time, and as their objects are now.
pub(super) struct OutputFolder {
    path: PathBuf,
    /// Which objects have a file.
    written: HashSet<ObjectRef>,
}

impl OutputFolder {
    /// The folder at that path, which is made when there is something to write.
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, written: HashSet::new() }
    }

    /// Takes in what a plugin has changed.
    pub(super) fn edited(&mut self, kinds: &Kinds, changes: &Changes) -> Result<(), String> {
        changes.iter().try_for_each(|(target, written)| self.write(kinds, target, written))
    }

    /// Takes in what has changed for another reason, which matters of objects that have a file.
    pub(super) fn changed(&mut self, kinds: &Kinds, changes: &Changes) -> Result<(), String> {
        for (target, written) in changes {
            if self.written.contains(target) {
                self.write(kinds, target, written)?;
            }
        }
        Ok(())
    }

    fn write(&mut self, kinds: &Kinds, target: &ObjectRef, written: &Written) -> Result<(), String> {
        let plural = kinds.kind(&target.gvk).plural;
        let place = target.key.namespace().map(|namespace| format!("{namespace}.")).unwrap_or_default();
        let name = format!("{plural}.{place}{}.yaml", target.key.name());
        // Renamed when it is whole, so that nobody reads half of it.
        let (path, aside) = (self.path.join(&name), self.path.join(format!(".{name}.tmp")));
        let done = match written {
            Written::Unchanged(_) => Ok(()),
            Written::Deleted { .. } => {
                self.written.remove(target);
                match fs::remove_file(&path) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                    removed => removed,
                }
            }
            Written::Changed { after, .. } => {
                self.written.insert(target.clone());
                serde_saphyr::to_string(after)
                    .map_err(io::Error::other)
                    .and_then(|text| fs::create_dir_all(&self.path).and_then(|()| fs::write(&aside, text)))
                    .and_then(|()| fs::rename(&aside, &path))
            }
        };
        done.map_err(|error| format!("cannot write {} (--output): {error}", path.display()))
    }
}
