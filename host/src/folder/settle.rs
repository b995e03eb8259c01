//! When a folder that has changed has come to rest.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A file that is open for writing is left alone for this long after the last write to it.
const OPEN_GRACE: Duration = Duration::from_secs(5);

/// While one thing changes without rest, the others wait no longer than this many times the debounce.
const MAX_DEBOUNCES: u32 = 10;

/// What happened to a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Notice {
    /// It was written to, by somebody who has it open.
    Written,
    /// Somebody who had it open for writing closed it.
    Closed,
    /// Anything else: created, renamed, removed, touched.
    Changed,
}

/// Collects notices until there have been none for the time of the debounce. Pure: time is passed in.
#[derive(Debug)]
pub(super) struct Settle {
    debounce: Duration,
    first: Option<Instant>,
    last: Option<Instant>,
    /// Files being written, with the time of the last write.
    open: HashMap<PathBuf, Instant>,
}

impl Settle {
    pub(super) fn new(debounce: Duration) -> Self {
        Self { debounce, first: None, last: None, open: HashMap::new() }
    }

    pub(super) fn notice(&mut self, path: &Path, notice: Notice, now: Instant) {
        match notice {
            Notice::Written => {
                self.open.insert(path.to_owned(), now);
            }
            Notice::Closed | Notice::Changed => {
                self.open.remove(path);
            }
        }
        self.first.get_or_insert(now);
        self.last = Some(now);
    }

    /// When there may be something settled. None: nothing has changed.
    pub(super) fn due(&self) -> Option<Instant> {
        let rest = match (self.first, self.last) {
            (Some(first), Some(last)) => Some((last + self.debounce).min(first + self.debounce * MAX_DEBOUNCES)),
            _ => None,
        };
        let given_up = self.open.values().min().map(|written| *written + OPEN_GRACE);
        rest.into_iter().chain(given_up).min()
    }

    /// Whether the folder has come to rest. If so, it counts as unchanged from now on.
    pub(super) fn settled(&mut self, now: Instant) -> bool {
        if self.due().is_none_or(|due| due > now) {
            return false;
        }
        self.open.retain(|_, written| now < *written + OPEN_GRACE);
        (self.first, self.last) = (None, None);
        true
    }

    /// The files that are being written.
    pub(super) fn open(&self) -> impl Iterator<Item = &PathBuf> {
        self.open.keys()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEBOUNCE: Duration = Duration::from_millis(100);

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn it_settles_once_a_debounce_after_the_last_notice() {
        let (mut settle, start) = (Settle::new(DEBOUNCE), Instant::now());
        assert_eq!(settle.due(), None);
        settle.notice(Path::new("a"), Notice::Changed, start);
        settle.notice(Path::new("b"), Notice::Changed, start + ms(60));
        assert!(!settle.settled(start + ms(159)));
        assert!(settle.settled(start + ms(160)));
        assert!(!settle.settled(start + ms(1000)));
    }

    #[test]
    fn changes_without_rest_do_not_hold_up_the_others_for_ever() {
        let (mut settle, start) = (Settle::new(DEBOUNCE), Instant::now());
        let settled = (0..20).position(|n| {
            settle.notice(Path::new("a"), Notice::Changed, start + ms(n * 60));
            settle.settled(start + ms(n * 60))
        });
        assert_eq!(settled, Some(17), "at the first notice a second or more after the first");
    }

    #[test]
    fn a_file_is_open_from_a_write_until_it_is_closed_or_replaced() {
        let (mut settle, start) = (Settle::new(DEBOUNCE), Instant::now());
        for closing in [Notice::Closed, Notice::Changed] {
            settle.notice(Path::new("a"), Notice::Written, start);
            assert!(settle.settled(start + DEBOUNCE));
            assert_eq!(settle.open().count(), 1);
            settle.notice(Path::new("a"), closing, start + DEBOUNCE);
            assert_eq!(settle.open().count(), 0);
            assert!(settle.settled(start + DEBOUNCE * 2));
        }
    }

    #[test]
    fn a_file_that_nobody_closes_is_looked_at_in_the_end() {
        let (mut settle, start) = (Settle::new(DEBOUNCE), Instant::now());
        settle.notice(Path::new("a"), Notice::Written, start);
        assert!(settle.settled(start + DEBOUNCE));
        assert_eq!(settle.due(), Some(start + OPEN_GRACE));
        assert!(settle.settled(start + OPEN_GRACE));
        assert_eq!((settle.open().count(), settle.due()), (0, None));
    }
}
