//! Configurations come into force.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::deadlocks::end_deadlocked_waits;
use super::decide::function_failed;
use super::diff::{Known, Names};
use super::request_ends::cancel_requests_of_removed_builders;
use super::schedulers::time_schedulers;
use super::settle::Parts;
use super::turn::Turn;
use super::workers::dismiss_idle_workers;
use super::{Reply, Ticket};
use crate::model::{
    BuilderAbout, BuilderId, BuilderPlan, Difference, Event, FunctionKind, Plan, PlanChange, ProjectChanges,
    UserFunction,
};

/// A configuration was loaded: compare it with the one in force, and put it in its place as one.
pub(super) fn plan_loaded(
    turn: &mut Turn<'_>,
    parts: &mut Parts,
    plan: &Arc<Plan>,
    why: String,
    ticket: Option<Ticket>,
) {
    let digest = plan.digest.clone();
    turn.in_flight.plans.put(plan);
    // After a refusal the same one is adopted once more, so that the refusal is over for everybody.
    // So it is when somebody loads it again because functions failed: they are asked anew.
    let first = turn.in_flight.plans.note_given();
    let afresh = turn.state.refused() || (!first && !turn.state.troubles().is_empty());
    if turn.state.plan() == Some(&digest) && !afresh {
        return turn.reply(ticket, Reply::Adopted { digest, changes: Vec::new() });
    }
    let names = Names::of(plan, turn.state);
    let known = Known { names: &names, state: turn.state };
    // None at hand: the first one, or one that this version cannot load any more.
    let old = turn.plan();
    let mut changes = old.as_ref().map_or_else(Vec::new, |old| super::diff::compare(old, plan, &known));
    let about = about(old.as_deref(), plan, &known);
    let projects = ProjectChanges::between(old.as_deref(), plan);
    tell_left_requests(turn, &mut changes);
    let event = Event::PlanAdopted {
        digest: digest.clone(),
        why,
        changes: changes.clone(),
        about,
        projects,
        builders: names.builders,
        workers: names.workers,
        schedulers: names.schedulers,
        change_sources: names.change_sources,
    };
    turn.in_flight.claims.clear();
    turn.in_flight.asking = super::asking::Asking::default();
    turn.in_flight.timers.forget_postponed();
    parts.queue_retries.forget_all();
    turn.record(event);
    turn.in_flight.plans.prepare(turn.state);
    complain_of_patterns(turn);
    time_schedulers(turn, &changes);
    dismiss_idle_workers(turn);
    cancel_requests_of_removed_builders(turn);
    if changes.iter().any(|change| matches!(change, PlanChange::Lock { .. })) {
        end_deadlocked_waits(turn);
    }
    parts.polls.void(&changes);
    turn.reply(ticket, Reply::Adopted { digest, changes });
    turn.in_flight.marks.plans();
}

/// A builder that goes leaves its waiting requests behind: whoever removed it is told.
fn tell_left_requests(turn: &Turn<'_>, changes: &mut [PlanChange]) {
    for change in changes {
        if let PlanChange::Builder { id, how: Difference::Removed, waiting, .. } = change {
            *waiting = turn.state.index().waiting.get(id).map_or(0, |requests| requests.len() as u64);
        }
    }
}

fn complain_of_patterns(turn: &mut Turn<'_>) {
    for (scheduler, message) in turn.in_flight.plans.take_pattern_problems() {
        let scheduler = turn.state.scheduler_id(&scheduler);
        function_failed(turn, &UserFunction::new(FunctionKind::Pattern, scheduler), &message, 0);
    }
}

/// What pages tell about the builders of a configuration, as far as they tell something else of the old one.
fn about(old: Option<&Plan>, plan: &Plan, known: &Known<'_>) -> BTreeMap<BuilderId, BuilderAbout> {
    let is_same = |builder: &BuilderPlan| {
        let before = old.and_then(|old| old.builders.get(&builder.name));
        before.is_some_and(|before| {
            (&before.tags, &before.description, &before.workers, &before.project)
                == (&builder.tags, &builder.description, &builder.workers, &builder.project)
        })
    };
    let about = |builder: &BuilderPlan| {
        let BuilderPlan { tags, description, workers, project, .. } = builder;
        let about = BuilderAbout {
            tags: tags.clone(),
            description: description.clone(),
            workers: workers.clone(),
            project: project.clone(),
        };
        (known.builder(&builder.name), about)
    };
    plan.builders.values().filter(|builder| !is_same(builder)).map(about).collect()
}
