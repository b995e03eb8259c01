//! Follows the plugin folder: what is new or changed is loaded, and told when it can be put in force.
//!
//! A file is decided by the digest of its bytes. One that cannot be loaded takes nothing away: the version in force
//! stays, and the failure is told once, when the file has been at rest for a while, because it may only be half written.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{fs, io};

use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use super::load::{LoadError, Loader};
use super::program::Plugin;
use crate::digest::Digest;
use crate::folder::{Depth, FolderWatch, Signature, Timing, Wake};

/// How long a file that cannot be loaded must have been at rest before that is told.
pub const BROKEN_GRACE: Duration = Duration::from_secs(2);

/// What is to be done about a plugin.
#[derive(Debug)]
pub enum Change {
    /// Put it in force, in place of the one of the same name.
    Loaded(Arc<Plugin>),
    /// Its file is gone: stop it.
    Removed(Arc<str>),
    /// Its file cannot be loaded. Nothing is to be done but to say so.
    Failed {
        /// The plugin's name.
        name: Arc<str>,
        /// The file.
        path: PathBuf,
        /// Why it cannot be loaded.
        reason: String,
    },
    /// What was there at the start has been told.
    Started,
}

/// The plugin folder, followed.
pub struct Reload {
    folder: PathBuf,
    watch: FolderWatch,
    loader: Arc<Loader>,
    grace: Duration,
    /// Bounds how many files are held in memory and compiled at once.
    permits: Arc<Semaphore>,
    files: BTreeMap<Arc<str>, File>,
    loading: JoinSet<Loaded>,
    started: bool,
    folder_missing: bool,
    changes: mpsc::Sender<Change>,
}

/// What is known of a file.
#[derive(Default)]
struct File {
    /// At the last look. None: it has to be read to tell whether it has changed.
    signature: Option<Signature>,
    /// Of the bytes that were read last.
    digest: Option<Digest>,
    /// Of the version that was told as loaded last.
    in_force: Option<Digest>,
    fault: Option<Fault>,
}

struct Fault {
    reason: String,
    /// None: it has been told.
    tell_at: Option<Instant>,
}

struct Loaded {
    name: Arc<str>,
    digest: Digest,
    result: Result<Plugin, LoadError>,
}

/// The receiver of the changes is gone: the host is ending.
struct Ending;

impl From<mpsc::error::SendError<Change>> for Ending {
    fn from(_: mpsc::error::SendError<Change>) -> Self {
        Self
    }
}

