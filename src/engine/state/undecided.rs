//! From state and fact to state: what waits for a user function that gave no answer, and functions that are in trouble.

use super::illegal_fact::{IllegalFact, unknown};
use super::{OwedBuildset, PendingChange, QueuedChange, Retry, State};
use crate::base::Timestamp;
use crate::model::{ChangeId, Event, SchedulerId, StampSpec, UserFunction};

impl State {
    pub(super) fn apply_undecided(&mut self, event: &Event) -> Result<(), IllegalFact> {
        match event {
            Event::ChangeUndecided { scheduler, change, tries, retry } => {
                self.change_undecided(*scheduler, *change, Retry { tries: *tries, due: *retry })
            }
            Event::ChangeDeclined { scheduler, change, .. } => {
                if !self.scheduler_mut(*scheduler)?.decided(*change) {
                    return Err(unknown("undecided change", change));
                }
                self.changes.release(&[*change]);
                Ok(())
            }
            Event::BuildsetUndecided { scheduler, tries, retry } => {
                self.scheduler_mut(*scheduler)?.retry = Some(Retry { tries: *tries, due: *retry });
                Ok(())
            }
            Event::BuildsetOwed { scheduler, stamps, changes } => {
                let owed = OwedBuildset { stamps: stamps.clone(), changes: changes.clone() };
                self.scheduler_mut(*scheduler)?.owed.push(owed);
                self.changes.hold(changes);
                Ok(())
            }
            Event::BuildsetForgone { scheduler, stamps, changes } => {
                if !self.scheduler_mut(*scheduler)?.pay(stamps, changes) {
                    return Err(unknown("owed buildset", scheduler));
                }
                self.changes.release(changes);
                Ok(())
            }
            Event::ScriptFailed { function, message, losses } => {
                let trouble = self.troubles.entry(*function).or_default();
                trouble.message = Some(message.clone());
                trouble.losses = *losses;
                Ok(())
            }
            Event::ScriptSuspended { function, .. } => {
                self.troubles.entry(*function).or_default().suspended = true;
                Ok(())
            }
            Event::ScriptRecovered { function } => self.script_recovered(function),
            other => Err(format!("it decides nothing: {other:?}")),
        }
    }

    fn change_undecided(&mut self, scheduler: SchedulerId, change: ChangeId, retry: Retry) -> Result<(), IllegalFact> {
        if self.changes.get(change).is_none() {
            return Err(unknown("change", &change));
        }
        let pending = &mut self.scheduler_mut(scheduler)?.pending;
        match pending.iter_mut().find(|pending| pending.change == change) {
            Some(known) => known.retry = retry,
            None => {
                pending.push(PendingChange { change, retry });
                self.changes.hold(&[change]);
            }
        }
        Ok(())
    }

    fn script_recovered(&mut self, function: &UserFunction) -> Result<(), IllegalFact> {
        let trouble = self.troubles.get_mut(function).ok_or_else(|| unknown("trouble", function))?;
        trouble.message = None;
        if trouble.losses == 0 {
            self.troubles.remove(function);
        }
        Ok(())
    }

    /// A configuration came into force: everything is asked again at once.
    pub(super) fn ask_again(&mut self, at: Timestamp) {
        self.troubles.clear();
        let now = Retry { tries: 0, due: Some(at) };
        for scheduler in self.schedulers.values_mut() {
            scheduler.pending.iter_mut().for_each(|pending| pending.retry = now);
            scheduler.retry = scheduler.retry.map(|_| now);
        }
        for step in self.builds.values_mut().filter_map(|build| build.step.as_mut()) {
            // Those that are due at no time are carried out already.
            step.undecided.values_mut().filter(|retry| retry.due.is_some()).for_each(|retry| *retry = now);
        }
    }
}

impl super::Scheduler {
    /// A change waits no more; false if it did not.
    pub fn decided(&mut self, change: ChangeId) -> bool {
        let before = self.pending.len();
        self.pending.retain(|pending| pending.change != change);
        self.pending.len() < before
    }

    /// An owed buildset is made or given up; false if it was not owed.
    pub fn pay(&mut self, stamps: &[StampSpec], changes: &[ChangeId]) -> bool {
        let found = self.owed.iter().position(|owed| owed.stamps == stamps && owed.changes == changes);
        found.map(|at| self.owed.remove(at)).is_some()
    }

    /// Takes a change into the queue, oldest first: one that had to wait for a decision goes before newer ones.
    pub fn enqueue(&mut self, queued: QueuedChange) {
        let at = self.queued.partition_point(|other| other.change <= queued.change);
        self.queued.insert(at, queued);
    }
}
