//! The queue against a model of it, over random sequences of what can happen to a queue.
//!
//! The model knows what each object waits for and nothing of how the queue keeps it. What the queue is free to decide,
//! such as jitter and which of two objects of the same priority goes first, is checked against bounds and taken over.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::object::{Gvk, ObjectKey};

const SEQUENCES: u64 = 3000;

#[derive(Debug, Default)]
struct Model {
    /// By the number of the object. One that is not here is as one that was never heard of.
    objects: BTreeMap<usize, Known>,
    live_in_a_row: u32,
    /// Counts what comes to wait.
    ticket: u64,
    /// Objects that did not wait until their turn, but were lifted or dropped. They may be given the place they had when
    /// they wait again, and so overtake others once.
    left_their_place: BTreeSet<usize>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Known {
    /// It is in a call, dropped or not.
    call: Option<Call>,
    /// It is to be taken, or taken after its call: how soon, and since when.
    wanted: Option<(Priority, u64)>,
    /// It is to be wanted then.
    due: Option<Instant>,
    /// Nothing makes it wanted before this.
    held: Option<Instant>,
    failures: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    Wanted,
    /// It was dropped during the call.
    Dropped,
}

impl Model {
    fn add(&mut self, object: usize, priority: Priority) {
        self.ticket += 1;
        let known = self.objects.entry(object).or_default();
        if let Some(until) = known.held {
            known.due = known.due.min(Some(until));
            return;
        }
        if let Some(call) = &mut known.call {
            *call = Call::Wanted;
        }
        known.due = None;
        match known.wanted {
            Some((before, _)) if before >= priority => {}
            Some(_) if known.call.is_none() => {
                self.left_their_place.insert(object);
                known.wanted = Some((priority, self.ticket));
            }
            _ => known.wanted = Some((priority, self.ticket)),
        }
    }

    fn take(&mut self, taken: Option<(usize, u32)>, now: Instant) {
        let mut due: Vec<_> = self.objects.iter().filter_map(|(object, known)| Some((known.due?, *object))).collect();
        due.retain(|(due, _)| *due <= now);
        due.sort_by_key(|(due, _)| *due);
        for same_time in due.chunk_by(|(one, _), (other, _)| one == other) {
            self.ticket += 1;
            for (_, object) in same_time {
                let known = self.objects.get_mut(object).unwrap();
                (known.wanted, known.due, known.held) = (Some((Priority::Backlog, self.ticket)), None, None);
            }
        }

        let waiting = |priority| {
            let waiting = self.objects.values().filter(|known| known.call.is_none()).filter_map(|known| known.wanted);
            waiting.filter(move |(wanted, _)| *wanted == priority).map(|(_, since)| since)
        };
        let (oldest_live, oldest_backlog) = (waiting(Priority::Live).min(), waiting(Priority::Backlog).min());
        let (priority, oldest) = match (oldest_live, oldest_backlog) {
            (None, None) => return assert_eq!(taken, None, "nothing waits"),
            (Some(_), Some(oldest)) if self.live_in_a_row >= 16 => (Priority::Backlog, oldest),
            (Some(oldest), _) => (Priority::Live, oldest),
            (None, Some(oldest)) => (Priority::Backlog, oldest),
        };
        self.live_in_a_row = if priority == Priority::Live { self.live_in_a_row + 1 } else { 0 };

        let (object, attempt) = taken.expect("something waits");
        let known = self.objects.get_mut(&object).expect("somebody has asked for it");
        assert_eq!(known.call, None, "it is not in a call already");
        let (wanted, since) = known.wanted.take().expect("it waits");
        assert_eq!(wanted, priority, "it is the turn of this priority");
        assert!(since == oldest || self.left_their_place.contains(&object), "it has waited for longest");
        assert_eq!(attempt, known.failures, "its own failures are counted");
        known.call = Some(Call::Wanted);
    }

