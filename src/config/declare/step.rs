//! `step`: what one element of `steps = [...]` does, and what its outcome means.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use starlark::environment::GlobalsBuilder;
use starlark::eval::{Arguments, Evaluator};
use starlark::starlark_module;
use starlark::values::Value;
use starlark::values::dict::DictRef;

use super::super::args::{Call, is_callable};
use super::super::collect::Collector;
use super::super::convert::{items_of, kind_of};
use super::super::library;
use super::super::place::ArgRef;
use super::super::signature::{Native, optional, required};
use super::super::values::step::{Step, StepFlags};
use crate::model::StepPlan;

pub(super) static STEP: Native = Native {
    name: "step",
    doc: "Makes a step from a function of `ctx`. All step types in @stdlib//steps.star use it.",
    example: "hello = step(\"hello\", run = lambda ctx: ctx.run(\"echo hello\"))",
    positional: 1,
    kinds: &[],
    params: &[
        required("name", "text", "Its name on pages and in logs."),
        required(
            "run",
            "function of (ctx)",
            "The function that the step runs. See `ctx` for what it can do and return.",
        ),
        optional(
            "halt_on_failure",
            "bool",
            "True",
            "A failure ends the build; only steps with `always_run` still run.",
        ),
        optional("flunk_on_failure", "bool", "True", "A failure makes the build a failure."),
        optional("flunk_on_warnings", "bool", "False", "Warnings make the build a failure."),
        optional("warn_on_failure", "bool", "False", "A failure gives the build warnings."),
        optional("warn_on_warnings", "bool", "True", "Warnings give the build warnings."),
        optional(
            "always_run",
            "bool",
            "False",
            "The step runs even if a failure has ended the build, or the build was stopped.",
        ),
        optional(
            "do_if",
            "function of (ctx)",
            "None",
            "Whether to run the step. The function may look at the worker: `ctx.stat`, `ctx.glob`, `ctx.list_dir`.",
        ),
        optional(
            "hide_if",
            "function of (ctx, outcome)",
            "None",
            "Whether to hide the step on pages. It gets the outcome as a string, and may look at the worker like \
             `do_if`.",
        ),
        optional("retries", "whole number", "0", "How often to retry after a failure."),
        optional(
            "retry_delay",
            "length of time",
            "\"10s\"",
            "Delay before the first retry; it doubles each time, up to 10m.",
        ),
        optional("locks", "list of locks", "[]", "Locks that the step holds while it runs."),
        optional(
            "checks_out",
            "pair of text",
            "None",
            "For authors of step types: the directory that the step checks out into, and the repository. If two steps \
             of a builder check out different repositories into one directory, the configuration is rejected.",
        ),
        optional(
            "sources",
            "pair of lists",
            "None",
            "For authors of step types: the codebases whose source stamps `run` uses, and the arguments that it resolves \
             with `ctx`, which may contain steps. Unless an argument is a function or a template, or the step has a \
             `do_if`, the codebases are then known, and a branch or revision that no step of a builder uses is refused.",
        ),
    ],
};

/// More attempts than anybody waits for.
const RETRIES_MAX: i64 = 100;

/// Deeper lists in a step's arguments are not looked into; they may contain themselves.
const DEPTH_MAX: usize = 8;

#[starlark_module]
pub(super) fn functions(builder: &mut GlobalsBuilder) {
    fn step<'v>(args: &Arguments<'v, '_>, eval: &mut Evaluator<'v, '_, '_>) -> starlark::Result<Step<'v>> {
        if let Some(collector) = Collector::of(eval) {
            return read(Call::open_with(&STEP, args, eval, collector)?);
        }
        // In a build there is nobody to collect problems: the first one ends the script.
        let scratch = Collector::default();
        let step = read(Call::open_with(&STEP, args, eval, &scratch)?)?;
        match scratch.problems.take().into_iter().next() {
            Some(problem) => Err(starlark::Error::new_other(anyhow::anyhow!(problem.message))),
            None => Ok(step),
        }
    }
}

