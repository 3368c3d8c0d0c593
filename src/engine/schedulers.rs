//! Schedulers: which changes they take, and when they make a buildset of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::asking::NoAnswer;
use super::buildsets::NewBuildset;
use super::decide::{decide, function_failed};
use super::dependents::pay_owed;
use super::filter::filter_of;
use super::lines::{ChangeLine, line_of, sets_of};
use super::pending::{decline, gate, keep_pending, make_or_shut, pending_due, retry_due};
use super::state::{PendingChange, QueuedChange};
use super::timers::TimerKey;
use super::turn::Turn;
use super::{Deadline, Reply, Ticket, WakeReason, cron, timers};
use crate::base::{Span, Timestamp};
use crate::model::{
    Change, ChangeId, Event, FunctionKind, ImportantFiles, PlanChange, Question, SchedulerId, SchedulerKind,
    SchedulerPlan, UserFunction,
};

/// Shows a new change to all schedulers that look at changes.
pub(super) fn offer_change(turn: &mut Turn<'_>, id: ChangeId) {
    let Some(plan) = turn.plan() else { return };
    let change = turn.state.changes().get(id).cloned().expect("the newest change is held");
    let listeners = turn.in_flight.plans.listeners();
    for scheduler in listeners.iter().filter_map(|name| plan.schedulers.get(name)) {
        offer_to(turn, scheduler, &change);
    }
}

/// Shows a change to a scheduler, for the first time or again.
pub(super) fn offer_to(turn: &mut Turn<'_>, plan: &SchedulerPlan, change: &Arc<Change>) {
    if !turn.state.schedulers().get(&plan.name).is_some_and(|scheduler| scheduler.enabled) {
        return;
    }
    match verdict(turn, plan, change) {
        Ok(Some(important)) => take_change(turn, plan, change, important),
        Ok(None) => decline(turn, plan, change.id),
        Err(no_answer) => keep_pending(turn, plan, change.id, no_answer),
    }
}

/// Whether a scheduler takes a change, and whether it is important then.
fn verdict(turn: &mut Turn<'_>, plan: &SchedulerPlan, change: &Arc<Change>) -> Result<Option<bool>, NoAnswer> {
    if !takes(turn, plan, change)? {
        return Ok(None);
    }
    is_important(turn, plan, change)
}

fn take_change(turn: &mut Turn<'_>, plan: &SchedulerPlan, change: &Arc<Change>, important: bool) {
    match &plan.kind {
        SchedulerKind::Branch { quiet, only_important, .. }
        | SchedulerKind::AnyBranch { quiet, only_important, .. } => {
            if important || !only_important {
                queue_for_quiet(turn, plan, change, important, *quiet);
            } else {
                decline(turn, plan, change.id);
            }
        }
        SchedulerKind::Periodic { .. } | SchedulerKind::Nightly { .. } => {
            turn.record(Event::ChangeQueued {
                scheduler: turn.state.scheduler_id(&plan.name),
                change: change.id,
                important,
                due: None,
            });
        }
        SchedulerKind::Dependent { .. } | SchedulerKind::Triggerable | SchedulerKind::Force { .. } => {}
    }
}

fn takes(turn: &mut Turn<'_>, plan: &SchedulerPlan, change: &Arc<Change>) -> Result<bool, NoAnswer> {
    let Some((filter, _)) = filter_of(plan) else { return Ok(false) };
    let known = plan.codebases.iter().any(|codebase| codebase.stamp.codebase == change.data.codebase);
    if !known || !turn.in_flight.plans.filter_takes(&plan.name, &change.data) {
        return Ok(false);
    }
    let Some(id) = filter.function else { return Ok(true) };
    let function = UserFunction::new(FunctionKind::Filter, turn.state.scheduler_id(&plan.name));
    Ok(decide(turn, &function, id, Question::Filter(Arc::clone(change)))?.is_true())
}

