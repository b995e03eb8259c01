//! How much of what a plugin writes is passed on: so much of a call, and so much in the long run. Pure.
//!
//! What it prints and logs beyond that is left out, what it has changed in the cluster waits, and Events are not published.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

/// In the long run, a plugin may write this many times a second what a call may.
pub const CALLS_A_SECOND: f64 = 10.0;
/// At once, it may write what it may in so many seconds, so that the calls for all that there is at the start are heard.
pub const BURST_SECONDS: f64 = 10.0;
/// What was left out is told at most this often.
pub const TELL_EVERY: Duration = Duration::from_mins(1);

/// How many Events about one object a plugin may publish at once, as with Kubernetes' own controllers.
pub const EVENTS_AT_ONCE: f64 = 25.0;
/// And how often one more after that.
pub const EVENT_EVERY: Duration = Duration::from_mins(5);
/// For how many objects it is remembered what was published.
const REMEMBERED: usize = 4096;

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
    changes: Debt,
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

    /// Takes note of so many changes and Events that a call asks for, where there may be `most` a second. Returns how long
    /// they have to wait.
    pub fn wait(&mut self, changes: usize, most: usize, now: Instant) -> Duration {
        self.changes.wait(changes, most, now)
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

/// Which Events about objects, which are named by `K`, are published.
#[derive(Debug)]
pub struct EventQuota<K>(HashMap<K, (Debt, bool)>);

/// Whether an Event is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Publish {
    /// It is.
    Yes,
    /// It is not.
    No {
        /// Nor was the last one about that object.
        again: bool,
    },
}

impl<K> Default for EventQuota<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Eq + Hash> EventQuota<K> {
    /// Whether another Event about that object is published, which then counts.
    pub fn publish(&mut self, about: K, now: Instant) -> Publish {
        let rate = EVENT_EVERY.as_secs_f64().recip();
        if self.0.len() >= REMEMBERED {
            self.0.retain(|_, (debt, _)| debt.at(rate, now) > 0.0);
        }
        if self.0.len() >= REMEMBERED {
            // Some may be published that would not be otherwise.
            self.0.clear();
        }
        let (debt, refused) = self.0.entry(about).or_default();
        if debt.at(rate, now) > EVENTS_AT_ONCE - 1.0 {
            return Publish::No { again: std::mem::replace(refused, true) };
        }
        debt.amount += 1.0;
        *refused = false;
        Publish::Yes
    }
}

/// What was written and is not forgotten yet: a bucket that leaks.
#[derive(Debug, Default)]
struct Debt {
    amount: f64,
    at: Option<Instant>,
}

#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "nobody minds a byte in a petabyte, and what is below zero becomes zero"
)]
impl Debt {
    /// What is not forgotten, where so much is in a second.
    fn at(&mut self, rate: f64, now: Instant) -> f64 {
        let elapsed = self.at.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        self.amount = (self.amount - elapsed.as_secs_f64() * rate).max(0.0);
        self.at = Some(now);
        self.amount
    }

    fn left(&mut self, most: usize, now: Instant) -> usize {
        let rate = most as f64 * CALLS_A_SECOND;
        most.min((rate * BURST_SECONDS - self.at(rate, now)) as usize)
    }

    fn wait(&mut self, amount: usize, most: usize, now: Instant) -> Duration {
        let rate = most as f64;
        let too_much = self.at(rate, now) + amount as f64 - rate * BURST_SECONDS;
        self.add(amount);
        Duration::from_secs_f64(too_much.max(0.0) / rate)
    }

    fn add(&mut self, amount: usize) {
        self.amount += amount as f64;
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

    #[test]
    fn changes_wait_beyond_a_burst_so_that_there_are_so_many_a_second() {
        let (mut quota, start) = (Quota::default(), Instant::now());
        let mut waits = (0..200).map(|_| quota.wait(1, 10, start));
        assert!(waits.by_ref().take(100).all(|wait| wait.is_zero()));
        let last = waits.last().unwrap();
        assert!((last.as_secs_f64() - 10.0).abs() < 0.001, "{last:?}");
        assert!(quota.wait(1, 10, start + Duration::from_secs(11)).is_zero());
    }

    #[test]
    fn so_many_events_about_an_object_are_published_and_one_more_every_so_often() {
        let (mut quota, start) = (EventQuota::default(), Instant::now());
        let mut published = |name: &'static str, times: u32, now| {
            (0..times).filter(|_| quota.publish(name, now) == Publish::Yes).count()
        };
        assert_eq!((published("a", 100, start), published("b", 3, start)), (25, 3));
        let later = start + EVENT_EVERY + Duration::from_secs(1);
        assert_eq!((published("a", 100, later), published("b", 100, later)), (1, 23));
        assert_eq!(published("a", 100, later + 30 * EVENT_EVERY), 25);
    }

    #[test]
    fn that_events_are_not_published_is_said_once_each_time() {
        let (mut quota, start) = (EventQuota::default(), Instant::now());
        let said: Vec<_> = (0..28).map(|_| quota.publish("a", start)).skip(25).collect();
        assert_eq!(said, [Publish::No { again: false }, Publish::No { again: true }, Publish::No { again: true }]);
        let later = start + EVENT_EVERY + Duration::from_secs(1);
        assert_eq!(quota.publish("a", later), Publish::Yes);
        assert_eq!(quota.publish("a", later), Publish::No { again: false });
    }

    #[test]
    fn what_is_remembered_of_events_is_bounded() {
        let (mut quota, start) = (EventQuota::default(), Instant::now());
        for number in 0..3 * REMEMBERED {
            assert_eq!(quota.publish(number, start), Publish::Yes);
            assert!(quota.0.len() <= REMEMBERED);
        }
        let later = start + EVENT_EVERY + Duration::from_secs(1);
        for number in 0..REMEMBERED {
            quota.publish(number, later);
        }
        assert_eq!(quota.0.len(), REMEMBERED);
    }
}