fn read<'v>(mut call: Call<'v, '_, '_, '_, '_>) -> starlark::Result<Step<'v>> {
    let name = call.subject("step");
    let usual = StepFlags::usual(call.place());
    let flags = StepFlags {
        halt_on_failure: call.boolean("halt_on_failure", usual.halt_on_failure),
        flunk_on_failure: call.boolean("flunk_on_failure", usual.flunk_on_failure),
        flunk_on_warnings: call.boolean("flunk_on_warnings", usual.flunk_on_warnings),
        warn_on_failure: call.boolean("warn_on_failure", usual.warn_on_failure),
        warn_on_warnings: call.boolean("warn_on_warnings", usual.warn_on_warnings),
        always_run: call.boolean("always_run", usual.always_run),
        retries: call.whole("retries", 0..=RETRIES_MAX).and_then(|n| u64::try_from(n).ok()).unwrap_or(usual.retries),
        retry_delay: call.span("retry_delay").unwrap_or(usual.retry_delay),
        locks: call.locks("locks"),
        place: usual.place,
        plan: OnceLock::new(),
        checks_out: checks_out(&call),
        codebases: codebases(&call),
    };
    Ok(Step {
        name,
        run: checked(&call, "run", &["ctx"]),
        do_if: checked(&call, "do_if", &["ctx"]),
        hide_if: checked(&call, "hide_if", &["ctx", "outcome"]),
        flags: Box::new(flags),
    })
}

/// The directory that a step fills, and the repository it takes.
fn checks_out(call: &Call<'_, '_, '_, '_, '_>) -> Option<Box<(String, String)>> {
    let value = call.value("checks_out")?;
    let texts = items_of(value).map(|items| items.iter().filter_map(|item| item.unpack_str()).collect::<Vec<_>>());
    let Some([dir, repository]) = texts.as_deref() else {
        call.wrong_kind(call.arg("checks_out"), "checks_out", "a pair (directory, repository)", value);
        return None;
    };
    Some(Box::new(((*dir).to_owned(), (*repository).to_owned())))
}

/// The codebases that a step uses; none if they depend on the build.
fn codebases(call: &Call<'_, '_, '_, '_, '_>) -> Option<BTreeSet<String>> {
    let value = call.value("sources")?;
    let pair = items_of(value).and_then(|items| match items {
        [names, arguments] => Some((items_of(*names)?, items_of(*arguments)?)),
        _ => None,
    });
    let Some((names, arguments)) = pair else {
        call.wrong_kind(call.arg("sources"), "sources", "a pair (codebases, arguments)", value);
        return None;
    };
    let mut used = names.iter().map(|name| name.unpack_str().map(str::to_owned)).collect::<Option<BTreeSet<_>>>()?;
    let known = call.value("do_if").is_none() && arguments.iter().all(|value| is_fixed(*value, &mut used, DEPTH_MAX));
    known.then_some(used)
}

/// Whether a value is the same in every build. Adds the codebases of steps in it.
fn is_fixed(value: Value<'_>, used: &mut BTreeSet<String>, depth: usize) -> bool {
    if let Some(step) = Step::from_value(value) {
        used.extend(step.flags.codebases.iter().flatten().cloned());
        return step.flags.codebases.is_some();
    }
    let Some(deeper) = depth.checked_sub(1) else { return false };
    if let Some(items) = items_of(value) {
        return items.iter().all(|item| is_fixed(*item, used, deeper));
    }
    if let Some(dict) = DictRef::from_value(value) {
        return dict.values().all(|item| is_fixed(item, used, deeper));
    }
    matches!(value.get_type(), "NoneType" | "string" | "int" | "float" | "bool" | "secret_text")
}

fn checked<'v>(call: &Call<'v, '_, '_, '_, '_>, name: &'static str, takes: &[&str]) -> Value<'v> {
    let value = call.value(name).filter(|value| {
        !has_buildbots_arguments(call, name, *value) && call.is_function(call.arg(name), name, *value, takes)
    });
    value.unwrap_or_else(Value::new_none)
}

