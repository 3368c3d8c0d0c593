//! Build scripts are evaluated: ordered, one at a time for each build, and answered.

use std::sync::Arc;

use super::Effect;
use super::decide::LOSSES_MAX;
use super::in_flight::{Evaluation, Finish};
use super::steps::outcome_so_far;
use super::timers::TimerKey;
use super::turn::Turn;
use crate::base::{Span, Timestamp};
use crate::model::{
    ASKS_MAX, Ask, BuildContext, BuildId, EvalJob, EvalOutcome, EvalPart, Event, FunctionKind, Key, Note, Outcome,
    StepId, StepSummary, UserFunction, WorkerFacts,
};

/// The pause before a script is evaluated again whose process was lost, for each loss so far: other builds go first.
const LOST_PAUSE: Span = Span::from_seconds(1);

fn lost_pause(losses: u32) -> Span {
    Span::from_millis(LOST_PAUSE.as_millis().saturating_mul(u64::from(losses.saturating_mul(losses))))
}

impl Turn<'_> {
    /// Orders an evaluation, unless one is under way or nothing changed since the last. Always false: the build waits.
    pub fn evaluate(&mut self, id: BuildId, part: EvalPart) -> bool {
        // A build unknown here is one that an earlier process drove: it may have anything to be told.
        let fresh = || Evaluation { wanted: true, ..Evaluation::default() };
        let evaluation = self.in_flight.evaluations.entry(id).or_insert_with(fresh);
        if evaluation.in_flight || !evaluation.wanted || self.in_flight.evaluate_at.contains_key(&id) {
            return false;
        }
        self.in_flight.slot_waits.remove(&id);
        evaluation.turn += 1;
        evaluation.in_flight = true;
        evaluation.wanted = false;
        evaluation.part = Some(part);
        let turn = evaluation.turn;
        let Some(context) = self.context(id) else { return false };
        let Some(build) = self.state.builds.get(&id) else { return false };
        let Some(step) = &build.step else { return false };
        let job = EvalJob {
            turn,
            plan: build.plan.clone(),
            step: step.index,
            part,
            context,
            journal: Arc::clone(&step.journal),
            step_outcome: self.in_flight.finishing.get(&id).map(|finish| finish.outcome),
        };
        self.effects.push(Effect::Evaluate { build: id, job: Arc::new(job) });
        false
    }

    /// What the script of the step in progress can read: the same for all of its evaluations.
    fn context(&mut self, id: BuildId) -> Option<Arc<BuildContext>> {
        let build = self.state.builds.get(&id)?;
        let step = build.step.as_ref()?;
        if let Some((known, context)) = self.in_flight.contexts.get(&id)
            && *known == step.id
        {
            return Some(Arc::clone(context));
        }
        let plan = self.in_flight.plans.get(&build.plan)?;
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
            changes: self.state.changes.all(&build.changes),
            reason: build.reason.clone(),
            steps: build.done.iter().map(summary).collect(),
            outcome: outcome_so_far(build, plan),
            url: plan.master.url.clone().unwrap_or_default(),
        });
        self.in_flight.contexts.insert(id, (step.id, Arc::clone(&context)));
        Some(context)
    }

    /// An evaluation is done. Only the newest order's answer counts.
    pub fn evaluated(&mut self, id: BuildId, turn: u64, outcome: EvalOutcome) {
        let Some(evaluation) = self.in_flight.evaluations.get_mut(&id) else { return };
        if evaluation.turn != turn || !evaluation.in_flight {
            return;
        }
        evaluation.in_flight = false;
        self.in_flight.builds.insert(id);
        self.in_flight.lend |= self.in_flight.parents.contains(&id);
        let Some(part) = evaluation.part else { return };
        let Some(build) = self.state.builds.get(&id) else { return };
        let Some(step) = build.step.as_ref().filter(|_| !build.stops_step()) else { return };
        let step = step.id;
        let lost = match outcome {
            EvalOutcome::Lost { ref message } => self.evaluation_lost(id, part, message),
            EvalOutcome::Suspended { .. }
            | EvalOutcome::Done { .. }
            | EvalOutcome::Decided(_)
            | EvalOutcome::Failed { .. } => false,
        };
        if lost {
            return;
        }
        match part {
            EvalPart::DoIf => self.do_if_answered(id, step, outcome),
            EvalPart::HideIf => self.hide_if_answered(id, outcome),
            EvalPart::Body => self.body_evaluated(id, outcome),
        }
    }

    /// The process that evaluated was lost. True if that is all for now: the script is evaluated again after a pause.
    fn evaluation_lost(&mut self, id: BuildId, part: EvalPart, message: &str) -> bool {
        let Some(build) = self.state.builds.get(&id) else { return true };
        let Some(step) = &build.step else { return true };
        let (losses, message) = (build.losses + 1, message.to_owned());
        let (step, name) = (step.id, step.name.clone());
        self.record(Event::EvaluationLost { build: id, step, name, part, message, losses });
        sabotage!(LossesForgotten => {
            self.want_evaluation(id);
            return true;
        });
        if losses >= LOSSES_MAX {
            return false;
        }
        self.in_flight.evaluate_at.insert(id, self.now.plus(lost_pause(losses)));
        self.touch(TimerKey::Build(id));
        true
    }

    /// When a script is evaluated again whose process was lost.
    pub fn evaluation_due(&self, id: BuildId) -> Option<Timestamp> {
        let at = *self.in_flight.evaluate_at.get(&id)?;
        Some(super::timers::due(at, self.now, lost_pause(LOSSES_MAX)))
    }

    /// Evaluates a script again whose process was lost, when its pause is over.
    pub fn evaluate_again(&mut self, id: BuildId) {
        if self.evaluation_due(id).is_some_and(|at| at <= self.now) {
            self.in_flight.evaluate_at.remove(&id);
            self.want_evaluation(id);
        }
    }

    fn lost_for_good(&self, id: BuildId, message: &str) -> String {
        let losses = self.state.builds.get(&id).map_or(0, |build| build.losses);
        format!("the script was given up: {losses} processes that evaluated it died or ran too long\n{message}")
    }

    fn do_if_answered(&mut self, id: BuildId, step: StepId, outcome: EvalOutcome) {
        match outcome {
            EvalOutcome::Decided(yes) => {
                self.record(Event::StepDecided { build: id, step, yes });
                self.want_evaluation(id);
            }
            EvalOutcome::Failed { message, .. } => self.fail_script(id, &message),
            EvalOutcome::Lost { message } => self.fail_script(id, &self.lost_for_good(id, &message)),
            EvalOutcome::Suspended { asks } => self.look(id, EvalPart::DoIf, asks),
            EvalOutcome::Done { .. } => self.fail_script(id, "`do_if` must give a truth value"),
        }
    }

    /// A condition wants to look at the worker first. What it asks for beyond looking is not done.
    fn look(&mut self, id: BuildId, part: EvalPart, asks: Vec<(Key, Ask)>) {
        for (key, ask) in asks {
            let Some(step) = self.state.builds.get(&id).and_then(|build| build.step.as_ref()) else { return };
            let fresh = !step.journal.0.contains_key(&key) && step.journal.0.len() < ASKS_MAX;
            if fresh && key.part() == part && ask.only_looks() {
                self.take_ask(id, key, ask);
            }
        }
        let step = self.state.builds.get(&id).and_then(|build| build.step.as_ref());
        let waits = step.is_some_and(super::state::Step::waits_for_answers);
        if !waits && !self.in_flight.evaluations.get(&id).is_some_and(|evaluation| evaluation.wanted) {
            match part {
                EvalPart::HideIf => self.end_step(id, false),
                EvalPart::DoIf | EvalPart::Body => {
                    self.fail_script(id, "`do_if` waits, but there is nothing that it waits for");
                }
            }
        }
    }

    fn hide_if_answered(&mut self, id: BuildId, outcome: EvalOutcome) {
        let Some(build) = self.state.builds.get(&id) else { return };
        let function = UserFunction::new(FunctionKind::HideIf, build.builder_id);
        let hidden = match outcome {
            EvalOutcome::Decided(yes) => {
                self.function_answered(&function);
                yes
            }
            EvalOutcome::Failed { message, .. } | EvalOutcome::Lost { message } => {
                // The step has run: a page that shows it is the lesser harm.
                self.function_failed(&function, &message, 0);
                false
            }
            EvalOutcome::Suspended { asks } => return self.look(id, EvalPart::HideIf, asks),
            EvalOutcome::Done { .. } => false,
        };
        self.end_step(id, hidden);
    }

    fn body_evaluated(&mut self, id: BuildId, outcome: EvalOutcome) {
        match outcome {
            EvalOutcome::Suspended { asks } => {
                self.take_asks(id, asks);
                let stuck = |step: &super::state::Step| !step.waits_for_answers();
                let step = self.state.builds.get(&id).and_then(|build| build.step.as_ref());
                let wanted = self.in_flight.evaluations.get(&id).is_some_and(|evaluation| evaluation.wanted);
                let slot = self.in_flight.slot_waits.contains(&id);
                if step.is_some_and(stuck) && !slot && !wanted && !self.in_flight.finishing.contains_key(&id) {
                    self.fail_script(id, "the script waits, but there is nothing that it waits for");
                }
            }
            EvalOutcome::Done { asks, outcome, summary } => {
                self.take_asks(id, asks);
                self.finish_body(id, outcome, summary);
            }
            EvalOutcome::Failed { asks, message } => {
                self.take_asks(id, asks);
                self.fail_script(id, &message);
            }
            EvalOutcome::Lost { message } => self.fail_script(id, &self.lost_for_good(id, &message)),
            EvalOutcome::Decided(_) => self.fail_script(id, "a step's script ended without an outcome"),
        }
    }

    fn take_asks(&mut self, id: BuildId, asks: Vec<(Key, Ask)>) {
        for (key, ask) in asks {
            let Some(step) = self.state.builds.get(&id).and_then(|build| build.step.as_ref()) else { return };
            if step.journal.0.len() >= ASKS_MAX {
                return self.fail_script(id, &format!("the step asks for more than {ASKS_MAX} things"));
            }
            if !step.journal.0.contains_key(&key) && !self.in_flight.finishing.contains_key(&id) {
                self.take_ask(id, key, ask);
            }
        }
    }

    /// The step's body is done.
    fn finish_body(&mut self, id: BuildId, outcome: Outcome, summary: Option<String>) {
        if let std::collections::btree_map::Entry::Vacant(entry) = self.in_flight.finishing.entry(id) {
            entry.insert(Finish { outcome, summary });
            self.want_evaluation(id);
        }
    }

    /// The step's script failed: the step ends with an exception, and says why in a log.
    pub fn fail_script(&mut self, id: BuildId, message: &str) {
        let step = self.state.builds.get(&id).and_then(|build| build.step.as_ref());
        if let Some(step) = step.filter(|step| !step.notes.contains(&Note::ScriptFailed)) {
            self.write_note(id, step.step_at_end(), Note::ScriptFailed, "error", message.to_owned());
        }
        let first = message.lines().next().unwrap_or_default().to_owned();
        self.finish_body(id, Outcome::Exception, Some(first));
    }
}
