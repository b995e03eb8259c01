//! What has happened lately to each plugin, for people who look: calls, errors, reloads. Pure: time is passed in.
//!
//! It is told of what happens where it happens, beside the log and what is counted for Prometheus, and takes bounded memory
//! for each plugin.

mod history;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::digest::Digest;
use crate::object::ObjectRef;

pub use history::{History, Past, Quantiles, Recent, SLOT};

/// So many errors of a plugin are remembered, and so many reloads.
const REMEMBERED: usize = 10;
/// To how many bytes what was said is cut.
const MAX_BYTES: usize = 1024;

/// What has happened lately to all plugins.
#[derive(Debug, Default)]
pub struct Journals {
    plugins: Mutex<HashMap<Arc<str>, Arc<Journal>>>,
    /// The calls of all.
    history: Mutex<History>,
}

/// What has happened lately to a plugin.
#[derive(Debug, Default)]
pub struct Journal(Mutex<Notes>);

/// What is known of a plugin.
#[derive(Debug, Default)]
pub struct Notes {
    /// Its calls.
    pub history: History,
    /// The last errors, each once, in the order in which they were last seen.
    pub errors: VecDeque<Error>,
    /// What became of its last files, in the order in which that was told.
    pub reloads: VecDeque<Reload>,
    /// What its file is.
    pub file: FileState,
    /// Whether its file is being read and compiled.
    pub loading: bool,
    /// Since when the version in force is.
    pub in_force_since: Option<Instant>,
}

/// A call that has failed, and others that have done so in the same way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// The object that it was for.
    pub target: ObjectRef,
    /// Why it failed.
    pub reason: String,
    /// How many have failed so.
    pub count: u64,
    /// When the first one did.
    pub first: Instant,
    /// When the last one did.
    pub last: Instant,
}

/// What became of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reload {
    /// When.
    pub at: Instant,
    /// What.
    pub result: ReloadResult,
}

/// What became of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReloadResult {
    /// This version was put in force.
    Loaded(Digest),
    /// It could not be loaded, for this reason.
    Refused(String),
    /// This version broke, and the other one was put in force again.
    RolledBack {
        /// The one that broke.
        from: Digest,
        /// The one in force.
        to: Digest,
        /// The last error of the one that broke.
        reason: String,
    },
}

/// What the file of a plugin is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum FileState {
    /// Not known yet.
    #[default]
    Unknown,
    /// What is in force.
    InForce,
    /// It cannot be loaded, for this reason.
    Refused(String),
    /// It was in force and broke.
    RolledBack,
}

impl Journals {
    /// That of a plugin, to be written in.
    pub fn of(&self, plugin: &Arc<str>) -> Arc<Journal> {
        Arc::clone(lock(&self.plugins).entry(Arc::clone(plugin)).or_default())
    }

    /// That of a plugin, if there is one.
    pub fn get(&self, plugin: &str) -> Option<Arc<Journal>> {
        lock(&self.plugins).get(plugin).cloned()
    }

    /// The names of all plugins that something is known of.
    pub fn names(&self) -> Vec<Arc<str>> {
        lock(&self.plugins).keys().cloned().collect()
    }

    /// Drops what is known of a plugin, which is gone.
    pub fn forget(&self, plugin: &str) {
        lock(&self.plugins).remove(plugin);
    }

    /// A call of the plugin with this journal has ended.
    pub fn call(&self, journal: &Journal, took: Duration, failed: bool, now: Instant) {
        lock(&self.history).count(took, failed, now);
        journal.notes().history.count(took, failed, now);
    }

    /// The calls of all plugins.
    pub fn history(&self) -> MutexGuard<'_, History> {
        lock(&self.history)
    }
}

