//! Which objects are this replica's. Objects are split over shards, and one replica at a time holds a shard.

use std::hash::Hasher as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use fnv::FnvHasher;
use tokio::sync::Notify;

use crate::object::ObjectRef;

/// The shards, and which of them this replica holds.
#[derive(Debug)]
pub struct Shards {
    shards: Vec<Mutex<Shard>>,
    /// A shard was gained, or a pass has ended.
    changed: Notify,
}

#[derive(Debug)]
struct Shard {
    held: Held,
    passes: usize,
}

#[derive(Clone, Copy, Debug)]
enum Held {
    No,
    Until(Instant),
    Always,
}

/// Something is being changed on behalf of an object, and the shard of the object is not handed over before it is done.
#[derive(Debug)]
pub struct Pass<'a> {
    shards: &'a Shards,
    shard: usize,
    until: Option<Instant>,
}

impl Shards {
    /// A single one, which nobody else can get.
    pub fn all() -> Self {
        Self { shards: vec![Mutex::new(Shard { held: Held::Always, passes: 0 })], changed: Notify::new() }
    }

    /// So many, of which none is held yet. There is at least one.
    pub fn none_of(count: usize) -> Self {
        let shard = || Mutex::new(Shard { held: Held::No, passes: 0 });
        Self { shards: std::iter::repeat_with(shard).take(count.max(1)).collect(), changed: Notify::new() }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.shards.len()
    }

    /// The shard of an object, which is the same for every version of the object and in every version of the host.
    pub fn of(&self, target: &ObjectRef) -> usize {
        if self.count() == 1 {
            return 0;
        }
        let mut hasher = FnvHasher::default();
        let (gvk, key) = (&target.gvk, &target.key);
        for part in [gvk.group(), gvk.kind(), key.namespace().unwrap_or_default(), key.name()] {
            hasher.write(part.as_bytes());
            hasher.write_u8(0);
        }
        // What is at the end of a name, where many differ, is in few bits of this hash.
        usize::try_from(mixed(hasher.finish()) % self.count() as u64).unwrap_or_default()
    }

    /// Whether the object is this replica's now.
    pub fn holds(&self, target: &ObjectRef) -> bool {
        self.lock(self.of(target)).is_held()
    }

    /// Whether any shard is held now.
    pub fn holds_any(&self) -> bool {
        (0..self.count()).any(|shard| self.lock(shard).is_held())
    }

    /// Waits until a shard is held.
    pub async fn held(&self) {
        self.until(|| self.holds_any()).await;
    }

    /// Holds a shard that is held until then, or longer if it is told so before. Returns whether it was held.
    ///
    /// The time is looked at under the same lock as by those who ask, so that whoever was told that it is not held is
    /// made good for by the one to whom this returns false.
    pub fn extend(&self, shard: usize, until: Instant) -> bool {
        let mut shard = self.lock(shard);
        let is_held = shard.is_held();
        if is_held {
            shard.held = Held::Until(until);
        }
        is_held
    }

    /// Holds a shard that was not held until then, or longer if it is told so before.
    pub fn hold(&self, shard: usize, until: Instant) {
        self.lock(shard).held = Held::Until(until);
        self.changed.notify_waiters();
    }

    /// Gives a shard up: nothing begins any more on behalf of its objects.
    pub fn close(&self, shard: usize) {
        self.lock(shard).held = Held::No;
    }

    /// Whether nothing is being changed on behalf of the objects of a shard.
    pub fn is_left(&self, shard: usize) -> bool {
        self.lock(shard).passes == 0
    }

    /// Waits until nothing is being changed any more on behalf of the objects of a shard that was given up.
    pub async fn left(&self, shard: usize) {
        self.until(|| self.is_left(shard)).await;
    }

