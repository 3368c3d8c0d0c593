//! Steps end, and with them their child steps, logs and locks.

use super::in_flight::Finish;
use super::locking::release_locks;
use super::outcomes::{counts_as, step_plan};
use super::stop::cancel_triggered;
use super::turn::Turn;
use super::words;
use crate::base::Span;
use crate::model::{Ask, BuildId, EndStep, Event, Outcome, RETRY_DELAY_MAX, StepId};

/// Ends the step in progress as [`Finish`] says, and plans another attempt if there is to be one.
pub(super) fn end_step(turn: &mut Turn<'_>, id: BuildId, hidden: bool) {
    let Finish { outcome, summary } = turn.in_flight.finishing.take(id).expect("a step ends when its body is done");
    let step = turn.state.current_step(id);
    let (step_id, index, attempt, name) = (step.id, step.index, step.attempt, step.name.clone());
    cancel_triggered(turn, id);
    end_children(turn, id, outcome);
    close_step(turn, id, step_id, &name, outcome, summary, hidden);
    turn.in_flight.evaluations.step_ended(id);
    retry_step(turn, id, step_id, index, attempt, outcome);
}

fn retry_step(turn: &mut Turn<'_>, id: BuildId, step: StepId, index: usize, attempt: u64, outcome: Outcome) {
    let build = turn.state.build(id);
    // A build whose configuration cannot be loaded any more is about to end.
    let Some(plan) = turn.in_flight.plans.get(&build.plan).cloned() else { return };
    let step_plan = step_plan(build, &plan, index);
    if outcome == Outcome::Failure && attempt < step_plan.retries && build.stop.is_none() {
        let doubled = step_plan.retry_delay.as_millis().saturating_mul(1 << attempt.min(32));
        let delay = Span::from_millis(doubled).min(RETRY_DELAY_MAX);
        turn.record(Event::StepRetried { build: id, step, at: turn.now.plus(delay) });
    }
}

/// Ends all child steps, the innermost first.
fn end_children(turn: &mut Turn<'_>, id: BuildId, outcome: Outcome) {
    while let Some((child, name)) = last_child(turn, id, |_| true) {
        let end = end_asked(turn, id, child);
        let outcome = end.as_ref().map_or(outcome, |end| end.outcome);
        let hidden = end.as_ref().is_some_and(|end| end.hidden);
        close_step(turn, id, child, &name, outcome, end.and_then(|end| end.summary), hidden);
    }
}

/// How the script wanted a child step to end that had to stay open.
fn end_asked(turn: &Turn<'_>, id: BuildId, child: StepId) -> Option<EndStep> {
    let step = turn.state.builds().get(&id)?.step.as_ref()?;
    let key = &step.children.get(&child)?.key;
    step.journal.0.values().find_map(|entry| match &entry.ask {
        Ask::EndStep(end) if end.begun == *key => Some(end.clone()),
        _ => None,
    })
}

/// The open child step that began last among those asked about.
pub(super) fn last_child(turn: &Turn<'_>, id: BuildId, which: impl Fn(StepId) -> bool) -> Option<(StepId, String)> {
    let step = turn.state.builds().get(&id)?.step.as_ref()?;
    let children = step.children.iter().filter(|(id, _)| which(**id));
    children.max_by_key(|(_, child)| child.number).map(|(id, child)| (*id, child.name.clone()))
}

/// Ends a step or child step: its logs, its locks, itself.
pub(super) fn close_step(
    turn: &mut Turn<'_>,
    id: BuildId,
    step: StepId,
    name: &str,
    outcome: Outcome,
    summary: Option<String>,
    hidden: bool,
) {
    let current = turn.state.current_step(id);
    let summary = summary.or_else(|| current.summaries.get(&step).cloned());
    let logs: Vec<_> = current.logs.get(&step).into_iter().flatten().map(|(_, log)| log.id).collect();
    for log in logs {
        turn.record(Event::LogClosed { build: id, step, log });
        turn.effects.push(super::Effect::CloseLog { build: id, log });
    }
    release_locks(turn, id, Some(step));
    let state = words::step_state(name, summary.as_deref(), outcome);
    let top = turn.state.step(id).is_some_and(|top| top.id == step);
    turn.record(Event::StepEnded { build: id, step, outcome, state, hidden });
    if top && let Some(state) = line_so_far(turn, id) {
        turn.record(Event::BuildState { build: id, state });
    }
}

/// The line of a build whose last step just ended and counts against it.
fn line_so_far(turn: &Turn<'_>, id: BuildId) -> Option<String> {
    let build = turn.state.builds().get(&id)?;
    let steps = turn.in_flight.plans.get(&build.plan)?.builders.get(&build.builder).map_or(&[][..], |b| &b.steps);
    let done = build.done.last()?;
    words::build_so_far(done, Some(counts_as(done, steps)).filter(|outcome| *outcome != Outcome::Success)?)
}