impl Reload {
    /// Starts following the folder. `grace` is how long a file that cannot be loaded is given to become whole.
    pub fn new(
        folder: &Path,
        timing: Timing,
        grace: Duration,
        loader: Loader,
        changes: mpsc::Sender<Change>,
    ) -> anyhow::Result<Self> {
        let parallel = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Self {
            folder: folder.to_owned(),
            watch: FolderWatch::new(folder, Depth::Flat, timing)?,
            loader: Arc::new(loader),
            grace,
            permits: Arc::new(Semaphore::new(parallel)),
            files: BTreeMap::new(),
            loading: JoinSet::new(),
            started: false,
            folder_missing: false,
            changes,
        })
    }

    /// Follows the folder until nobody takes the changes any more.
    pub async fn run(mut self) {
        // It never returns but with the end.
        let _: Result<(), Ending> = self.follow().await;
    }

    async fn follow(&mut self) -> Result<(), Ending> {
        self.look(&HashSet::new()).await?;
        loop {
            if !self.started && self.loading.is_empty() {
                self.tell_faults().await?;
                self.changes.send(Change::Started).await?;
                self.started = true;
            }
            let tell_at = self.files.values().filter_map(|file| file.fault.as_ref()?.tell_at).min();
            tokio::select! {
                Some(loaded) = self.loading.join_next() => match loaded {
                    Ok(loaded) => self.loaded(loaded).await?,
                    Err(error) => tracing::error!("loading a plugin ended in a panic, which is a defect of the host: {error}"),
                },
                wake = self.watch.next() => match wake {
                    Wake::Changed(open) => self.look(&open).await?,
                    Wake::Poll => self.poll(),
                },
                () = tokio::time::sleep_until(tell_at.unwrap_or_else(Instant::now).into()), if tell_at.is_some() => {}
            }
            self.tell_faults().await?;
        }
    }

    /// Without reading any file: if something has changed, it is looked at when it has come to rest.
    fn poll(&self) {
        let Ok(paths) = list(&self.folder) else { return };
        let changed = |(name, path): (&Arc<str>, &PathBuf)| {
            self.files.get(name).is_none_or(|file| file.signature != Signature::of(path).ok())
        };
        if paths.len() != self.files.len() || paths.iter().any(changed) {
            self.watch.note_change();
        }
    }

    /// Looks for what is new, changed or gone. Files that are `open` are being written and left for later.
    async fn look(&mut self, open: &HashSet<PathBuf>) -> Result<(), Ending> {
        let paths = match list(&self.folder) {
            Ok(paths) => {
                self.folder_missing = false;
                paths
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if !std::mem::replace(&mut self.folder_missing, true) {
                    tracing::warn!("there is no plugin folder {}: waiting for it", self.folder.display());
                }
                BTreeMap::new()
            }
            Err(error) => {
                tracing::warn!(
                    "the plugin folder {} cannot be read, plugins stay as they are: {error}",
                    self.folder.display()
                );
                return Ok(());
            }
        };
        let gone: Vec<_> = self.files.keys().filter(|name| !paths.contains_key(*name)).cloned().collect();
        for name in gone {
            if self.files.remove(&name).is_some_and(|file| file.in_force.is_some()) {
                self.changes.send(Change::Removed(name)).await?;
            }
        }
        for (name, path) in paths {
            if !open.contains(&path) {
                self.read(name, &path).await;
            }
        }
        Ok(())
    }

    /// Reads one file if it may have changed, and starts loading it if it has.
    async fn read(&mut self, name: Arc<str>, path: &Path) {
        let file = self.files.entry(Arc::clone(&name)).or_default();
        let signature = match Signature::of(path) {
            Ok(signature) if file.signature.as_ref() == Some(&signature) => return,
            Ok(signature) => signature,
            Err(error) => return file.unreadable(&error, self.grace),
        };
        // Nobody closes the semaphore.
        let Ok(permit) = Arc::clone(&self.permits).acquire_owned().await else { return };
        let bytes = match tokio::fs::read(path).await {
            Ok(bytes) => bytes,
            Err(error) => return file.unreadable(&error, self.grace),
        };
        file.signature = signature.trusted();
        let digest = Digest::of(&bytes);
        if file.digest == Some(digest) {
            return;
        }
        file.digest = Some(digest);
        file.fault = None;
        if file.in_force == Some(digest) {
            tracing::info!(plugin = &*name, "the file is again what is in force");
            return;
        }
        let loader = Arc::clone(&self.loader);
        self.loading.spawn(async move {
            let result = loader.load(Arc::clone(&name), bytes).await;
            drop(permit);
            Loaded { name, digest, result }
        });
    }

    async fn loaded(&mut self, Loaded { name, digest, result }: Loaded) -> Result<(), Ending> {
        // What was loaded may have been overtaken by another change of the file.
        let Some(file) = self.files.get_mut(&name).filter(|file| file.digest == Some(digest)) else { return Ok(()) };
        match result {
            Ok(plugin) => {
                file.in_force = Some(digest);
                self.changes.send(Change::Loaded(Arc::new(plugin))).await?;
            }
            Err(error) => {
                let age = Signature::of(&self.folder.join(format!("{name}.wasm"))).map_or(self.grace, |it| it.age());
                file.fault(error.to_string(), Instant::now() + self.grace.saturating_sub(age));
            }
        }
        Ok(())
    }

    async fn tell_faults(&mut self) -> Result<(), Ending> {
        let now = Instant::now();
        for (name, file) in &mut self.files {
            let Some(fault) = &mut file.fault else { continue };
            if fault.tell_at.is_some_and(|tell_at| tell_at <= now) {
                fault.tell_at = None;
                let path = self.folder.join(format!("{name}.wasm"));
                let reason = fault.reason.clone();
                self.changes.send(Change::Failed { name: Arc::clone(name), path, reason }).await?;
            }
        }
        Ok(())
    }
}

impl File {
    fn unreadable(&mut self, error: &io::Error, grace: Duration) {
        self.signature = None;
        self.digest = None;
        self.fault(format!("it cannot be read: {error}"), Instant::now() + grace);
    }

    fn fault(&mut self, reason: String, tell_at: Instant) {
        if self.fault.as_ref().is_none_or(|known| known.reason != reason) {
            self.fault = Some(Fault { reason, tell_at: Some(tell_at) });
        }
    }
}

/// The plugin files in the folder by the names of their plugins. Hidden ones are not looked at.
fn list(folder: &Path) -> io::Result<BTreeMap<Arc<str>, PathBuf>> {
    let mut paths = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let path = folder.join(entry?.file_name());
        let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".wasm"));
        if let Some(name) = name.filter(|name| !name.is_empty() && !name.starts_with('.')) {
            paths.insert(name.into(), path);
        }
    }
    Ok(paths)
}