/// Whether a change is important; nothing if this scheduler does not look at changes.
fn is_important(turn: &mut Turn<'_>, plan: &SchedulerPlan, change: &Arc<Change>) -> Result<Option<bool>, NoAnswer> {
    let Some((_, important)) = filter_of(plan) else { return Ok(None) };
    match important {
        None => Ok(Some(true)),
        Some(ImportantFiles::Globs { .. }) => Ok(Some(turn.in_flight.plans.is_important(&plan.name, &change.data))),
        Some(ImportantFiles::Function(id)) => {
            let function = UserFunction::new(FunctionKind::Important, turn.state.scheduler_id(&plan.name));
            let answer = decide(turn, &function, *id, Question::Important(Arc::clone(change)))?;
            Ok(Some(answer.is_true()))
        }
    }
}

/// Takes a change; an important one lets the quiet period begin anew, and without one the builds start at once.
fn queue_for_quiet(turn: &mut Turn<'_>, plan: &SchedulerPlan, change: &Change, important: bool, quiet: Span) {
    // One that had to wait for a decision has had its quiet period already.
    let due = important.then(|| change.arrived.min(turn.now).plus(quiet));
    turn.record(Event::ChangeQueued {
        scheduler: turn.state.scheduler_id(&plan.name),
        change: change.id,
        important,
        due,
    });
    if important && quiet == Span::ZERO && gate(turn, &plan.name).is_none() {
        let line = line_of(plan, change);
        build_queue(turn, plan, line.as_ref());
    }
}

/// The moment at which a scheduler has something to do.
pub(super) fn scheduler_due(turn: &Turn<'_>, name: &str) -> Option<Deadline> {
    turn.state.schedulers().get(name).filter(|scheduler| scheduler.active && scheduler.enabled)?;
    let plan = turn.plan()?;
    let plan = plan.schedulers.get(name)?;
    let quiet = quiet_ends(turn, plan).into_iter().map(|(_, due)| (due, WakeReason::QuietPeriod(name.to_owned())));
    let timed = timed_moment(turn, plan).map(|next| (next, WakeReason::Scheduler(name.to_owned())));
    let owes = turn.state.schedulers().get(name).is_some_and(|scheduler| !scheduler.owed.is_empty());
    let owed = owes.then(|| (turn.now, WakeReason::Decision(name.to_owned())));
    let makes = quiet.chain(timed).chain(owed).min();
    let makes = match gate(turn, name) {
        None => makes,
        Some(retry) => makes.and_then(|(due, _)| {
            let open = retry_due(turn, retry)?;
            Some((due.max(open), WakeReason::Decision(name.to_owned())))
        }),
    };
    makes.into_iter().chain(pending_due(turn, name)).min()
}

/// When a timed scheduler is due: as planned, but a periodic one never later than its interval.
fn timed_moment(turn: &Turn<'_>, plan: &SchedulerPlan) -> Option<Timestamp> {
    let next = turn.state.schedulers().get(&plan.name)?.next?;
    match &plan.kind {
        SchedulerKind::Periodic { every, .. } => Some(timers::due(next, turn.now, *every)),
        SchedulerKind::Nightly { .. }
        | SchedulerKind::Branch { .. }
        | SchedulerKind::AnyBranch { .. }
        | SchedulerKind::Dependent { .. }
        | SchedulerKind::Triggerable
        | SchedulerKind::Force { .. } => Some(next),
    }
}

/// Does what a scheduler has to do now.
pub(super) fn fire_scheduler(turn: &mut Turn<'_>, name: &str) {
    let plan = turn.plan().expect("schedulers are due only under a configuration");
    let plan = plan.schedulers.get(name).expect("only schedulers that are configured are due");
    ask_about_pending(turn, plan);
    if gate(turn, name).is_none() {
        pay_owed(turn, plan);
    }
    for (line, due) in quiet_ends(turn, plan) {
        if due <= turn.now && gate(turn, name).is_none() {
            build_queue(turn, plan, line.as_ref());
        }
    }
    if gate(turn, name).is_none() && timed_moment(turn, plan).is_some_and(|next| next <= turn.now) {
        fire_timed(turn, plan);
    }
}

