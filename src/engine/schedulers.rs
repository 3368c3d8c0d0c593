//! Schedulers: which changes they take, and when they make a buildset of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::asking::NoAnswer;
use super::buildsets::NewBuildset;
use super::filter::filter_of;
use super::lines::{ChangeLine, line_of, sets_of};
use super::state::QueuedChange;
use super::turn::Turn;
use super::{Deadline, Reply, Ticket, WakeReason, cron, timers};
use crate::base::{Span, Timestamp};
use crate::model::{
    BuildsetRecord, Change, ChangeId, Event, FunctionKind, ImportantFiles, Outcome, PlanChange, Question, SchedulerId,
    SchedulerKind, SchedulerPlan, StampSpec, UserFunction,
};

impl Turn<'_> {
    /// Shows a new change to all schedulers that look at changes.
    pub fn offer_change(&mut self, id: ChangeId) {
        let (Some(plan), Some(change)) = (self.plan(), self.state.changes.get(id).cloned()) else { return };
        let listeners = Arc::clone(&self.in_flight.links.listeners);
        for scheduler in listeners.iter().filter_map(|name| plan.schedulers.get(name)) {
            self.offer_to(scheduler, &change);
        }
    }

    /// Shows a change to a scheduler, for the first time or again.
    pub fn offer_to(&mut self, plan: &SchedulerPlan, change: &Arc<Change>) {
        if !self.state.schedulers.get(&plan.name).is_some_and(|scheduler| scheduler.enabled) {
            return;
        }
        match self.verdict(plan, change) {
            Ok(Some(important)) => self.take_change(plan, change, important),
            Ok(None) => self.decline(plan, change.id),
            Err(no_answer) => self.keep_pending(plan, change.id, no_answer),
        }
    }

    /// Whether a scheduler takes a change, and whether it is important then.
    fn verdict(&mut self, plan: &SchedulerPlan, change: &Arc<Change>) -> Result<Option<bool>, NoAnswer> {
        if !self.takes(plan, change)? {
            return Ok(None);
        }
        self.is_important(plan, change)
    }

    fn take_change(&mut self, plan: &SchedulerPlan, change: &Arc<Change>, important: bool) {
        match &plan.kind {
            SchedulerKind::Branch { quiet, only_important, .. }
            | SchedulerKind::AnyBranch { quiet, only_important, .. } => {
                if important || !only_important {
                    self.queue_for_quiet(plan, change, important, *quiet);
                } else {
                    self.decline(plan, change.id);
                }
            }
            SchedulerKind::Periodic { .. } | SchedulerKind::Nightly { .. } => {
                self.record(Event::ChangeQueued {
                    scheduler: self.state.scheduler_id(&plan.name),
                    change: change.id,
                    important,
                    due: None,
                });
            }
            SchedulerKind::Dependent { .. } | SchedulerKind::Triggerable | SchedulerKind::Force { .. } => {}
        }
    }

    fn takes(&mut self, plan: &SchedulerPlan, change: &Arc<Change>) -> Result<bool, NoAnswer> {
        let Some((filter, _)) = filter_of(plan) else { return Ok(false) };
        let known = plan.codebases.iter().any(|codebase| codebase.stamp.codebase == change.data.codebase);
        if !known || !self.in_flight.filters.takes(&plan.name, &change.data) {
            return Ok(false);
        }
        let Some(id) = filter.function else { return Ok(true) };
        let function = UserFunction::new(FunctionKind::Filter, self.state.scheduler_id(&plan.name));
        Ok(self.decide(&function, id, Question::Filter(Arc::clone(change)))?.is_true())
    }

    /// Whether a change is important; nothing if this scheduler does not look at changes.
    fn is_important(&mut self, plan: &SchedulerPlan, change: &Arc<Change>) -> Result<Option<bool>, NoAnswer> {
        let Some((_, important)) = filter_of(plan) else { return Ok(None) };
        match important {
            None => Ok(Some(true)),
            Some(ImportantFiles::Globs { .. }) => {
                Ok(Some(self.in_flight.filters.is_important(&plan.name, &change.data)))
            }
            Some(ImportantFiles::Function(id)) => {
                let function = UserFunction::new(FunctionKind::Important, self.state.scheduler_id(&plan.name));
                let answer = self.decide(&function, *id, Question::Important(Arc::clone(change)))?;
                Ok(Some(answer.is_true()))
            }
        }
    }

    /// Takes a change; an important one lets the quiet period begin anew, and without one the builds start at once.
    fn queue_for_quiet(&mut self, plan: &SchedulerPlan, change: &Change, important: bool, quiet: Span) {
        // One that had to wait for a decision has had its quiet period already.
        let due = important.then(|| change.arrived.min(self.now).plus(quiet));
        self.record(Event::ChangeQueued {
            scheduler: self.state.scheduler_id(&plan.name),
            change: change.id,
            important,
            due,
        });
        if important && quiet == Span::ZERO && self.gate(&plan.name).is_none() {
            let line = line_of(plan, change);
            self.build_queue(plan, line.as_ref());
        }
    }

    /// The moment at which a scheduler has something to do.
    pub fn scheduler_due(&self, name: &str) -> Option<Deadline> {
        self.state.schedulers.get(name).filter(|scheduler| scheduler.active && scheduler.enabled)?;
        let plan = self.plan()?;
        let plan = plan.schedulers.get(name)?;
        let quiet = self.quiet_ends(plan).into_iter().map(|(_, due)| (due, WakeReason::QuietPeriod(name.to_owned())));
        let timed = self.timed_moment(plan).map(|next| (next, WakeReason::Scheduler(name.to_owned())));
        let owes = self.state.schedulers.get(name).is_some_and(|scheduler| !scheduler.owed.is_empty());
        let owed = owes.then(|| (self.now, WakeReason::Decision(name.to_owned())));
        let makes = quiet.chain(timed).chain(owed).min();
        let makes = match self.gate(name) {
            None => makes,
            Some(retry) => makes.and_then(|(due, _)| {
                let open = self.retry_due(retry)?;
                Some((due.max(open), WakeReason::Decision(name.to_owned())))
            }),
        };
        makes.into_iter().chain(self.pending_due(name)).min()
    }

    /// When a timed scheduler is due: as planned, but a periodic one never later than its interval.
    fn timed_moment(&self, plan: &SchedulerPlan) -> Option<Timestamp> {
        let next = self.state.schedulers.get(&plan.name)?.next?;
        match &plan.kind {
            SchedulerKind::Periodic { every, .. } => Some(timers::due(next, self.now, *every)),
            SchedulerKind::Nightly { .. }
            | SchedulerKind::Branch { .. }
            | SchedulerKind::AnyBranch { .. }
            | SchedulerKind::Dependent { .. }
            | SchedulerKind::Triggerable
            | SchedulerKind::Force { .. } => Some(next),
        }
    }

    /// Does what a scheduler has to do now.
    pub fn fire_scheduler(&mut self, name: &str) {
        let Some(plan) = self.plan() else { return };
        let Some(plan) = plan.schedulers.get(name) else { return };
        self.ask_about_pending(plan);
        if self.gate(name).is_none() {
            self.pay_owed(plan);
        }
        for (line, due) in self.quiet_ends(plan) {
            if due <= self.now && self.gate(name).is_none() {
                self.build_queue(plan, line.as_ref());
            }
        }
        if self.gate(name).is_none() && self.timed_moment(plan).is_some_and(|next| next <= self.now) {
            self.fire_timed(plan);
        }
    }

    /// The ends of quiet periods: that of the newest important change of each line counts.
    fn quiet_ends(&self, plan: &SchedulerPlan) -> Vec<(Option<ChangeLine>, Timestamp)> {
        let (SchedulerKind::Branch { quiet, .. } | SchedulerKind::AnyBranch { quiet, .. }) = &plan.kind else {
            return Vec::new();
        };
        let mut ends: BTreeMap<Option<ChangeLine>, Timestamp> = BTreeMap::new();
        for queued in self.queued(&plan.name) {
            if let (Some(due), Some(change)) = (queued.due, self.state.changes.get(queued.change)) {
                sabotage!(QuietNotRestarted => if ends.contains_key(&line_of(plan, change)) { continue });
                let due = timers::due(due.min(change.arrived.plus(*quiet)), self.now, *quiet);
                ends.insert(line_of(plan, change), due);
            }
        }
        ends.into_iter().collect()
    }

    fn queued(&self, scheduler: &str) -> &[QueuedChange] {
        self.state.schedulers.get(scheduler).map_or(&[], |scheduler| &scheduler.queued)
    }

    /// Makes the buildsets of all that waits in a line.
    fn build_queue(&mut self, plan: &SchedulerPlan, line: Option<&ChangeLine>) {
        let changes: Vec<Arc<Change>> = (self.queued(&plan.name).iter())
            .filter_map(|queued| self.state.changes.get(queued.change))
            .filter(|change| line_of(plan, change).as_ref() == line)
            .cloned()
            .collect();
        for set in self.important_sets(plan, &changes) {
            let branch = set.last().and_then(|change| change.data.branch.clone());
            let usual = branch.map_or_else(|| "changes".to_owned(), |branch| format!("changes on {branch}"));
            if !self.build_changes(plan, &set, &usual) {
                return;
            }
        }
    }

    /// The buildsets to make of these changes. Changes for which nothing important came yet go on waiting.
    fn important_sets(&self, plan: &SchedulerPlan, changes: &[Arc<Change>]) -> Vec<Vec<Arc<Change>>> {
        let important: BTreeSet<ChangeId> =
            self.queued(&plan.name).iter().filter(|queued| queued.important).map(|queued| queued.change).collect();
        let mut sets = sets_of(plan, changes);
        sets.retain(|set| set.iter().any(|change| important.contains(&change.id)));
        sets
    }

    /// Makes a buildset for changes, oldest first: of each codebase what its newest change says.
    /// False if it cannot be made yet.
    fn build_changes(&mut self, plan: &SchedulerPlan, changes: &[Arc<Change>], usual_reason: &str) -> bool {
        let stamps = plan.codebases.iter().map(|codebase| {
            let newest = changes.iter().rev().find(|change| change.data.codebase == codebase.stamp.codebase);
            newest.map_or_else(|| codebase.stamp.clone(), |change| change.stamp.spec.clone())
        });
        let new_buildset = NewBuildset {
            stamps: stamps.collect(),
            changes: changes.iter().map(|change| change.id).collect(),
            ..NewBuildset::of(plan, usual_reason)
        };
        self.make_or_shut(plan, new_buildset)
    }

    /// Makes a buildset; if a function does not say how, this scheduler makes none for a while.
    fn make_or_shut(&mut self, plan: &SchedulerPlan, new_buildset: NewBuildset) -> bool {
        let made = self.make_buildset(new_buildset);
        if let Err(no_answer) = made {
            self.shut_gate(&plan.name, no_answer);
        }
        made.is_ok()
    }

    /// A timed scheduler's moment has come, or was missed: it builds once either way, each branch that it has changes of.
    fn fire_timed(&mut self, plan: &SchedulerPlan) {
        let (usual, only_if_changed) = match &plan.kind {
            SchedulerKind::Periodic { every, only_if_changed, .. } => (format!("every {every}"), *only_if_changed),
            SchedulerKind::Nightly { cron, only_if_changed, .. } => (format!("at {cron}"), *only_if_changed),
            SchedulerKind::Branch { .. }
            | SchedulerKind::AnyBranch { .. }
            | SchedulerKind::Dependent { .. }
            | SchedulerKind::Triggerable
            | SchedulerKind::Force { .. } => return,
        };
        let changes: Vec<ChangeId> = self.queued(&plan.name).iter().map(|queued| queued.change).collect();
        let changes = self.state.changes.all(&changes);
        let sets = if only_if_changed { self.important_sets(plan, &changes) } else { vec![changes] };
        for set in &sets {
            if !self.build_changes(plan, set, &usual) {
                return;
            }
        }
        let skipped = sets.is_empty();
        let next = self.next_moment(plan, Some(self.now));
        self.record(Event::SchedulerTimed { scheduler: self.state.scheduler_id(&plan.name), next, skipped });
    }

    /// The next moment of a timed scheduler whose last one was `last`.
    fn next_moment(&mut self, plan: &SchedulerPlan, last: Option<Timestamp>) -> Option<Timestamp> {
        match &plan.kind {
            SchedulerKind::Periodic { every, .. } => {
                let regular = last.map_or(self.now, |last| last.plus(*every));
                Some(regular.clamp(self.now, self.now.plus(*every)))
            }
            SchedulerKind::Nightly { cron, zone, .. } => match cron::next_after(cron, zone, self.now) {
                Ok(next) => Some(next),
                Err(error) => {
                    let function = UserFunction::new(FunctionKind::Times, self.state.scheduler_id(&plan.name));
                    self.function_failed(&function, &error.to_string(), 0);
                    None
                }
            },
            SchedulerKind::Branch { .. }
            | SchedulerKind::AnyBranch { .. }
            | SchedulerKind::Dependent { .. }
            | SchedulerKind::Triggerable
            | SchedulerKind::Force { .. } => None,
        }
    }

    /// Gives new and changed timed schedulers their next moment.
    pub fn time_schedulers(&mut self, changes: &[PlanChange]) {
        let Some(plan) = self.plan() else { return };
        let changed = changes.iter().filter_map(|change| match change {
            PlanChange::Scheduler { name, .. } => Some(name.as_str()),
            _ => None,
        });
        let changed: BTreeSet<&str> = changed.collect();
        for scheduler in plan.schedulers.values() {
            let changed = changed.contains(scheduler.name.as_str());
            let untimed = self.state.schedulers.get(&scheduler.name).is_some_and(|state| state.next.is_none());
            if changed || untimed {
                self.time_scheduler(scheduler);
            }
        }
    }

    fn time_scheduler(&mut self, plan: &SchedulerPlan) {
        let Some(state) = self.state.schedulers.get(&plan.name).filter(|state| state.enabled) else { return };
        let (last, before) = (state.last, state.next);
        let next = self.next_moment(plan, last);
        if next != before {
            self.record(Event::SchedulerTimed { scheduler: self.state.scheduler_id(&plan.name), next, skipped: false });
        }
    }

    /// The clock went back: moments computed from the wrong time are too far away.
    pub fn retime_schedulers(&mut self) {
        let Some(plan) = self.plan() else { return };
        for scheduler in plan.schedulers.values() {
            if self.state.schedulers.get(&scheduler.name).is_some_and(|state| state.next.is_some()) {
                self.time_scheduler(scheduler);
            }
        }
    }

    /// After a start: a next night that lies farther away than the next one was computed by a clock that was wrong.
    pub fn retime_nights(&mut self) {
        let Some(plan) = self.plan() else { return };
        for scheduler in plan.schedulers.values() {
            let next = self.state.schedulers.get(&scheduler.name).and_then(|state| state.next);
            if matches!(scheduler.kind, SchedulerKind::Nightly { .. }) && next.is_some_and(|next| next > self.now) {
                self.time_scheduler(scheduler);
            }
        }
    }

    /// A buildset ended: whoever depends on its scheduler goes on with the same sources and all `changes` that were built.
    pub fn start_dependents(&mut self, ended: &BuildsetRecord, changes: &[ChangeId], outcome: Outcome) {
        if !matches!(outcome, Outcome::Success | Outcome::Warnings) {
            return;
        }
        let Some(plan) = self.plan() else { return };
        let Some(scheduler) = self.state.scheduler_of(ended) else { return };
        let dependents = self.in_flight.links.dependents.get(scheduler).cloned().unwrap_or_default();
        for scheduler in dependents.iter().filter_map(|name| plan.schedulers.get(name)) {
            if self.state.schedulers.get(&scheduler.name).is_some_and(|state| state.enabled) {
                let stamps: Vec<StampSpec> = ended.stamps.iter().map(|stamp| stamp.spec.clone()).collect();
                if self.gate(&scheduler.name).is_some() || !self.make_dependent(scheduler, stamps, changes.to_vec()) {
                    self.owe(scheduler, ended, changes);
                }
            }
        }
    }

    /// Makes the buildset of a dependent scheduler. False if it cannot be made yet.
    pub fn make_dependent(&mut self, plan: &SchedulerPlan, stamps: Vec<StampSpec>, changes: Vec<ChangeId>) -> bool {
        let SchedulerKind::Dependent { upstream } = &plan.kind else { return false };
        let new_buildset = NewBuildset { stamps, changes, ..NewBuildset::of(plan, &format!("after {upstream}")) };
        self.make_or_shut(plan, new_buildset)
    }

    /// A person switches a scheduler.
    pub fn enable_ordered(&mut self, name: String, enabled: bool, ticket: Option<Ticket>) {
        let Some(found) = self.state.schedulers.get(&name) else {
            return self.reply(ticket, Reply::Unknown(format!("there is no scheduler `{name}`")));
        };
        let (id, was): (SchedulerId, bool) = (found.id, found.enabled);
        if was != enabled {
            self.record(Event::SchedulerEnabled { scheduler: id, enabled });
            if let Some(plan) = self.plan().as_ref().and_then(|plan| plan.schedulers.get(&name)) {
                self.time_scheduler(plan);
            }
        }
        self.reply(ticket, Reply::Scheduler(id));
    }

    /// A whole number from a policy: fixed, or what the user's function says of these properties; 0 if it says nothing.
    pub fn number_of(
        &mut self,
        policy: &crate::model::Policy<i64>,
        builder: &str,
        properties: &crate::model::Properties,
    ) -> Result<i64, NoAnswer> {
        match policy {
            crate::model::Policy::Fixed(number) => Ok(*number),
            crate::model::Policy::Function(function) => {
                let asked = UserFunction::new(FunctionKind::Priority, self.state.builder_id(builder));
                let properties = Arc::new(properties.clone());
                let question = Question::Priority { builder: builder.to_owned(), properties };
                match self.decide(&asked, *function, question) {
                    Ok(answer) => Ok(answer.as_int().unwrap_or(0)),
                    Err(NoAnswer::Postponed) => Err(NoAnswer::Postponed),
                    Err(NoAnswer::Failed | NoAnswer::Suspended) => Ok(0),
                }
            }
        }
    }
}
