//! The work queue of one plugin: what to reconcile, and when.
//!
//! Invariants:
//! - an object is in the queue at most once, however many events there were;
//! - an object is not taken again before its call has ended;
//! - what is added during a call is taken again after it;
//! - waiting live work is taken before waiting backlog, which yet has its turn from time to time.
//!
//! The queue is pure: time is passed in, and it never waits.

mod listing;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, Instant};

use crate::object::ObjectRef;

pub use listing::{Counts, Later, Listing, Next};

/// The delay after the first failure of an object; each further one doubles it.
pub const BACKOFF_BASE: Duration = Duration::from_millis(5);
/// The longest delay.
pub const BACKOFF_MAX: Duration = Duration::from_secs(1000);

/// After so many live objects in a row, one of the backlog has its turn, so that a stream of events cannot keep it waiting
/// for ever.
const LIVE_IN_A_ROW: u32 = 16;

/// Room for so many objects is kept when there is none in the queue.
const KEPT: usize = 64;

/// Which waiting work goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// Nothing happened to the object: it is of the first list, or comes back after a reload, a failure or a requeue.
    Backlog,
    /// Something happened to the object.
    Live,
}

/// How a call ended, as far as the queue is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Nothing more to do until the object changes.
    Done,
    /// To be called again after this time, or at a change if that is sooner.
    RequeueAfter(Duration),
    /// Failed: to be tried again after a backoff, or at a change if that is sooner.
    Retry {
        /// Not before this time is over, even if something happens to the object.
        rest: Duration,
    },
    /// Failed: not to be tried again until the object changes.
    Terminal,
    /// To be called again after this time and not before, even if something happens to the object.
    Hold(Duration),
}

/// An object taken from the queue.
#[derive(Debug, PartialEq, Eq)]
pub struct Job {
    /// The object to reconcile.
    pub key: ObjectRef,
    /// How many of its calls have failed since the last one that did not.
    pub attempt: u32,
    /// Why it is to be reconciled.
    pub priority: Priority,
    /// For how long it could have been taken.
    pub waited: Duration,
}

/// What there is to count about a queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// How many live objects can be taken.
    pub live: usize,
    /// How many objects of the backlog can be taken.
    pub backlog: usize,
    /// How many objects were taken and are not finished.
    pub running: usize,
    /// How often an object came to wait.
    pub adds: u64,
    /// How often an object is tried again because it failed.
    pub retries: u64,
}

/// The work queue of one plugin.
#[derive(Debug)]
pub struct Queue {
    entries: HashMap<ObjectRef, Entry>,
    /// Keys in the order they came, by priority. A key whose entry is not waiting with that priority is stale.
    live: VecDeque<ObjectRef>,
    backlog: VecDeque<ObjectRef>,
    /// Keys by the time at which they are due; the number tells apart those of the same time.
    delayed: BTreeMap<(Instant, u64), ObjectRef>,
    next_delayed: u64,
    /// How many live objects were taken since the last one of the backlog.
    live_in_a_row: u32,
    /// How many objects wait, by priority.
    waiting: [usize; 2],
    running: usize,
    /// How often an object came to wait.
    added: u64,
    /// How many objects' last calls have failed.
    failing: usize,
    /// How often an object was taken.
    taken: u64,
    /// How often an object was to be tried again.
    retried: u64,
    jitter: fastrand::Rng,
}

#[derive(Debug)]
struct Entry {
    state: State,
    failures: u32,
}

#[derive(Debug)]
enum State {
    /// Since then.
    Waiting(Priority, Instant),
    Delayed((Instant, u64)),
    /// Delayed, and an event makes it due by then and not before.
    Held((Instant, u64), Instant),
    Running {
        again: Option<Priority>,
        /// Nothing comes after the call, whatever its end.
        last: bool,
    },
    /// After a terminal failure, to remember the failures.
    Resting,
}

impl Queue {
    /// An empty queue. `seed` decides the jitter of its backoff.
    pub fn new(seed: u64) -> Self {
        Self {
            entries: HashMap::new(),
            live: VecDeque::new(),
            backlog: VecDeque::new(),
            delayed: BTreeMap::new(),
            next_delayed: 0,
            live_in_a_row: 0,
            waiting: [0; 2],
            running: 0,
            added: 0,
            failing: 0,
            taken: 0,
            retried: 0,
            jitter: fastrand::Rng::with_seed(seed),
        }
    }

