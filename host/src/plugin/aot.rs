//! Compiled plugins, kept on disk so that a plugin is compiled once.
//!
//! An entry is the compiled code followed by its digest, in a file named after the digest of the plugin's bytes and a
//! hash of the host's version and the engine's settings, the processor and wasmtime's version. The code is run as it is,
//! so whoever can write here can run anything as the host: the folder is made with mode 0700, and one that others own or
//! can write in is not used.
//!
//! Code that is kept is mapped and not read: it takes memory of the page cache, which the kernel may take back and which
//! all hosts on a machine share, and of the host's own only what a plugin writes to. A file that is mapped is never
//! written to again: a new one takes its place, or its name is removed.

use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read as _, Seek as _};
use std::os::fd::AsRawFd as _;
use std::path::Path;

use wasmtime::Engine;
use wasmtime::component::Component;

use super::private_folder::PrivateFolder;
use crate::digest::Digest;

/// How many bytes of entries are kept: those used last.
const MAX_BYTES: u64 = 512 << 20;

/// How an entry is laid out. Another one has other names.
const LAYOUT: u32 = 2;

/// The compiled code of a plugin.
pub(super) struct Compiled {
    pub(super) component: Component,
    /// The entry that it is mapped from, so that it can be mapped again. None: it is in memory.
    pub(super) entry: Option<File>,
}

/// A folder of compiled plugins, or none.
#[derive(Debug)]
pub struct AotCache {
    folder: Option<PrivateFolder>,
}

impl AotCache {
    /// A cache that keeps nothing.
    pub fn off() -> Self {
        Self { folder: None }
    }

