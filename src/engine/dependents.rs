//! Buildsets end, and dependent schedulers go on with what was built.

use super::buildsets::NewBuildset;
use super::pending::{gate, make_or_shut, owe};
use super::reports::report_set;
use super::turn::Turn;
use crate::model::{BuildsetId, BuildsetRecord, ChangeId, Event, Outcome, SchedulerKind, SchedulerPlan, StampSpec};

/// Ends a buildset whose requests all ended; dependent schedulers and a waiting trigger go on.
pub(super) fn end_buildset_if_done(turn: &mut Turn<'_>, id: BuildsetId) {
    // Marked twice: it has ended.
    let Some(set) = turn.state.buildsets().get(&id).filter(|set| set.ended.is_none()) else { return };
    let Some(outcome) = set.outcome() else { return };
    let (record, awaited_by) = (set.record.clone(), set.awaited_by.clone());
    let changes = set.all_changes();
    // Dependents take the changes over before they leave.
    start_dependents(turn, &record, &changes, outcome);
    report_set(turn, id, outcome);
    turn.record(Event::BuildsetEnded { buildset: id, outcome });
    sabotage!(DependentOnFailure => if outcome == Outcome::Failure {
        start_dependents(turn, &record, &changes, Outcome::Success);
    });
    sabotage!(ParentNotTold => return);
    if let Some((build, key)) = awaited_by {
        // It is for the build to say what its trigger came to.
        turn.in_flight.marks.trigger(build, key);
    }
}

/// A buildset ended: whoever depends on its scheduler goes on with the same sources and all `changes` that were built.
pub(super) fn start_dependents(turn: &mut Turn<'_>, ended: &BuildsetRecord, changes: &[ChangeId], outcome: Outcome) {
    if !matches!(outcome, Outcome::Success | Outcome::Warnings) {
        return;
    }
    let Some(plan) = turn.plan() else { return };
    let Some(scheduler) = turn.state.scheduler_of(ended) else { return };
    let dependents = turn.in_flight.plans.dependents_of(scheduler);
    for scheduler in dependents.iter().filter_map(|name| plan.schedulers.get(name)) {
        if turn.state.schedulers().get(&scheduler.name).is_some_and(|state| state.enabled) {
            let stamps: Vec<StampSpec> = ended.stamps.iter().map(|stamp| stamp.spec.clone()).collect();
            if gate(turn, &scheduler.name).is_some() || !make_dependent(turn, scheduler, stamps, changes.to_vec()) {
                owe(turn, scheduler, ended, changes);
            }
        }
    }
}

/// Makes the buildset of a dependent scheduler. False if it cannot be made yet.
pub(super) fn make_dependent(
    turn: &mut Turn<'_>,
    plan: &SchedulerPlan,
    stamps: Vec<StampSpec>,
    changes: Vec<ChangeId>,
) -> bool {
    // It may have been another kind when it came to owe this.
    let SchedulerKind::Dependent { upstream } = &plan.kind else { return false };
    let new_buildset = NewBuildset { stamps, changes, ..NewBuildset::of(plan, &format!("after {upstream}")) };
    make_or_shut(turn, plan, new_buildset)
}

/// Makes the buildsets that a dependent scheduler owes, oldest first, as far as it can.
pub(super) fn pay_owed(turn: &mut Turn<'_>, plan: &SchedulerPlan) {
    for owed in turn.state.scheduler(&plan.name).owed.clone() {
        if !make_dependent(turn, plan, owed.stamps, owed.changes) {
            return;
        }
    }
}