    /// Asks for the object to be reconciled, now or right after the call that it is in.
    pub fn add(&mut self, key: &ObjectRef, priority: Priority, now: Instant) {
        match self.entries.get_mut(key).map(|entry| &mut entry.state) {
            Some(State::Running { again, last }) => {
                *again = (*again).max(Some(priority));
                *last = false;
            }
            Some(State::Held(due, until)) => {
                let (due, until) = (*due, *until);
                if until < due.0 {
                    self.delayed.remove(&due);
                    self.delay(key.clone(), until, |due| State::Held(due, until));
                }
            }
            Some(State::Waiting(known, _)) if *known >= priority => {}
            _ => self.wait(key.clone(), priority, now),
        }
    }

    /// Takes the object whose turn it is.
    pub fn take(&mut self, now: Instant) -> Option<Job> {
        while let Some(due) = self.delayed.first_entry().filter(|due| due.key().0 <= now) {
            let (since, key) = (due.key().0, due.get().clone());
            self.wait(key, Priority::Backlog, since);
        }
        let (key, priority, since) = self.pop()?;
        let entry = self.entries.get_mut(&key)?;
        entry.state = State::Running { again: None, last: false };
        self.waiting[priority as usize] -= 1;
        self.running += 1;
        self.taken += 1;
        Some(Job { attempt: entry.failures, key, priority, waited: now.saturating_duration_since(since) })
    }

    /// The call for an object that was taken begins only now, and with what the object is now: what was asked for until
    /// now is done by it.
    pub fn begin(&mut self, key: &ObjectRef) {
        if let Some(State::Running { again, .. }) = self.entries.get_mut(key).map(|entry| &mut entry.state) {
            *again = None;
        }
    }

    /// Tells how the call for an object that was taken has ended. Returns the delay after which it is taken again
    /// though nothing happens; none if there is no such time.
    pub fn finish(&mut self, key: &ObjectRef, end: End, now: Instant) -> Option<Duration> {
        let entry = self.entries.get_mut(key)?;
        let State::Running { again, last } = entry.state else { return None };
        self.running -= 1;
        self.failing -= usize::from(entry.failures > 0);
        entry.failures = match end {
            End::Done | End::RequeueAfter(_) | End::Hold(_) => 0,
            End::Retry { .. } | End::Terminal => entry.failures.saturating_add(1),
        };
        self.failing += usize::from(entry.failures > 0);
        entry.state = State::Resting;
        if last {
            self.remove(key);
            return None;
        }
        let hold = match end {
            End::Hold(hold) => Some(hold),
            End::Retry { rest } if !rest.is_zero() => Some(rest),
            _ => None,
        };
        self.retried += u64::from(matches!(end, End::Retry { .. }));
        if let (Some(priority), None) = (again, hold) {
            self.wait(key.clone(), priority, now);
            return Some(Duration::ZERO);
        }
        let delay = match end {
            End::Done => {
                self.remove(key);
                return None;
            }
            End::Terminal => return None,
            End::RequeueAfter(delay) | End::Hold(delay) => delay,
            End::Retry { rest } if again.is_some() => rest,
            End::Retry { rest } => backoff(entry.failures).mul_f64(1.0 - self.jitter.f64() / 4.0).max(rest),
        };
        let state = |due| match hold {
            None => State::Delayed(due),
            Some(hold) => State::Held(due, later(now, hold)),
        };
        self.delay(key.clone(), later(now, delay), state);
        Some(delay)
    }

    /// Lets go of what is held: it is taken as soon as it is its turn.
    pub fn release(&mut self, now: Instant) {
        let is_held =
            |key: &&ObjectRef| matches!(self.entries.get(*key).map(|entry| &entry.state), Some(State::Held(..)));
        let held: Vec<_> = self.delayed.values().filter(is_held).cloned().collect();
        for key in held {
            self.wait(key, Priority::Backlog, now);
        }
    }

