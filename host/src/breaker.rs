//! Pauses a plugin that keeps breaking, whatever the object, and then lets one call at a time try whether it works.
//!
//! What counts is how many *different* objects have begun to break it in a row, with no answer in between. An object that
//! broke it before and does so again tells nothing new, so that a few that it cannot stand pause it for nobody: each has
//! its own backoff. An answer, also one that says no, ends the pause.
//!
//! Pure: time is passed in, and nothing waits.

use std::collections::HashSet;
use std::hash::Hash;
use std::mem;
use std::time::{Duration, Instant};

/// So many different objects in a row pause a plugin.
pub const OBJECTS: usize = 5;
/// The first pause; each trial that breaks the plugin doubles it.
pub const PAUSE_BASE: Duration = Duration::from_secs(1);
/// The longest pause. An object that the plugin could stand may have to wait for so long.
pub const PAUSE_MAX: Duration = Duration::from_mins(1);

/// What a call tells about the plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// It answered, be it that it failed.
    Works,
    /// It gave no answer: it trapped, exited, or used more than it may.
    Breaks,
    /// Nothing: the call did not come so far, or waited for something else.
    Nothing,
}

/// What changes with the end of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The plugin is paused, for so long at first.
    Paused(Duration),
    /// The trial has failed: it stays paused for so long.
    StillPaused(Duration),
    /// It goes on.
    Resumed,
}

/// The breaker of one version of a plugin, whose objects are named by `K`.
#[derive(Debug)]
pub struct Breaker<K> {
    state: State<K>,
    /// The objects whose last call broke it.
    broken_by: HashSet<K>,
    /// How many have become so since the last answer.
    in_a_row: usize,
    /// The last pause. Zero: there was none since the last answer.
    pause: Duration,
}

#[derive(Debug)]
enum State<K> {
    /// Calls begin as they come.
    Closed,
    /// None begins before this.
    Paused(Instant),
    /// None begins while the call for this object goes on.
    Trial(K),
}

impl<K> Default for Breaker<K> {
    fn default() -> Self {
        Self { state: State::Closed, broken_by: HashSet::new(), in_a_row: 0, pause: Duration::ZERO }
    }
}

impl<K: Eq + Hash + Clone> Breaker<K> {
    /// Whether a call may begin. An error says when the next one may; none: after the end of one that goes on.
    pub fn check(&self, now: Instant) -> Result<(), Option<Instant>> {
        match self.state {
            State::Closed => Ok(()),
            State::Paused(until) if until <= now => Ok(()),
            State::Paused(until) => Err(Some(until)),
            State::Trial(_) => Err(None),
        }
    }

    /// A call begins that may do so.
    pub fn begin(&mut self, key: &K) {
        if let State::Paused(_) = self.state {
            self.state = State::Trial(key.clone());
        }
    }

    /// A call has ended.
    pub fn end(&mut self, key: &K, sign: Sign, now: Instant) -> Option<Turn> {
        let was_trial = matches!(&self.state, State::Trial(of) if of == key);
        match sign {
            Sign::Works => {
                self.broken_by.remove(key);
                (self.in_a_row, self.pause) = (0, Duration::ZERO);
                let was_closed = matches!(mem::replace(&mut self.state, State::Closed), State::Closed);
                (!was_closed).then_some(Turn::Resumed)
            }
            Sign::Breaks => {
                let is_new = self.broken_by.insert(key.clone());
                self.in_a_row += usize::from(is_new);
                if was_trial {
                    self.pause = self.pause.saturating_mul(2).min(PAUSE_MAX);
                    self.state = State::Paused(now + self.pause);
                    return Some(Turn::StillPaused(self.pause));
                }
                // Others that end during a pause began before it.
                let is_closed = matches!(self.state, State::Closed);
                (is_closed && is_new && self.in_a_row >= OBJECTS).then(|| {
                    self.pause = PAUSE_BASE;
                    self.state = State::Paused(now + self.pause);
                    Turn::Paused(self.pause)
                })
            }
            Sign::Nothing => {
                if was_trial {
                    self.state = State::Paused(now + self.pause);
                }
                None
            }
        }
    }

    /// There are no more calls for the object.
    pub fn forget(&mut self, key: &K) {
        self.broken_by.remove(key);
    }

    /// Whether the last call for the object broke the plugin.
    pub fn is_broken_by(&self, key: &K) -> bool {
        self.broken_by.contains(key)
    }

    /// The objects whose last call broke the plugin.
    pub fn broken_by(&self) -> &HashSet<K> {
        &self.broken_by
    }

