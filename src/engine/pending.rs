//! What waits for a user function that gave no answer: changes that a scheduler has not decided on, and buildsets
//! whose properties it does not know yet.

use super::asking::NoAnswer;
use super::buildsets::{NewBuildset, make_buildset};
use super::decide::{PAUSE_MAX, postpone, retry_at};
use super::state::{OWED_MAX, PENDING_MAX, Retry};
use super::timers::TimerKey;
use super::turn::Turn;
use super::{Deadline, WakeReason, timers};
use crate::base::Timestamp;
use crate::model::{BuildsetRecord, ChangeId, Declined, Event, SchedulerPlan, StampSpec};

/// A scheduler has not decided on a change: it waits.
pub(super) fn keep_pending(turn: &mut Turn<'_>, plan: &SchedulerPlan, change: ChangeId, no_answer: NoAnswer) {
    sabotage!(UndecidedSkipped => return);
    let scheduler = turn.state.scheduler(&plan.name);
    let known = scheduler.pending.iter().find(|pending| pending.change == change).map(|pending| pending.retry);
    if no_answer == NoAnswer::Postponed && known.is_some() {
        return postpone(turn, TimerKey::Scheduler(plan.name.clone()));
    }
    if no_answer == NoAnswer::Suspended && known.is_some_and(|retry| retry.due.is_none()) {
        return;
    }
    let oldest = scheduler.pending.first().map(|pending| pending.change);
    if let Some(oldest) = oldest.filter(|_| known.is_none() && scheduler.pending.len() >= PENDING_MAX) {
        let why = Declined::TooMany;
        turn.record(Event::ChangeDeclined { scheduler: turn.state.scheduler_id(&plan.name), change: oldest, why });
    }
    let tries = known.map_or(0, |retry| retry.tries) + u32::from(no_answer == NoAnswer::Failed);
    let retry = retry_at(turn, no_answer, tries);
    turn.record(Event::ChangeUndecided { scheduler: turn.state.scheduler_id(&plan.name), change, tries, retry });
}

/// A scheduler does not take a change: if it waited, it waits no more.
pub(super) fn decline(turn: &mut Turn<'_>, plan: &SchedulerPlan, change: ChangeId) {
    let pending = &turn.state.scheduler(&plan.name).pending;
    if pending.iter().any(|pending| pending.change == change) {
        let why = Declined::Filter;
        turn.record(Event::ChangeDeclined { scheduler: turn.state.scheduler_id(&plan.name), change, why });
    }
}

/// When the first undecided change is asked about again.
pub(super) fn pending_due(turn: &Turn<'_>, name: &str) -> Option<Deadline> {
    let scheduler = turn.state.schedulers().get(name)?;
    let due = scheduler.pending.iter().filter_map(|pending| retry_due(turn, pending.retry)).min()?;
    Some((due, WakeReason::Decision(name.to_owned())))
}

/// When something is asked again: as planned, but never later than the longest pause.
pub(super) fn retry_due(turn: &Turn<'_>, retry: Retry) -> Option<Timestamp> {
    Some(timers::due(retry.due?, turn.now, PAUSE_MAX))
}

/// Until when a scheduler makes no buildset: its last one could not be made. `None`: it may.
pub(super) fn gate(turn: &Turn<'_>, name: &str) -> Option<Retry> {
    turn.state.schedulers().get(name)?.retry.filter(|retry| retry_due(turn, *retry).is_none_or(|due| due > turn.now))
}

/// A buildset could not be made: this scheduler makes none for a while.
pub(super) fn shut_gate(turn: &mut Turn<'_>, name: &str, no_answer: NoAnswer) {
    let known = turn.state.scheduler(name).retry;
    if no_answer == NoAnswer::Postponed && known.is_some() {
        return postpone(turn, TimerKey::Scheduler(name.to_owned()));
    }
    let tries = known.map_or(0, |retry| retry.tries) + u32::from(no_answer == NoAnswer::Failed);
    let retry = retry_at(turn, no_answer, tries);
    if known != Some(Retry { tries, due: retry }) {
        turn.record(Event::BuildsetUndecided { scheduler: turn.state.scheduler_id(name), tries, retry });
    }
}

/// A dependent scheduler will make its buildset later.
pub(super) fn owe(turn: &mut Turn<'_>, plan: &SchedulerPlan, ended: &BuildsetRecord, changes: &[ChangeId]) {
    let state = turn.state.scheduler(&plan.name);
    let scheduler = state.id;
    if let Some(oldest) = state.owed.first().filter(|_| state.owed.len() >= OWED_MAX).cloned() {
        let (stamps, changes) = (oldest.stamps, oldest.changes);
        turn.record(Event::BuildsetForgone { scheduler, stamps, changes });
    }
    let stamps: Vec<StampSpec> = ended.stamps.iter().map(|stamp| stamp.spec.clone()).collect();
    turn.record(Event::BuildsetOwed { scheduler, stamps, changes: changes.to_vec() });
}

/// Makes a buildset; if a function does not say how, this scheduler makes none for a while.
pub(super) fn make_or_shut(turn: &mut Turn<'_>, plan: &SchedulerPlan, new_buildset: NewBuildset) -> bool {
    let made = make_buildset(turn, new_buildset);
    if let Err(no_answer) = made {
        shut_gate(turn, &plan.name, no_answer);
    }
    made.is_ok()
}
