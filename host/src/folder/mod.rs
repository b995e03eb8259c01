//! Follows a folder: tells when something in it has changed and come to rest.
//!
//! It goes by the file system's events, and looks by itself from time to time for those file systems that have none.
//! The folder may be removed and made again, be a symlink that is changed, or not be there yet.

mod settle;

use std::collections::{BTreeSet, HashSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, UNIX_EPOCH};
use std::{fs, io};

use anyhow::Context as _;
use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

use settle::{Notice, Settle};

/// The clocks of file systems tick slowly: a file younger than this can change within one tick.
const SIGNATURE_AGE: Duration = Duration::from_secs(2);

/// How a folder is followed.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// How long nothing must change before what has changed is looked at.
    pub debounce: Duration,
    /// How often to look without an event. Zero: never.
    pub poll: Duration,
}

/// Whether what is in the folders of the folder counts too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Only the folder itself.
    Flat,
    /// All that is below it.
    Nested,
}

/// A folder, or a single file, followed.
pub struct FolderWatch {
    path: PathBuf,
    depth: Depth,
    timing: Timing,
    notices: Arc<Notices>,
    /// When to look without an event. None: never.
    poll: Option<Instant>,
    /// None: there are no events to be had, and changes are found by looking.
    watcher: Option<RecommendedWatcher>,
    /// What is being watched, so that it is noticed when the path leads elsewhere.
    watched: Vec<(PathBuf, Option<FileId>)>,
}

struct Notices {
    settle: Mutex<Settle>,
    arrived: Notify,
    /// The folder, or one that it is in, came or went: what is being watched may be another by now.
    moved: AtomicBool,
}

/// What a notice is of when it is not known of what.
const ANYTHING: &str = "";

/// Device and inode.
type FileId = (u64, u64);

impl FolderWatch {
    /// Starts following the folder, or file, at `path`.
    pub fn new(path: &Path, depth: Depth, timing: Timing) -> anyhow::Result<Self> {
        let path = std::path::absolute(path).with_context(|| format!("path {}", path.display()))?;
        let settle = Mutex::new(Settle::new(timing.debounce));
        let notices = Arc::new(Notices { settle, arrived: Notify::new(), moved: AtomicBool::new(false) });
        let (sink, folder) = (Arc::clone(&notices), path.clone());
        let watcher = notify::recommended_watcher(move |event| sink.take(&folder, event));
        let watcher = watcher.inspect_err(|error| {
            let poll = humantime::format_duration(timing.poll);
            tracing::warn!("no events for {}, changes are looked for every {poll}: {error}", path.display());
        });
        let poll = (!timing.poll.is_zero()).then(|| Instant::now() + timing.poll);
        let mut watch = Self { path, depth, timing, notices, poll, watcher: watcher.ok(), watched: Vec::new() };
        watch.attach();
        Ok(watch)
    }

    /// The folder, as an absolute path: the paths that [`next`](Self::next) returns begin with it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Has [`next`](Self::next) return once more, as if something had changed.
    pub fn look_again(&self) {
        self.notices.lock().notice(ANYTHING.as_ref(), Notice::Changed, Instant::now());
        self.notices.arrived.notify_one();
    }

    /// Whether the file is being written at this moment.
    pub fn is_open(&self, path: &Path) -> bool {
        self.notices.lock().open().any(|open| open == path)
    }

    /// Waits until something may have changed and has come to rest. Returns the files that are being written at this
    /// moment, and are better left alone.
    ///
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> HashSet<PathBuf> {
        loop {
            let due = self.notices.lock().due();
            let until = due.into_iter().chain(self.poll).min();
            tokio::select! {
                () = self.notices.arrived.notified() => {}
                () = sleep_until(until) => {}
            }
            let now = Instant::now();
            if self.poll.is_some_and(|poll| poll <= now) {
                self.poll = Some(now + self.timing.poll);
                let mut settle = self.notices.lock();
                // What is coming to rest is looked at then.
                if settle.due().is_none() {
                    settle.notice(ANYTHING.as_ref(), Notice::Changed, now);
                }
            }
            let settled = {
                let mut settle = self.notices.lock();
                settle.settled(now).then(|| settle.open().cloned().collect())
            };
            if let Some(open) = settled {
                // Before the caller looks, so that nothing can happen in between unnoticed.
                self.attach();
                return open;
            }
        }
    }