    fn finish(&mut self, object: usize, end: End, after: Option<Duration>, now: Instant) {
        let known = self.objects.get_mut(&object).unwrap();
        let call = known.call.take().unwrap();
        known.failures = if matches!(end, End::Retry { .. } | End::Terminal) { known.failures + 1 } else { 0 };
        if call == Call::Dropped {
            self.objects.remove(&object);
            return assert_eq!(after, None, "it was dropped");
        }
        let later = |delay| now.checked_add(delay).unwrap_or(now + Duration::from_hours(24));
        let delay = match end {
            End::Hold(delay) => {
                (known.wanted, known.held) = (None, Some(later(delay)));
                Some(delay)
            }
            End::Retry { rest } if !rest.is_zero() => {
                known.held = Some(later(rest));
                if known.wanted.take().is_none() {
                    assert_backoff(after.expect("it is tried again"), known.failures, rest);
                    after
                } else {
                    Some(rest)
                }
            }
            _ if known.wanted.is_some() => {
                self.ticket += 1;
                known.wanted = known.wanted.map(|(priority, _)| (priority, self.ticket));
                return assert_eq!(after, Some(Duration::ZERO), "it is wanted again");
            }
            End::RequeueAfter(delay) => Some(delay),
            End::Retry { rest } => {
                assert_backoff(after.expect("it is tried again"), known.failures, rest);
                after
            }
            End::Done | End::Terminal => None,
        };
        assert_eq!(after, delay);
        known.due = delay.map(later);
        if end == End::Done {
            self.objects.remove(&object);
        }
    }

    fn forget(&mut self, object: usize) {
        match self.objects.get_mut(&object) {
            Some(Known { call: Some(call), wanted, .. }) => (*call, *wanted) = (Call::Dropped, None),
            Some(Known { wanted, .. }) => {
                if wanted.is_some() {
                    self.left_their_place.insert(object);
                }
                self.objects.remove(&object);
            }
            None => {}
        }
    }

    fn waiting(&self) -> usize {
        self.objects.values().filter(|known| known.call.is_none() && known.wanted.is_some()).count()
    }

    fn in_calls(&self) -> Vec<usize> {
        self.objects.iter().filter(|(_, known)| known.call.is_some()).map(|(object, _)| *object).collect()
    }

    fn agrees_with(&self, queue: &Queue, now: Instant) {
        let due = self.objects.values().filter(|known| known.due.is_some_and(|due| due <= now)).count();
        assert_eq!(queue.depth(now), self.waiting() + due);
        assert_eq!(queue.is_idle(), self.waiting() == 0 && self.in_calls().is_empty());
        assert_eq!(queue.next_due(), self.objects.values().filter_map(|known| known.due).min());
    }
}

/// Whether that is the delay after so many failures, or as long as it has to be at least.
fn assert_backoff(delay: Duration, failures: u32, rest: Duration) {
    let (full, rest) = ((0.005 * 2_f64.powi(failures.cast_signed() - 1)).min(1000.0), rest.as_secs_f64());
    let expected = (full * 0.75).max(rest)..=(full * 1.0001).max(rest);
    assert!(expected.contains(&delay.as_secs_f64()), "{delay:?} of {full} s");
}

/// A queue and its model, to which the same happens.
struct Pair {
    queue: Queue,
    model: Model,
    keys: Vec<ObjectRef>,
    now: Instant,
    /// What has happened, for whom a failure puzzles.
    story: Story,
}

/// Printed if the test fails.
struct Story {
    seed: u64,
    steps: Vec<String>,
}

impl Drop for Story {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("sequence {}:\n  {}", self.seed, self.steps.join("\n  "));
        }
    }
}

impl Pair {
    fn new(seed: u64, objects: usize) -> Self {
        let key = |object| ObjectKey::new(Some("default"), &format!("{object}"));
        let keys = (0..objects).map(|object| ObjectRef { gvk: Gvk::replica_set(), key: key(object) }).collect();
        let story = Story { seed, steps: Vec::new() };
        Self { queue: Queue::new(seed), model: Model::default(), keys, now: Instant::now(), story }
    }

    fn add(&mut self, object: usize, priority: Priority) {
        self.story.steps.push(format!("add {object}, {priority:?}"));
        self.queue.add(&self.keys[object], priority, self.now);
        self.model.add(object, priority);
    }

