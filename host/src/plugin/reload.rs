//! Follows the plugin folder: what is new or changed is loaded, and told when it can be put in force.
//!
//! A plugin is a `.wasm` file and the grant file beside it, if there is one, which are loaded as one; what they are is
//! decided by the digests of their bytes. What cannot be loaded takes nothing away: the version in force stays, and the
//! failure is told once, when the files have been at rest for a while, because one may only be half written.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use super::files::{Listing, Pair, PairSignature, Unreadable, Version};
use super::followed::File;
use super::load::{LoadError, Loader};
use super::program::Plugin;
use crate::folder::{Depth, FolderWatch, Signature, Timing};
use crate::journal::Journals;

/// How long a file that cannot be loaded must have been at rest before that is told.
pub const BROKEN_GRACE: Duration = Duration::from_secs(2);

/// How many plugins are read and compiled at once, at most: each takes memory.
const MAX_READINGS: usize = 4;

/// What is to be done about a plugin.
#[derive(Debug)]
pub enum Change {
    /// Put it in force, in place of the one of the same name.
    Loaded(Arc<Plugin>),
    /// The files, which have been others, are again those of the version in force.
    Restored(Arc<str>),
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

/// A version that was put in force has been taken back.
#[derive(Debug)]
pub struct Undone {
    /// This one.
    pub plugin: Arc<Plugin>,
    /// The one before, with the same grant file, which is in force again.
    pub back_to: Arc<Plugin>,
}

/// The plugin folder, followed.
pub struct Reload {
    watch: FolderWatch,
    loader: Arc<Loader>,
    grace: Duration,
    /// Bounds how many files are held in memory and compiled at once.
    permits: Arc<Semaphore>,
    files: BTreeMap<Arc<str>, File>,
    readings: JoinSet<Reading>,
    /// Counts the readings that were begun.
    generation: u64,
    started: bool,
    folder_missing: bool,
    /// What was said to be no plugin's grant file.
    lonely: BTreeSet<PathBuf>,
    journals: Arc<Journals>,
    changes: mpsc::Sender<Change>,
    undone: mpsc::UnboundedReceiver<Undone>,
}

/// A file that was read.
struct Reading {
    name: Arc<str>,
    generation: u64,
    content: Result<(Version, Content), Unreadable>,
}

enum Content {
    /// It was in force or refused when the reading began, and so not loaded.
    Known,
    Loaded(Result<Arc<Plugin>, LoadError>),
}

/// The receiver of the changes is gone: the host is ending.
struct Ending;

impl From<mpsc::error::SendError<Change>> for Ending {
    fn from(_: mpsc::error::SendError<Change>) -> Self {
        Self
    }
}

impl Reload {
    /// Starts following the folder. `grace` is how long a file that cannot be loaded is given to become whole. What is
    /// told as `undone` is not loaded again. `journals` are told how far the files are.
    pub fn new(
        folder: &Path,
        timing: Timing,
        grace: Duration,
        loader: Loader,
        journals: Arc<Journals>,
        (changes, undone): (mpsc::Sender<Change>, mpsc::UnboundedReceiver<Undone>),
    ) -> anyhow::Result<Self> {
        let parallel = std::thread::available_parallelism().map_or(1, usize::from).min(MAX_READINGS);
        Ok(Self {
            watch: FolderWatch::new(folder, Depth::Flat, timing)?,
            loader: Arc::new(loader),
            grace,
            permits: Arc::new(Semaphore::new(parallel)),
            files: BTreeMap::new(),
            readings: JoinSet::new(),
            generation: 0,
            started: false,
            folder_missing: false,
            lonely: BTreeSet::new(),
            journals,
            changes,
            undone,
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
            self.tell_faults().await?;
            self.retry();
            if !self.started && self.readings.is_empty() {
                self.changes.send(Change::Started).await?;
                self.started = true;
            }
            let due = self.files.values().filter_map(File::due).min();
            tokio::select! {
                Some(reading) = self.readings.join_next() => match reading {
                    Ok(reading) => self.heed(reading).await?,
                    // It is a task of the host that panicked, and no task may end unnoticed.
                    Err(error) => if let Ok(panic) = error.try_into_panic() { resume_unwind(panic) },
                },
                Some(undone) = self.undone.recv() => self.take_back(&undone),
                open = self.watch.next() => self.look(&open).await?,
                () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now).into()), if due.is_some() => {}
            }
        }
    }

