//! A folder that nobody else can write in.

use std::fs::{DirBuilder, File, Metadata};
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::{AtFlags, Dir, Mode, OFlags, openat, renameat, unlinkat};

/// A folder that nobody but this user, and root, can write in.
///
/// It is checked once and then held open. Files are reached through what is open, by their names alone, so that it makes
/// no difference what somebody puts in its place, or in place of a folder above it.
#[derive(Debug)]
pub(super) struct PrivateFolder {
    path: PathBuf,
    folder: OwnedFd,
}

impl PrivateFolder {
    /// Opens the folder, which is made with mode 0700 if it is not there. An error says, for people, why it is not to be
    /// trusted.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        if path.is_symlink() {
            return Err(io::Error::other("it is a symbolic link; name the folder that it leads to"));
        }
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = File::from(rustix::fs::open(path, flags, Mode::empty())?);
        check(&folder.metadata()?)?;
        Ok(Self { path: path.to_owned(), folder: folder.into() })
    }

    /// Where it was when it was opened.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens a file to be read, and notes that it was used. None: there is no such file.
    pub(super) fn open_file(&self, name: &str) -> io::Result<Option<File>> {
        // Without NONBLOCK, opening a named pipe waits for somebody who writes to it.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match openat(self.folder.as_fd(), name, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(rustix::io::Errno::NOENT) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::other("it is no file"));
        }
        check(&metadata)?;
        // It is only kept for a shorter time then.
        let _ = file.set_modified(SystemTime::now());
        Ok(Some(file))
    }

    /// Writes a file as a whole: nobody sees a part of it.
    pub(super) fn write(&self, name: &str, parts: &[&[u8]]) -> io::Result<()> {
        let temporary = format!("{name}.{:016x}.tmp", fastrand::u64(..));
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(openat(self.folder.as_fd(), &*temporary, flags, Mode::RUSR | Mode::WUSR)?);
        let written = parts
            .iter()
            .try_for_each(|part| file.write_all(part))
            .and_then(|()| Ok(renameat(self.folder.as_fd(), &*temporary, self.folder.as_fd(), name)?));
        if written.is_err() {
            self.remove(&temporary);
        }
        written
    }

    /// Removes a file, if it is there and can be removed.
    pub(super) fn remove(&self, name: &str) {
        let _ = unlinkat(self.folder.as_fd(), name, AtFlags::empty());
    }

    /// The names of all that there is, with when it was used last and its size in bytes.
    pub(super) fn list(&self) -> io::Result<Vec<(SystemTime, u64, String)>> {
        let mut found = Vec::new();
        for entry in Dir::read_from(self.folder.as_fd())? {
            let entry = entry?;
            let Ok(name) = entry.file_name().to_str() else { continue };
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            // Another host may have removed it just now.
            let Ok(file) = openat(self.folder.as_fd(), name, flags, Mode::empty()) else { continue };
            let metadata = File::from(file).metadata()?;
            if metadata.is_file() {
                found.push((metadata.modified()?, metadata.len(), name.to_owned()));
            }
        }
        Ok(found)
    }
}

fn check(metadata: &Metadata) -> io::Result<()> {
    let me = rustix::process::geteuid().as_raw();
    distrust(metadata.uid(), metadata.mode(), me).map_or(Ok(()), |reason| Err(io::Error::other(reason)))
}

/// Why what has this owner and mode cannot be trusted by the user `me`, if it cannot.
///
/// Where there is an access control list, the mode's bits for the group are all that the list may grant to anybody.
fn distrust(owner: u32, mode: u32, me: u32) -> Option<String> {
    if owner != me {
        return Some(format!("it belongs to user {owner}, and this is user {me}"));
    }
    (mode & 0o022 != 0).then(|| format!("its mode {:03o} lets others write in it", mode & 0o777))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read as _;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn only_what_is_ours_and_what_others_cannot_write_is_trusted() {
        for (owner, mode, trusted) in [
            (7, 0o40700, true),
            (7, 0o40755, true),
            (7, 0o40770, false),
            (7, 0o40702, false),
            (7, 0o41777, false),
            (0, 0o40700, false),
            (8, 0o40700, false),
        ] {
            assert_eq!(distrust(owner, mode, 7).is_none(), trusted, "{owner} {mode:o}");
        }
    }

    fn read(folder: &PrivateFolder, name: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        folder.open_file(name).unwrap().unwrap().read_to_end(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn a_folder_that_is_open_stays_the_same_whatever_is_put_in_its_place() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("cache");
        let folder = PrivateFolder::open(&path).unwrap();
        folder.write("a", &[b"our", b"s"]).unwrap();
        fs::rename(&path, place.path().join("moved")).unwrap();
        fs::create_dir(&path).unwrap();
        fs::write(path.join("a"), b"theirs").unwrap();
        assert_eq!(read(&folder, "a"), b"ours");
        folder.write("b", &[b"ours"]).unwrap();
        assert!(!path.join("b").exists() && place.path().join("moved/b").exists());
    }

    #[test]
    fn a_file_that_others_can_write_and_a_link_are_not_read() {
        let place = tempfile::tempdir().unwrap();
        let folder = PrivateFolder::open(&place.path().join("cache")).unwrap();
        folder.write("a", &[b"ours"]).unwrap();
        let of_all = fs::Permissions::from_mode(0o666);
        fs::set_permissions(folder.path().join("a"), of_all).unwrap();
        assert!(folder.open_file("a").is_err());
        fs::write(place.path().join("elsewhere"), b"theirs").unwrap();
        symlink(place.path().join("elsewhere"), folder.path().join("link")).unwrap();
        assert!(folder.open_file("link").is_err());
        assert!(folder.open_file("none").unwrap().is_none());
    }

    #[test]
    fn a_link_to_a_folder_is_not_followed() {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir(place.path().join("folder")).unwrap();
        symlink(place.path().join("folder"), place.path().join("link")).unwrap();
        let error = PrivateFolder::open(&place.path().join("link")).unwrap_err();
        assert!(error.to_string().contains("symbolic link"), "{error}");
    }
}
