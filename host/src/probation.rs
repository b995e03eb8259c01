//! Judges a new version of a plugin by its first calls: whether it breaks on objects that the version before could stand.
//!
//! Pure.

use std::collections::HashSet;
use std::hash::Hash;

/// So many objects that only the new version breaks on are too many.
pub const TOO_MANY: usize = 3;
/// So many are, if some of them have changed since the version before, and there was no answer yet.
pub const TOO_MANY_CHANGED: usize = 5;
/// A version that has answered so many calls has proved itself.
pub const ENOUGH: usize = 100;

/// What the calls so far come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing yet.
    Open,
    /// The version works.
    Proved,
    /// It breaks where the one before did not.
    Failed,
}

/// What is known of the first calls of a version, whose objects are named by `K`.
#[derive(Debug)]
pub struct Probation<K> {
    /// Objects that the version before broke on too.
    excused: HashSet<K>,
    /// Those that only this one breaks on, as they are the same as before.
    worse: HashSet<K>,
    /// Those that it breaks on and that have changed, so that the version before might do the same.
    changed: HashSet<K>,
    answers: usize,
}

impl<K> Default for Probation<K> {
    fn default() -> Self {
        Self { excused: HashSet::new(), worse: HashSet::new(), changed: HashSet::new(), answers: 0 }
    }
}

impl<K: Eq + Hash + Clone> Probation<K> {
    /// Of a version after one that broke on these.
    pub fn after(excused: HashSet<K>) -> Self {
        Self { excused, ..Self::default() }
    }

    /// It has answered for an object.
    pub fn answered(&mut self, key: &K) {
        self.answers = self.answers.saturating_add(1);
        self.worse.remove(key);
        self.changed.clear();
    }

    /// It broke on an object for the first time.
    pub fn broke(&mut self, key: &K, has_changed: bool) {
        let breaks_on = if has_changed { &mut self.changed } else { &mut self.worse };
        // More tell nothing more.
        if !self.excused.contains(key) && breaks_on.len() < TOO_MANY_CHANGED {
            breaks_on.insert(key.clone());
        }
    }

    /// The version before may break on this object too, as is known only now.
    pub fn excuse(&mut self, key: &K) {
        self.worse.remove(key);
        self.changed.remove(key);
        self.excused.insert(key.clone());
    }

    /// The objects that the version before broke on.
    pub fn excused(&self) -> &HashSet<K> {
        &self.excused
    }

    /// What the calls come to. `all_called`: it has been called for every object that there is.
    pub fn verdict(&self, all_called: bool) -> Verdict {
        let never_answered = self.answers == 0;
        if self.worse.len() >= TOO_MANY || never_answered && self.worse.len() + self.changed.len() >= TOO_MANY_CHANGED {
            Verdict::Failed
        } else if self.answers >= ENOUGH || all_called && !never_answered {
            Verdict::Proved
        } else if all_called && !self.worse.is_empty() {
            Verdict::Failed
        } else {
            Verdict::Open
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_objects_that_only_the_new_version_breaks_on_are_too_many_and_two_of_many_are_not() {
        let mut probation = Probation::after(HashSet::from([7]));
        for key in [7, 1, 1, 2] {
            probation.broke(&key, false);
        }
        assert_eq!(probation.verdict(false), Verdict::Open);
        probation.answered(&4);
        assert_eq!(probation.verdict(true), Verdict::Proved);
        probation.broke(&3, false);
        assert_eq!(probation.verdict(false), Verdict::Failed);
    }

    #[test]
    fn where_there_are_fewer_all_of_them_decide() {
        let mut probation = Probation::default();
        assert_eq!(probation.verdict(true), Verdict::Open, "nothing was called");
        probation.broke(&1, false);
        assert_eq!((probation.verdict(false), probation.verdict(true)), (Verdict::Open, Verdict::Failed));
        probation.answered(&2);
        assert_eq!(probation.verdict(true), Verdict::Proved);
    }

    #[test]
    fn an_object_that_it_answers_for_after_all_or_that_the_version_before_broke_on_does_not_count() {
        let mut probation = Probation::default();
        (1..=3).for_each(|key| probation.broke(&key, false));
        probation.answered(&1);
        assert_eq!(probation.verdict(false), Verdict::Open);
        probation.broke(&4, false);
        probation.excuse(&2);
        probation.broke(&2, false);
        assert_eq!(probation.verdict(false), Verdict::Open);
    }

    #[test]
    fn objects_that_have_changed_tell_something_only_where_there_is_no_answer_at_all() {
        let mut probation = Probation::default();
        (1..5).for_each(|key| probation.broke(&key, true));
        assert_eq!((probation.verdict(false), probation.verdict(true)), (Verdict::Open, Verdict::Open));
        probation.broke(&5, false);
        assert_eq!(probation.verdict(false), Verdict::Failed);
        probation.answered(&6);
        (7..20).for_each(|key| probation.broke(&key, true));
        assert_eq!(probation.verdict(false), Verdict::Open);
    }

    #[test]
    fn a_hundred_answers_prove_it_though_not_all_is_called() {
        let mut probation = Probation::default();
        (1..ENOUGH).for_each(|key| probation.answered(&key));
        assert_eq!(probation.verdict(false), Verdict::Open);
        probation.answered(&0);
        assert_eq!(probation.verdict(false), Verdict::Proved);
    }
}
