//! Which replica holds which shard, by Leases of the API server. Pure: time is passed in.
//!
//! A shard is held by whoever stands in its Lease, for a part of the Lease's duration counted from when the write that
//! says so was *asked for*. Others take it only if they have seen the same version of the Lease for a longer part of its
//! duration, counted from when they had *seen* it, and only by a write that the API server refuses if the Lease is
//! another by then. So two replicas never hold a shard at once, however long messages take and however their clocks are
//! set; what counts is only that clocks run about equally fast.
//!
//! Each replica also keeps a Lease that says that it is there, if there is more than one shard: it tells everybody how many
//! shards each is to have.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// What the election goes by, all of it from how long a Lease lasts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    /// How long a Lease lasts.
    pub(super) lease: Duration,
}

impl Times {
    /// How often to look.
    pub(super) fn poll(self) -> Duration {
        self.lease / 15
    }

    /// How often what is held is renewed.
    fn renew(self) -> Duration {
        self.lease / 5
    }

    /// How long an answer of the API server is waited for.
    pub(super) fn answer(self) -> Duration {
        self.lease / 5
    }

    /// How long a shard is held after the write that says so was asked for.
    fn valid(self) -> Duration {
        self.lease * 3 / 5
    }
}

/// For how long a Lease of that duration is left to its holder after it was last seen to change. With what it takes
/// to see that, another replica holds it before the duration is over.
fn patience(duration: Duration) -> Duration {
    duration * 3 / 4
}

/// A Lease, as the API server has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lease {
    pub(super) name: LeaseName,
    /// `metadata.resourceVersion`.
    pub(super) version: String,
    /// `spec.holderIdentity`; empty: nobody.
    pub(super) holder: String,
    /// `spec.leaseDurationSeconds`.
    pub(super) duration: Duration,
    /// `spec.leaseTransitions`.
    pub(super) transitions: i32,
}

/// What a Lease is of.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum LeaseName {
    /// A shard, of how many.
    Shard { number: usize, of: usize },
    /// A replica that is there.
    Member(String),
}

/// What is to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Write {
    /// A new Lease that this replica holds.
    Create(LeaseName),
    /// That this replica holds the Lease, from now on or again.
    Hold(Lease),
    /// That nobody holds the Lease any more.
    Release(Lease),
    /// The Lease is not there any more.
    Remove(Lease),
}

/// What came of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// The Lease is this now; none if it is gone.
    Done(Option<Lease>),
    /// It was another Lease by then.
    Refused,
}

impl Write {
    pub(super) fn name(&self) -> &LeaseName {
        match self {
            Self::Create(name) => name,
            Self::Hold(lease) | Self::Release(lease) | Self::Remove(lease) => &lease.name,
        }
    }
}

/// One replica's part in the election.
pub(super) struct Election {
    me: String,
    shards: usize,
    times: Times,
    known: BTreeMap<LeaseName, Known>,
    /// Whether the Leases were seen at all.
    listed: bool,
    /// Until when this replica holds a Lease, by its own writes.
    held: BTreeMap<LeaseName, Instant>,
    /// Shards that are being given up.
    leaving: BTreeSet<usize>,
    /// When a shard was last given up.
    given_up: BTreeMap<usize, Instant>,
}

struct Known {
    lease: Lease,
    /// Since when it is known to be of that version.
    since: Instant,
    /// When the write was asked for that made it so, if it was this replica's.
    written: Option<Instant>,
}

impl Known {
    fn is_free(&self, now: Instant) -> bool {
        self.lease.holder.is_empty() || now.saturating_duration_since(self.since) >= patience(self.lease.duration)
    }

    /// Whether it is of a write that was answered after that.
    fn is_newer_than(&self, asked: Instant) -> bool {
        self.written.is_some() && self.since >= asked
    }
}

impl Election {
    /// Nothing is known yet. `me` is like no other replica's.
    pub(super) fn new(me: String, shards: usize, times: Times) -> Self {
        let (known, held, leaving, given_up) = Default::default();
        Self { me, shards, times, known, listed: false, held, leaving, given_up }
    }

    pub(super) fn times(&self) -> Times {
        self.times
    }

    /// Takes in all Leases that there are, which were asked for at `asked`.
    pub(super) fn heard(&mut self, leases: Vec<Lease>, asked: Instant, now: Instant) {
        self.listed = true;
        let mut before = std::mem::take(&mut self.known);
        for lease in leases {
            let known = match before.remove(&lease.name) {
                // The list may be older than the answer to a write that was asked for since.
                Some(known) if known.lease.version == lease.version || known.is_newer_than(asked) => known,
                _ => Known { lease, since: now, written: None },
            };
            self.known.insert(known.lease.name.clone(), known);
        }
        // So may be what is not in it.
        self.known.extend(before.into_iter().filter(|(_, known)| known.is_newer_than(asked)));
        let is_mine = |name: &LeaseName| self.known.get(name).is_some_and(|known| known.lease.holder == self.me);
        self.held.retain(|name, _| is_mine(name));
    }