    /// Drops the object: it is not taken, or not taken again after the call that it is in, unless it is added again.
    pub fn forget(&mut self, key: &ObjectRef) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        match &mut entry.state {
            State::Running { again, last } => {
                (*again, *last) = (None, true);
                return;
            }
            State::Waiting(priority, _) => self.waiting[*priority as usize] -= 1,
            State::Delayed(due) | State::Held(due, _) => drop(self.delayed.remove(due)),
            State::Resting => {}
        }
        self.remove(key);
    }

    /// The objects whose last call has failed, or that something has happened to since.
    pub fn unfinished(&self) -> impl Iterator<Item = &ObjectRef> {
        let is_unfinished =
            |entry: &Entry| entry.failures > 0 || matches!(entry.state, State::Waiting(..) | State::Running { .. });
        self.entries.iter().filter(move |(_, entry)| is_unfinished(entry)).map(|(key, _)| key)
    }

    /// All objects that there is something to remember about.
    pub fn keys(&self) -> impl Iterator<Item = &ObjectRef> {
        self.entries.keys()
    }

    /// When the next delayed object is due. None: nothing is delayed.
    pub fn next_due(&self) -> Option<Instant> {
        self.delayed.first_key_value().map(|((due, _), _)| *due)
    }

    /// How many objects can be taken: those that wait, and those whose delay is over.
    pub fn depth(&self, now: Instant) -> usize {
        let Figures { live, backlog, .. } = self.figures(now);
        live + backlog
    }

    /// What there is to count.
    pub fn figures(&self, now: Instant) -> Figures {
        let [backlog, live] = self.waiting;
        let due = self.delayed.range(..=(now, u64::MAX)).count();
        Figures { live, backlog: backlog + due, running: self.running, adds: self.added, retries: self.retried }
    }

    /// Whether an object waits to be taken, or will.
    pub fn has_more(&self) -> bool {
        self.is_waiting() || !self.delayed.is_empty()
    }

    /// Whether nothing waits and nothing is in a call; delayed objects do not count.
    pub fn is_idle(&self) -> bool {
        !self.is_waiting() && self.running == 0
    }

    /// If there is something to be taken and nothing is in a call: how often something was taken until now.
    pub fn left_since(&self, now: Instant) -> Option<u64> {
        let has_some = self.is_waiting() || self.next_due().is_some_and(|due| due <= now);
        (has_some && self.running == 0).then_some(self.taken)
    }

    fn is_waiting(&self) -> bool {
        self.waiting != [0; 2]
    }

    fn remove(&mut self, key: &ObjectRef) {
        let failures = self.entries.remove(key).map_or(0, |entry| entry.failures);
        self.failing -= usize::from(failures > 0);
        if self.entries.is_empty() && self.entries.capacity() > KEPT {
            // It had all objects to reconcile, and will not have so many again soon. What keys there are, are stale.
            (self.entries, self.live, self.backlog) = Default::default();
        }
    }

    /// Makes the object waiting, whatever it was but running.
    fn wait(&mut self, key: ObjectRef, priority: Priority, since: Instant) {
        let entry = self.entries.entry(key.clone()).or_insert(Entry { state: State::Resting, failures: 0 });
        if let State::Delayed(due) | State::Held(due, _) = entry.state {
            self.delayed.remove(&due);
        }
        let since = if let State::Waiting(before, known) = entry.state {
            self.waiting[before as usize] -= 1;
            known
        } else {
            self.added += 1;
            since
        };
        self.waiting[priority as usize] += 1;
        entry.state = State::Waiting(priority, since);
        match priority {
            Priority::Live => self.live.push_back(key),
            Priority::Backlog => self.backlog.push_back(key),
        }
    }

    fn delay(&mut self, key: ObjectRef, due: Instant, state: impl FnOnce((Instant, u64)) -> State) {
        let due = (due, self.next_delayed);
        self.next_delayed += 1;
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.state = state(due);
            self.delayed.insert(due, key);
        }
    }

    fn pop(&mut self) -> Option<(ObjectRef, Priority, Instant)> {
        let mut order = [Priority::Live, Priority::Backlog];
        if self.live_in_a_row >= LIVE_IN_A_ROW {
            order.reverse();
        }
        for priority in order {
            let keys = match priority {
                Priority::Live => &mut self.live,
                Priority::Backlog => &mut self.backlog,
            };
            while let Some(key) = keys.pop_front() {
                if let Some(&State::Waiting(waiting, since)) = self.entries.get(&key).map(|entry| &entry.state)
                    && waiting == priority
                {
                    self.live_in_a_row =
                        if priority == Priority::Live { self.live_in_a_row.saturating_add(1) } else { 0 };
                    return Some((key, priority, since));
                }
            }
        }
        None
    }
}

/// That much later. What is past what the clock can hold is for ever, and a day is as good as that.
fn later(now: Instant, delay: Duration) -> Instant {
    now.checked_add(delay).unwrap_or(now + Duration::from_hours(24))
}