    /// Watches the folder as the path leads to it now, and the folder that it is in, so that its coming and going is
    /// noticed; while that is not there either, the nearest one that is. Where the path goes by symlinks, such as
    /// git-sync's, those that they are in are watched too.
    fn attach(&mut self) {
        let Some(watcher) = &mut self.watcher else { return };
        loop {
            let parent = self.path.ancestors().skip(1).find(|path| path.is_dir());
            let links = self.path.ancestors().filter(|path| path.is_symlink()).filter_map(Path::parent);
            let paths: BTreeSet<_> = [self.path.as_path()].into_iter().chain(parent).chain(links).collect();
            let wanted: Vec<_> = paths.into_iter().map(|path| (path.to_owned(), file_id(path))).collect();
            // A folder that was made anew may have the same id.
            if !self.notices.moved.swap(false, Ordering::Relaxed) && wanted == self.watched {
                return;
            }
            for (path, _) in self.watched.drain(..) {
                // It fails for a folder that is gone, and then there is nothing to undo.
                let _ = watcher.unwatch(&path);
            }
            for (path, id) in &wanted {
                let mode = if *path == self.path && self.depth == Depth::Nested {
                    RecursiveMode::Recursive
                } else {
                    RecursiveMode::NonRecursive
                };
                if id.is_some()
                    && let Err(error) = watcher.watch(path, mode)
                {
                    let poll = humantime::format_duration(self.timing.poll);
                    tracing::warn!("no events for {}, changes are looked for every {poll}: {error}", path.display());
                }
            }
            // Once more, for what came while it was not watched yet.
            self.watched = wanted;
        }
    }
}

async fn sleep_until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time.into()).await,
        None => std::future::pending().await,
    }
}

impl Notices {
    fn lock(&self) -> std::sync::MutexGuard<'_, Settle> {
        self.settle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Called by notify, on its thread.
    fn take(&self, folder: &Path, event: notify::Result<notify::Event>) {
        let now = Instant::now();
        match event {
            // There were too many events: something has changed, and there is no telling what.
            Ok(event) if event.need_rescan() || event.paths.is_empty() => {
                self.moved.store(true, Ordering::Relaxed);
                self.lock().notice(ANYTHING.as_ref(), Notice::Changed, now);
            }
            Ok(event) => {
                let moves = matches!(
                    event.kind,
                    EventKind::Create(_) | EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_))
                );
                if moves && event.paths.iter().any(|path| folder.starts_with(path)) {
                    self.moved.store(true, Ordering::Relaxed);
                }
                let notice = match event.kind {
                    // Only inotify tells when a file is closed.
                    EventKind::Modify(ModifyKind::Data(_)) if cfg!(target_os = "linux") => Notice::Written,
                    EventKind::Access(AccessKind::Close(AccessMode::Write)) => Notice::Closed,
                    EventKind::Access(_) => return,
                    _ => Notice::Changed,
                };
                let mut settle = self.lock();
                // The folder that the folder is in is watched too, and what else is in there is of no interest.
                for path in event.paths.iter().filter(|path| path.starts_with(folder) || folder.starts_with(path)) {
                    settle.notice(path, notice, now);
                }
            }
            Err(_) => self.lock().notice(ANYTHING.as_ref(), Notice::Changed, now),
        }
        self.arrived.notify_one();
    }
}

fn file_id(path: &Path) -> Option<FileId> {
    fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

/// What tells without reading it that a file is not what it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    id: FileId,
    size: u64,
    /// When the file, or its metadata, was changed: seconds and nanoseconds. Unlike the time of its modification, nobody
    /// can set it.
    changed: (i64, i64),
}

impl Signature {
    /// Of the file that the path leads to, through symlinks. What is no regular file has none: reading it may never
    /// end.
    pub fn of(path: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        if !metadata.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        Ok(Self {
            id: (metadata.dev(), metadata.ino()),
            size: metadata.len(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }

    /// Whether the file has been as it is for so long that it cannot change any more without its signature changing.
    pub fn is_settled(&self) -> bool {
        self.age() >= SIGNATURE_AGE
    }

    /// How long ago the file was changed, by the clocks of this machine and the file system. Zero for the future.
    pub fn age(&self) -> Duration {
        let changed = Duration::new(self.changed.0.try_into().unwrap_or(0), self.changed.1.try_into().unwrap_or(0));
        (UNIX_EPOCH + changed).elapsed().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_looks_without_an_event_however_often_its_caller_has_something_else_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let timing = Timing { debounce: Duration::ZERO, poll: Duration::from_millis(500) };
        let mut watch = FolderWatch::new(folder.path(), Depth::Flat, timing).unwrap();
        let looks = async { while tokio::time::timeout(Duration::from_millis(20), watch.next()).await.is_err() {} };
        tokio::time::timeout(Duration::from_mins(1), looks).await.expect("it looks");
    }

    #[tokio::test]
    async fn looking_often_puts_off_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let timing = Timing { debounce: Duration::from_secs(1), poll: Duration::from_millis(300) };
        let mut watch = FolderWatch::new(folder.path(), Depth::Flat, timing).unwrap();
        let start = Instant::now();
        watch.next().await;
        assert!(start.elapsed() < 5 * timing.debounce, "{:?}", start.elapsed());
    }
}