    /// What has to be written for this replica to go on holding what it holds.
    pub(super) fn renewals(&self, now: Instant) -> Vec<Write> {
        let is_due = |known: &&Known| {
            let written = known.written.filter(|_| self.held.contains_key(&known.lease.name));
            written.is_none_or(|written| now.saturating_duration_since(written) >= self.times.renew())
        };
        let stays = |known: &&Known| match &known.lease.name {
            LeaseName::Shard { number, of } => *of == self.shards && !self.leaving.contains(number),
            LeaseName::Member(_) => true,
        };
        let mine = self.known.values().filter(|known| known.lease.holder == self.me);
        mine.filter(stays).filter(is_due).map(|known| Write::Hold(known.lease.clone())).collect()
    }

    /// What has to be written for every replica to hold its share of the shards. Shards to be released have to be closed
    /// before.
    pub(super) fn moves(&mut self, now: Instant) -> Vec<Write> {
        let mut writes = Vec::new();
        if !self.listed {
            return writes;
        }
        let me = LeaseName::Member(self.me.clone());
        if self.shards > 1 && !self.known.contains_key(&me) {
            writes.push(Write::Create(me));
        }
        let is_gone = |known: &&Known| {
            let dead = 4 * patience(known.lease.duration);
            matches!(known.lease.name, LeaseName::Member(_)) && now.saturating_duration_since(known.since) >= dead
        };
        writes.extend(self.known.values().filter(is_gone).map(|known| Write::Remove(known.lease.clone())));

        let (place, quota) = self.quota(now);
        let mine: Vec<_> = (0..self.shards).filter(|shard| self.is_mine(*shard)).collect();
        for shard in mine.iter().skip(quota) {
            self.give_up(*shard, now);
        }
        for shard in &mine[..quota.min(mine.len())] {
            self.leaving.remove(shard);
        }
        if self.other_division(now).is_none() {
            let missing = quota.saturating_sub(mine.len());
            let free = |number| {
                let name = LeaseName::Shard { number, of: self.shards };
                match self.known.get(&name) {
                    None => Some(Write::Create(name)),
                    Some(known) if known.lease.holder != self.me && known.is_free(now) => {
                        Some(Write::Hold(known.lease.clone()))
                    }
                    Some(_) => None,
                }
            };
            let mut free: Vec<_> = (0..self.shards).filter_map(free).collect();
            // Others do the same at this moment, and shall not want the same ones.
            let first = (place * missing).checked_rem(free.len()).unwrap_or_default();
            free.rotate_left(first);
            writes.extend(free.into_iter().take(missing));
        }
        writes.extend(self.releases());
        writes
    }

    /// From now on the shard counts as held only after another write that says so: one that releases it may be under way,
    /// and can only be undone by that. Writes that were asked for before may be answered later, and say nothing.
    fn give_up(&mut self, shard: usize, now: Instant) {
        self.leaving.insert(shard);
        self.given_up.insert(shard, now);
        self.held.remove(&LeaseName::Shard { number: shard, of: self.shards });
    }

    /// What has to be written for the shards that are being given up to be free for others.
    fn releases(&self) -> impl Iterator<Item = Write> {
        let lease = |shard: &usize| {
            let known = self.known.get(&LeaseName::Shard { number: *shard, of: self.shards })?;
            (known.lease.holder == self.me).then(|| Write::Release(known.lease.clone()))
        };
        self.leaving.iter().filter_map(lease)
    }

    /// What has to be written for this replica to be gone from all of them. The shards have to be closed before.
    pub(super) fn farewell(&mut self, now: Instant) -> Vec<Write> {
        for shard in 0..self.shards {
            if self.is_mine(shard) {
                self.give_up(shard, now);
            }
        }
        let me = self.known.get(&LeaseName::Member(self.me.clone()));
        let me = me.map(|known| Write::Remove(known.lease.clone()));
        self.releases().chain(me).collect()
    }

