//! Builders whose queue is looked at again, because a user function gave no answer about it.

use std::collections::BTreeMap;

use super::asking::NoAnswer;
use super::decide::retry_at;
use super::pending::retry_due;
use super::state::Retry;
use super::timers::TimerKey;
use super::turn::Turn;
use super::{Deadline, WakeReason};
use crate::model::BuilderId;

/// How often each was looked at in vain, and when it is looked at again.
#[derive(Clone, Debug, Default)]
pub(super) struct QueueRetries {
    by_builder: BTreeMap<BuilderId, Retry>,
}

impl QueueRetries {
    /// Plans to look at a builder again if a user function left something open since somebody last looked. False if none
    /// did.
    pub fn plan(&mut self, turn: &mut Turn<'_>, builder: BuilderId) -> bool {
        let no_answer = turn.asked.no_answer.take().filter(|no_answer| *no_answer != NoAnswer::Suspended);
        let Some(no_answer) = no_answer else { return false };
        let known = self.by_builder.get(&builder).copied().unwrap_or_default();
        let tries = known.tries + u32::from(no_answer == NoAnswer::Failed);
        self.by_builder.insert(builder, Retry { tries, due: retry_at(turn, no_answer, tries) });
        turn.touch(TimerKey::Builder(builder));
        true
    }

    /// Every function of a builder gave its answer.
    pub fn forget(&mut self, turn: &mut Turn<'_>, builder: BuilderId) {
        self.by_builder.remove(&builder);
        turn.touch(TimerKey::Builder(builder));
    }

    /// Other functions are in force.
    pub fn forget_all(&mut self) {
        self.by_builder.clear();
    }

    /// When a builder is looked at again.
    pub fn due(&self, turn: &Turn<'_>, builder: BuilderId) -> Option<Deadline> {
        let at = retry_due(turn, *self.by_builder.get(&builder)?)?;
        Some((at, WakeReason::Queue(builder)))
    }

    /// It is time: whoever looks at the builder plans the next one. Without free workers nobody does.
    pub fn fire(&mut self, turn: &mut Turn<'_>, builder: BuilderId) {
        if let Some(retry) = self.by_builder.get_mut(&builder) {
            retry.due = None;
        }
        turn.in_flight.marks.lending();
        turn.in_flight.marks.builders([builder]);
    }
}
