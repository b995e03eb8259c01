//! The files of a plugin: its `.wasm` file, and the grant file beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use std::{fs, io};

use indicatif::HumanBytes;
use rustix::fs::OFlags;

use super::load::LoadError;
use crate::digest::Digest;
use crate::folder::Signature;
use crate::grant::Grant;

/// How big a grant file may be, in bytes.
const MAX_GRANT: usize = 1 << 20;

/// The digests of both files.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Version {
    /// That of the plugin.
    pub plugin: Digest,
    /// That of its grant file. None: there is none.
    pub grant: Option<Digest>,
}

/// Tells whether one of the files may have changed.
#[derive(PartialEq, Eq)]
pub(super) struct PairSignature {
    pub(super) plugin: Signature,
    pub(super) grant: Option<Signature>,
}

/// One of the files cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{} cannot be read: {}", .0.display(), .1)]
pub struct Unreadable(pub(super) PathBuf, pub(super) io::Error);

impl PairSignature {
    pub(super) fn of(path: &Path, grant_path: &Path) -> Result<Self, Unreadable> {
        let of = |path: &Path| Signature::of(path).map_err(|error| Unreadable(path.to_owned(), error));
        let grant = match of(grant_path) {
            Err(Unreadable(_, error)) if error.kind() == io::ErrorKind::NotFound => None,
            grant => Some(grant?),
        };
        Ok(Self { plugin: of(path)?, grant })
    }

    pub(super) fn is_settled(&self) -> bool {
        self.plugin.is_settled() && self.grant.as_ref().is_none_or(Signature::is_settled)
    }

    pub(super) fn age(&self) -> Duration {
        let ages = [Some(&self.plugin), self.grant.as_ref()];
        ages.into_iter().flatten().map(Signature::age).min().unwrap_or_default()
    }
}

/// Both files, read.
pub struct Pair {
    /// Their digests.
    pub version: Version,
    /// The bytes of the plugin.
    pub plugin: Vec<u8>,
    /// What the grant file says, or that it is wrong. Without one, nothing is granted.
    pub grant: Result<Grant, LoadError>,
}

impl Pair {
    /// Reads both files. `most` is how big that of the plugin may be where the grant file says nothing of it.
    pub fn read(path: PathBuf, grant_path: PathBuf, most: usize) -> Result<Self, Unreadable> {
        let grant = match read_file(&grant_path, MAX_GRANT, "no grant file may") {
            Ok(bytes) => Some(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(Unreadable(grant_path, error)),
        };
        let grant_digest = grant.as_deref().map(Digest::of);
        let grant = parse_grant(grant_path, grant);
        let most = grant.as_ref().ok().and_then(|grant| grant.limits.wasm).unwrap_or(most);
        match read_file(&path, most, "a plugin may have what `wasm` says, among limits in its grant file") {
            Ok(plugin) => {
                let version = Version { plugin: Digest::of(&plugin), grant: grant_digest };
                Ok(Self { version, plugin, grant })
            }
            Err(error) => Err(Unreadable(path, error)),
        }
    }
}

/// Without a file, nothing is granted.
fn parse_grant(path: PathBuf, bytes: Option<Vec<u8>>) -> Result<Grant, LoadError> {
    let Some(bytes) = bytes else { return Ok(Grant::default()) };
    let text = String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned());
    let grant = text.and_then(|text| Grant::parse(&text).map_err(|error| error.to_string()));
    grant.map_err(|reason| LoadError::Grant { path, reason })
}

/// Reads a regular file of at most so many bytes, and nothing of any other. `why` is said of one that has more.
fn read_file(path: &Path, most: usize, why: &str) -> io::Result<Vec<u8>> {
    // A FIFO would have the host wait for a writer.
    let mut options = File::options();
    let file = options.read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let most = most as u64;
    let mut bytes = Vec::new();
    if metadata.len() <= most {
        // It may be growing.
        file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    }
    if metadata.len().max(bytes.len() as u64) > most {
        let most = HumanBytes(most);
        return Err(io::Error::other(format!("it has more than {most} ({why})")));
    }
    Ok(bytes)
}

/// What there is in a plugin folder. Hidden files are not looked at.
#[derive(Default)]
pub(super) struct Listing {
    /// The plugin files by the names of their plugins.
    pub(super) plugins: BTreeMap<Arc<str>, PathBuf>,
    /// Files that look like grant files, and have no plugin beside them.
    pub(super) lonely: BTreeSet<PathBuf>,
}

impl Listing {
    pub(super) fn of(folder: &Path) -> io::Result<Self> {
        let mut listing = Self::default();
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let named = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.rsplit_once('.'));
            match named.filter(|(name, _)| !name.is_empty() && !name.starts_with('.')) {
                Some((name, "wasm")) => drop(listing.plugins.insert(name.into(), path)),
                Some((_, "yaml" | "yml")) => drop(listing.lonely.insert(path)),
                _ => {}
            }
        }
        let of_plugins: Vec<_> = listing.plugins.values().map(|path| path.with_extension("yaml")).collect();
        listing.lonely.retain(|path| !of_plugins.contains(path));
        Ok(listing)
    }
}

#[cfg(test)]
mod tests {
    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    #[test]
    fn a_file_is_read_up_to_its_size_and_what_is_none_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, b"1234").unwrap();
        assert_eq!(read_file(&path, 4, "").unwrap(), b"1234");
        assert_eq!(read_file(&path, 3, "why").unwrap_err().to_string(), "it has more than 3 B (why)");
        let fifo = folder.path().join("fifo");
        mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR, 0).unwrap();
        for path in [&*fifo, "/dev/zero".as_ref(), folder.path()] {
            assert_eq!(read_file(path, 4, "").unwrap_err().to_string(), "it is not a regular file");
        }
    }

    #[test]
    fn a_file_that_is_too_big_is_told_what_its_kind_may_have() {
        let folder = tempfile::tempdir().unwrap();
        let [plugin, grant] = ["p.wasm", "p.yaml"].map(|name| folder.path().join(name));
        fs::write(&plugin, b"1234").unwrap();
        let said = |most| {
            let Unreadable(path, error) = Pair::read(plugin.clone(), grant.clone(), most).err().unwrap();
            (path, error.to_string())
        };
        let (path, reason) = said(3);
        assert!(path == plugin && reason.contains("3 B (a plugin may have what `wasm` says"), "{reason}");
        fs::write(&grant, " ".repeat(MAX_GRANT + 1)).unwrap();
        let (path, reason) = said(4);
        assert!(path == grant && reason == "it has more than 1.00 MiB (no grant file may)", "{reason}");
    }
}
