//! Whether the process itself was there.

use std::time::{Duration, Instant};

/// How long may be between two looks at the clock, which are a second apart, before the process was not there.
const ABSENT: Duration = Duration::from_secs(5);
/// For how long, after it was not there, what has not happened is not held against it.
const GRACE: Duration = Duration::from_secs(30);

/// Notices that the process was stopped for a while, such as by SIGSTOP or with its machine. What was measured over that
/// time tells nothing: watches and timers are late without anything being wrong with them.
#[derive(Debug)]
pub struct Presence {
    last: Instant,
    grace: Option<Instant>,
}

impl Presence {
    /// It is there.
    pub fn new(now: Instant) -> Self {
        Self { last: now, grace: None }
    }

    /// To be called each second. Returns whether the process was not there.
    pub fn tick(&mut self, now: Instant) -> bool {
        let was_absent = now.saturating_duration_since(self.last) > ABSENT;
        self.last = now;
        if was_absent {
            self.grace = Some(now + GRACE);
        }
        was_absent
    }

    /// Whether it is to be given time: it was not there a moment ago, or just is not.
    pub fn has_grace(&self, now: Instant) -> bool {
        self.grace.is_some_and(|until| now < until) || now.saturating_duration_since(self.last) > ABSENT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_was_stopped_has_its_time_again() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut presence = Presence::new(start);
        for second in 1..=100 {
            assert!(!presence.tick(at(second)) && !presence.has_grace(at(second)), "{second}");
        }
        assert!(presence.has_grace(at(1000)), "somebody asks before the clock was looked at");
        assert!(presence.tick(at(1000)));
        for second in 1001..1030 {
            assert!(!presence.tick(at(second)) && presence.has_grace(at(second)), "{second}");
        }
        presence.tick(at(1030));
        assert!(!presence.has_grace(at(1030)));
    }
}
