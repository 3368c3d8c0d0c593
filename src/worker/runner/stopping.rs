//! The way a command is stopped: a signal to its whole tree, a grace, a stronger signal, KILL, and at last giving up.
//! Decides when; knows no processes.

use std::time::{Duration, Instant};

use crate::model::StopLevel;
use crate::worker::order::StopWay;

/// How long killed processes may take to go away: some wait in the kernel, for a disk or a network file system.
const GIVE_UP_AFTER_KILL: Duration = Duration::from_secs(5);

/// A stop in progress.
#[derive(Debug)]
pub(super) struct Stopping {
    stage: Stage,
    /// When the next stage begins.
    due: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The first signal is out.
    First,
    /// The second, other than KILL, is out.
    Second,
    /// KILL is out.
    Killed,
    /// It did not help.
    GivenUp,
}

/// What to do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Move {
    /// Send this signal, by name, to the tree.
    Signal(String),
    /// Kill the tree.
    Kill,
}

impl Stopping {
    /// Begins to stop.
    pub fn begin(way: &StopWay, level: StopLevel, now: Instant) -> (Self, Move) {
        if level == StopLevel::Kill || way.first == KILL {
            (Self { stage: Stage::Killed, due: now + GIVE_UP_AFTER_KILL }, Move::Kill)
        } else {
            (Self { stage: Stage::First, due: now + way.grace.as_duration() }, Move::Signal(way.first.clone()))
        }
    }

    /// Somebody asks again: harder at once, as hard once more, or nothing that was not done.
    pub fn again(&mut self, way: &StopWay, level: StopLevel, now: Instant) -> Option<Move> {
        match (self.stage, level) {
            (Stage::First | Stage::Second, StopLevel::Kill) => Some(self.kill(now)),
            (Stage::First, StopLevel::Interrupt) => Some(Move::Signal(way.first.clone())),
            (Stage::Second, StopLevel::Interrupt) => Some(Move::Signal(way.second.clone())),
            // What is killed and still there may have forked in the meantime.
            (Stage::Killed | Stage::GivenUp, _) => Some(Move::Kill),
        }
    }

    /// Goes on when it is time.
    pub fn advance(&mut self, way: &StopWay, now: Instant) -> Option<Move> {
        if now < self.due {
            return None;
        }
        match self.stage {
            Stage::First if way.second != KILL => {
                self.stage = Stage::Second;
                self.due = now + GIVE_UP_AFTER_KILL;
                Some(Move::Signal(way.second.clone()))
            }
            Stage::First | Stage::Second => Some(self.kill(now)),
            Stage::Killed => {
                self.stage = Stage::GivenUp;
                None
            }
            Stage::GivenUp => None,
        }
    }

    /// Whether KILL is out: whatever is found is killed.
    pub fn is_killed(&self) -> bool {
        matches!(self.stage, Stage::Killed | Stage::GivenUp)
    }

    /// Whether nothing more can be done.
    pub fn is_given_up(&self) -> bool {
        self.stage == Stage::GivenUp
    }

    /// When [`Stopping::advance`] is due.
    pub const fn due(&self) -> Instant {
        self.due
    }

    fn kill(&mut self, now: Instant) -> Move {
        self.stage = Stage::Killed;
        self.due = now + GIVE_UP_AFTER_KILL;
        Move::Kill
    }
}

const KILL: &str = "KILL";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Span;

    fn way(first: &str, second: &str) -> StopWay {
        StopWay { first: first.to_owned(), grace: Span::from_seconds(1), second: second.to_owned() }
    }

    fn signal(name: &str) -> Move {
        Move::Signal(name.to_owned())
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_polite_stop_turns_into_a_kill_and_ends_at_last() {
        let (way, now) = (way("TERM", "KILL"), Instant::now());
        let (mut stopping, first) = Stopping::begin(&way, StopLevel::Interrupt, now);
        assert_eq!(first, signal("TERM"));
        assert_eq!(stopping.advance(&way, now), None);
        assert_eq!(stopping.again(&way, StopLevel::Interrupt, now), Some(signal("TERM")));
        assert_eq!(stopping.advance(&way, now + SECOND), Some(Move::Kill));
        assert!(stopping.is_killed() && !stopping.is_given_up());
        assert_eq!(stopping.advance(&way, now + SECOND * 6), None);
        assert!(stopping.is_given_up());
    }

    #[test]
    fn another_second_signal_comes_before_kill() {
        let (way, now) = (way("TERM", "INT"), Instant::now());
        let (mut stopping, _) = Stopping::begin(&way, StopLevel::Interrupt, now);
        assert_eq!(stopping.advance(&way, now + SECOND), Some(signal("INT")));
        assert_eq!(stopping.advance(&way, now + SECOND * 6), Some(Move::Kill));
    }

    #[test]
    fn kill_is_at_once_when_asked_for() {
        let (way, now) = (way("TERM", "KILL"), Instant::now());
        assert_eq!(Stopping::begin(&way, StopLevel::Kill, now).1, Move::Kill);
        let (mut stopping, _) = Stopping::begin(&way, StopLevel::Interrupt, now);
        assert_eq!(stopping.again(&way, StopLevel::Kill, now), Some(Move::Kill));
        assert!(stopping.is_killed());
    }
}
