//! A build goes on: from step to step, and through each step from its condition to its end.
//!
//! ```text
//! StepStarted ─ do_if? ─ no ──────────────────────────┐
//!      │ yes                                          ▼
//!    locks? ─ LocksAwaited ─ LocksTaken ─ body ⇄ asks, answers ─ hide_if? ─ StepEnded ─ retry? ─ next step
//! ```
//!
//! Where a step stands follows from its facts, so nothing here is remembered: [`Turn::drive`] looks what can be done now.

use std::sync::Arc;

use super::in_flight::Finish;
use super::locking::LockOutcome;
use super::state::{Build, Culprit, DoneStep, LockHolder, Step};
use super::turn::Turn;
use super::words;
use crate::base::Span;
use crate::model::{Ask, BuildId, EndStep, EvalPart, Event, Outcome, Plan, RETRY_DELAY_MAX, StepId, StepPlan};

impl Turn<'_> {
    /// Does all that a build can do now.
    pub fn drive(&mut self, id: BuildId) {
        self.answer_triggers(id);
        while let Some(build) = self.state.builds.get(&id) {
            let Some(plan) = self.in_flight.plans.get(&build.plan).cloned() else {
                let why = self.in_flight.unloadable.get(&build.plan).map_or("it is not at hand", String::as_str);
                let why = format!("its configuration cannot be loaded any more: {}", why.lines().next().unwrap_or(why));
                return self.abandon(id, Outcome::Exception, &why);
            };
            let went_on = match &build.step {
                Some(_) if build.stops_step() => self.wind_down(id),
                Some(_) => self.advance_step(id, &plan),
                None => self.advance_build(id, &plan),
            };
            if !went_on {
                return;
            }
        }
    }

    /// Between steps: the next one begins, or the build ends. False if there is a pause.
    fn advance_build(&mut self, id: BuildId, plan: &Plan) -> bool {
        let Some(build) = self.state.builds.get(&id) else { return false };
        if let Some(pause) = build.pause.clone().filter(|_| build.stop.is_none()) {
            // A clock that went back must not make a pause longer than it can be.
            if pause.until > self.now && pause.until <= self.now.plus(RETRY_DELAY_MAX) {
                return false;
            }
            self.start_step(id, plan, pause.index, pause.attempt);
            return true;
        }
        match next_index(build, plan) {
            Some(index) => self.start_step(id, plan, index, 0),
            None => {
                let outcome = build.stop.as_ref().map_or_else(|| outcome_so_far(build, plan), |stop| stop.outcome);
                self.end_build(id, outcome);
            }
        }
        true
    }

    fn start_step(&mut self, id: BuildId, plan: &Plan, index: usize, attempt: u64) {
        let Some(build) = self.state.builds.get(&id) else { return };
        let Some(step_plan) = step_plan(build, plan, index) else { return };
        let name = if attempt == 0 { step_plan.name.clone() } else { format!("{} (retry {attempt})", step_plan.name) };
        let event = Event::StepStarted {
            build: id,
            step: StepId(self.state.last.step + 1),
            number: build.steps,
            name: words::unique_name(&name, &build.names),
            parent: None,
            index: Some(index),
            key: None,
            attempt,
            state: "running".to_owned(),
        };
        self.record(event);
        self.want_evaluation(id);
    }

    /// In a step: true if something was done, false if it waits.
    fn advance_step(&mut self, id: BuildId, plan: &Plan) -> bool {
        let Some(build) = self.state.builds.get(&id) else { return false };
        let Some(step) = &build.step else { return false };
        let Some(step_plan) = step_plan(build, plan, step.index).cloned() else { return false };
        let owner = LockHolder { build: id, step: Some(step.id) };
        if self.in_flight.finishing.contains_key(&id) {
            return self.finish_step(id, &step_plan);
        }
        match step.decided {
            None if step_plan.do_if.is_some() => return self.evaluate(id, EvalPart::DoIf),
            Some(false) => {
                self.in_flight.finishing.insert(id, Finish { outcome: Outcome::Skipped, summary: None });
                self.want_evaluation(id);
                return true;
            }
            None | Some(true) => {}
        }
        if !step_plan.locks.is_empty() && !self.state.locks.holds(owner) {
            return self.lock_step(id, owner, &step_plan);
        }
        self.answer_children(id) || self.evaluate(id, EvalPart::Body)
    }

    fn lock_step(&mut self, id: BuildId, owner: LockHolder, plan: &StepPlan) -> bool {
        let Some(step) = owner.step.filter(|_| !self.state.locks.is_waiting(owner)) else { return false };
        match self.ask_locks(id, step, &plan.locks) {
            LockOutcome::Granted => {
                self.want_evaluation(id);
                true
            }
            LockOutcome::Waits => false,
            LockOutcome::Deadlock(why) => {
                self.fail_script(id, &why);
                true
            }
        }
    }

    /// The body is done: what still runs for it is stopped, then it is decided whether to hide the step, then it ends.
    fn finish_step(&mut self, id: BuildId, plan: &StepPlan) -> bool {
        // What `hide_if` looks at goes on.
        let looks = |running_command: &super::state::RunningCommand| running_command.key.part() == EvalPart::HideIf;
        let flies = |build: &Build| build.step.as_ref().is_some_and(|step| !step.commands_running.values().all(looks));
        if self.state.builds.get(&id).is_some_and(flies) {
            return self.stop_commands(id);
        }
        if plan.hide_if.is_some() {
            return self.evaluate(id, EvalPart::HideIf);
        }
        self.end_step(id, false);
        true
    }

    /// Ends the step in progress as [`Finish`] says, and plans another attempt if there is to be one.
    pub fn end_step(&mut self, id: BuildId, hidden: bool) {
        let Some(Finish { outcome, summary }) = self.in_flight.finishing.remove(&id) else { return };
        let Some(step) = self.state.builds.get(&id).and_then(|build| build.step.as_ref()) else { return };
        let (step_id, index, attempt, name) = (step.id, step.index, step.attempt, step.name.clone());
        self.cancel_triggered(id);
        self.end_children(id, outcome);
        self.close_step(id, step_id, &name, outcome, summary, hidden);
        if let Some(evaluation) = self.in_flight.evaluations.get_mut(&id) {
            evaluation.in_flight = false;
        }
        self.in_flight.contexts.remove(&id);
        self.retry_step(id, step_id, index, attempt, outcome);
    }

    fn retry_step(&mut self, id: BuildId, step: StepId, index: usize, attempt: u64, outcome: Outcome) {
        let Some(build) = self.state.builds.get(&id) else { return };
        let Some(plan) = self.in_flight.plans.get(&build.plan).cloned() else { return };
        let Some(step_plan) = step_plan(build, &plan, index) else { return };
        if outcome == Outcome::Failure && attempt < step_plan.retries && build.stop.is_none() {
            let doubled = step_plan.retry_delay.as_millis().saturating_mul(1 << attempt.min(32));
            let delay = Span::from_millis(doubled).min(RETRY_DELAY_MAX);
            self.record(Event::StepRetried { build: id, step, at: self.now.plus(delay) });
        }
    }

    /// Ends all child steps, the innermost first.
    fn end_children(&mut self, id: BuildId, outcome: Outcome) {
        while let Some((child, name)) = self.last_child(id, |_| true) {
            let end = self.end_asked(id, child);
            let outcome = end.as_ref().map_or(outcome, |end| end.outcome);
            let hidden = end.as_ref().is_some_and(|end| end.hidden);
            self.close_step(id, child, &name, outcome, end.and_then(|end| end.summary), hidden);
        }
    }

    /// How the script wanted a child step to end that had to stay open.
    fn end_asked(&self, id: BuildId, child: StepId) -> Option<EndStep> {
        let step = self.state.builds.get(&id)?.step.as_ref()?;
        let key = &step.children.get(&child)?.key;
        step.journal.0.values().find_map(|entry| match &entry.ask {
            Ask::EndStep(end) if end.begun == *key => Some(end.clone()),
            _ => None,
        })
    }

    /// The open child step that began last among those asked about.
    pub fn last_child(&self, id: BuildId, which: impl Fn(StepId) -> bool) -> Option<(StepId, String)> {
        let step = self.state.builds.get(&id)?.step.as_ref()?;
        let children = step.children.iter().filter(|(id, _)| which(**id));
        children.max_by_key(|(_, child)| child.number).map(|(id, child)| (*id, child.name.clone()))
    }

    /// Ends a step or child step: its logs, its locks, itself.
    pub fn close_step(
        &mut self,
        id: BuildId,
        step: StepId,
        name: &str,
        outcome: Outcome,
        summary: Option<String>,
        hidden: bool,
    ) {
        let Some(current) = self.state.builds.get(&id).and_then(|build| build.step.as_ref()) else { return };
        let summary = summary.or_else(|| current.summaries.get(&step).cloned());
        let logs: Vec<_> = current.logs.get(&step).into_iter().flatten().map(|(_, log)| log.id).collect();
        for log in logs {
            self.record(Event::LogClosed { build: id, step, log });
            self.effects.push(super::Effect::CloseLog { build: id, log });
        }
        self.release_locks(id, Some(step));
        let state = words::step_state(name, summary.as_deref(), outcome);
        let top = self.state.builds.get(&id).and_then(|build| build.step.as_ref()).is_some_and(|top| top.id == step);
        self.record(Event::StepEnded { build: id, step, outcome, state, hidden });
        if top && let Some(state) = self.build_so_far(id) {
            self.record(Event::BuildState { build: id, state });
        }
    }

    /// The line of a build whose last step just ended and counts against it.
    fn build_so_far(&self, id: BuildId) -> Option<String> {
        let build = self.state.builds.get(&id)?;
        let steps = self.in_flight.plans.get(&build.plan)?.builders.get(&build.builder).map_or(&[][..], |b| &b.steps);
        let done = build.done.last()?;
        words::build_so_far(done, Some(counts_as(done, steps)).filter(|outcome| *outcome != Outcome::Success)?)
    }

    /// When a build's script, or its stop, is due.
    pub fn build_due(&self, id: BuildId) -> Option<super::Deadline> {
        let build = self.state.builds.get(&id)?;
        let pause = build.pause.as_ref().map(|pause| (pause.until, super::WakeReason::Retry(id)));
        let step = build.step.as_ref();
        let waits = step.into_iter().flat_map(|step| step.waits.keys().filter_map(|key| self.wait_ends(step, key)));
        let commands_running = step.into_iter().flat_map(|step| step.commands_running.values());
        let stops = commands_running.filter_map(|running_command| self.stop_due(id, running_command));
        let waits = waits.map(|due| (due, super::WakeReason::Wait(id)));
        let stops = stops.map(|due| (due, super::WakeReason::Stop(id)));
        let undecided = step.into_iter().flat_map(|step| step.undecided.values());
        let undecided = undecided.filter_map(|retry| Some((self.retry_due(*retry)?, super::WakeReason::Postponed)));
        let again = self.evaluation_due(id).map(|at| (at, super::WakeReason::Evaluation(id)));
        pause.into_iter().chain(waits).chain(stops).chain(undecided).chain(again).min()
    }

    /// What a build planned for now.
    pub fn fire_build(&mut self, id: BuildId) {
        self.end_waits(id);
        self.escalate_stops(id);
        self.trigger_again(id);
        self.evaluate_again(id);
        self.in_flight.builds.insert(id);
    }
}

/// The plan of a step.
pub(super) fn step_plan<'p>(build: &Build, plan: &'p Plan, index: usize) -> Option<&'p StepPlan> {
    plan.builders.get(&build.builder)?.steps.get(index).map(Arc::as_ref)
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

fn is_halted(build: &Build, steps: &[Arc<StepPlan>]) -> bool {
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
fn counts_as(done: &DoneStep, steps: &[Arc<StepPlan>]) -> Outcome {
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

impl Step {
    /// Whether a child step that asked for locks got them and was not told yet.
    pub fn silent_children(&self) -> impl Iterator<Item = (StepId, &crate::model::Key)> {
        self.children.iter().filter_map(|(id, child)| {
            let entry = self.journal.0.get(&child.key)?;
            (entry.answer.is_none() && !entry.ask.is_immediate()).then_some((*id, &child.key))
        })
    }
}