    /// Takes in that a write, which was asked for at `asked`, was done. None: the Lease is gone.
    pub(super) fn wrote(&mut self, name: &LeaseName, lease: Option<Lease>, asked: Instant, now: Instant) {
        let Some(lease) = lease else {
            self.known.remove(name);
            self.held.remove(name);
            return;
        };
        let shard = match &lease.name {
            LeaseName::Shard { number, .. } => Some(number),
            LeaseName::Member(_) => None,
        };
        if lease.holder != self.me {
            self.held.remove(&lease.name);
            if let Some(shard) = shard {
                self.leaving.remove(shard);
            }
        } else if shard.and_then(|shard| self.given_up.get(shard)).is_none_or(|given_up| asked > *given_up) {
            self.held.insert(lease.name.clone(), asked + self.times.valid());
        }
        self.known.insert(lease.name.clone(), Known { lease, since: now, written: Some(asked) });
    }

    /// How long to wait before the next look: after trouble, as long as the API server wants to be left alone, but not so
    /// long that what is held would be lost without another try.
    pub(super) fn pause(&self, rest: Option<Duration>, now: Instant) -> Duration {
        let poll = self.times.poll();
        let Some(rest) = rest else { return poll };
        let pause = rest.max(self.times.renew());
        // To be answered in time, it has to be asked for by then.
        let last_try = |until: &Instant| until.saturating_duration_since(now).checked_sub(self.times.answer());
        let held = self.held.values().filter(|until| **until > now);
        let left = held.map(|until| last_try(until).unwrap_or_default()).min();
        pause.min(left.unwrap_or(pause)).max(poll)
    }

    /// The shards that this replica holds, and until when.
    pub(super) fn held(&self) -> impl Iterator<Item = (usize, Instant)> {
        self.held.iter().filter_map(|(name, until)| match name {
            LeaseName::Shard { number, .. } => Some((*number, *until)),
            LeaseName::Member(_) => None,
        })
    }

    /// The shards that others hold, as far as is known.
    pub(super) fn held_by_others(&self, now: Instant) -> impl Iterator<Item = usize> {
        let held = self.known.values().filter(move |known| known.lease.holder != self.me && !known.is_free(now));
        held.filter_map(|known| match known.lease.name {
            LeaseName::Shard { number, of } if of == self.shards => Some(number),
            _ => None,
        })
    }

    /// Who else holds a shard, as far as is known.
    pub(super) fn others(&self) -> BTreeSet<&str> {
        let shards = self.known.values().filter(|known| matches!(known.lease.name, LeaseName::Shard { .. }));
        let holders = shards.map(|known| &*known.lease.holder);
        holders.filter(|holder| !holder.is_empty() && *holder != self.me).collect()
    }

    /// Into how many shards the objects are still split by replicas that were told another number, which have to go first.
    pub(super) fn other_division(&self, now: Instant) -> Option<usize> {
        self.known.values().filter(|known| !known.is_free(now)).find_map(|known| match known.lease.name {
            LeaseName::Shard { of, .. } if of != self.shards => Some(of),
            _ => None,
        })
    }

    fn is_mine(&self, shard: usize) -> bool {
        let known = self.known.get(&LeaseName::Shard { number: shard, of: self.shards });
        known.is_some_and(|known| known.lease.holder == self.me)
    }

    /// The place of this replica among those that are there, and how many shards are for it.
    fn quota(&self, now: Instant) -> (usize, usize) {
        let live = self.known.values().filter(|known| !known.is_free(now));
        let mut members: BTreeSet<&str> = live
            .filter(|known| matches!(known.lease.name, LeaseName::Member(_)))
            .map(|known| &*known.lease.holder)
            .collect();
        members.insert(&self.me);
        let place = members.iter().position(|member| *member == self.me).unwrap_or_default();
        (place, self.shards / members.len() + usize::from(place < self.shards % members.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_trouble_the_next_look_is_as_late_as_is_wanted_and_as_what_is_held_allows() {
        let (start, seconds) = (Instant::now(), Duration::from_secs);
        let mut election = Election::new("me".to_owned(), 1, Times { lease: seconds(15) });
        let pauses = |election: &Election, rest| {
            [0, 3, 5, 8, 9].map(|after| election.pause(Some(seconds(rest)), start + seconds(after)).as_secs())
        };
        assert_eq!(election.pause(None, start), seconds(1));
        assert_eq!(pauses(&election, 0), [3; 5]);
        assert_eq!(pauses(&election, 60), [60; 5]);
        let name = LeaseName::Shard { number: 0, of: 1 };
        let version = "1".to_owned();
        let (holder, duration) = ("me".to_owned(), seconds(15));
        let lease = Lease { name: name.clone(), version, holder, duration, transitions: 0 };
        election.wrote(&name, Some(lease), start, start);
        // It is held for 9 s, and an answer may take 3 s.
        assert_eq!(pauses(&election, 0), [3, 3, 1, 1, 3]);
        assert_eq!(pauses(&election, 60), [6, 3, 1, 1, 60]);
    }
}
