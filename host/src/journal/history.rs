//! How many calls there were lately, and how long they took.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Calls are counted together over so long.
pub const SLOT: Duration = Duration::from_secs(10);
/// So many slots are remembered, which is a quarter of an hour.
const SLOTS: usize = 90;
/// Rates and times are told over so many slots, of which the last one is not full yet: of the last minute.
const RECENT: u64 = 6;
/// Times are told apart by quarters of a power of two, from microseconds on, so that what is told of them is off by 10 %.
const PARTS: usize = 4;
/// Up to more than a minute.
const BUCKETS: usize = 27 * PARTS;

/// How many calls there were lately, and how long they took. Slots without calls take no memory, and those that are no
/// more recent have only what is told of them.
#[derive(Debug, Default)]
pub struct History {
    calls: u64,
    failures: u64,
    /// The first call was counted then.
    start: Option<Instant>,
    slots: VecDeque<Slot>,
}

#[derive(Debug)]
struct Slot {
    /// How many slots are between the start and its own.
    number: u64,
    calls: u32,
    failures: u32,
    times: Times,
}

/// How long calls took.
#[derive(Debug)]
enum Times {
    /// By bucket, how many.
    Counted(Box<[u32; BUCKETS]>),
    Told(Quantiles),
}

/// How long calls took, for people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quantiles {
    /// Half of them took no longer.
    pub p50: Duration,
    /// All but one in a hundred took no longer.
    pub p99: Duration,
}

/// Calls of one slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Past {
    /// How long ago the slot began.
    pub ago: Duration,
    /// How many there were.
    pub calls: u32,
    /// How many of them failed.
    pub failures: u32,
    /// How long they took.
    pub times: Quantiles,
}

/// Calls of the last minute.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Recent {
    /// How many there were in a second.
    pub calls_per_second: f64,
    /// How many of them failed.
    pub failures_per_second: f64,
    /// How long they took. None: there were none.
    pub times: Option<Quantiles>,
}

impl History {
    /// Counts a call that has ended now.
    pub fn count(&mut self, took: Duration, failed: bool, now: Instant) {
        self.calls += 1;
        self.failures += u64::from(failed);
        let number = self.number(now);
        if self.slots.back().is_none_or(|slot| slot.number < number) {
            self.begin(number);
        }
        // Two workers may have looked at the clock in another order than they came here.
        if let Some(slot) = self.slots.back_mut() {
            slot.calls = slot.calls.saturating_add(1);
            slot.failures = slot.failures.saturating_add(failed.into());
            if let Times::Counted(counts) = &mut slot.times {
                let count = &mut counts[bucket(took)];
                *count = count.saturating_add(1);
            }
        }
    }

    /// How many calls there were, and how many of them failed.
    pub fn totals(&self) -> (u64, u64) {
        (self.calls, self.failures)
    }

    /// The slots that had calls, from the oldest on.
    pub fn past(&self, now: Instant) -> Vec<Past> {
        let present = self.slots_since_start(now);
        let age = |slot: &Slot| present.saturating_sub(slot.number);
        let kept = self.slots.iter().filter(|slot| age(slot) < SLOTS as u64);
        let past = |slot: &Slot| {
            let into = self.start.map_or(Duration::ZERO, |start| now.saturating_duration_since(start));
            let begin = SLOT.saturating_mul(u32::try_from(slot.number).unwrap_or(u32::MAX));
            let times = match &slot.times {
                Times::Counted(counts) => quantiles(counts),
                Times::Told(times) => *times,
            };
            Past { ago: into.saturating_sub(begin), calls: slot.calls, failures: slot.failures, times }
        };
        kept.map(past).collect()
    }

    /// What there was in the last minute.
    pub fn recent(&self, now: Instant) -> Recent {
        let Some(start) = self.start else { return Recent::default() };
        let present = self.slots_since_start(now);
        let since_start = now.saturating_duration_since(start);
        // The present slot is as long as it has been until now, and before the first one there was nothing to be counted.
        let before = present.saturating_sub(RECENT - 1) * SLOT.as_secs();
        let seconds = since_start.saturating_sub(Duration::from_secs(before)).as_secs_f64().max(1.0);
        let (mut calls, mut failures, mut counts) = (0_u32, 0_u32, [0_u32; BUCKETS]);
        for slot in self.slots.iter().filter(|slot| present.saturating_sub(slot.number) < RECENT) {
            calls = calls.saturating_add(slot.calls);
            failures = failures.saturating_add(slot.failures);
            if let Times::Counted(of_slot) = &slot.times {
                counts.iter_mut().zip(&**of_slot).for_each(|(sum, count)| *sum = sum.saturating_add(*count));
            }
        }
        Recent {
            calls_per_second: f64::from(calls) / seconds,
            failures_per_second: f64::from(failures) / seconds,
            times: (calls > 0).then(|| quantiles(&counts)),
        }
    }

