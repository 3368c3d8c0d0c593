//! What waits for a user function that gave no answer: changes that a scheduler has not decided on, and buildsets
//! whose properties it does not know yet.

use std::sync::Arc;

use super::asking::NoAnswer;
use super::decide::PAUSE_MAX;
use super::state::{OWED_MAX, PENDING_MAX, PendingChange, Retry};
use super::timers::{self, TimerKey};
use super::turn::Turn;
use super::{Deadline, WakeReason};
use crate::base::Timestamp;
use crate::model::{BuildsetRecord, ChangeId, Declined, Event, SchedulerPlan, StampSpec};

impl Turn<'_> {
    /// A scheduler has not decided on a change: it waits.
    pub fn keep_pending(&mut self, plan: &SchedulerPlan, change: ChangeId, no_answer: NoAnswer) {
        sabotage!(UndecidedSkipped => return);
        let Some(scheduler) = self.state.schedulers.get(&plan.name) else { return };
        let known = scheduler.pending.iter().find(|pending| pending.change == change).map(|pending| pending.retry);
        if no_answer == NoAnswer::Postponed && known.is_some() {
            return self.postpone(TimerKey::Scheduler(plan.name.clone()));
        }
        if no_answer == NoAnswer::Suspended && known.is_some_and(|retry| retry.due.is_none()) {
            return;
        }
        let oldest = scheduler.pending.first().map(|pending| pending.change);
        if let Some(oldest) = oldest.filter(|_| known.is_none() && scheduler.pending.len() >= PENDING_MAX) {
            let why = Declined::TooMany;
            self.record(Event::ChangeDeclined { scheduler: self.state.scheduler_id(&plan.name), change: oldest, why });
        }
        let tries = known.map_or(0, |retry| retry.tries) + u32::from(no_answer == NoAnswer::Failed);
        let retry = self.retry_at(no_answer, tries);
        self.record(Event::ChangeUndecided { scheduler: self.state.scheduler_id(&plan.name), change, tries, retry });
    }

    /// A scheduler does not take a change: if it waited, it waits no more.
    pub fn decline(&mut self, plan: &SchedulerPlan, change: ChangeId) {
        let pending = self.state.schedulers.get(&plan.name).map_or(&[][..], |scheduler| &scheduler.pending);
        if pending.iter().any(|pending| pending.change == change) {
            let why = Declined::Filter;
            self.record(Event::ChangeDeclined { scheduler: self.state.scheduler_id(&plan.name), change, why });
        }
    }

    /// Asks again about the changes that are due.
    pub fn ask_about_pending(&mut self, plan: &SchedulerPlan) {
        let Some(scheduler) = self.state.schedulers.get(&plan.name) else { return };
        let due = |pending: &&PendingChange| self.retry_due(pending.retry).is_some_and(|due| due <= self.now);
        let due: Vec<ChangeId> = scheduler.pending.iter().filter(due).map(|pending| pending.change).collect();
        for change in due {
            if self.in_flight.postponed.contains_key(&TimerKey::Scheduler(plan.name.clone())) {
                return;
            }
            match self.state.changes.get(change).map(Arc::clone) {
                Some(change) => self.offer_to(plan, &change),
                None => self.decline(plan, change),
            }
        }
    }

    /// When the first undecided change is asked about again.
    pub fn pending_due(&self, name: &str) -> Option<Deadline> {
        let scheduler = self.state.schedulers.get(name)?;
        let due = scheduler.pending.iter().filter_map(|pending| self.retry_due(pending.retry)).min()?;
        Some((due, WakeReason::Decision(name.to_owned())))
    }

    /// When something is asked again: as planned, but never later than the longest pause.
    pub fn retry_due(&self, retry: Retry) -> Option<Timestamp> {
        Some(timers::due(retry.due?, self.now, PAUSE_MAX))
    }

    /// Until when a scheduler makes no buildset: its last one could not be made. `None`: it may.
    pub fn gate(&self, name: &str) -> Option<Retry> {
        self.state.schedulers.get(name)?.retry.filter(|retry| self.retry_due(*retry).is_none_or(|due| due > self.now))
    }

    /// A buildset could not be made: this scheduler makes none for a while.
    pub fn shut_gate(&mut self, name: &str, no_answer: NoAnswer) {
        let known = self.state.schedulers.get(name).and_then(|scheduler| scheduler.retry);
        if no_answer == NoAnswer::Postponed && known.is_some() {
            return self.postpone(TimerKey::Scheduler(name.to_owned()));
        }
        let tries = known.map_or(0, |retry| retry.tries) + u32::from(no_answer == NoAnswer::Failed);
        let retry = self.retry_at(no_answer, tries);
        if known != Some(Retry { tries, due: retry }) {
            self.record(Event::BuildsetUndecided { scheduler: self.state.scheduler_id(name), tries, retry });
        }
    }

    /// A dependent scheduler will make its buildset later.
    pub fn owe(&mut self, plan: &SchedulerPlan, ended: &BuildsetRecord, changes: &[ChangeId]) {
        let Some(state) = self.state.schedulers.get(&plan.name) else { return };
        let scheduler = state.id;
        if let Some(oldest) = state.owed.first().filter(|_| state.owed.len() >= OWED_MAX).cloned() {
            let (stamps, changes) = (oldest.stamps, oldest.changes);
            self.record(Event::BuildsetForgone { scheduler, stamps, changes });
        }
        let stamps: Vec<StampSpec> = ended.stamps.iter().map(|stamp| stamp.spec.clone()).collect();
        self.record(Event::BuildsetOwed { scheduler, stamps, changes: changes.to_vec() });
    }

    /// Makes the buildsets that a dependent scheduler owes, oldest first, as far as it can.
    pub fn pay_owed(&mut self, plan: &SchedulerPlan) {
        let owed = self.state.schedulers.get(&plan.name).map(|scheduler| scheduler.owed.clone()).unwrap_or_default();
        for owed in owed {
            if !self.make_dependent(plan, owed.stamps, owed.changes) {
                return;
            }
        }
    }
}
