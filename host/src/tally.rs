//! What has been done since the start, for people.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Counts what has been done since the start.
#[derive(Debug)]
pub struct Tally {
    start: Instant,
    calls: AtomicU64,
    failed_calls: AtomicU64,
    refused_plugins: AtomicU64,
    broken_documents: AtomicU64,
    refused_watches: AtomicU64,
}

/// What has been done up to a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    objects: usize,
    plugins: usize,
    took: Duration,
    calls: u64,
    failed_calls: u64,
    refused_plugins: u64,
    broken_documents: u64,
    refused_watches: u64,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            start: Instant::now(),
            calls: AtomicU64::new(0),
            failed_calls: AtomicU64::new(0),
            refused_plugins: AtomicU64::new(0),
            broken_documents: AtomicU64::new(0),
            refused_watches: AtomicU64::new(0),
        }
    }
}

impl Tally {
    /// A call has ended.
    pub fn count_call(&self, succeeded: bool) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        if !succeeded {
            self.failed_calls.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A plugin file could not be loaded.
    pub fn count_refused_plugin(&self) {
        self.refused_plugins.fetch_add(1, Ordering::Relaxed);
    }

    /// A document of the manifests could not be taken in.
    pub fn count_broken_document(&self) {
        self.broken_documents.fetch_add(1, Ordering::Relaxed);
    }

    /// A watch could not be had.
    pub fn count_refused_watch(&self) {
        self.refused_watches.fetch_add(1, Ordering::Relaxed);
    }

    /// What has been done so far, for as many objects by as many plugins.
    pub fn summary(&self, objects: usize, plugins: usize) -> Summary {
        Summary {
            objects,
            plugins,
            took: self.start.elapsed(),
            calls: self.calls.load(Ordering::Relaxed),
            failed_calls: self.failed_calls.load(Ordering::Relaxed),
            refused_plugins: self.refused_plugins.load(Ordering::Relaxed),
            broken_documents: self.broken_documents.load(Ordering::Relaxed),
            refused_watches: self.refused_watches.load(Ordering::Relaxed),
        }
    }
}

impl Summary {
    /// Whether nothing failed.
    pub fn is_clean(&self) -> bool {
        self.failed_calls + self.refused_plugins + self.broken_documents + self.refused_watches == 0
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (objects, plugins) = (counted(self.objects as u64, "object"), counted(self.plugins as u64, "plugin"));
        let (calls, failed, seconds) = (counted(self.calls, "call"), self.failed_calls, self.took.as_secs_f64());
        write!(f, "{objects}, {plugins} in {seconds:.2} s: {calls}, {failed} failed")?;
        if self.refused_plugins > 0 {
            write!(f, "; {} refused", counted(self.refused_plugins, "plugin"))?;
        }
        if self.refused_watches > 0 {
            let watches = if self.refused_watches == 1 { "watch" } else { "watches" };
            write!(f, "; {} {watches} refused", self.refused_watches)?;
        }
        if self.broken_documents > 0 {
            write!(f, "; {} left out", counted(self.broken_documents, "document"))?;
        }
        Ok(())
    }
}

fn counted(number: u64, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_says_what_failed_and_is_clean_only_without() {
        let tally = Tally::default();
        tally.count_call(true);
        let clean = tally.summary(1, 2);
        assert!(clean.is_clean());
        let text = clean.to_string();
        assert!(text.starts_with("1 object, 2 plugins in ") && text.ends_with(" s: 1 call, 0 failed"), "{text}");
        tally.count_call(false);
        tally.count_refused_plugin();
        tally.count_broken_document();
        let summary = tally.summary(0, 0);
        assert!(!summary.is_clean());
        let text = summary.to_string();
        assert!(text.ends_with("2 calls, 1 failed; 1 plugin refused; 1 document left out"), "{text}");
    }
}
