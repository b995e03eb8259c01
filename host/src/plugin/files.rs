//! The files of a plugin: its `.wasm` file, and the grant file beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use std::{fs, io};

use super::load::LoadError;
use crate::digest::Digest;
use crate::folder::Signature;
use crate::grant::Grant;

/// The digests of both files.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Version {
    pub(super) plugin: Digest,
    pub(super) grant: Option<Digest>,
}

/// Tells whether one of the files may have changed.
#[derive(PartialEq, Eq)]
pub(super) struct PairSignature {
    pub(super) plugin: Signature,
    pub(super) grant: Option<Signature>,
}

/// One of the files cannot be read.
pub(super) struct Unreadable(pub(super) PathBuf, pub(super) io::Error);

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

pub(super) async fn read_pair(path: PathBuf, grant_path: &Path) -> Result<(Vec<u8>, Option<Vec<u8>>), Unreadable> {
    let grant = match tokio::fs::read(grant_path).await {
        Ok(bytes) => Some(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(Unreadable(grant_path.to_owned(), error)),
    };
    match tokio::fs::read(&path).await {
        Ok(bytes) => Ok((bytes, grant)),
        Err(error) => Err(Unreadable(path, error)),
    }
}

/// Without a file, nothing is granted.
pub(super) fn parse_grant(path: PathBuf, bytes: Option<Vec<u8>>) -> Result<Grant, LoadError> {
    let Some(bytes) = bytes else { return Ok(Grant::default()) };
    let text = String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned());
    let grant = text.and_then(|text| Grant::parse(&text).map_err(|error| error.to_string()));
    grant.map_err(|reason| LoadError::Grant { path, reason })
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