    fn take(&mut self) -> Option<usize> {
        let taken = self.queue.take(self.now).map(|job| (job.key.key.name().parse().unwrap(), job.attempt));
        self.story.steps.push(format!("take: {taken:?}"));
        self.model.take(taken, self.now);
        taken.map(|(object, _)| object)
    }

    fn finish(&mut self, object: usize, end: End) {
        let after = self.queue.finish(&self.keys[object], end, self.now);
        self.story.steps.push(format!("finish {object}, {end:?}: {after:?}"));
        self.model.finish(object, end, after, self.now);
    }

    fn forget(&mut self, object: usize) {
        self.story.steps.push(format!("forget {object}"));
        self.queue.forget(&self.keys[object]);
        self.model.forget(object);
    }

    fn advance(&mut self, time: Duration) {
        self.story.steps.push(format!("{time:?} later"));
        self.now += time;
    }

    /// Ends everything well, and takes what is left until nothing is.
    fn drain(&mut self) {
        for object in self.model.in_calls() {
            self.finish(object, End::Done);
        }
        while let Some(due) = self.queue.next_due().or((self.queue.depth(self.now) > 0).then_some(self.now)) {
            self.advance(due.saturating_duration_since(self.now));
            while let Some(object) = self.take() {
                self.finish(object, End::Done);
            }
            self.model.agrees_with(&self.queue, self.now);
        }
    }
}

/// How often what happens in a sequence; each has its own, so that some are all events and some all failures.
struct Mix {
    add: u32,
    live: f64,
    take: u32,
    finish: u32,
    forget: u32,
    advance: u32,
}

impl Mix {
    fn random(random: &mut fastrand::Rng) -> Self {
        let mut some = |max| if random.u8(..) < 64 { 0 } else { random.u32(1..=max) };
        let (add, take, finish, forget, advance) = (some(20), some(20), some(20), some(4), some(10));
        Self { add: add + 1, live: random.f64(), take: take + 1, finish: finish + 1, forget, advance }
    }
}

fn random_end(random: &mut fastrand::Rng) -> End {
    match random.u8(..12) {
        0..4 => End::Done,
        4..6 => End::RequeueAfter(random_time(random)),
        6..8 => End::Retry { rest: Duration::ZERO },
        8 => End::Retry { rest: random_time(random) },
        9 => End::Terminal,
        _ => End::Hold(random_time(random)),
    }
}

/// From nothing to more than any delay in the test, in steps so that some are due at the same time.
fn random_time(random: &mut fastrand::Rng) -> Duration {
    match random.u8(..10) {
        0 => Duration::ZERO,
        1 => Duration::MAX,
        2..6 => Duration::from_millis(random.u64(..50)),
        _ => Duration::from_secs(random.u64(..5)),
    }
}

#[test]
fn whatever_happens_the_queue_does_what_its_model_does() {
    for seed in 0..SEQUENCES {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut pair = Pair::new(seed, random.usize(1..=24));
        let mix = Mix::random(&mut random);
        // Short ones first, so that what fails is easy to read.
        for _ in 0..10 + seed / 20 {
            let object = random.usize(..pair.keys.len());
            let Mix { add, live, take, finish, forget, advance } = mix;
            let choice = random.u32(..add + take + finish + forget + advance);
            if choice < add {
                pair.add(object, if random.f64() < live { Priority::Live } else { Priority::Backlog });
            } else if choice < add + take {
                pair.take();
            } else if choice < add + take + finish {
                if let Some(object) = random.choice(pair.model.in_calls()) {
                    pair.finish(object, random_end(&mut random));
                }
            } else if choice < add + take + finish + forget {
                pair.forget(object);
            } else {
                pair.advance(random_time(&mut random).min(Duration::from_secs(10)));
            }
            pair.model.agrees_with(&pair.queue, pair.now);
        }
        pair.drain();
        let forgotten = pair.model.objects.values().filter(|known| known.failures == 0).count();
        assert_eq!(forgotten, 0, "what is left are failures to be remembered");
        assert_eq!(pair.queue.entries.len(), pair.model.objects.len());
    }
}