    /// Looks for what is new, changed or gone. Files that are `open` are being written and left for later.
    async fn look(&mut self, open: &HashSet<PathBuf>) -> Result<(), Ending> {
        let folder = self.watch.path();
        let Listing { plugins: paths, lonely } = match Listing::of(folder) {
            Ok(listing) => {
                self.folder_missing = false;
                listing
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if !std::mem::replace(&mut self.folder_missing, true) {
                    tracing::warn!("there is no plugin folder {}: waiting for it", folder.display());
                }
                Listing::default()
            }
            Err(error) => {
                tracing::warn!(
                    "the plugin folder {} cannot be read, plugins stay as they are: {error}",
                    folder.display()
                );
                return Ok(());
            }
        };
        self.tell_of_lonely(lonely);
        let gone: Vec<_> = self.files.keys().filter(|name| !paths.contains_key(*name)).cloned().collect();
        for name in gone {
            self.files.remove(&name);
            self.changes.send(Change::Removed(name)).await?;
        }
        for (name, path) in paths {
            let generation = self.generation;
            let file = self.files.entry(Arc::clone(&name)).or_insert_with(|| File::new(path, generation));
            if open.contains(&file.path) || open.contains(&file.grant_path) {
                continue;
            }
            match file.look() {
                Ok(signature) if !file.has_changed(&signature) => {}
                Ok(signature) => self.read(&name, signature),
                Err(error) => file.unreadable(&error, self.grace),
            }
        }
        Ok(())
    }

    /// Says of grant files that they are no plugin's, once each, when they have been there for a while: the plugin may be
    /// on its way.
    fn tell_of_lonely(&mut self, mut lonely: BTreeSet<PathBuf>) {
        let has_come_to_stay = |path: &PathBuf| Signature::of(path).is_ok_and(|file| file.age() >= BROKEN_GRACE);
        lonely.retain(|path| self.lonely.contains(path) || has_come_to_stay(path));
        for path in lonely.difference(&self.lonely) {
            let plugin = path.with_extension("wasm");
            let right = path.with_extension("yaml");
            tracing::warn!(
                "{} has no effect: a grant file stands beside its plugin, as {} beside {}",
                path.display(),
                right.display(),
                plugin.display(),
            );
        }
        self.lonely = lonely;
    }

    /// Begins to read a file and, if it is not in force, to load it.
    fn read(&mut self, name: &Arc<str>, signature: PairSignature) {
        let Some(file) = self.files.get_mut(name) else { return };
        self.generation += 1;
        file.begun = self.generation;
        file.settled = signature.is_settled();
        file.signature = Some(signature);
        self.journals.of(name).reading();
        let (name, generation, known) = (Arc::clone(name), self.generation, [file.in_force, file.refused]);
        let (path, grant_path) = (file.path.clone(), file.grant_path.clone());
        let (loader, permits) = (Arc::clone(&self.loader), Arc::clone(&self.permits));
        self.readings.spawn(async move {
            // Nobody closes the semaphore.
            let _permit = permits.acquire().await;
            let most = loader.limits().wasm;
            let read = tokio::task::spawn_blocking(move || Pair::read(path, grant_path, most)).await;
            let content = match read.unwrap_or_else(|error| resume_unwind(error.into_panic())) {
                Err(error) => Err(error),
                Ok(Pair { version, .. }) if known.contains(&Some(version)) => Ok((version, Content::Known)),
                Ok(Pair { version, plugin, grant }) => {
                    let result = match grant {
                        Ok(grant) => {
                            loader.load(Arc::clone(&name), (version.plugin, plugin), grant).await.map(Arc::new)
                        }
                        Err(error) => Err(error),
                    };
                    Ok((version, Content::Loaded(result)))
                }
            };
            Reading { name, generation, content }
        });
    }