/// The ends of quiet periods: that of the newest important change of each line counts.
fn quiet_ends(turn: &Turn<'_>, plan: &SchedulerPlan) -> Vec<(Option<ChangeLine>, Timestamp)> {
    let (SchedulerKind::Branch { quiet, .. } | SchedulerKind::AnyBranch { quiet, .. }) = &plan.kind else {
        return Vec::new();
    };
    let mut ends: BTreeMap<Option<ChangeLine>, Timestamp> = BTreeMap::new();
    for queued in queued(turn, &plan.name) {
        if let (Some(due), Some(change)) = (queued.due, turn.state.changes().get(queued.change)) {
            sabotage!(QuietNotRestarted => if ends.contains_key(&line_of(plan, change)) { continue });
            let due = timers::due(due.min(change.arrived.plus(*quiet)), turn.now, *quiet);
            ends.insert(line_of(plan, change), due);
        }
    }
    ends.into_iter().collect()
}

fn queued<'t>(turn: &'t Turn<'_>, scheduler: &str) -> &'t [QueuedChange] {
    turn.state.schedulers().get(scheduler).map_or(&[], |scheduler| &scheduler.queued)
}

/// Makes the buildsets of all that waits in a line.
fn build_queue(turn: &mut Turn<'_>, plan: &SchedulerPlan, line: Option<&ChangeLine>) {
    let changes: Vec<Arc<Change>> = (queued(turn, &plan.name).iter())
        .filter_map(|queued| turn.state.changes().get(queued.change))
        .filter(|change| line_of(plan, change).as_ref() == line)
        .cloned()
        .collect();
    for set in important_sets(turn, plan, &changes) {
        let branch = set.last().and_then(|change| change.data.branch.clone());
        let usual = branch.map_or_else(|| "changes".to_owned(), |branch| format!("changes on {branch}"));
        if !build_changes(turn, plan, &set, &usual) {
            return;
        }
    }
}

/// The buildsets to make of these changes. Changes for which nothing important came yet go on waiting.
fn important_sets(turn: &Turn<'_>, plan: &SchedulerPlan, changes: &[Arc<Change>]) -> Vec<Vec<Arc<Change>>> {
    let important: BTreeSet<ChangeId> =
        queued(turn, &plan.name).iter().filter(|queued| queued.important).map(|queued| queued.change).collect();
    let mut sets = sets_of(plan, changes);
    sets.retain(|set| set.iter().any(|change| important.contains(&change.id)));
    sets
}

/// Makes a buildset for changes, oldest first: of each codebase what its newest change says.
/// False if it cannot be made yet.
fn build_changes(turn: &mut Turn<'_>, plan: &SchedulerPlan, changes: &[Arc<Change>], usual_reason: &str) -> bool {
    let stamps = plan.codebases.iter().map(|codebase| {
        let newest = changes.iter().rev().find(|change| change.data.codebase == codebase.stamp.codebase);
        newest.map_or_else(|| codebase.stamp.clone(), |change| change.stamp.spec.clone())
    });
    let new_buildset = NewBuildset {
        stamps: stamps.collect(),
        changes: changes.iter().map(|change| change.id).collect(),
        ..NewBuildset::of(plan, usual_reason)
    };
    make_or_shut(turn, plan, new_buildset)
}

/// A timed scheduler's moment has come, or was missed: it builds once either way, each branch that it has changes of.
fn fire_timed(turn: &mut Turn<'_>, plan: &SchedulerPlan) {
    let (usual, only_if_changed) = match &plan.kind {
        SchedulerKind::Periodic { every, only_if_changed, .. } => (format!("every {every}"), *only_if_changed),
        SchedulerKind::Nightly { cron, only_if_changed, .. } => (format!("at {cron}"), *only_if_changed),
        SchedulerKind::Branch { .. }
        | SchedulerKind::AnyBranch { .. }
        | SchedulerKind::Dependent { .. }
        | SchedulerKind::Triggerable
        | SchedulerKind::Force { .. } => return,
    };
    let changes: Vec<ChangeId> = queued(turn, &plan.name).iter().map(|queued| queued.change).collect();
    let changes = turn.state.changes().all(&changes);
    let sets = if only_if_changed { important_sets(turn, plan, &changes) } else { vec![changes] };
    for set in &sets {
        if !build_changes(turn, plan, set, &usual) {
            return;
        }
    }
    let skipped = sets.is_empty();
    let next = next_moment(turn, plan, Some(turn.now));
    turn.record(Event::SchedulerTimed { scheduler: turn.state.scheduler_id(&plan.name), next, skipped });
}

