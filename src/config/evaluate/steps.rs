//! Child steps, one after the other or at the same time.

use starlark::eval::Evaluator;
use starlark::values::Value;

use super::super::args::is_callable;
use super::super::convert::{items_of, kind_of};
use super::super::place::CallSite;
use super::super::values::step::{Step, StepFlags};
use super::outcome::{Finished, finish};
use super::result::ResultValue;
use super::run::{Frame, Run};
use super::stop::Stop;
use crate::base::Span;
use crate::model::{Ask, BeginStep, EndStep, Outcome, RETRY_DELAY_MAX};

/// Branches of one `ctx.parallel`: each may hold a command on the worker.
const BRANCHES_MAX: usize = 1_000;

/// Runs a child step. If it fails and halts, the calling function ends.
pub(super) fn sequential<'v>(
    eval: &mut Evaluator<'v, '_, '_>,
    ctx: Value<'v>,
    step: Value<'v>,
) -> starlark::Result<ResultValue> {
    let flags = |step: &Step<'v>| step.flags.clone();
    let step = as_step(eval, step)?;
    let flags = flags(step.get());
    let result = child(eval, ctx, step.get())?;
    let run = Run::of(eval)?;
    tally(run, &flags, &result);
    if flags.halt_on_failure && !result.outcome.is_ok() {
        return Err(Stop::End { outcome: None, summary: None }.error());
    }
    Ok(result)
}

/// Runs child steps at the same time and returns all results, whatever they are.
pub(super) fn parallel<'v>(
    eval: &mut Evaluator<'v, '_, '_>,
    ctx: Value<'v>,
    steps: &[Value<'v>],
) -> starlark::Result<Vec<ResultValue>> {
    if steps.len() > BRANCHES_MAX {
        let text = format!("ctx.parallel takes at most {BRANCHES_MAX} steps, not {}", steps.len());
        return Err(starlark::Error::new_other(anyhow::Error::msg(text)));
    }
    let run = Run::of(eval)?;
    let own = run.take_key();
    let before = run.place();
    let mut after = before.clone();
    let mut results = Vec::new();
    let mut waits = None;
    for (branch, step) in (0..).zip(steps) {
        let mut path = own.0.clone();
        path.push(branch);
        run.set_place(super::run::Place { path, next: 0, ..before.clone() });
        let step = as_step(eval, *step)?;
        let result = child(eval, ctx, step.get());
        after.take_properties(run.set_place(before.clone()));
        match result {
            Ok(result) => {
                tally(run, &step.get().flags, &result);
                results.push(result);
            }
            Err(error) if matches!(Stop::of(&error), Some(Stop::Suspend)) => waits = Some(error),
            Err(error) => return Err(error),
        }
    }
    run.set_place(after);
    match waits {
        Some(suspend) => Err(suspend),
        None => Ok(results),
    }
}

/// A step value, or one made of a plain function.
enum Child<'v> {
    Step(&'v Step<'v>),
    Function(Step<'v>),
}

impl<'v> Child<'v> {
    fn get(&self) -> &Step<'v> {
        match self {
            Self::Step(step) => step,
            Self::Function(step) => step,
        }
    }
}

fn as_step<'v>(eval: &Evaluator<'v, '_, '_>, value: Value<'v>) -> starlark::Result<Child<'v>> {
    if let Some(step) = Step::from_value(value) {
        return Ok(Child::Step(step));
    }
    if is_callable(value) {
        return Ok(Child::Function(Step::of_function(value, CallSite::of_call(eval).place())));
    }
    let hint = if value.get_type() == "string" || items_of(value).is_some() {
        "\nhint: write ctx.run(…) for a command, or ctx.step(sh(…))"
    } else {
        ""
    };
    let text = format!("a child step must be a step or a function of (ctx), not {}{hint}", kind_of(value));
    Err(starlark::Error::new_other(anyhow::Error::msg(text)))
}

