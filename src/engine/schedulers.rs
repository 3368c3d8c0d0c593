//! Schedulers: which changes they take, and when they make a buildset of them.

use std::sync::Arc;

use super::buildsets::Making;
use super::filter::filter_of;
use super::pass::Pass;
use super::state::QueuedChange;
use super::{Deadline, Reply, Ticket, WakeReason, cron, timers};
use crate::base::{Span, Timestamp};
use crate::model::{
    BuildsetRecord, Change, ChangeId, Event, ImportantFiles, Outcome, PlanChange, Question, SchedulerId, SchedulerKind,
    SchedulerPlan, StampSpec, Value,
};

/// Where a line of changes comes from: an any-branch scheduler keeps a quiet period for each.
type Line = (String, String, String, Option<String>);

impl Pass<'_> {
    /// Shows a new change to all schedulers.
    pub fn offer_change(&mut self, id: ChangeId) {
        let (Some(plan), Some(change)) = (self.plan(), self.state.changes.get(id).cloned()) else { return };
        for scheduler in plan.schedulers.values() {
            self.offer_to(scheduler, &change);
        }
    }

    fn offer_to(&mut self, plan: &SchedulerPlan, change: &Arc<Change>) {
        let enabled = self.state.schedulers.get(&plan.name).is_some_and(|scheduler| scheduler.enabled);
        if !enabled || !self.takes(plan, change) {
            return;
        }
        let Some(important) = self.is_important(plan, change) else { return };
        match &plan.kind {
            SchedulerKind::Branch { quiet, only_important, .. }
            | SchedulerKind::AnyBranch { quiet, only_important, .. } => {
                if important || !only_important {
                    self.queue_for_quiet(plan, change, important, *quiet);
                }
            }
            SchedulerKind::Periodic { .. } | SchedulerKind::Nightly { .. } => {
                self.record(Event::ChangeQueued {
                    scheduler: plan.name.clone(),
                    change: change.id,
                    important,
                    due: None,
                });
            }
            SchedulerKind::Dependent { .. } | SchedulerKind::Triggerable | SchedulerKind::Force { .. } => {}
        }
    }

    fn takes(&mut self, plan: &SchedulerPlan, change: &Arc<Change>) -> bool {
        let Some((filter, _)) = filter_of(plan) else { return false };
        let known = plan.codebases.iter().any(|codebase| codebase.stamp.codebase == change.data.codebase);
        if !known || !self.up.filters.takes(&plan.name, &change.data) {
            return false;
        }
        let Some(function) = filter.function else { return true };
        let what = format!("the filter of scheduler `{}`", plan.name);
        self.decide(&what, function, &Question::Filter(Arc::clone(change)), false)
            .is_some_and(|answer| answer.is_true())
    }

    /// Whether a change is important; nothing if the user's function fails.
    fn is_important(&mut self, plan: &SchedulerPlan, change: &Arc<Change>) -> Option<bool> {
        match filter_of(plan)?.1 {
            None => Some(true),
            Some(ImportantFiles::Globs { .. }) => Some(self.up.filters.is_important(&plan.name, &change.data)),
            Some(ImportantFiles::Function(function)) => {
                let what = format!("`important` of scheduler `{}`", plan.name);
                self.decide(&what, *function, &Question::Important(Arc::clone(change)), false)
                    .map(|answer| answer.is_true())
            }
        }
    }

    /// Takes a change; an important one lets the quiet period begin anew, and without one the builds start at once.
    fn queue_for_quiet(&mut self, plan: &SchedulerPlan, change: &Change, important: bool, quiet: Span) {
        let due = important.then(|| self.now.plus(quiet));
        self.record(Event::ChangeQueued { scheduler: plan.name.clone(), change: change.id, important, due });
        if important && quiet == Span::ZERO {
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
        quiet.chain(timed).min()
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
        for (line, due) in self.quiet_ends(plan) {
            if due <= self.now {
                self.build_queue(plan, line.as_ref());
            }
        }
        if self.timed_moment(plan).is_some_and(|next| next <= self.now) {
            self.fire_timed(plan);
        }
    }

    /// The ends of quiet periods: that of the newest important change of each line counts.
    fn quiet_ends(&self, plan: &SchedulerPlan) -> Vec<(Option<Line>, Timestamp)> {
        let (SchedulerKind::Branch { quiet, .. } | SchedulerKind::AnyBranch { quiet, .. }) = &plan.kind else {
            return Vec::new();
        };
        let mut ends: std::collections::BTreeMap<Option<Line>, Timestamp> = std::collections::BTreeMap::new();
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

    /// Makes a buildset of all that waits in a line.
    fn build_queue(&mut self, plan: &SchedulerPlan, line: Option<&Line>) {
        let changes: Vec<Arc<Change>> = (self.queued(&plan.name).iter())
            .filter_map(|queued| self.state.changes.get(queued.change))
            .filter(|change| line_of(plan, change).as_ref() == line)
            .cloned()
            .collect();
        let branch = changes.last().and_then(|change| change.data.branch.clone());
        let usual = branch.map_or_else(|| "changes".to_owned(), |branch| format!("changes on {branch}"));
        self.build_changes(plan, &changes, &usual);
    }

    /// Makes a buildset for changes, oldest first: of each codebase what its newest change says.
    fn build_changes(&mut self, plan: &SchedulerPlan, changes: &[Arc<Change>], usual_reason: &str) {
        let stamps = plan.codebases.iter().map(|codebase| {
            let newest = changes.iter().rev().find(|change| change.data.codebase == codebase.stamp.codebase);
            newest.map_or_else(|| codebase.stamp.clone(), |change| change.stamp.spec.clone())
        });
        let making = Making {
            stamps: stamps.collect(),
            changes: changes.iter().map(|change| change.id).collect(),
            ..Making::of(plan, usual_reason)
        };
        self.make_buildset(making);
    }

    /// A timed scheduler's moment has come, or was missed: one buildset either way.
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
        let changed = self.queued(&plan.name).iter().any(|queued| queued.important);
        let skipped = only_if_changed && !changed;
        if !skipped {
            let changes: Vec<Arc<Change>> =
                self.state.changes.all(&self.queued(&plan.name).iter().map(|queued| queued.change).collect::<Vec<_>>());
            self.build_changes(plan, &changes, &usual);
        }
        let next = self.next_moment(plan, Some(self.now));
        self.record(Event::SchedulerTimed { scheduler: plan.name.clone(), next, skipped });
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
                    let what = format!("scheduler `{}`", plan.name);
                    self.record(Event::ScriptFailed { what, message: error.to_string() });
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
        for scheduler in plan.schedulers.values() {
            let changed = changes.iter().any(|change| change.kind == "scheduler" && change.name == scheduler.name);
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
            self.record(Event::SchedulerTimed { scheduler: plan.name.clone(), next, skipped: false });
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

    /// A buildset ended: whoever depends on its scheduler goes on with the same sources.
    pub fn start_dependents(&mut self, ended: &BuildsetRecord, outcome: Outcome) {
        if !matches!(outcome, Outcome::Success | Outcome::Warnings) {
            return;
        }
        let Some(plan) = self.plan() else { return };
        for scheduler in plan.schedulers.values() {
            let SchedulerKind::Dependent { upstream } = &scheduler.kind else { continue };
            let enabled = self.state.schedulers.get(&scheduler.name).is_some_and(|state| state.enabled);
            if enabled && *upstream == ended.scheduler {
                let making = Making {
                    stamps: ended.stamps.iter().map(|stamp| stamp.spec.clone()).collect::<Vec<StampSpec>>(),
                    changes: ended.changes.clone(),
                    ..Making::of(scheduler, &format!("after {upstream}"))
                };
                self.make_buildset(making);
            }
        }
    }

    /// A person switches a scheduler.
    pub fn enable_asked(&mut self, name: String, enabled: bool, ticket: Option<Ticket>) {
        let Some(found) = self.state.schedulers.get(&name) else {
            return self.reply(ticket, Reply::Unknown(format!("there is no scheduler `{name}`")));
        };
        let (id, was): (SchedulerId, bool) = (found.id, found.enabled);
        if was != enabled {
            self.record(Event::SchedulerEnabled { scheduler: name.clone(), enabled });
            if let Some(plan) = self.plan().as_ref().and_then(|plan| plan.schedulers.get(&name)) {
                self.time_scheduler(plan);
            }
        }
        self.reply(ticket, Reply::Scheduler(id));
    }

    /// A whole number from a policy: fixed, or what the user's function says of these properties.
    pub fn number_of(
        &mut self,
        policy: &crate::model::Policy<i64>,
        builder: &str,
        properties: &crate::model::Properties,
    ) -> i64 {
        match policy {
            crate::model::Policy::Fixed(number) => *number,
            crate::model::Policy::Function(function) => {
                let what = format!("the priority of builder `{builder}`");
                let properties = Arc::new(properties.clone());
                let question = Question::Priority { builder: builder.to_owned(), properties };
                self.decide(&what, *function, &question, true).as_ref().and_then(Value::as_int).unwrap_or(0)
            }
        }
    }
}

/// The line of a change in this scheduler: an any-branch scheduler has many, others one.
fn line_of(plan: &SchedulerPlan, change: &Change) -> Option<Line> {
    let data = &change.data;
    matches!(plan.kind, SchedulerKind::AnyBranch { .. })
        .then(|| (data.codebase.clone(), data.repository.clone(), data.project.clone(), data.branch.clone()))
}