/// The next moment of a timed scheduler whose last one was `last`.
fn next_moment(turn: &mut Turn<'_>, plan: &SchedulerPlan, last: Option<Timestamp>) -> Option<Timestamp> {
    match &plan.kind {
        SchedulerKind::Periodic { every, .. } => {
            let regular = last.map_or(turn.now, |last| last.plus(*every));
            Some(regular.clamp(turn.now, turn.now.plus(*every)))
        }
        SchedulerKind::Nightly { cron, zone, .. } => match cron::next_after(cron, zone, turn.now) {
            Ok(next) => Some(next),
            Err(error) => {
                let function = UserFunction::new(FunctionKind::Times, turn.state.scheduler_id(&plan.name));
                function_failed(turn, &function, &error.to_string(), 0);
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
pub(super) fn time_schedulers(turn: &mut Turn<'_>, changes: &[PlanChange]) {
    let Some(plan) = turn.plan() else { return };
    let changed = changes.iter().filter_map(|change| match change {
        PlanChange::Scheduler { name, .. } => Some(name.as_str()),
        _ => None,
    });
    let changed: BTreeSet<&str> = changed.collect();
    for scheduler in plan.schedulers.values() {
        let changed = changed.contains(scheduler.name.as_str());
        let untimed = turn.state.schedulers().get(&scheduler.name).is_some_and(|state| state.next.is_none());
        if changed || untimed {
            time_scheduler(turn, scheduler);
        }
    }
}

fn time_scheduler(turn: &mut Turn<'_>, plan: &SchedulerPlan) {
    let state = turn.state.scheduler(&plan.name);
    if !state.enabled {
        return;
    }
    let (last, before) = (state.last, state.next);
    let next = next_moment(turn, plan, last);
    if next != before {
        turn.record(Event::SchedulerTimed { scheduler: turn.state.scheduler_id(&plan.name), next, skipped: false });
    }
}

/// The clock went back: moments computed from the wrong time are too far away.
pub(super) fn retime_schedulers(turn: &mut Turn<'_>) {
    let Some(plan) = turn.plan() else { return };
    for scheduler in plan.schedulers.values() {
        if turn.state.schedulers().get(&scheduler.name).is_some_and(|state| state.next.is_some()) {
            time_scheduler(turn, scheduler);
        }
    }
}

/// After a start: a next night that lies farther away than the next one was computed by a clock that was wrong.
pub(super) fn retime_nights(turn: &mut Turn<'_>) {
    let Some(plan) = turn.plan() else { return };
    for scheduler in plan.schedulers.values() {
        let next = turn.state.schedulers().get(&scheduler.name).and_then(|state| state.next);
        if matches!(scheduler.kind, SchedulerKind::Nightly { .. }) && next.is_some_and(|next| next > turn.now) {
            time_scheduler(turn, scheduler);
        }
    }
}

/// A person switches a scheduler.
pub(super) fn enable_ordered(turn: &mut Turn<'_>, name: String, enabled: bool, ticket: Option<Ticket>) {
    let Some(found) = turn.state.schedulers().get(&name) else {
        return turn.reply(ticket, Reply::Unknown(format!("there is no scheduler `{name}`")));
    };
    let (id, was): (SchedulerId, bool) = (found.id, found.enabled);
    if was != enabled {
        turn.record(Event::SchedulerEnabled { scheduler: id, enabled });
        if let Some(plan) = turn.plan().as_ref().and_then(|plan| plan.schedulers.get(&name)) {
            time_scheduler(turn, plan);
        }
    }
    turn.reply(ticket, Reply::Scheduler(id));
}

/// Asks again about the changes that are due.
pub(super) fn ask_about_pending(turn: &mut Turn<'_>, plan: &SchedulerPlan) {
    let scheduler = turn.state.scheduler(&plan.name);
    let due = |pending: &&PendingChange| retry_due(turn, pending.retry).is_some_and(|due| due <= turn.now);
    let due: Vec<ChangeId> = scheduler.pending.iter().filter(due).map(|pending| pending.change).collect();
    for change in due {
        if turn.in_flight.timers.is_postponed(&TimerKey::Scheduler(plan.name.clone())) {
            return;
        }
        match turn.state.changes().get(change).map(Arc::clone) {
            Some(change) => offer_to(turn, plan, &change),
            None => decline(turn, plan, change),
        }
    }
}
