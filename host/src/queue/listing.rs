//! What is in a queue, for people.

use std::collections::HashSet;
use std::time::Instant;

use super::{Priority, Queue, State};
use crate::object::ObjectRef;

/// So many keys that are stale are passed over at most.
const STALE: usize = 1000;

/// How many objects there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// That can be taken.
    pub waiting: usize,
    /// That are due later.
    pub delayed: usize,
    /// That are in a call.
    pub running: usize,
    /// Whose last call has failed.
    pub failing: usize,
}

/// What waits, and what is due later: the first of each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// How many there are.
    pub counts: Counts,
    /// What can be taken, about in the order in which it is.
    pub waiting: Vec<Next>,
    /// What is due later, in the order in which it is.
    pub delayed: Vec<Later>,
}

/// An object that can be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Next {
    /// Which one.
    pub key: ObjectRef,
    /// Why it is to be reconciled.
    pub priority: Priority,
    /// How many of its calls have failed since the last one that did not.
    pub attempt: u32,
}

/// An object that is due later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Later {
    /// Which one.
    pub key: ObjectRef,
    /// When.
    pub due: Instant,
    /// Whether it is not taken before even if something happens to it.
    pub held: bool,
    /// How many of its calls have failed since the last one that did not.
    pub attempt: u32,
}

impl Queue {
    /// How many objects there are.
    pub fn counts(&self, now: Instant) -> Counts {
        let due = self.delayed.range(..=(now, u64::MAX)).count();
        let (waiting, delayed) = (self.depth(now), self.delayed.len() - due);
        Counts { waiting, delayed, running: self.running, failing: self.failing }
    }

    /// The first `limit` objects that wait, and as many that are due later. It takes no longer the more there are.
    pub fn list(&self, limit: usize, now: Instant) -> Listing {
        let mut listing = Listing { counts: self.counts(now), ..Listing::default() };
        let mut seen = HashSet::new();
        let by_priority = [(&self.live, Priority::Live), (&self.backlog, Priority::Backlog)];
        let keys = by_priority.into_iter().flat_map(|(keys, priority)| keys.iter().map(move |key| (key, priority)));
        for (key, priority) in keys.take(limit + STALE) {
            if listing.waiting.len() == limit {
                break;
            }
            let entry = self.entries.get(key);
            let entry = entry.filter(|entry| matches!(entry.state, State::Waiting(waiting, ..) if waiting == priority));
            if let Some(entry) = entry.filter(|_| seen.insert(key)) {
                listing.waiting.push(Next { key: key.clone(), priority, attempt: entry.failures });
            }
        }
        for ((due, _), key) in self.delayed.iter().take(limit) {
            let Some(entry) = self.entries.get(key) else { continue };
            let attempt = entry.failures;
            if *due > now {
                let held = matches!(entry.state, State::Held(..));
                listing.delayed.push(Later { key: key.clone(), due: *due, held, attempt });
            } else if listing.waiting.len() < limit {
                listing.waiting.push(Next { key: key.clone(), priority: Priority::Backlog, attempt });
            }
        }
        listing
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::object::{Gvk, ObjectKey};
    use crate::queue::End;

    fn key(name: &str) -> ObjectRef {
        ObjectRef { gvk: Gvk::replica_set(), key: ObjectKey::new(Some("default"), name) }
    }

    #[test]
    fn what_waits_is_told_in_its_order_and_what_is_left_out_is_counted() {
        let (mut queue, now) = (Queue::new(0), Instant::now());
        for number in 0..5000 {
            queue.add(&key(&number.to_string()), Priority::Backlog, now);
        }
        queue.add(&key("7"), Priority::Live, now);
        let Listing { counts, waiting, .. } = queue.list(3, now);
        let names: Vec<_> = waiting.iter().map(|next| (next.key.key.name(), next.priority)).collect();
        assert_eq!(names, [("7", Priority::Live), ("0", Priority::Backlog), ("1", Priority::Backlog)]);
        assert_eq!(counts, Counts { waiting: 5000, ..Counts::default() });
    }

    #[test]
    fn what_failed_is_told_with_its_attempt_and_when_it_is_due() {
        let (mut queue, now) = (Queue::new(0), Instant::now());
        for (name, end) in [
            ("requeued", End::RequeueAfter(Duration::from_mins(2))),
            ("held", End::Hold(Duration::from_mins(3))),
            ("failed", End::Retry { rest: Duration::from_mins(1) }),
            ("never", End::Terminal),
        ] {
            queue.add(&key(name), Priority::Live, now);
            queue.take(now).unwrap();
            queue.finish(&key(name), end, now);
        }
        queue.add(&key("running"), Priority::Live, now);
        queue.take(now).unwrap();
        let Listing { counts, delayed, .. } = queue.list(10, now);
        assert_eq!(counts, Counts { waiting: 0, delayed: 3, running: 1, failing: 2 });
        let told: Vec<_> = delayed.iter().map(|later| (later.key.key.name(), later.held, later.attempt)).collect();
        assert_eq!(told, [("failed", true, 1), ("requeued", false, 0), ("held", true, 0)]);
        assert_eq!(delayed[1].due, now + Duration::from_mins(2));
        let listing = queue.list(10, now + Duration::from_secs(90));
        assert_eq!((listing.waiting[0].key.key.name(), listing.waiting[0].attempt), ("failed", 1));
        assert_eq!((listing.counts.waiting, listing.delayed.len()), (1, 2));
        queue.forget(&key("never"));
        assert_eq!(queue.take(now + Duration::from_secs(90)).unwrap().key, key("failed"));
        queue.finish(&key("failed"), End::Done, now);
        assert_eq!(queue.counts(now).failing, 0);
    }
}
