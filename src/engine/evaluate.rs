//! Build scripts are evaluated: ordered, one at a time for each build, and answered.

use std::sync::Arc;

use super::Effect;
use super::asks::take_ask;
use super::decide::{LOSSES_MAX, function_answered, function_failed};
use super::finish::{fail_script, finish_body};
use super::outcomes::outcome_so_far;
use super::step_ends::end_step;
use super::timers::TimerKey;
use super::turn::Turn;
use crate::base::{Span, Timestamp};
use crate::model::{
    ASKS_MAX, Ask, BuildContext, BuildId, EvalJob, EvalOutcome, EvalPart, Event, FunctionKind, Key, StepId,
    StepSummary, UserFunction, WorkerFacts,
};

/// The pause before a script is evaluated again whose process was lost, for each loss so far: other builds go first.
const LOST_PAUSE: Span = Span::from_seconds(1);

/// Who evaluates reads what a script wants; a build that comes here all the same would wait forever.
const WANTS: &str = "the script was evaluated without the texts that it reads, which is a bug";

fn lost_pause(losses: u32) -> Span {
    Span::from_millis(LOST_PAUSE.as_millis().saturating_mul(u64::from(losses.saturating_mul(losses))))
}

/// Orders an evaluation, unless one is under way or nothing changed since the last. Always false: the build waits.
pub(super) fn evaluate(turn: &mut Turn<'_>, id: BuildId, part: EvalPart) -> bool {
    let Some(number) = turn.in_flight.evaluations.order(id, part) else { return false };
    turn.in_flight.slots.wait_no_more(id);
    let context = context(turn, id);
    let (build, step) = (turn.state.build(id), turn.state.current_step(id));
    let job = EvalJob {
        turn: number,
        plan: build.plan.clone(),
        step: step.index,
        part,
        context,
        journal: Arc::clone(&step.journal),
        step_outcome: turn.in_flight.finishing.outcome(id),
        readings: Arc::default(),
    };
    turn.effects.push(Effect::Evaluate { build: id, job: Arc::new(job) });
    false
}

/// What the script of the step in progress can read: the same for all of its evaluations.
fn context(turn: &mut Turn<'_>, id: BuildId) -> Arc<BuildContext> {
    let (build, step) = (turn.state.build(id), turn.state.current_step(id));
    if let Some(known) = turn.in_flight.evaluations.context(id, step.id) {
        return Arc::clone(known);
    }
    let plan = turn.in_flight.plans.get(&build.plan).expect("a build whose configuration is lost has ended");
    let info = |name: &str| step.worker.get(name).cloned().unwrap_or_default();
    let base = info("basedir");
    let worker = WorkerFacts {
        name: build.worker.clone(),
        tags: plan.workers.get(&build.worker).map(|worker| worker.tags.clone()).unwrap_or_default(),
        system: info("system"),
        cpus: info("numcpus").parse().unwrap_or(0),
        builder_dir: super::start::join(&step.worker, &base, &build.dir),
        info: step.worker.as_ref().clone(),
    };
    let summary = |done: &super::state::DoneStep| StepSummary {
        name: done.name.clone(),
        outcome: done.outcome,
        summary: done.state.clone(),
    };
    let context = Arc::new(BuildContext {
        build: id,
        number: build.number,
        builder: build.builder.clone(),
        worker,
        properties: step.properties.as_ref().clone(),
        stamps: build.stamps.as_ref().clone(),
        changes: turn.state.changes().all(&build.changes),
        reason: build.reason.clone(),
        steps: build.done.iter().map(summary).collect(),
        outcome: outcome_so_far(build, plan),
        url: plan.master.url.clone().unwrap_or_default(),
    });
    turn.in_flight.evaluations.keep_context(id, step.id, &context);
    context
}

/// An evaluation is done. Only the newest order's answer counts.
pub(super) fn evaluated(turn: &mut Turn<'_>, id: BuildId, of_turn: u64, outcome: EvalOutcome) {
    // Late: its step has ended, or what it was ordered for has been ordered anew.
    let Some(part) = turn.in_flight.evaluations.returned(id, of_turn) else { return };
    turn.in_flight.marks.builds([id]);
    if turn.in_flight.slots.is_parent(id) {
        turn.in_flight.marks.lending();
    }
    let step = turn.state.current_step(id).id;
    // Late: it is to stop.
    if turn.state.build(id).stops_step() {
        return;
    }
    let lost = match outcome {
        EvalOutcome::Lost { ref message } => evaluation_lost(turn, id, part, message),
        EvalOutcome::Suspended { .. }
        | EvalOutcome::Done { .. }
        | EvalOutcome::Decided(_)
        | EvalOutcome::Wants(_)
        | EvalOutcome::Failed { .. } => false,
    };
    if lost {
        return;
    }
    match part {
        EvalPart::DoIf => do_if_answered(turn, id, step, outcome),
        EvalPart::HideIf => hide_if_answered(turn, id, outcome),
        EvalPart::Body => body_evaluated(turn, id, outcome),
    }
}

/// The process that evaluated was lost. True if that is all for now: the script is evaluated again after a pause.
fn evaluation_lost(turn: &mut Turn<'_>, id: BuildId, part: EvalPart, message: &str) -> bool {
    let (build, step) = (turn.state.build(id), turn.state.current_step(id));
    let (losses, message) = (build.losses + 1, message.to_owned());
    let (step, name) = (step.id, step.name.clone());
    turn.record(Event::EvaluationLost { build: id, step, name, part, message, losses });
    sabotage!(LossesForgotten => {
        turn.want_evaluation(id);
        return true;
    });
    if losses >= LOSSES_MAX {
        return false;
    }
    turn.in_flight.evaluations.pause(id, turn.now.plus(lost_pause(losses)));
    turn.touch(TimerKey::Build(id));
    true
}