/// Adds a child's outcome to the step that it is a part of, by the child's flags.
fn tally(run: &Run, flags: &StepFlags, result: &ResultValue) {
    let counts = match result.outcome {
        Outcome::Success | Outcome::Skipped => return,
        Outcome::Failure if flags.flunk_on_failure => Outcome::Failure,
        Outcome::Failure if flags.warn_on_failure => Outcome::Warnings,
        Outcome::Warnings if flags.flunk_on_warnings => Outcome::Failure,
        Outcome::Warnings if flags.warn_on_warnings => Outcome::Warnings,
        Outcome::Failure | Outcome::Warnings => return,
        other @ (Outcome::Exception | Outcome::Retry | Outcome::Cancelled) => other,
    };
    run.frame(|frame| {
        frame.verdict = frame.verdict.worse(counts);
        frame.warned |= result.outcome == Outcome::Warnings && counts == Outcome::Warnings;
    });
}

/// All attempts of a child step.
fn child<'v>(eval: &mut Evaluator<'v, '_, '_>, ctx: Value<'v>, step: &Step<'v>) -> starlark::Result<ResultValue> {
    let run = Run::of(eval)?;
    for lock in &step.flags.locks {
        if !run.plan.locks.contains_key(&lock.lock) {
            let text = format!("step `{}`: there is no lock `{}`", step.name, lock.lock);
            return Err(starlark::Error::new_other(anyhow::Error::msg(text)));
        }
    }
    let wanted = step.do_if.is_none() || looking(eval, |eval| eval.eval_function(step.do_if, &[ctx], &[]))?.to_bool();
    let mut delay = step.flags.retry_delay;
    for attempt in 0.. {
        let finished = once(eval, ctx, step, wanted)?;
        let last = attempt >= step.flags.retries || finished.outcome != Outcome::Failure;
        if last {
            let own = ResultValue::of_outcome(finished.outcome, finished.summary.clone());
            let result = finished.result.map(|result| ResultValue { summary: finished.summary, ..result });
            return Ok(result.unwrap_or(own));
        }
        run.ask(Ask::Wait(delay))?;
        delay = Span::from_millis(delay.as_millis().saturating_mul(2)).min(RETRY_DELAY_MAX);
    }
    unreachable!("the loop ends with its last attempt")
}

/// One attempt: begin, run, end.
fn once<'v>(
    eval: &mut Evaluator<'v, '_, '_>,
    ctx: Value<'v>,
    step: &Step<'v>,
    wanted: bool,
) -> starlark::Result<Finished> {
    let run = Run::of(eval)?;
    let begin = BeginStep { name: step.name.clone(), parent: run.step_key(), locks: step.flags.locks.clone() };
    let (begun, _) = run.ask_at(Ask::BeginStep(begin))?;
    run.push_frame(Frame::new(Some(begun.clone())));
    let returned = if wanted { eval.eval_function(step.run, &[ctx], &[]) } else { Err(skip()) };
    let finished = finish(returned, run.pop_frame());
    let finished = match finished {
        Ok(finished) => finished,
        Err(error) => {
            if Stop::of(&error).is_none() {
                let summary = Some("the script failed".to_owned());
                run.ask(Ask::EndStep(EndStep { begun, outcome: Outcome::Exception, summary, hidden: false }))?;
            }
            return Err(error);
        }
    };
    let hidden = hidden(eval, ctx, step, finished.outcome)?;
    let (outcome, summary) = (finished.outcome, finished.summary.clone());
    run.ask(Ask::EndStep(EndStep { begun, outcome, summary, hidden }))?;
    Ok(finished)
}

fn skip() -> starlark::Error {
    Stop::End { outcome: Some(Outcome::Skipped), summary: None }.error()
}

fn hidden<'v>(
    eval: &mut Evaluator<'v, '_, '_>,
    ctx: Value<'v>,
    step: &Step<'v>,
    outcome: Outcome,
) -> starlark::Result<bool> {
    if step.hide_if.is_none() {
        return Ok(false);
    }
    let word = eval.heap().alloc(outcome.word());
    looking(eval, |eval| eval.eval_function(step.hide_if, &[ctx, word], &[])).map(starlark::values::Value::to_bool)
}

/// Runs something that may look at the worker, but must not change anything.
fn looking<'v, 'a, 'e, T>(
    eval: &mut Evaluator<'v, 'a, 'e>,
    work: impl FnOnce(&mut Evaluator<'v, 'a, 'e>) -> starlark::Result<T>,
) -> starlark::Result<T> {
    let run = Run::of(eval)?;
    let before = run.may_act.replace(false);
    let result = work(eval);
    run.may_act.set(before);
    result
}
