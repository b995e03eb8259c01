//! Notices an object that a plugin keeps changing in reaction to its own changes, or to those of a rival.
//!
//! Such a loop does not fail, and so no backoff slows it. Its mark is call after call that each change something, while a
//! plugin that is at its goal has nothing to change. A rival that is slower than the plugin leaves it at its goal for a
//! call or two, until it has to make the same change again: such calls do not end the row, while a plugin that follows
//! what it watches, such as a number that grows, makes other changes each time.
//!
//! Pure: time is passed in, and nothing waits.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::time::{Duration, Instant};

/// An object is hot from this many calls in a row on that each changed something. An honest plugin may take a few calls
/// to its goal, say one for each child that gets ready.
pub const HOT_FROM: u32 = 10;
/// The delay after the first hot call; each further one doubles it.
pub const DELAY_BASE: Duration = Duration::from_secs(1);
/// The longest delay.
pub const DELAY_MAX: Duration = Duration::from_mins(5);
/// A call that comes more than this after the last one and its delay does not continue its row: no loop is that slow by
/// itself.
pub const GAP: Duration = Duration::from_mins(1);
/// How many changes of a row are remembered.
const REMEMBERED: usize = 32;

/// What is to be done about an object after a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heat {
    /// Nothing.
    Cool,
    /// To slow it down.
    Hot {
        /// How many calls of the row have changed something, this one included.
        streak: u32,
        /// How long the object is to wait for its next call, whatever happens to it.
        delay: Duration,
        /// Whether to tell the user, which is so at first and whenever the row is twice as long as it was then.
        tell: bool,
    },
}

/// The rows of changing calls of one plugin's objects, which are named by `K`.
///
/// It holds the objects with a row that can still go on, and for up to [`GAP`] those whose row ran out.
#[derive(Debug)]
pub struct HotLoops<K> {
    rows: HashMap<K, Row>,
    next_sweep: Option<Instant>,
    hasher: RandomState,
}

#[derive(Debug, Default)]
struct Row {
    streak: u32,
    /// When the last call ended that changed something.
    last: Option<Instant>,
    /// Hashes of the changes, up to [`REMEMBERED`] of them.
    changes: HashSet<u64>,
    /// The last call has changed nothing: only a change that was made before continues the row.
    at_goal: bool,
}

impl<K> Default for HotLoops<K> {
    fn default() -> Self {
        Self { rows: HashMap::new(), next_sweep: None, hasher: RandomState::new() }
    }
}

impl<K: Eq + Hash + Clone> HotLoops<K> {
    /// Takes note of a call that has ended `now`, with what it has changed in the cluster, from what to what.
    pub fn after_call(&mut self, key: &K, changes: &[impl Hash], now: Instant) -> Heat {
        self.sweep(now);
        if changes.is_empty() {
            if let Some(row) = self.rows.get_mut(key) {
                row.at_goal = true;
            }
            return Heat::Cool;
        }
        let changes: HashSet<_> = changes.iter().map(|change| self.hasher.hash_one(change)).collect();
        let row = self.rows.entry(key.clone()).or_default();
        if !row.goes_on(now) || (row.at_goal && !row.changes.is_superset(&changes)) {
            *row = Row::default();
        }
        row.streak = row.streak.saturating_add(1);
        row.last = Some(now);
        row.at_goal = false;
        if row.changes.len() < REMEMBERED {
            row.changes.extend(changes);
        }
        let streak = row.streak;
        if streak < HOT_FROM {
            return Heat::Cool;
        }
        Heat::Hot { streak, delay: delay(streak), tell: is_told(streak) }
    }

    /// Drops the objects whose row has run out, of which most are never heard of again.
    fn sweep(&mut self, now: Instant) {
        let next_sweep = *self.next_sweep.get_or_insert(now + GAP);
        if next_sweep <= now {
            self.rows.retain(|_, row| row.goes_on(now));
            self.rows.shrink_to_fit();
            self.next_sweep = Some(now + GAP);
        }
    }
}

impl Row {
    /// Whether a call that ends now would continue it.
    fn goes_on(&self, now: Instant) -> bool {
        self.last.is_some_and(|last| now.saturating_duration_since(last) <= GAP + delay(self.streak))
    }
}

/// The delay after a row of that many calls; none while it is not hot.
fn delay(streak: u32) -> Duration {
    let Some(further) = streak.checked_sub(HOT_FROM) else { return Duration::ZERO };
    DELAY_BASE.saturating_mul(2_u32.saturating_pow(further)).min(DELAY_MAX)
}

