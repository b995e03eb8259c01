//! The files of a plugin: its `.wasm` file, and the grant file beside it.

use std::collections::BTreeMap;
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

/// The plugin files in the folder by the names of their plugins. Hidden ones are not looked at.
pub(super) fn list(folder: &Path) -> io::Result<BTreeMap<Arc<str>, PathBuf>> {
    let mut paths = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".wasm"));
        if let Some(name) = name.filter(|name| !name.is_empty() && !name.starts_with('.')) {
            paths.insert(name.into(), path);
        }
    }
    Ok(paths)
}
