//! Plugins that are not in force yet.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Plugins that are not in force yet, and what each of them waits for.
#[derive(Debug, Default)]
pub struct Waits(Mutex<All>);

#[derive(Debug, Default)]
struct All {
    /// A version that waits may be replaced by another one, and end after that has begun: each has a number.
    next: u64,
    reasons: BTreeMap<(Arc<str>, u64), String>,
}

/// A version of a plugin that waits, until this is dropped.
#[derive(Debug)]
pub struct Wait<'a> {
    waits: &'a Waits,
    key: (Arc<str>, u64),
}

impl Waits {
    /// A version of that plugin begins to wait.
    pub fn begin(&self, plugin: &Arc<str>) -> Wait<'_> {
        let mut all = self.lock();
        all.next += 1;
        Wait { waits: self, key: (Arc::clone(plugin), all.next) }
    }

    /// The plugins that wait, each with the reason.
    pub fn all(&self) -> Vec<(Arc<str>, String)> {
        self.lock().reasons.iter().map(|((plugin, _), reason)| (Arc::clone(plugin), reason.clone())).collect()
    }

    /// Nothing panics while it holds this lock.
    fn lock(&self) -> MutexGuard<'_, All> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wait<'_> {
    /// It waits for this reason.
    pub fn because(&self, reason: &str) {
        self.waits.lock().reasons.insert(self.key.clone(), reason.to_owned());
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        self.waits.lock().reasons.remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_version_that_was_replaced_is_not_that_of_the_one_after_it() {
        let (waits, plugin) = (Waits::default(), Arc::from("demo"));
        let first = waits.begin(&plugin);
        assert!(waits.all().is_empty(), "it may not have to wait at all");
        first.because("of this");
        let second = waits.begin(&plugin);
        second.because("of that");
        drop(first);
        assert_eq!(waits.all(), [(plugin, "of that".to_owned())]);
        drop(second);
        assert!(waits.all().is_empty());
    }
}