/// Buildbot gives `doStepIf` the step, and `hideStepIf` the results and the step: such a function could not work here.
fn has_buildbots_arguments(call: &Call<'_, '_, '_, '_, '_>, name: &'static str, value: Value<'_>) -> bool {
    let (wanted, instead) = match name {
        "do_if" => ("(ctx)", "lambda ctx: ctx.property(\"deploy\") == True"),
        "hide_if" => ("(ctx, outcome)", "lambda ctx, outcome: outcome == \"skipped\""),
        _ => return false,
    };
    let Some(spec) = value.parameters_spec() else { return false };
    let signature = spec.parameters_str();
    let theirs = signature.split(',').any(|param| matches!(param.trim(), "step" | "results" | "result"));
    let surplus = name == "do_if" && !spec.can_fill_with_args(1, &[]) && spec.can_fill_with_args(2, &[]);
    if theirs || surplus {
        let message = format!("{}: `{name}` must be a function of {wanted}, but takes ({signature})", call.title);
        let hint = format!("outcomes are words, and there is no step object; write for example `{instead}`");
        call.problem(call.arg(name), message, Some(hint));
    }
    theirs || surplus
}

/// Whether a function is one of the library's that make steps: those take other things than `ctx`.
fn is_maker(value: Value<'_>) -> bool {
    let takes_ctx = |spec: &starlark::eval::ParametersSpec<_>| spec.parameters_str().starts_with("ctx");
    let of_library = value.function_name().is_some_and(|name| library::load_line(name).is_some());
    of_library && value.parameters_spec().is_some_and(|spec| !takes_ctx(spec))
}

/// The plan of an element of `steps`: a step, which has one plan wherever it is used, or a plain function of `ctx`.
pub(super) fn step_plan<'v>(
    call: &mut Call<'v, '_, '_, '_, '_>,
    at: ArgRef,
    value: Value<'v>,
) -> Option<Arc<StepPlan>> {
    let of_function;
    let step = match Step::from_value(value) {
        Some(step) => step,
        None if is_maker(value) => {
            let name = value.function_name().unwrap_or("sh");
            let message = format!("{}: `{name}` is a function that makes a step, not a step", call.title);
            call.problem(at, message, Some(format!("call it: {name}(…)")));
            return None;
        }
        None if is_callable(value) => {
            if !call.is_function(at, "steps", value, &["ctx"]) {
                return None;
            }
            of_function = Step::of_function(value, call.place());
            &of_function
        }
        None => {
            let message =
                format!("{}: a step must be a step or a function of (ctx), not {}", call.title, kind_of(value));
            let mut items = items_of(value).unwrap_or_default().iter();
            let hint = if items.any(|item| Step::from_value(*item).is_some()) {
                Some(
                    "a list of steps holds no lists: write its steps out, or add it: steps = [sh(…)] + others"
                        .to_owned(),
                )
            } else {
                (value.unpack_str().is_some() || value.get_type() == "list")
                    .then(|| "wrap commands: sh(\"make\"), with sh from @stdlib//steps.star".to_owned())
            };
            call.problem(at, message, hint);
            return None;
        }
    };
    Some(Arc::clone(step.flags.plan.get_or_init(|| Arc::new(plan_of(call, step)))))
}

fn plan_of<'v>(call: &mut Call<'v, '_, '_, '_, '_>, step: &Step<'v>) -> StepPlan {
    let flags = &step.flags;
    StepPlan {
        name: step.name.clone(),
        body: call.register(step.run),
        do_if: (!step.do_if.is_none()).then(|| call.register(step.do_if)),
        hide_if: (!step.hide_if.is_none()).then(|| call.register(step.hide_if)),
        halt_on_failure: flags.halt_on_failure,
        flunk_on_failure: flags.flunk_on_failure,
        flunk_on_warnings: flags.flunk_on_warnings,
        warn_on_failure: flags.warn_on_failure,
        warn_on_warnings: flags.warn_on_warnings,
        always_run: flags.always_run,
        retries: flags.retries,
        retry_delay: flags.retry_delay,
        locks: flags.locks.clone(),
        place: flags.place.clone(),
    }
}
