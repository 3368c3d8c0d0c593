//! One evaluation of a build script.

use starlark::PrintHandler;
use starlark::environment::Module;
use starlark::eval::Evaluator;
use starlark::values::Value;

use super::super::fault::problem_of;
use super::super::library::is_library;
use super::super::limits::SCRIPT;
use super::super::problem::Problem;
use super::super::scripts::{Cancel, Scripts};
use super::context::Ctx;
use super::outcome::finish;
use super::run::Run;
use super::stop::Stop;
use crate::model::{EvalJob, EvalOutcome, EvalPart, FnId, Plan, StepPlan};

/// Evaluates what the job says.
pub(in crate::config) fn evaluate(scripts: &Scripts, job: &EvalJob, cancel: &Cancel) -> EvalOutcome {
    let plan = scripts.plan();
    let Some(step) = step_of(plan, job) else {
        let message = format!("builder `{}` has no step {} in this configuration", job.context.builder, job.step);
        return EvalOutcome::Failed { asks: Vec::new(), message };
    };
    let function = match job.part {
        EvalPart::Body => Some(step.body),
        EvalPart::DoIf => step.do_if,
        EvalPart::HideIf => step.hide_if,
    };
    match function {
        Some(function) => call(scripts, job, step, function, cancel),
        // Without a function the step runs and shows.
        None => EvalOutcome::Decided(job.part == EvalPart::DoIf),
    }
}

fn step_of<'p>(plan: &'p Plan, job: &EvalJob) -> Option<&'p StepPlan> {
    plan.builders.get(&job.context.builder)?.steps.get(job.step).map(std::sync::Arc::as_ref)
}

fn call(scripts: &Scripts, job: &EvalJob, step: &StepPlan, function: FnId, cancel: &Cancel) -> EvalOutcome {
    let Some(function) = scripts.function(function) else {
        let message = format!("the configuration has no function {function}");
        return EvalOutcome::Failed { asks: Vec::new(), message };
    };
    let run = Run::new(scripts.plan().clone(), job);
    Module::with_temp_heap(|module| {
        let mut eval = Evaluator::new(&module);
        SCRIPT.apply(&mut eval, cancel.clone());
        eval.set_print_handler(&run);
        eval.extra = Some(&run);
        let function = module.heap().access_owned_frozen_value(function);
        let ctx = module.heap().alloc(Ctx::new(job.context.clone()));
        let outcome = module.heap().alloc(job.step_outcome.map_or("success", |outcome| outcome.word()));
        let arguments: &[Value<'_>] = if job.part == EvalPart::HideIf { &[ctx, outcome] } else { &[ctx] };
        let returned = eval.eval_function(function, arguments, &[]);
        conclude(&run, job.part, step, returned)
    })
}

fn conclude(run: &Run, part: EvalPart, step: &StepPlan, returned: starlark::Result<Value<'_>>) -> EvalOutcome {
    let wants = run.wants.take();
    if !wants.is_empty() {
        return EvalOutcome::Wants(wants);
    }
    if part != EvalPart::Body {
        return match returned {
            Ok(value) => EvalOutcome::Decided(value.to_bool()),
            Err(error) if matches!(Stop::of(&error), Some(Stop::Suspend)) => {
                EvalOutcome::Suspended { asks: run.take_asks() }
            }
            Err(error) if matches!(Stop::of(&error), Some(Stop::End { .. })) => {
                let why = "`do_if` and `hide_if` give True or False; they cannot end the step";
                EvalOutcome::Failed { asks: Vec::new(), message: why.to_owned() }
            }
            Err(error) => EvalOutcome::Failed { asks: Vec::new(), message: failure(&error, step) },
        };
    }
    let finished = finish(returned, run.pop_frame());
    let asks = run.take_asks();
    match finished {
        Ok(finished) => EvalOutcome::Done { asks, outcome: finished.outcome, summary: finished.summary },
        Err(error) if matches!(Stop::of(&error), Some(Stop::Suspend)) => EvalOutcome::Suspended { asks },
        Err(error) => EvalOutcome::Failed { asks, message: failure(&error, step) },
    }
}

impl PrintHandler for Run {
    /// Once: what an earlier evaluation printed is not printed again.
    fn println(&self, text: &str) -> starlark::Result<()> {
        if !self.is_replaying() {
            super::printed::note(text);
        }
        Ok(())
    }
}

/// First line: what went wrong; then the place and its line. Where no line of the user's is known, it is that of the step.
fn failure(error: &starlark::Error, step: &StepPlan) -> String {
    let mut problem = problem_of(error, SCRIPT);
    if problem.place.as_ref().is_none_or(|place| is_library(&place.file)) {
        let seen_in = problem.place.map(|place| format!("it came up in {}, line {}", place.file, place.line));
        let hint = problem.hint.or(seen_in);
        problem = Problem { place: Some(step.place.clone()), message: problem.message, hint, excerpt: String::new() };
    }
    problem.to_string().trim_start_matches("error: ").to_owned()
}
