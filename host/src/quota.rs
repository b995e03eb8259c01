//! How much of what a plugin writes is passed on: so much of a call, and so much in the long run. Pure.

use std::time::{Duration, Instant};

/// In the long run, a plugin may write this many times a second what a call may.
pub const CALLS_A_SECOND: f64 = 10.0;
/// At once, it may write what it may in so many seconds, so that the calls for all that there is at the start are heard.
pub const BURST_SECONDS: f64 = 10.0;
/// What was left out is told at most this often.
pub const TELL_EVERY: Duration = Duration::from_mins(1);

/// Bytes that are, or may be, written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Volume {
    /// To stdout.
    pub output: usize,
    /// To the log, and to stderr.
    pub log: usize,
}

/// What one plugin has written.
#[derive(Debug, Default)]
pub struct Quota {
    output: Debt,
    log: Debt,
    /// Bytes that were left out and not told of.
    dropped: usize,
    told: Option<Instant>,
}

impl Quota {
    /// What a call may write that begins now, where a call may write `most`. What calls write that are under way at the same
    /// time is not known yet: it is made up for by later ones.
    pub fn left(&mut self, most: Volume, now: Instant) -> Volume {
        Volume { output: self.output.left(most.output, now), log: self.log.left(most.log, now) }
    }

    /// Takes note of what a call has written, and of how much more there was. Returns how much was left out of all calls
    /// since that was told last, if it is to be told.
    pub fn spend(&mut self, written: Volume, dropped: usize, now: Instant) -> Option<usize> {
        self.output.add(written.output);
        self.log.add(written.log);
        self.dropped = self.dropped.saturating_add(dropped);
        let is_time = self.told.is_none_or(|told| now >= told + TELL_EVERY);
        if self.dropped == 0 || !is_time {
            return None;
        }
        self.told = Some(now);
        Some(std::mem::take(&mut self.dropped))
    }
}

/// Bytes that were written and are not forgotten yet: a bucket that leaks.
#[derive(Debug, Default)]
struct Debt {
    bytes: f64,
    at: Option<Instant>,
}

#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "nobody minds a byte in a petabyte, and what is below zero becomes zero"
)]
impl Debt {
    fn left(&mut self, most: usize, now: Instant) -> usize {
        let rate = most as f64 * CALLS_A_SECOND;
        let elapsed = self.at.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        self.bytes = (self.bytes - elapsed.as_secs_f64() * rate).max(0.0);
        self.at = Some(now);
        most.min((rate * BURST_SECONDS - self.bytes) as usize)
    }

    fn add(&mut self, bytes: usize) {
        self.bytes += bytes as f64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: Volume = Volume { output: 100, log: 10 };

    /// Has calls write as much as they may, so many a second for a minute. Returns what they wrote in all.
    fn flood(quota: &mut Quota, start: Instant, calls_a_second: u32) -> Volume {
        let mut all = Volume::default();
        for call in 0..60 * calls_a_second {
            let now = start + Duration::from_secs(1) * call / calls_a_second;
            let may = quota.left(MOST, now);
            assert!(may.output <= MOST.output && may.log <= MOST.log);
            quota.spend(may, 0, now);
            all = Volume { output: all.output + may.output, log: all.log + may.log };
        }
        all
    }

    #[test]
    fn few_calls_may_write_all_that_a_call_may() {
        let all = flood(&mut Quota::default(), Instant::now(), 10);
        assert_eq!(all, Volume { output: 600 * MOST.output, log: 600 * MOST.log });
    }

    #[test]
    fn many_calls_may_write_a_burst_and_then_so_much_a_second() {
        let all = flood(&mut Quota::default(), Instant::now(), 10_000);
        // A minute's worth and ten seconds' at once, but for what is rounded down.
        assert!((69_000..=70_000).contains(&all.output), "{all:?}");
        assert!((6_900..=7_000).contains(&all.log), "{all:?}");
    }

    #[test]
    fn what_calls_write_at_the_same_time_is_made_up_for_by_those_after_them() {
        const AT_A_TIME: usize = 500;
        let (mut quota, start) = (Quota::default(), Instant::now());
        let mut all = 0;
        for second in 0..60 {
            let now = start + Duration::from_secs(second);
            let may = [(); AT_A_TIME].map(|()| quota.left(MOST, now));
            for may in may {
                quota.spend(may, 0, now);
                all += may.output;
            }
        }
        // A minute's worth, ten seconds' at once, and those of one time.
        assert!((60_000..=70_000 + AT_A_TIME * MOST.output).contains(&all), "{all}");
    }

    #[test]
    fn who_is_quiet_for_a_while_may_write_again() {
        let (mut quota, start) = (Quota::default(), Instant::now());
        flood(&mut quota, start, 1000);
        let now = start + Duration::from_secs(70);
        assert_eq!(quota.left(MOST, now), MOST);
        let before = flood(&mut Quota::default(), start, 1000);
        assert_eq!(flood(&mut quota, now, 1000), before, "and as much as at first");
    }

    #[test]
    fn what_is_left_out_is_told_once_a_minute_and_in_full() {
        let (mut quota, start) = (Quota::default(), Instant::now());
        assert_eq!(quota.spend(MOST, 0, start), None);
        assert_eq!(quota.spend(MOST, 5, start), Some(5));
        for second in 1..60 {
            assert_eq!(quota.spend(MOST, 1, start + Duration::from_secs(second)), None);
        }
        assert_eq!(quota.spend(MOST, 0, start + TELL_EVERY), Some(59));
        assert_eq!(quota.spend(MOST, 0, start + 2 * TELL_EVERY), None);
    }
}