    /// The number of the slot that `now` is in, from the first call on.
    fn number(&mut self, now: Instant) -> u64 {
        self.start.get_or_insert(now);
        self.slots_since_start(now)
    }

    fn slots_since_start(&self, now: Instant) -> u64 {
        self.start.map_or(0, |start| now.saturating_duration_since(start).as_secs() / SLOT.as_secs())
    }

    fn begin(&mut self, number: u64) {
        for slot in &mut self.slots {
            if let Times::Counted(counts) = &slot.times
                && number - slot.number >= RECENT
            {
                slot.times = Times::Told(quantiles(counts));
            }
        }
        while self.slots.front().is_some_and(|slot| number - slot.number >= SLOTS as u64) {
            self.slots.pop_front();
        }
        self.slots.push_back(Slot { number, calls: 0, failures: 0, times: Times::Counted(Box::new([0; BUCKETS])) });
    }
}

/// The bucket of a time: by the place of its highest bit, and the two bits after that.
fn bucket(took: Duration) -> usize {
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1);
    let octave = micros.ilog2();
    let parts = if octave >= 2 { micros >> (octave - 2) } else { micros << (2 - octave) };
    // With its highest bit, of which `octave` tells.
    let part = usize::try_from(parts).map_or(0, |parts| parts % PARTS);
    (octave as usize * PARTS + part).min(BUCKETS - 1)
}

/// The middle of a bucket.
fn time_of(bucket: usize) -> Duration {
    let (octave, part) = (bucket / PARTS, bucket % PARTS);
    let nanos = (1_u64 << octave) * 1000 * (2 * (PARTS + part) as u64 + 1) / (2 * PARTS as u64);
    Duration::from_nanos(nanos)
}

fn quantiles(counts: &[u32; BUCKETS]) -> Quantiles {
    let all: u64 = counts.iter().map(|count| u64::from(*count)).sum();
    let time_at = |rank: u64| {
        let mut before = 0;
        let is_there = |count: &u32| {
            before += u64::from(*count);
            before >= rank
        };
        counts.iter().position(is_there).map_or(Duration::ZERO, time_of)
    };
    if all == 0 {
        return Quantiles::default();
    }
    Quantiles { p50: time_at(all.div_ceil(2)), p99: time_at((all * 99).div_ceil(100)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_time_is_told_to_a_tenth() {
        let mut micros = 4;
        while micros < 60_000_000 {
            let time = Duration::from_micros(micros);
            let ratio = time_of(bucket(time)).as_secs_f64() / time.as_secs_f64();
            assert!((0.87..1.14).contains(&ratio), "{time:?}: {ratio}");
            micros += micros / 7 + 1;
        }
        for time in [Duration::ZERO, Duration::MAX] {
            assert!(bucket(time) < BUCKETS);
        }
    }

    #[test]
    fn rates_and_times_are_those_of_the_last_minute() {
        let (mut history, start) = (History::default(), Instant::now());
        assert_eq!(history.recent(start), Recent::default());
        for call in 0..600_u32 {
            let took = Duration::from_millis(if call % 50 == 0 { 800 } else { 10 });
            history.count(took, call % 10 == 0, start + SECOND / 10 * call);
        }
        let Recent { calls_per_second, failures_per_second, times } = history.recent(start + SECOND * 59);
        assert!((9.9..10.3).contains(&calls_per_second) && (0.9..1.1).contains(&failures_per_second));
        let Quantiles { p50, p99 } = times.unwrap();
        assert!((9..=11).contains(&p50.as_millis()) && (700..900).contains(&p99.as_millis()), "{p50:?} {p99:?}");
        let half_gone = history.recent(start + SECOND * 89).calls_per_second;
        assert!((4.9..5.2).contains(&half_gone), "{half_gone}");
        assert_eq!(history.recent(start + SECOND * 119), Recent::default());
    }

    #[test]
    fn a_quarter_of_an_hour_is_remembered_however_many_calls_there_are() {
        let (mut history, start) = (History::default(), Instant::now());
        for second in 0..2000 {
            for _ in 0..3 {
                history.count(SECOND, false, start + SECOND * second);
            }
        }
        let past = history.past(start + SECOND * 1999);
        assert_eq!(past.len(), SLOTS);
        assert!(past.iter().all(|slot| slot.calls == 30 && slot.times.p50 > SECOND / 2));
        assert_eq!((past[0].ago, past[SLOTS - 1].ago), (SECOND * 899, SECOND * 9));
        let counted = history.slots.iter().filter(|slot| matches!(slot.times, Times::Counted(_))).count();
        assert_eq!(counted as u64, RECENT, "the others take little memory");
        assert!(history.past(start + SECOND * 4000).is_empty());
    }
}
