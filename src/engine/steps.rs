//! A build goes on: from step to step, and through each step from its condition to its end.
//!
//! ```text
//! StepStarted ─ do_if? ─ no ──────────────────────────┐
//!      │ yes                                          ▼
//!    locks? ─ LocksAwaited ─ LocksTaken ─ body ⇄ asks, answers ─ hide_if? ─ StepEnded ─ retry? ─ next step
//! ```
//!
//! Where a step stands follows from its facts, so nothing here is remembered: [`drive`] looks what can be done now.

use super::asks::{answer_children, end_waits, wait_ends};
use super::commands::{escalate_stops, stop_commands, stop_due};
use super::ends::{abandon, end_build, wind_down};
use super::evaluate::{evaluate, evaluate_again, evaluation_due};
use super::finish::fail_script;
use super::in_flight::Finish;
use super::locking::{LockOutcome, ask_locks};
use super::outcomes::{is_halted, outcome_so_far, step_plan};
use super::pending::retry_due;
use super::state::{Build, LockHolder, Step};
use super::step_ends::end_step;
use super::triggers::{answer_triggers, trigger_again};
use super::turn::Turn;
use super::words;
use crate::model::{BuildId, EvalPart, Event, Outcome, Plan, RETRY_DELAY_MAX, StepId, StepPlan};

/// Does all that a build can do now.
pub(super) fn drive(turn: &mut Turn<'_>, id: BuildId) {
    answer_triggers(turn, id);
    while let Some(build) = turn.state.builds().get(&id) {
        let Some(plan) = turn.in_flight.plans.get(&build.plan).cloned() else {
            let why = turn.in_flight.plans.why_missing(&build.plan);
            let why = format!("its configuration cannot be loaded any more: {}", why.lines().next().unwrap_or(why));
            return abandon(turn, id, Outcome::Exception, &why);
        };
        let went_on = match &build.step {
            Some(_) if build.stops_step() => wind_down(turn, id),
            Some(_) => advance_step(turn, id, &plan),
            None => advance_build(turn, id, &plan),
        };
        if !went_on {
            return;
        }
    }
}

/// Between steps: the next one begins, or the build ends. False if there is a pause.
fn advance_build(turn: &mut Turn<'_>, id: BuildId, plan: &Plan) -> bool {
    let build = turn.state.build(id);
    if let Some(pause) = build.pause.clone().filter(|_| build.stop.is_none()) {
        // A clock that went back must not make a pause longer than it can be.
        if pause.until > turn.now && pause.until <= turn.now.plus(RETRY_DELAY_MAX) {
            return false;
        }
        start_step(turn, id, plan, pause.index, pause.attempt);
        return true;
    }
    match next_index(build, plan) {
        Some(index) => start_step(turn, id, plan, index, 0),
        None => {
            let outcome = build.stop.as_ref().map_or_else(|| outcome_so_far(build, plan), |stop| stop.outcome);
            end_build(turn, id, outcome);
        }
    }
    true
}

fn start_step(turn: &mut Turn<'_>, id: BuildId, plan: &Plan, index: usize, attempt: u64) {
    let build = turn.state.build(id);
    let step_plan = step_plan(build, plan, index);
    let name = if attempt == 0 { step_plan.name.clone() } else { format!("{} (retry {attempt})", step_plan.name) };
    let event = Event::StepStarted {
        build: id,
        step: StepId(turn.state.last().step + 1),
        number: build.steps,
        name: words::unique_name(&name, &build.names),
        parent: None,
        index: Some(index),
        key: None,
        attempt,
        state: "running".to_owned(),
    };
    turn.record(event);
    turn.want_evaluation(id);
}

/// In a step: true if something was done, false if it waits.
fn advance_step(turn: &mut Turn<'_>, id: BuildId, plan: &Plan) -> bool {
    let (build, step) = (turn.state.build(id), turn.state.current_step(id));
    let step_plan = step_plan(build, plan, step.index).clone();
    let owner = LockHolder { build: id, step: Some(step.id) };
    if turn.in_flight.finishing.is(id) {
        return finish_step(turn, id, &step_plan);
    }
    match step.decided {
        None if step_plan.do_if.is_some() => return evaluate(turn, id, EvalPart::DoIf),
        Some(false) => {
            turn.in_flight.finishing.put(id, Finish::of(Outcome::Skipped));
            turn.want_evaluation(id);
            return true;
        }
        None | Some(true) => {}
    }
    if !step_plan.locks.is_empty() && !turn.state.locks().holds(owner) {
        return lock_step(turn, id, owner, &step_plan);
    }
    answer_children(turn, id) || evaluate(turn, id, EvalPart::Body)
}

