//! When what is due: one moment a thing, the earliest first.
//!
//! Holds no truth of its own. Whoever changes a thing asks for its moment to be looked up again.

use std::collections::{BTreeMap, BTreeSet};

use super::{Deadline, WakeReason};
use crate::base::{Span, Timestamp};
use crate::model::{BuildId, BuilderId, ReportId, RequestId, UserFunction};

/// A clock that goes back less than this is being adjusted, not corrected: what was planned stays planned.
pub(super) const CLOCK_SLACK: Span = Span::from_minutes(1);

/// When a thing is due that was planned for `at`, at most `longest` ahead. Farther away it can only be because the clock
/// went back since. How long the thing has waited nobody can tell then, so its wait is over: a moment that moved along
/// with the clock would never come.
pub(super) fn due(at: Timestamp, now: Timestamp, longest: Span) -> Timestamp {
    if at > now.plus(longest).plus(CLOCK_SLACK) { now } else { at }
}

/// What can be due.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum TimerKey {
    Scheduler(String),
    Source(String),
    Build(BuildId),
    Worker(String),
    Leftovers(String),
    Report(ReportId),
    Destination(String),
    Request(RequestId),
    Builder(BuilderId),
    Function(UserFunction),
    /// Everything else that was postponed.
    Later,
}

/// All moments.
#[derive(Clone, Debug, Default)]
pub(super) struct Timers {
    by_key: BTreeMap<TimerKey, (Timestamp, WakeReason)>,
    by_time: BTreeSet<(Timestamp, TimerKey)>,
    /// What is looked at again, and not before then.
    postponed: BTreeMap<TimerKey, Timestamp>,
}

impl Timers {
    /// Has a thing looked at again at that moment, and not before.
    pub fn postpone(&mut self, key: TimerKey, until: Timestamp) {
        self.postponed.insert(key, until);
    }

    pub fn is_postponed(&self, key: &TimerKey) -> bool {
        self.postponed.contains_key(key)
    }

    /// A thing is looked at now.
    pub fn look(&mut self, key: &TimerKey) {
        self.postponed.remove(key);
    }

    /// Nothing has to wait any more for what it was postponed for.
    pub fn forget_postponed(&mut self) {
        self.postponed.clear();
    }

    /// Sets or clears the moment of one thing; what is postponed is not due before then.
    pub fn set(&mut self, key: TimerKey, due: Option<Deadline>) {
        if let Some((before, _)) = self.by_key.remove(&key) {
            self.by_time.remove(&(before, key.clone()));
        }
        if let Some((at, why)) = due {
            let at = self.postponed.get(&key).map_or(at, |floor| at.max(*floor));
            self.by_time.insert((at, key.clone()));
            self.by_key.insert(key, (at, why));
        }
    }

    /// The earliest moment.
    pub fn first(&self) -> Option<Deadline> {
        let (_, key) = self.by_time.first()?;
        self.by_key.get(key).cloned()
    }

    /// Takes out what is due now.
    pub fn take_due(&mut self, now: Timestamp) -> Vec<TimerKey> {
        let mut due = Vec::new();
        while let Some((at, _)) = self.by_time.first()
            && *at <= now
            && let Some((_, key)) = self.by_time.pop_first()
        {
            self.by_key.remove(&key);
            due.push(key);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_farther_away_than_it_can_be_is_due_now() {
        let (now, minute) = (Timestamp::from_seconds(1_000), Span::from_minutes(1));
        let at = |seconds| due(Timestamp::from_seconds(seconds), now, minute).as_seconds();
        assert_eq!([at(900), at(1_060), at(1_120)], [900, 1_060, 1_120]);
        assert_eq!([at(1_121), at(90_000)], [1_000, 1_000]);
    }

    #[test]
    fn what_is_postponed_is_due_when_it_is_looked_at_again() {
        let mut timers = Timers::default();
        let key = TimerKey::Build(BuildId(1));
        let due = |at| Some((Timestamp::from_seconds(at), WakeReason::Wait(BuildId(1))));
        timers.postpone(key.clone(), Timestamp::from_seconds(7));
        timers.set(key.clone(), due(5));
        assert_eq!(timers.first(), due(7));
        timers.look(&key);
        timers.set(key.clone(), due(5));
        assert_eq!(timers.first(), due(5));
    }

    #[test]
    fn a_new_moment_replaces_the_old_one() {
        let mut timers = Timers::default();
        let key = TimerKey::Build(BuildId(1));
        let due = |at| Some((Timestamp::from_seconds(at), WakeReason::Wait(BuildId(1))));
        timers.set(key.clone(), due(5));
        timers.set(key.clone(), due(9));
        assert_eq!(timers.first(), due(9));
        assert_eq!(timers.take_due(Timestamp::from_seconds(8)), []);
        assert_eq!(timers.take_due(Timestamp::from_seconds(9)), [key]);
        assert_eq!(timers.first(), None);
    }
}