/// When a script is evaluated again whose process was lost.
pub(super) fn evaluation_due(turn: &Turn<'_>, id: BuildId) -> Option<Timestamp> {
    let at = turn.in_flight.evaluations.paused_until(id)?;
    Some(super::timers::due(at, turn.now, lost_pause(LOSSES_MAX)))
}

/// Evaluates a script again whose process was lost, when its pause is over.
pub(super) fn evaluate_again(turn: &mut Turn<'_>, id: BuildId) {
    if evaluation_due(turn, id).is_some_and(|at| at <= turn.now) {
        turn.in_flight.evaluations.resume(id);
        turn.want_evaluation(id);
    }
}

fn lost_for_good(turn: &Turn<'_>, id: BuildId, message: &str) -> String {
    let losses = turn.state.build(id).losses;
    format!("the script was given up: {losses} processes that evaluated it died or ran too long\n{message}")
}

fn do_if_answered(turn: &mut Turn<'_>, id: BuildId, step: StepId, outcome: EvalOutcome) {
    match outcome {
        EvalOutcome::Decided(yes) => {
            turn.record(Event::StepDecided { build: id, step, yes });
            turn.want_evaluation(id);
        }
        EvalOutcome::Failed { message, .. } => fail_script(turn, id, &message),
        EvalOutcome::Lost { message } => fail_script(turn, id, &lost_for_good(turn, id, &message)),
        EvalOutcome::Suspended { asks } => look(turn, id, EvalPart::DoIf, asks),
        EvalOutcome::Done { .. } => fail_script(turn, id, "`do_if` must give a truth value"),
        EvalOutcome::Wants(_) => fail_script(turn, id, WANTS),
    }
}

/// A condition wants to look at the worker first. What it asks for beyond looking is not done.
fn look(turn: &mut Turn<'_>, id: BuildId, part: EvalPart, asks: Vec<(Key, Ask)>) {
    for (key, ask) in asks {
        let step = turn.state.current_step(id);
        let fresh = !step.journal.0.contains_key(&key) && step.journal.0.len() < ASKS_MAX;
        if fresh && key.part() == part && ask.only_looks() {
            take_ask(turn, id, key, ask);
        }
    }
    let step = turn.state.step(id);
    let waits = step.is_some_and(super::state::Step::waits_for_answers);
    if !waits && !turn.in_flight.evaluations.is_wanted(id) {
        match part {
            EvalPart::HideIf => end_step(turn, id, false),
            EvalPart::DoIf | EvalPart::Body => {
                fail_script(turn, id, "`do_if` waits, but there is nothing that it waits for");
            }
        }
    }
}

fn hide_if_answered(turn: &mut Turn<'_>, id: BuildId, outcome: EvalOutcome) {
    let function = UserFunction::new(FunctionKind::HideIf, turn.state.build(id).builder_id);
    let hidden = match outcome {
        EvalOutcome::Decided(yes) => {
            function_answered(turn, &function);
            yes
        }
        EvalOutcome::Failed { message, .. } | EvalOutcome::Lost { message } => {
            // The step has run: a page that shows it is the lesser harm.
            function_failed(turn, &function, &message, 0);
            false
        }
        EvalOutcome::Suspended { asks } => return look(turn, id, EvalPart::HideIf, asks),
        EvalOutcome::Done { .. } | EvalOutcome::Wants(_) => false,
    };
    end_step(turn, id, hidden);
}

fn body_evaluated(turn: &mut Turn<'_>, id: BuildId, outcome: EvalOutcome) {
    match outcome {
        EvalOutcome::Suspended { asks } => {
            take_asks(turn, id, asks);
            let stuck = |step: &super::state::Step| !step.waits_for_answers();
            let step = turn.state.step(id);
            let wanted = turn.in_flight.evaluations.is_wanted(id);
            let slot = turn.in_flight.slots.waits(id);
            if step.is_some_and(stuck) && !slot && !wanted && !turn.in_flight.finishing.is(id) {
                fail_script(turn, id, "the script waits, but there is nothing that it waits for");
            }
        }
        EvalOutcome::Done { asks, outcome, summary } => {
            take_asks(turn, id, asks);
            finish_body(turn, id, outcome, summary);
        }
        EvalOutcome::Failed { asks, message } => {
            take_asks(turn, id, asks);
            fail_script(turn, id, &message);
        }
        EvalOutcome::Lost { message } => fail_script(turn, id, &lost_for_good(turn, id, &message)),
        EvalOutcome::Decided(_) => fail_script(turn, id, "a step's script ended without an outcome"),
        EvalOutcome::Wants(_) => fail_script(turn, id, WANTS),
    }
}

fn take_asks(turn: &mut Turn<'_>, id: BuildId, asks: Vec<(Key, Ask)>) {
    for (key, ask) in asks {
        let step = turn.state.current_step(id);
        if step.journal.0.len() >= ASKS_MAX {
            return fail_script(turn, id, &format!("the step asks for more than {ASKS_MAX} things"));
        }
        if !step.journal.0.contains_key(&key) && !turn.in_flight.finishing.is(id) {
            take_ask(turn, id, key, ask);
        }
    }
}