fn lock_step(turn: &mut Turn<'_>, id: BuildId, owner: LockHolder, plan: &StepPlan) -> bool {
    let Some(step) = owner.step.filter(|_| !turn.state.locks().is_waiting(owner)) else { return false };
    match ask_locks(turn, id, step, &plan.locks) {
        LockOutcome::Granted => {
            turn.want_evaluation(id);
            true
        }
        LockOutcome::Waits => false,
        LockOutcome::Deadlock(why) => {
            fail_script(turn, id, &why);
            true
        }
    }
}

/// The body is done: what still runs for it is stopped, then it is decided whether to hide the step, then it ends.
fn finish_step(turn: &mut Turn<'_>, id: BuildId, plan: &StepPlan) -> bool {
    // What `hide_if` looks at goes on.
    let looks = |running_command: &super::state::RunningCommand| running_command.key.part() == EvalPart::HideIf;
    let flies = |build: &Build| build.step.as_ref().is_some_and(|step| !step.commands_running.values().all(looks));
    if turn.state.builds().get(&id).is_some_and(flies) {
        return stop_commands(turn, id);
    }
    if plan.hide_if.is_some() {
        return evaluate(turn, id, EvalPart::HideIf);
    }
    end_step(turn, id, false);
    true
}

/// When a build's script, or its stop, is due.
pub(super) fn build_due(turn: &Turn<'_>, id: BuildId) -> Option<super::Deadline> {
    let build = turn.state.builds().get(&id)?;
    let pause = build.pause.as_ref().map(|pause| (pause.until, super::WakeReason::Retry(id)));
    let step = build.step.as_ref();
    let waits = step.into_iter().flat_map(|step| step.waits.keys().filter_map(|key| wait_ends(turn, step, key)));
    let commands_running = step.into_iter().flat_map(|step| step.commands_running.values());
    let stops = commands_running.filter_map(|running_command| stop_due(turn, id, running_command));
    let waits = waits.map(|due| (due, super::WakeReason::Wait(id)));
    let stops = stops.map(|due| (due, super::WakeReason::Stop(id)));
    let undecided = step.into_iter().flat_map(|step| step.undecided.values());
    let undecided = undecided.filter_map(|retry| Some((retry_due(turn, *retry)?, super::WakeReason::Postponed)));
    let again = evaluation_due(turn, id).map(|at| (at, super::WakeReason::Evaluation(id)));
    pause.into_iter().chain(waits).chain(stops).chain(undecided).chain(again).min()
}

/// What a build planned for now.
pub(super) fn fire_build(turn: &mut Turn<'_>, id: BuildId) {
    // Late: what else was due in this moment may have ended it.
    let Some(build) = turn.state.builds().get(&id) else { return };
    if build.step.is_some() {
        end_waits(turn, id);
        escalate_stops(turn, id);
        trigger_again(turn, id);
    }
    evaluate_again(turn, id);
    turn.in_flight.marks.builds([id]);
}

/// The next step to begin: after a halt or a stop only those that always run, and after a second stop none.
fn next_index(build: &Build, plan: &Plan) -> Option<usize> {
    let steps = &plan.builders.get(&build.builder)?.steps;
    let stops = build.stop.as_ref().map_or(0, |stop| stop.times);
    if stops > 1 {
        return None;
    }
    let halted = stops > 0 || is_halted(build, steps);
    let from = build.pause.as_ref().map_or(build.index, |pause| pause.index + 1);
    (from..steps.len()).find(|index| !halted || steps[*index].always_run)
}

impl Step {
    /// Whether a child step that asked for locks got them and was not told yet.
    pub fn silent_children(&self) -> impl Iterator<Item = (StepId, &crate::model::Key)> {
        self.children.iter().filter_map(|(id, child)| {
            let entry = self.journal.0.get(&child.key)?;
            (entry.answer.is_none() && !entry.ask.is_immediate()).then_some((*id, &child.key))
        })
    }
}
