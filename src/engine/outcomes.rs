//! What the steps of a build come to, each by its flags. Pure: from a build and its configuration.

use std::sync::Arc;

use super::state::{Build, Culprit, DoneStep};
use crate::model::{Outcome, Plan, StepPlan};

/// The plan of a step.
pub(super) fn step_plan<'p>(build: &Build, plan: &'p Plan, index: usize) -> &'p StepPlan {
    let steps = &plan.builders.get(&build.builder).expect("the configuration that a build pins has its builder").steps;
    steps.get(index).expect("steps are counted by the configuration that the build pins")
}

pub(super) fn is_halted(build: &Build, steps: &[Arc<StepPlan>]) -> bool {
    build.done.iter().filter(|done| !done.retried).any(|done| match done.outcome {
        Outcome::Failure => steps.get(done.index).is_some_and(|step| step.halt_on_failure),
        Outcome::Exception | Outcome::Retry | Outcome::Cancelled => true,
        Outcome::Success | Outcome::Warnings | Outcome::Skipped => false,
    })
}

/// What the ended steps come to, each by its flags.
pub(super) fn outcome_so_far(build: &Build, plan: &Plan) -> Outcome {
    let steps = plan.builders.get(&build.builder).map_or(&[][..], |builder| &builder.steps);
    let counted = build.done.iter().filter(|done| !done.retried).map(|done| counts_as(done, steps));
    counted.fold(Outcome::Success, Outcome::worse)
}

/// What an ended step adds to its build, by its flags.
pub(super) fn counts_as(done: &DoneStep, steps: &[Arc<StepPlan>]) -> Outcome {
    // The configuration cannot be loaded any more.
    let Some(step) = steps.get(done.index) else { return done.outcome };
    match done.outcome {
        Outcome::Failure if step.flunk_on_failure => Outcome::Failure,
        Outcome::Failure if step.warn_on_failure => Outcome::Warnings,
        Outcome::Warnings if step.flunk_on_warnings => Outcome::Failure,
        Outcome::Warnings if step.warn_on_warnings => Outcome::Warnings,
        Outcome::Failure | Outcome::Warnings | Outcome::Success | Outcome::Skipped => Outcome::Success,
        Outcome::Exception | Outcome::Retry | Outcome::Cancelled => done.outcome,
    }
}

/// The steps that gave a build its outcome, in their order; hidden ones only if there are no others.
pub(super) fn culprits(build: &Build, plan: Option<&Plan>, outcome: Outcome) -> Vec<Culprit> {
    if matches!(outcome, Outcome::Success | Outcome::Skipped) {
        return Vec::new();
    }
    let steps = plan.and_then(|plan| plan.builders.get(&build.builder)).map_or(&[][..], |builder| &builder.steps);
    let counting = build.done.iter().filter(|done| !done.retried && counts_as(done, steps) == outcome);
    let all: Vec<&Culprit> = counting.flat_map(|done| &done.culprits).collect();
    let shown: Vec<&Culprit> = all.iter().copied().filter(|culprit| !culprit.hidden).collect();
    if shown.is_empty() { all.into_iter().cloned().collect() } else { shown.into_iter().cloned().collect() }
}
