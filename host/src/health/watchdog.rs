//! Whether somebody takes the work that there is.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long work may wait for a worker that has nothing else to do.
const PATIENCE: Duration = Duration::from_mins(1);

/// Work that could be taken, of a plugin with no call under way.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// Whose work it is.
    pub plugin: Arc<str>,
    /// How often work of the plugin was taken until now.
    pub taken: u64,
}

/// Notices that nobody takes the work of a plugin.
#[derive(Debug, Default)]
pub struct Watchdog {
    waiting: HashMap<Arc<str>, (u64, Instant)>,
}

impl Watchdog {
    /// Looks at all the work that waits.
    pub fn look(&mut self, waiting: impl IntoIterator<Item = Waiting>, now: Instant) {
        let mut before = std::mem::take(&mut self.waiting);
        for Waiting { plugin, taken } in waiting {
            // If some was taken meanwhile, this is other work.
            let since = before.remove(&plugin).filter(|(had, _)| *had == taken).map_or(now, |(_, since)| since);
            self.waiting.insert(plugin, (taken, since));
        }
    }

    /// What was seen until now does not count.
    pub fn forget(&mut self) {
        self.waiting.clear();
    }

    /// The plugins whose work nobody takes, and since when it waits.
    pub fn neglected(&self, now: Instant) -> Vec<(Arc<str>, Duration)> {
        let waits = |(plugin, (_, since)): (&Arc<str>, &(u64, Instant))| {
            (Arc::clone(plugin), now.saturating_duration_since(*since))
        };
        let mut neglected: Vec<_> = self.waiting.iter().map(waits).filter(|(_, time)| *time > PATIENCE).collect();
        neglected.sort_unstable();
        neglected
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_that_no_worker_takes_is_found_and_work_that_is_taken_is_not() {
        let (mut watchdog, start) = (Watchdog::default(), Instant::now());
        let mut neglected = Vec::new();
        for second in 0..=61 {
            let waiting = |plugin: &str, taken| Waiting { plugin: plugin.into(), taken };
            let mut all = vec![waiting("left", 7), waiting("busy", second)];
            all.extend((second % 10 > 0).then(|| waiting("idle at times", 3)));
            let now = start + Duration::from_secs(second);
            watchdog.look(all, now);
            neglected = watchdog.neglected(now);
            assert!(neglected.is_empty() || second > 60, "{second}: {neglected:?}");
        }
        assert_eq!(neglected, [("left".into(), Duration::from_secs(61))]);
        watchdog.forget();
        assert!(watchdog.neglected(start + Duration::from_hours(1)).is_empty());
    }
}