    /// The cache in this folder, which is made if it is not there. One that cannot be used is said in the log and
    /// done without.
    pub fn in_folder(folder: &Path) -> Self {
        match PrivateFolder::open(folder) {
            Ok(folder) => Self { folder: Some(folder) },
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
    pub(super) fn get(&self, engine: &Engine, plugin: &Digest) -> Option<Compiled> {
        let (folder, name) = (self.folder.as_ref()?, entry(engine, plugin));
        let compiled = match folder.open_file(&name) {
            Ok(None) => return None,
            Err(error) => Err(error.to_string()),
            Ok(Some(file)) => match is_whole(&file) {
                Ok(true) => {
                    take_out(engine, file, &folder.path().join(&name), map).map_err(|error| format!("{error:#}"))
                }
                Ok(false) => Err("its digest does not match".to_owned()),
                Err(error) => Err(error.to_string()),
            },
        };
        compiled
            .inspect_err(|error| {
                let folder_path = folder.path().display();
                tracing::warn!("the cache entry {folder_path}/{name} is corrupt or foreign, compiling again: {error}");
                folder.remove(&name);
            })
            .ok()
    }

    /// Takes code that the compiler made of the plugin with these bytes, and keeps it.
    pub(super) fn take_in(&self, engine: &Engine, plugin: &Digest, code: &[u8]) -> wasmtime::Result<Compiled> {
        self.put(engine, plugin, code);
        let in_memory = || Ok(Compiled { component: deserialize(engine, code)?, entry: None });
        self.get(engine, plugin).map_or_else(in_memory, Ok)
    }

    /// Keeps the compiled code of the plugin with these bytes. A failure is said in the log.
    fn put(&self, engine: &Engine, plugin: &Digest, code: &[u8]) {
        let Some(folder) = &self.folder else { return };
        let written = folder.write(&entry(engine, plugin), &[code, Digest::of(code).as_bytes()]);
        if let Err(error) = written.and_then(|()| drop_oldest(folder)) {
            tracing::warn!("cannot keep a compiled plugin in {}: {error}", folder.path().display());
        }
    }
}

/// The name of the file of an entry.
fn entry(engine: &Engine, plugin: &Digest) -> String {
    let mut hasher = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    // Which decides how modules are made components.
    env!("CARGO_PKG_VERSION").hash(&mut hasher);
    LAYOUT.hash(&mut hasher);
    format!("{plugin}-{:016x}.cwasm", hasher.finish())
}

/// Whether a file is an entry as it was written: code, and the digest of that.
fn is_whole(file: &File) -> io::Result<bool> {
    const DIGEST: u64 = size_of::<Digest>() as u64;
    let Some(code) = file.metadata()?.len().checked_sub(DIGEST) else { return Ok(false) };
    let (digest, mut written) = (Digest::read(&mut file.take(code))?, Vec::new());
    file.take(DIGEST).read_to_end(&mut written)?;
    Ok(written == digest.as_bytes())
}

/// What this entry has, which is whole: read where it cannot be mapped, as on a file system of which nothing may be run.
fn take_out(
    engine: &Engine,
    mut file: File,
    path: &Path,
    map: impl FnOnce(&Engine, &File) -> wasmtime::Result<Component>,
) -> wasmtime::Result<Compiled> {
    match map(engine, &file) {
        Ok(component) => Ok(Compiled { component, entry: Some(file) }),
        Err(reason) => {
            let mut code = Vec::new();
            file.rewind()?;
            file.read_to_end(&mut code)?;
            code.truncate(code.len().saturating_sub(size_of::<Digest>()));
            let component = deserialize(engine, &code)?;
            let (path, reason) = (path.display(), reason.root_cause());
            tracing::warn!("the cache entry {path} is read, because it cannot be mapped: {reason}");
            Ok(Compiled { component, entry: None })
        }
    }
}

/// The component of this entry, which is whole.
pub(super) fn map(engine: &Engine, file: &File) -> wasmtime::Result<Component> {
    // The file that was looked at, whatever has its name by now.
    let open_files = if cfg!(target_os = "linux") { "/proc/self/fd" } else { "/dev/fd" };
    let path = Path::new(open_files).join(file.as_raw_fd().to_string());
    // SAFETY: the code is what this program or another of this user wrote with `put`: its digest is right, and nobody else
    // can write in the folder, nor to the file, which this user's programs do not write to either.
    #[allow(unsafe_code, reason = "wasmtime cannot tell by itself that the code is its own")]
    unsafe {
        Component::deserialize_file(engine, path)
    }
}

/// The component of this code.
fn deserialize(engine: &Engine, code: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: the caller has it from the compiler, which is this program, or from an entry that is whole, as for `map`.
    #[allow(unsafe_code, reason = "wasmtime cannot tell by itself that the code is its own")]
    unsafe {
        Component::deserialize(engine, code)
    }
}

fn drop_oldest(folder: &PrivateFolder) -> io::Result<()> {
    // Also what a host that was killed has not finished to write.
    let mut entries: Vec<_> = folder.list()?.into_iter().filter(|(_, _, name)| name.contains(".cwasm")).collect();
    entries.sort();
    let mut kept = 0;
    for (_, size, name) in entries.into_iter().rev() {
        kept += size;
        if kept > MAX_BYTES {
            folder.remove(&name);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, chown};

    use super::*;

    fn code(engine: &Engine) -> Vec<u8> {
        engine.precompile_component(b"\0asm\x0d\0\x01\0").unwrap()
    }

    #[test]
    fn an_entry_is_found_again_under_its_own_bytes_only() {
        let (folder, engine) = (tempfile::tempdir().unwrap(), Engine::default());
        let cache = AotCache::in_folder(&folder.path().join("new"));
        cache.put(&engine, &Digest::of(b"a"), &code(&engine));
        assert!(cache.get(&engine, &Digest::of(b"a")).is_some());
        assert!(cache.get(&engine, &Digest::of(b"b")).is_none());
        let mode = fs::metadata(folder.path().join("new")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }

    #[test]
    fn other_engine_settings_do_not_share_entries() {
        let (folder, engine) = (tempfile::tempdir().unwrap(), Engine::default());
        let cache = AotCache::in_folder(&folder.path().join("new"));
        cache.put(&engine, &Digest::of(b"a"), &code(&engine));
        let other = Engine::new(wasmtime::Config::new().epoch_interruption(true)).unwrap();
        assert!(cache.get(&other, &Digest::of(b"a")).is_none());
    }

    #[test]
    fn a_corrupt_or_foreign_entry_is_refused_and_taken_away() {
        let (folder, engine) = (tempfile::tempdir().unwrap(), Engine::default());
        let cache = AotCache::in_folder(&folder.path().join("new"));
        let digest = Digest::of(b"a");
        let path = folder.path().join("new").join(entry(&engine, &digest));
        cache.put(&engine, &digest, &code(&engine));
        let whole = fs::read(&path).unwrap();
        let mut flipped = whole.clone();
        *flipped.last_mut().unwrap() ^= 1;
        let foreign = [b"not code", Digest::of(b"not code").as_bytes().as_slice()].concat();
        for bad in [&flipped[..], &whole[..whole.len() / 2], b"", &foreign] {
            fs::write(&path, bad).unwrap();
            assert!(cache.get(&engine, &digest).is_none());
            assert!(!path.exists());
        }
    }

    #[test]
    fn an_entry_that_cannot_be_mapped_is_read() {
        let (folder, engine) = (tempfile::tempdir().unwrap(), Engine::default());
        let cache = AotCache::in_folder(&folder.path().join("new"));
        let digest = Digest::of(b"a");
        cache.put(&engine, &digest, &code(&engine));
        let file = cache.folder.as_ref().unwrap().open_file(&entry(&engine, &digest)).unwrap().unwrap();
        assert!(is_whole(&file).unwrap());
        let refused = |_: &Engine, _: &File| Err(wasmtime::format_err!("nothing may be run of it"));
        assert!(take_out(&engine, file, Path::new("entry"), refused).unwrap().entry.is_none());
    }

    #[test]
    fn a_folder_that_others_can_write_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        assert!(AotCache::in_folder(folder.path()).folder.is_none());
    }

    #[test]
    fn a_folder_of_another_user_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        // Only root may give a folder away; for others, a folder of root's is another user's.
        let is_given = chown(folder.path(), Some(12345), None).is_ok();
        let of_another = if is_given { folder.path() } else { Path::new("/usr") };
        assert!(AotCache::in_folder(of_another).folder.is_none());
    }
}