    /// How long the plugin is paused for. None: it is not.
    pub fn pause(&self) -> Option<Duration> {
        (!matches!(self.state, State::Closed)).then_some(self.pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn call(breaker: &mut Breaker<u32>, key: u32, sign: Sign, now: Instant) -> Option<Turn> {
        breaker.check(now).expect("a call may begin");
        breaker.begin(&key);
        breaker.end(&key, sign, now)
    }

    fn paused(now: Instant) -> Breaker<u32> {
        let mut breaker = Breaker::default();
        for key in 0..4 {
            assert_eq!(call(&mut breaker, key, Sign::Breaks, now), None);
        }
        assert_eq!(call(&mut breaker, 4, Sign::Breaks, now), Some(Turn::Paused(PAUSE_BASE)));
        breaker
    }

    #[test]
    fn one_object_never_pauses_a_plugin_however_often_it_breaks_it() {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        for _ in 0..1000 {
            assert_eq!(call(&mut breaker, 1, Sign::Breaks, now), None);
        }
    }

    #[test]
    fn an_answer_in_between_begins_the_row_anew_and_those_that_broke_it_before_do_not_count_again() {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        for key in 0..1000 {
            assert_eq!(call(&mut breaker, key, Sign::Breaks, now), None);
            if key % 4 == 3 {
                call(&mut breaker, 2000, Sign::Works, now);
            }
        }
        for key in 0..1000 {
            assert_eq!(call(&mut breaker, key, Sign::Breaks, now), None, "it is known to");
        }
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_an_answer_ends_them() {
        let mut now = Instant::now();
        let mut breaker = paused(now);
        let mut pauses = Vec::new();
        for key in 5..13 {
            let until = breaker.check(now).unwrap_err().unwrap();
            assert!(until > now && breaker.check(now + (until - now) / 2) == Err(Some(until)));
            now = until;
            let Some(Turn::StillPaused(pause)) = call(&mut breaker, key, Sign::Breaks, now) else { panic!("{key}") };
            assert_eq!(breaker.pause(), Some(pause));
            pauses.push(pause.as_secs());
        }
        assert_eq!(pauses, [2, 4, 8, 16, 32, 60, 60, 60]);
        now += PAUSE_MAX;
        assert_eq!(call(&mut breaker, 0, Sign::Works, now), Some(Turn::Resumed));
        assert_eq!((breaker.check(now), breaker.pause()), (Ok(()), None));
    }

    #[test]
    fn during_a_trial_no_other_call_begins_and_what_began_before_the_pause_is_no_trial() {
        let now = Instant::now();
        let mut breaker = paused(now);
        assert_eq!(breaker.end(&77, Sign::Breaks, now), None, "it began before the pause");
        let later = now + SECOND;
        breaker.begin(&5);
        assert_eq!(breaker.check(later), Err(None));
        assert_eq!(breaker.end(&78, Sign::Breaks, later), None);
        assert_eq!(breaker.check(later + PAUSE_MAX), Err(None), "the trial goes on");
        assert_eq!(breaker.end(&5, Sign::Breaks, later), Some(Turn::StillPaused(2 * SECOND)));
    }

    #[test]
    fn a_trial_that_tells_nothing_is_followed_by_another_after_the_same_pause() {
        let now = Instant::now();
        let mut breaker = paused(now);
        assert_eq!(call(&mut breaker, 5, Sign::Nothing, now + SECOND), None);
        assert_eq!(breaker.check(now + SECOND), Err(Some(now + 2 * SECOND)));
    }

    #[test]
    fn what_says_nothing_neither_pauses_nor_counts_as_an_answer() {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        for key in 0..4 {
            call(&mut breaker, key, Sign::Breaks, now);
            call(&mut breaker, 100 + key, Sign::Nothing, now);
        }
        assert_eq!(call(&mut breaker, 4, Sign::Breaks, now), Some(Turn::Paused(PAUSE_BASE)));
    }

    /// Several workers, calls that take a while and end in whatever way; the plugin works again in the end.
    #[test]
    fn whatever_the_calls_there_is_one_trial_at_a_time_and_no_storm_and_it_goes_on_when_the_plugin_works() {
        let mut random = fastrand::Rng::with_seed(11);
        for _ in 0..300 {
            let (start, mut breaker) = (Instant::now(), Breaker::default());
            let (mut now, mended_at) = (start, start + SECOND * random.u32(..600));
            let workers = random.usize(1..=8);
            let mut running: Vec<u32> = Vec::new();
            let (mut begun, mut trial) = (0_usize, None);
            for key in 0_u32.. {
                now += Duration::from_millis(random.u64(..50));
                if running.len() < workers && breaker.check(now).is_ok() {
                    if breaker.pause().is_some() {
                        assert_eq!(trial, None, "one trial at a time");
                        trial = Some(key);
                    }
                    breaker.begin(&key);
                    running.push(key);
                    begun += 1;
                }
                if !running.is_empty() && random.bool() {
                    let key = running.swap_remove(random.usize(..running.len()));
                    let sign = if now < mended_at { Sign::Breaks } else { Sign::Works };
                    breaker.end(&key, sign, now);
                    trial = trial.filter(|of| *of != key && breaker.pause().is_some());
                }
                if now >= mended_at + PAUSE_MAX + SECOND {
                    break;
                }
                if now < mended_at {
                    let pauses = usize::try_from((now - start).as_secs() / PAUSE_MAX.as_secs()).unwrap() + 7;
                    assert!(begun <= OBJECTS + workers + pauses, "{begun} calls in {:?}", now - start);
                }
            }
            assert_eq!(breaker.pause(), None, "it goes on");
        }
    }
}