    /// Acts on what was read.
    async fn heed(&mut self, Reading { name, generation, content }: Reading) -> Result<(), Ending> {
        let Some(file) = self.files.get_mut(&name).filter(|file| file.heeded < generation) else { return Ok(()) };
        file.heeded = generation;
        self.journals.of(&name).read(content.as_ref().ok().and_then(|(version, _)| file.known(*version)));
        file.retry_at = None;
        match content {
            Err(error) => file.unreadable(&error, self.grace),
            Ok((version, _)) if file.in_force == Some(version) => {
                if file.fault.take().is_some() | file.refused.take().is_some() {
                    tracing::info!(plugin = &*name, "the files are again what is in force");
                    self.changes.send(Change::Restored(name)).await?;
                }
            }
            Ok((version, _)) if file.refused == Some(version) => {
                if file.fault.take().is_some() {
                    tracing::warn!(
                        plugin = &*name,
                        "the files are again those that were rolled back, and are not loaded"
                    );
                }
            }
            Ok((version, Content::Loaded(Ok(plugin)))) => {
                file.in_force = Some(version);
                file.in_force_is = Arc::downgrade(&plugin);
                (file.refused, file.fault) = (None, None);
                self.changes.send(Change::Loaded(plugin)).await?;
            }
            Ok((version, Content::Loaded(Err(error)))) => {
                if error.is_passing() {
                    file.retry_later(version, Instant::now());
                }
                file.fault(Some(version), beginning(error.to_string()), self.grace);
            }
            // Another version was put in force meanwhile, so this one has to be loaded after all.
            Ok((_, Content::Known)) => {
                file.signature = None;
                self.watch.look_again();
            }
        }
        Ok(())
    }

    /// Takes note that a version was taken back. Another one may have been loaded meanwhile, and that is what counts then.
    fn take_back(&mut self, Undone { plugin, back_to }: &Undone) {
        let Some(file) = self.files.get_mut(&plugin.name) else { return };
        if std::ptr::eq(file.in_force_is.as_ptr(), Arc::as_ptr(plugin))
            && let Some(version) = &mut file.in_force
        {
            file.refused = Some(*version);
            version.plugin = back_to.digest;
            file.in_force_is = Arc::downgrade(back_to);
        }
    }

    /// Reads those files again whose fault may have passed by now.
    fn retry(&mut self) {
        let now = Instant::now();
        for file in self.files.values_mut() {
            if file.take_retry(now) {
                self.watch.look_again();
            }
        }
    }

    /// Tells of the files that cannot be loaded, once each, when they have been at rest for the grace.
    async fn tell_faults(&mut self) -> Result<(), Ending> {
        let now = Instant::now();
        for (name, file) in &mut self.files {
            let being_read = file.is_being_read();
            let Some(fault) = &mut file.fault else { continue };
            if being_read || fault.tell_at.is_none_or(|tell_at| tell_at > now) {
                continue;
            }
            let signature = PairSignature::of(&file.path, &file.grant_path).ok();
            let age = signature.as_ref().map_or(self.grace, PairSignature::age);
            let is_open = self.watch.is_open(&file.path) || self.watch.is_open(&file.grant_path);
            if is_open || age < self.grace {
                fault.tell_at = Some(now + self.grace.saturating_sub(age).max(self.grace / 4));
            } else if fault.version.is_some() && signature != file.signature {
                // There was no event for this change.
                fault.tell_at = Some(now + self.grace);
                self.watch.look_again();
            } else {
                fault.tell_at = None;
                let (name, path, reason) = (Arc::clone(name), file.path.clone(), fault.reason.clone());
                self.changes.send(Change::Failed { name, path, reason }).await?;
            }
        }
        Ok(())
    }
}

/// Of what is said of a plugin, which may have names and texts of any length in it, what people read.
fn beginning(mut reason: String) -> String {
    const MAX_BYTES: usize = 8192;
    if reason.len() > MAX_BYTES {
        reason.truncate(reason.floor_char_boundary(MAX_BYTES));
        reason += " ...";
    }
    reason
}