/// The delay after that many failures, before jitter.
fn backoff(failures: u32) -> Duration {
    let factor = 2_u32.saturating_pow(failures.saturating_sub(1));
    BACKOFF_BASE.saturating_mul(factor).min(BACKOFF_MAX)
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::{Gvk, ObjectKey};

    const RETRY: End = End::Retry { rest: Duration::ZERO };

    fn key(name: &str) -> ObjectRef {
        ObjectRef { gvk: Gvk::replica_set(), key: ObjectKey::new(Some("default"), name) }
    }

    fn taken(queue: &mut Queue, now: Instant) -> Option<String> {
        queue.take(now).map(|job| job.key.key.name().to_owned())
    }

    #[test]
    fn an_object_is_queued_once_however_many_events_there_are() {
        let (mut queue, now) = (Queue::new(0), Instant::now());
        for _ in 0..3 {
            queue.add(&key("a"), Priority::Live, now);
            queue.add(&key("a"), Priority::Backlog, now);
        }
        assert_eq!(queue.depth(now), 1);
        assert_eq!(taken(&mut queue, now).as_deref(), Some("a"));
        assert_eq!(taken(&mut queue, now), None);
    }

    #[test]
    fn what_comes_to_wait_and_what_is_tried_again_is_counted_and_so_is_the_time_until_it_is_taken() {
        let (mut queue, now) = (Queue::new(0), Instant::now());
        let (second, later) = (Duration::from_secs(1), now + Duration::from_mins(1));
        queue.add(&key("a"), Priority::Backlog, now);
        queue.add(&key("a"), Priority::Live, now + second);
        queue.add(&key("b"), Priority::Backlog, now);
        let figures = Figures { live: 1, backlog: 1, running: 0, adds: 2, retries: 0 };
        assert_eq!(queue.figures(now), figures, "lifted, it has not come anew");
        assert_eq!(queue.take(now + 2 * second).unwrap().waited, 2 * second, "since it first came");
        queue.add(&key("a"), Priority::Live, now + 3 * second);
        queue.finish(&key("a"), End::RequeueAfter(second), now + 5 * second);
        assert_eq!(queue.take(now + 6 * second).unwrap().waited, second, "it could not be taken during its call");
        queue.finish(&key("a"), RETRY, now + 6 * second);
        let figures = Figures { live: 0, backlog: 2, running: 0, adds: 3, retries: 1 };
        assert_eq!(queue.figures(later), figures);
        let mut waited = [(); 2].map(|()| queue.take(later).unwrap().waited);
        waited.sort();
        assert!(waited[0] > 53 * second && waited[0] < 54 * second, "since it was due: {waited:?}");
        assert_eq!(waited[1], 60 * second);
        assert_eq!(queue.figures(later), Figures { live: 0, backlog: 0, running: 2, adds: 4, retries: 1 });
    }

    #[test]
    fn work_is_left_when_it_could_be_taken_and_nothing_is_in_a_call() {
        let (mut queue, now) = (Queue::new(0), Instant::now());
        assert_eq!(queue.left_since(now), None);
        queue.add(&key("a"), Priority::Live, now);
        queue.add(&key("b"), Priority::Live, now);
        assert_eq!(queue.left_since(now), Some(0));
        queue.take(now).unwrap();
        assert_eq!(queue.left_since(now), None, "the other one has to wait");
        queue.finish(&key("a"), End::RequeueAfter(Duration::from_secs(1)), now);
        assert_eq!(queue.left_since(now), Some(1));
        queue.take(now).unwrap();
        queue.finish(&key("b"), End::Done, now);
        assert_eq!(queue.left_since(now), None, "it is not due yet");
        assert_eq!(queue.left_since(now + Duration::from_secs(1)), Some(2));
    }

    #[test]
    fn live_work_goes_before_backlog_and_lifts_an_object_out_of_it() {
        let (mut queue, now) = (Queue::new(0), Instant::now());
        for name in ["a", "b", "c"] {
            queue.add(&key(name), Priority::Backlog, now);
        }
        queue.add(&key("d"), Priority::Live, now);
        queue.add(&key("c"), Priority::Live, now);
        let order: Vec<_> = std::iter::from_fn(|| taken(&mut queue, now)).collect();
        assert_eq!(order, ["d", "c", "a", "b"]);
    }

    #[test]
    fn an_object_in_a_call_is_taken_again_only_after_it() {
        let (mut queue, now) = (Queue::new(0), Instant::now());
        queue.add(&key("a"), Priority::Live, now);
        assert_eq!(taken(&mut queue, now).as_deref(), Some("a"));
        queue.add(&key("a"), Priority::Backlog, now);
        assert_eq!(taken(&mut queue, now), None);
        assert!(!queue.is_idle());
        queue.finish(&key("a"), End::Done, now);
        assert_eq!(taken(&mut queue, now).as_deref(), Some("a"));
        queue.finish(&key("a"), End::Done, now);
        assert!(queue.is_idle() && queue.entries.is_empty());
    }

    #[test]
    fn what_is_asked_for_before_a_call_begins_is_done_by_it_and_what_comes_later_is_not() {
        let (mut queue, now) = (Queue::new(0), Instant::now());
        queue.add(&key("a"), Priority::Live, now);
        queue.take(now).unwrap();
        queue.add(&key("a"), Priority::Live, now);
        queue.begin(&key("a"));
        queue.finish(&key("a"), End::Done, now);
        assert_eq!(taken(&mut queue, now), None);
        queue.add(&key("a"), Priority::Live, now);
        queue.take(now).unwrap();
        queue.begin(&key("a"));
        queue.add(&key("a"), Priority::Live, now);
        queue.finish(&key("a"), End::Done, now);
        assert_eq!(taken(&mut queue, now).as_deref(), Some("a"));
    }

    #[test]
    fn failures_back_off_doubling_with_jitter_up_to_the_longest_delay() {
        let (mut queue, mut now) = (Queue::new(7), Instant::now());
        queue.add(&key("a"), Priority::Live, now);
        for failures in 1..=25 {
            let job = queue.take(now).unwrap();
            assert_eq!(job.attempt, failures - 1);
            queue.finish(&job.key, RETRY, now);
            let delay = queue.next_due().unwrap() - now;
            let full = backoff(failures);
            assert!(delay <= full && delay >= full.mul_f64(0.75), "{failures}: {delay:?} of {full:?}");
            assert_eq!(queue.take(now), None, "not before it is due");
            now += delay;
        }
        assert_eq!(backoff(1), BACKOFF_BASE);
        assert_eq!(backoff(u32::MAX), BACKOFF_MAX);
    }

    #[test]
    fn success_resets_the_backoff_and_an_event_does_not() {
        let (mut queue, now) = (Queue::new(0), Instant::now());
        queue.add(&key("a"), Priority::Live, now);
        let job = queue.take(now).unwrap();
        queue.finish(&job.key, RETRY, now);
        queue.add(&key("a"), Priority::Live, now);
        assert_eq!(queue.take(now).unwrap().attempt, 1, "at once, and the failure is remembered");
        assert_eq!(queue.next_due(), None, "the retry it replaces is gone");
        queue.finish(&key("a"), End::Done, now);
        queue.add(&key("a"), Priority::Live, now);
        assert_eq!(queue.take(now).unwrap().attempt, 0);
    }

    #[test]
    fn a_stream_of_events_does_not_keep_the_backlog_waiting_for_ever() {
        let (mut queue, now) = (Queue::new(0), Instant::now());
        queue.add(&key("backlog"), Priority::Backlog, now);
        let turn = (0..100).position(|event| {
            queue.add(&key(&format!("live-{event}")), Priority::Live, now);
            taken(&mut queue, now).unwrap() == "backlog"
        });
        assert_eq!(turn, Some(16));
        assert!(taken(&mut queue, now).unwrap().starts_with("live-"), "the others are not lost");
    }

    #[test]
    fn what_comes_back_does_not_keep_the_backlog_waiting() {
        let (mut queue, now) = (Queue::new(0), Instant::now());
        queue.add(&key("again"), Priority::Live, now);
        queue.add(&key("backlog"), Priority::Backlog, now);
        queue.take(now).unwrap();
        queue.finish(&key("again"), End::RequeueAfter(Duration::ZERO), now);
        let order: Vec<_> = std::iter::from_fn(|| taken(&mut queue, now)).collect();
        assert_eq!(order, ["backlog", "again"]);
    }

    #[test]
    fn a_terminal_failure_waits_for_a_change_and_a_requeue_for_its_time() {
        let (mut queue, now) = (Queue::new(0), Instant::now());
        queue.add(&key("a"), Priority::Live, now);
        queue.take(now).unwrap();
        queue.finish(&key("a"), End::Terminal, now);
        assert!(queue.is_idle() && queue.next_due().is_none());
        queue.add(&key("a"), Priority::Live, now);
        assert_eq!(queue.take(now).unwrap().attempt, 1);
        queue.finish(&key("a"), End::RequeueAfter(Duration::from_mins(1)), now);
        assert_eq!(queue.next_due(), Some(now + Duration::from_mins(1)));
        assert_eq!(queue.take(now + Duration::from_secs(59)), None);
        assert_eq!(queue.take(now + Duration::from_mins(1)).unwrap().attempt, 0);
        queue.finish(&key("a"), End::RequeueAfter(Duration::MAX), now);
        assert!(queue.next_due().is_some());
    }

    #[test]
    fn what_is_held_is_not_taken_before_its_time_whatever_happens() {
        let (mut queue, now) = (Queue::new(0), Instant::now());
        queue.add(&key("a"), Priority::Live, now);
        queue.take(now).unwrap();
        queue.add(&key("a"), Priority::Live, now);
        queue.finish(&key("a"), End::Hold(Duration::from_secs(2)), now);
        queue.add(&key("a"), Priority::Live, now);
        assert_eq!(queue.take(now + Duration::from_secs(1)), None);
        assert_eq!(taken(&mut queue, now + Duration::from_secs(2)).as_deref(), Some("a"));
        queue.finish(&key("a"), End::Hold(Duration::from_secs(2)), now);
        queue.release(now);
        assert_eq!(taken(&mut queue, now).as_deref(), Some("a"));
    }

    #[test]
    fn what_is_to_rest_is_taken_after_its_backoff_or_at_a_change_and_not_before_the_rest_is_over() {
        let (mut queue, now) = (Queue::new(0), Instant::now());
        let (second, end) = (Duration::from_secs(1), End::Retry { rest: Duration::from_secs(2) });
        queue.add(&key("a"), Priority::Live, now);
        for failures in 0..20 {
            let later = now + 3 * second * failures;
            queue.add(&key("a"), Priority::Live, now);
            assert_eq!(queue.take(later).unwrap().attempt, failures);
            let again = queue.finish(&key("a"), end, later).unwrap();
            assert!(again >= 2 * second && again >= backoff(failures + 1).mul_f64(0.75), "{failures}: {again:?}");
            // Every second time the change comes while it rests.
            if failures % 2 == 0 {
                queue.add(&key("a"), Priority::Live, now);
                assert_eq!(queue.next_due(), Some(later + 2 * second));
            }
            assert_eq!(queue.take(later + second), None);
        }
        queue.forget(&key("a"));
        queue.add(&key("a"), Priority::Live, now);
        queue.take(now).unwrap();
        queue.add(&key("a"), Priority::Live, now);
        assert_eq!(queue.finish(&key("a"), end, now), Some(2 * second), "what has come meanwhile");
        assert_eq!((queue.take(now + second), queue.next_due()), (None, Some(now + 2 * second)));
    }

    #[test]
    fn what_is_forgotten_does_not_come_back_by_itself() {
        let (mut queue, now) = (Queue::new(0), Instant::now());
        for name in ["waiting", "running", "delayed"] {
            queue.add(&key(name), Priority::Live, now);
        }
        queue.forget(&key("waiting"));
        assert_eq!(taken(&mut queue, now).as_deref(), Some("running"));
        assert_eq!(taken(&mut queue, now).as_deref(), Some("delayed"));
        queue.finish(&key("delayed"), RETRY, now);
        queue.forget(&key("delayed"));
        queue.add(&key("running"), Priority::Live, now);
        queue.forget(&key("running"));
        queue.finish(&key("running"), RETRY, now);
        assert!(queue.is_idle() && queue.next_due().is_none() && queue.entries.is_empty());
    }

    #[test]
    fn a_queue_that_has_worked_off_much_takes_little_memory() {
        let (mut queue, now) = (Queue::new(0), Instant::now());
        for turn in 0..2 {
            for name in 0..1000 {
                let priority = if name % 2 == 0 { Priority::Live } else { Priority::Backlog };
                queue.add(&key(&name.to_string()), priority, now);
            }
            while let Some(job) = queue.take(now) {
                queue.finish(&job.key, End::Done, now);
            }
            let kept = queue.entries.capacity() + queue.live.capacity() + queue.backlog.capacity();
            assert!(queue.is_idle() && kept <= 3 * KEPT, "{turn}: {kept}");
        }
    }
}
