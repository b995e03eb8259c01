//! Compiled plugins, kept on disk so that a plugin is compiled once.
//!
//! An entry is the digest of the compiled code followed by that code, in a file named after the digest of the plugin's
//! bytes and a hash of the host's version and the engine's settings, the processor and wasmtime's version. The
//! code is run as it is, so whoever can write here can run anything as the host: the folder is made with mode 0700, and
//! one that others own or can write in is not used.

use std::fs::{self, DirBuilder, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use wasmtime::Engine;
use wasmtime::component::Component;

use crate::digest::Digest;

/// How many bytes of entries are kept: those used last.
const MAX_BYTES: u64 = 512 << 20;

/// A folder of compiled plugins, or none.
#[derive(Debug)]
pub struct AotCache {
    folder: Option<PathBuf>,
}

impl AotCache {
    /// A cache that keeps nothing.
    pub fn off() -> Self {
        Self { folder: None }
    }

    /// The cache in this folder, which is made if it is not there. One that cannot be used is said in the log and
    /// done without.
    pub fn in_folder(folder: &Path) -> Self {
        match prepare(folder) {
            Ok(()) => Self { folder: Some(folder.to_owned()) },
            Err(error) => {
                tracing::warn!(
                    "the cache folder {} is not used, so every plugin is compiled at each start: {error}; choose another with --cache-dir",
                    folder.display()
                );
                Self::off()
            }
        }
    }

    /// The compiled code of the plugin with these bytes, if it is kept. An entry that is not as it was written is said
    /// in the log and taken away.
    pub(super) fn get(&self, engine: &Engine, plugin: &Digest) -> Option<Component> {
        let path = self.entry(engine, plugin)?;
        let file = fs::read(&path).ok()?;
        let component = match file.split_first_chunk::<32>() {
            Some((digest, code)) if digest == Digest::of(code).as_bytes() => {
                // SAFETY: the code is what this program or another of this user wrote with `put`: its digest is right,
                // and nobody else can write in the folder.
                #[allow(unsafe_code, reason = "wasmtime cannot tell by itself that the code is its own")]
                unsafe { Component::deserialize(engine, code) }.map_err(|error| error.to_string())
            }
            _ => Err("its digest does not match".to_owned()),
        };
        match component {
            Ok(component) => {
                let _ = File::options().append(true).open(&path).and_then(|file| file.set_modified(SystemTime::now()));
                Some(component)
            }
            Err(error) => {
                tracing::warn!("the cache entry {} is corrupt or foreign, compiling again: {error}", path.display());
                let _ = fs::remove_file(&path);
                None
            }
        }
    }

    /// Keeps the compiled code of the plugin with these bytes. A failure is said in the log.
    pub(super) fn put(&self, engine: &Engine, plugin: &Digest, component: &Component) {
        let (Some(folder), Some(path)) = (&self.folder, self.entry(engine, plugin)) else { return };
        let written = component.serialize().map_err(io::Error::other).and_then(|code| {
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            file.write_all(Digest::of(&code).as_bytes())?;
            file.write_all(&code)?;
            file.persist(&path)?;
            drop_oldest(folder)
        });
        if let Err(error) = written {
            tracing::warn!("cannot keep a compiled plugin in {}: {error}", folder.display());
        }
    }

    fn entry(&self, engine: &Engine, plugin: &Digest) -> Option<PathBuf> {
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        // Which decides how modules are made components.
        env!("CARGO_PKG_VERSION").hash(&mut hasher);
        Some(self.folder.as_ref()?.join(format!("{plugin}-{:016x}.cwasm", hasher.finish())))
    }
}

fn prepare(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let metadata = fs::metadata(folder)?;
    let mode = metadata.permissions().mode();
    if mode & 0o022 != 0 {
        return Err(io::Error::other(format!("its mode {:o} lets others write in it", mode & 0o777)));
    }
    let ours = tempfile::NamedTempFile::new_in(folder)?.as_file().metadata()?;
    if metadata.uid() != ours.uid() {
        return Err(io::Error::other("it belongs to another user, who can write in it"));
    }
    Ok(())
}

fn drop_oldest(folder: &Path) -> io::Result<()> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        // Another host may have dropped it just now.
        if let Ok(metadata) = fs::metadata(&path)
            && path.extension().is_some_and(|extension| extension == "cwasm")
        {
            entries.push((metadata.modified()?, metadata.len(), path));
        }
    }
    entries.sort();
    let mut kept = 0;
    for (_, size, path) in entries.into_iter().rev() {
        kept += size;
        if kept > MAX_BYTES {
            let _ = fs::remove_file(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn component(engine: &Engine) -> Component {
        Component::new(engine, b"\0asm\x0d\0\x01\0").unwrap()
    }

    #[test]
    fn an_entry_is_found_again_under_its_own_bytes_only() {
        let (folder, engine) = (tempfile::tempdir().unwrap(), Engine::default());
        let cache = AotCache::in_folder(&folder.path().join("new"));
        cache.put(&engine, &Digest::of(b"a"), &component(&engine));
        assert!(cache.get(&engine, &Digest::of(b"a")).is_some());
        assert!(cache.get(&engine, &Digest::of(b"b")).is_none());
        let mode = fs::metadata(folder.path().join("new")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }

    #[test]
    fn other_engine_settings_do_not_share_entries() {
        let (folder, engine) = (tempfile::tempdir().unwrap(), Engine::default());
        let cache = AotCache::in_folder(&folder.path().join("new"));
        cache.put(&engine, &Digest::of(b"a"), &component(&engine));
        let other = Engine::new(wasmtime::Config::new().epoch_interruption(true)).unwrap();
        assert!(cache.get(&other, &Digest::of(b"a")).is_none());
    }

    #[test]
    fn a_corrupt_or_foreign_entry_is_refused_and_taken_away() {
        let (folder, engine) = (tempfile::tempdir().unwrap(), Engine::default());
        let cache = AotCache::in_folder(&folder.path().join("new"));
        let digest = Digest::of(b"a");
        let path = cache.entry(&engine, &digest).unwrap();
        cache.put(&engine, &digest, &component(&engine));
        let whole = fs::read(&path).unwrap();
        let mut flipped = whole.clone();
        *flipped.last_mut().unwrap() ^= 1;
        let foreign = [Digest::of(b"not code").as_bytes().as_slice(), b"not code"].concat();
        for bad in [&flipped[..], &whole[..whole.len() / 2], b"", &foreign] {
            fs::write(&path, bad).unwrap();
            assert!(cache.get(&engine, &digest).is_none());
            assert!(!path.exists());
        }
    }

    #[test]
    fn a_folder_that_others_can_write_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        assert!(AotCache::in_folder(folder.path()).folder.is_none());
    }
}