/// Whether the row is hot since this call, or has doubled since it was last told.
fn is_told(streak: u32) -> bool {
    streak.is_multiple_of(HOT_FROM) && (streak / HOT_FROM).is_power_of_two()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: [&str; 0] = [];

    /// Calls that each change something, as soon as they are allowed to.
    fn streak(loops: &mut HotLoops<u32>, key: u32, calls: usize, now: &mut Instant) -> Vec<Heat> {
        let call = |_| {
            let heat = loops.after_call(&key, &["a -> b"], *now);
            *now += Duration::from_millis(5);
            if let Heat::Hot { delay, .. } = heat {
                *now += delay;
            }
            heat
        };
        (0..calls).map(call).collect()
    }

    #[test]
    fn the_tenth_changing_call_in_a_row_is_hot_and_the_delay_doubles_up_to_its_limit() {
        let heats = streak(&mut HotLoops::default(), 1, 25, &mut Instant::now());
        assert_eq!(heats[..9], [Heat::Cool; 9]);
        let delays: Vec<u64> = heats[9..]
            .iter()
            .map(|heat| match heat {
                Heat::Hot { delay, .. } => delay.as_secs(),
                Heat::Cool => panic!("it stays hot"),
            })
            .collect();
        assert_eq!(delays, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300, 300, 300, 300, 300]);
    }

    #[test]
    fn it_is_told_at_first_and_then_whenever_the_row_has_doubled() {
        let heats = streak(&mut HotLoops::default(), 1, 100, &mut Instant::now());
        let told = heats.iter().filter_map(|heat| match heat {
            Heat::Hot { streak, tell: true, .. } => Some(*streak),
            _ => None,
        });
        assert_eq!(told.collect::<Vec<_>>(), [10, 20, 40, 80]);
    }

    #[test]
    fn after_a_call_that_changes_nothing_another_change_begins_a_new_row() {
        let (mut loops, now) = (HotLoops::default(), Instant::now());
        for ready in 0..100 {
            assert_eq!(loops.after_call(&1, &[format!("{ready} -> {}", ready + 1)], now), Heat::Cool);
            assert_eq!(loops.after_call(&1, &NOTHING, now), Heat::Cool);
        }
    }

    #[test]
    fn a_change_that_a_rival_undoes_again_and_again_is_hot_though_calls_in_between_change_nothing() {
        let (mut loops, now) = (HotLoops::default(), Instant::now());
        assert_eq!(loops.after_call(&1, &["red -> blue", "created"], now), Heat::Cool);
        for _ in 1..9 {
            assert_eq!(loops.after_call(&1, &NOTHING, now), Heat::Cool);
            assert_eq!(loops.after_call(&1, &["red -> blue"], now), Heat::Cool);
        }
        assert_eq!(loops.after_call(&1, &NOTHING, now), Heat::Cool);
        let delay = DELAY_BASE;
        assert_eq!(loops.after_call(&1, &["red -> blue"], now), Heat::Hot { streak: 10, delay, tell: true });
        assert_eq!(loops.after_call(&1, &["other"], now), Heat::Hot { streak: 11, delay: delay * 2, tell: false });
    }

    #[test]
    fn what_calls_without_end_have_changed_is_not_all_remembered() {
        let (mut loops, now) = (HotLoops::default(), Instant::now());
        for count in 0..1000 {
            loops.after_call(&1, &[count], now);
        }
        assert_eq!(loops.rows[&1].changes.len(), REMEMBERED);
    }

    #[test]
    fn a_gap_beyond_the_delay_ends_the_row_and_one_within_it_does_not() {
        let start = Instant::now();
        for (gap, continues) in [(GAP + Duration::from_secs(32), true), (GAP + Duration::from_secs(33), false)] {
            let (mut loops, mut now) = (HotLoops::default(), start);
            streak(&mut loops, 1, 14, &mut now);
            loops.after_call(&1, &["a -> b"], now);
            let heat = loops.after_call(&1, &["a -> b"], now + gap);
            assert_eq!(heat != Heat::Cool, continues, "{gap:?}");
            assert_eq!(loops.rows[&1].streak, if continues { 16 } else { 1 }, "{gap:?}");
        }
    }

    #[test]
    fn objects_that_changed_once_do_not_pile_up() {
        let (mut loops, mut now) = (HotLoops::default(), Instant::now());
        for key in 0..100_000_u32 {
            now += Duration::from_secs(1);
            loops.after_call(&key, &["a -> b"], now);
            assert!(loops.rows.len() <= 122, "those of the last minute, and as many that wait to be swept");
        }
    }

    #[test]
    fn whatever_the_calls_the_heat_is_that_of_their_row() {
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..200 {
            let (mut loops, mut now) = (HotLoops::default(), Instant::now());
            let (mut in_a_row, mut last_delay) = ([0_u32; 3], [Duration::ZERO; 3]);
            for _ in 0..300 {
                let key = random.usize(..3);
                now += Duration::from_millis(random.u64(..40));
                let changes = if random.u32(..30) > 0 { vec![random.u64(..)] } else { vec![] };
                in_a_row[key] = if changes.is_empty() { 0 } else { in_a_row[key] + 1 };
                match loops.after_call(&key, &changes, now) {
                    Heat::Cool => {
                        assert!(in_a_row[key] < HOT_FROM);
                        last_delay[key] = Duration::ZERO;
                    }
                    Heat::Hot { streak, delay, .. } => {
                        assert!(streak >= HOT_FROM && streak == in_a_row[key]);
                        assert!(delay >= last_delay[key] && (DELAY_BASE..=DELAY_MAX).contains(&delay));
                        last_delay[key] = delay;
                    }
                }
            }
        }
    }

    #[test]
    fn the_longest_row_has_the_longest_delay() {
        assert_eq!(delay(u32::MAX), DELAY_MAX);
        assert_eq!(delay(HOT_FROM - 1), Duration::ZERO);
    }
}