impl Journal {
    /// What is known, while nothing is added.
    pub fn notes(&self) -> MutexGuard<'_, Notes> {
        lock(&self.0)
    }

    /// A call for that object has failed.
    pub fn error(&self, target: &ObjectRef, reason: &str, now: Instant) {
        let reason = cut(reason);
        let errors = &mut self.notes().errors;
        let known = errors.iter().position(|error| error.target == *target && error.reason == reason);
        let known = known.and_then(|known| errors.remove(known));
        let (count, first) = known.map_or((1, now), |known| (known.count.saturating_add(1), known.first));
        push(errors, Error { target: target.clone(), reason, count, first, last: now });
    }

    /// Its file begins to be read.
    pub fn reading(&self) {
        self.notes().loading = true;
    }

    /// Its file was read. It may be one that is known: that in force, or the one that was rolled back.
    pub fn read(&self, known: Option<FileState>) {
        let mut notes = self.notes();
        notes.loading = false;
        if let Some(known) = known {
            notes.file = known;
        }
    }

    /// A version is being put in force.
    pub fn loaded(&self, digest: Digest, now: Instant) {
        let mut notes = self.notes();
        (notes.file, notes.in_force_since) = (FileState::InForce, Some(now));
        push(&mut notes.reloads, Reload { at: now, result: ReloadResult::Loaded(digest) });
    }

    /// Its file cannot be loaded.
    pub fn refused(&self, reason: &str, now: Instant) {
        let reason = cut(reason);
        let mut notes = self.notes();
        notes.file = FileState::Refused(reason.clone());
        push(&mut notes.reloads, Reload { at: now, result: ReloadResult::Refused(reason) });
    }

    /// A version broke, and the one before is in force again.
    pub fn rolled_back(&self, (from, to): (Digest, Digest), reason: &str, now: Instant) {
        let reason = cut(reason);
        let mut notes = self.notes();
        (notes.file, notes.in_force_since) = (FileState::RolledBack, Some(now));
        push(&mut notes.reloads, Reload { at: now, result: ReloadResult::RolledBack { from, to, reason } });
    }
}

/// Nothing panics while it holds one of these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn push<T>(ring: &mut VecDeque<T>, next: T) {
    if ring.len() == REMEMBERED {
        ring.pop_front();
    }
    ring.push_back(next);
}

fn cut(text: &str) -> String {
    if text.len() <= MAX_BYTES {
        return text.to_owned();
    }
    format!("{} ...", &text[..text.floor_char_boundary(MAX_BYTES)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::{Gvk, ObjectKey};

    fn target(name: &str) -> ObjectRef {
        ObjectRef { gvk: Gvk::replica_set(), key: ObjectKey::new(Some("default"), name) }
    }

    #[test]
    fn an_error_that_comes_again_is_counted_and_is_the_last_one() {
        let (journal, start) = (Journal::default(), Instant::now());
        let at = |second| start + Duration::from_secs(second);
        journal.error(&target("a"), "no", at(0));
        journal.error(&target("b"), "no", at(1));
        journal.error(&target("a"), "never", at(2));
        journal.error(&target("a"), "no", at(3));
        let errors = journal.notes().errors.clone();
        let seen: Vec<_> = errors.iter().map(|error| (error.target.key.name(), &*error.reason, error.count)).collect();
        assert_eq!(seen, [("b", "no", 1), ("a", "never", 1), ("a", "no", 2)]);
        assert_eq!((errors[2].first, errors[2].last), (at(0), at(3)));
    }

    #[test]
    fn whatever_happens_it_takes_bounded_memory() {
        let (journal, now) = (Journal::default(), Instant::now());
        let reason = "ü".repeat(100_000);
        for number in 0..1000 {
            journal.error(&target(&number.to_string()), &reason, now);
            journal.refused(&reason, now);
        }
        let notes = journal.notes();
        assert_eq!((notes.errors.len(), notes.reloads.len()), (REMEMBERED, REMEMBERED));
        assert_eq!(notes.errors.back().unwrap().target.key.name(), "999");
        assert!(notes.errors.iter().all(|error| error.reason.len() < MAX_BYTES + 8));
        let is_short =
            |reload: &Reload| matches!(&reload.result, ReloadResult::Refused(why) if why.len() < MAX_BYTES + 8);
        assert!(notes.reloads.iter().all(is_short));
    }

    #[test]
    fn a_file_that_is_mended_is_not_refused_any_more() {
        let (journal, now, digest) = (Journal::default(), Instant::now(), Digest::of(b"1"));
        journal.reading();
        assert!(journal.notes().loading);
        journal.read(None);
        journal.loaded(digest, now);
        journal.refused("no", now);
        assert_eq!(journal.notes().file, FileState::Refused("no".into()));
        journal.read(Some(FileState::InForce));
        assert_eq!(journal.notes().file, FileState::InForce);
        assert!(!journal.notes().loading);
    }

    #[test]
    fn of_a_plugin_that_is_gone_nothing_is_left() {
        let (journals, now, plugin) = (Journals::default(), Instant::now(), Arc::from("demo"));
        journals.call(&journals.of(&plugin), Duration::ZERO, true, now);
        assert_eq!(journals.get("demo").unwrap().notes().history.totals(), (1, 1));
        journals.forget("demo");
        assert!(journals.get("demo").is_none() && journals.names().is_empty());
        assert_eq!(journals.history().past(now).len(), 1);
    }
}