    /// Begins to change something on behalf of an object. None: the object is not this replica's.
    pub fn enter(&self, target: &ObjectRef) -> Option<Pass<'_>> {
        let number = self.of(target);
        let mut shard = self.lock(number);
        let until = match shard.held {
            _ if !shard.is_held() => return None,
            Held::Until(until) => Some(until),
            Held::Always | Held::No => None,
        };
        shard.passes += 1;
        Some(Pass { shards: self, shard: number, until })
    }

    async fn until(&self, is_so: impl Fn() -> bool) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if is_so() {
                return;
            }
            changed.await;
        }
    }

    /// Nothing panics while it holds this lock.
    fn lock(&self, shard: usize) -> MutexGuard<'_, Shard> {
        self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Has each bit depend on all of them; the last step of `MurmurHash3`.
fn mixed(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    bits = (bits ^ (bits >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    bits ^ (bits >> 33)
}

impl Shard {
    fn is_held(&self) -> bool {
        match self.held {
            Held::No => false,
            Held::Until(until) => Instant::now() < until,
            Held::Always => true,
        }
    }
}

impl Pass<'_> {
    /// How long the shard is held for, at least. None: for ever.
    pub fn left(&self) -> Option<Duration> {
        self.until.map(|until| until.saturating_duration_since(Instant::now()))
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        self.shards.lock(self.shard).passes -= 1;
        self.shards.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::{Gvk, ObjectKey};

    fn object(name: &str) -> ObjectRef {
        ObjectRef { gvk: Gvk::replica_set(), key: ObjectKey::new(Some("default"), name) }
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_mins(1)
    }

    #[test]
    fn an_object_is_in_one_shard_and_they_are_of_like_size() {
        for count in [2, 3, 4, 7, 8, 16] {
            let shards = Shards::none_of(count);
            let mut sizes = vec![0; count];
            for index in 0..1000 * count {
                sizes[shards.of(&object(&format!("web-{index}")))] += 1;
            }
            assert!(sizes.iter().all(|size| (850..1150).contains(size)), "{sizes:?}");
        }
    }

    #[test]
    fn the_shard_of_an_object_does_not_depend_on_the_program_nor_on_the_version_of_the_kind() {
        let shards = Shards::none_of(1000);
        let at = |version, name| {
            shards.of(&ObjectRef { gvk: Gvk::new(version, "Website"), key: ObjectKey::new(Some("team"), name) })
        };
        assert_eq!(at("example.com/v1", "a"), at("example.com/v1beta1", "a"));
        assert_eq!([at("example.com/v1", "a"), at("example.com/v1", "b")], [152, 556]);
    }

    #[test]
    fn nothing_begins_for_an_object_whose_shard_is_not_held() {
        let shards = Shards::none_of(1);
        assert!(!shards.holds(&object("a")) && shards.enter(&object("a")).is_none());
        assert!(!shards.extend(0, soon()), "it is not held");
        shards.hold(0, soon());
        assert!(shards.extend(0, soon()));
        assert!(shards.holds(&object("a")));
        assert!(shards.enter(&object("a")).unwrap().left().unwrap() > Duration::from_secs(30));
        shards.close(0);
        assert!(shards.enter(&object("a")).is_none());
        assert!(Shards::all().enter(&object("a")).unwrap().left().is_none());
    }

    #[test]
    fn a_shard_whose_time_has_passed_is_not_held_and_then_gained_again() {
        let shards = Shards::none_of(1);
        shards.hold(0, Instant::now());
        assert!(!shards.holds(&object("a")) && shards.enter(&object("a")).is_none());
        assert!(!shards.extend(0, soon()), "what was turned away meanwhile has to be made good");
    }

    #[tokio::test]
    async fn a_shard_is_left_when_what_was_begun_is_done() {
        let shards = Shards::none_of(1);
        shards.hold(0, soon());
        let pass = shards.enter(&object("a"));
        shards.close(0);
        let mut left = Box::pin(shards.left(0));
        assert!(futures::poll!(&mut left).is_pending());
        drop(pass);
        left.await;
    }
}
