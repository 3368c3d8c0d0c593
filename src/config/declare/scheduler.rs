//! `scheduler`: what starts builds. The library wraps one function around each kind.

use starlark::environment::GlobalsBuilder;
use starlark::eval::{Arguments, Evaluator};
use starlark::starlark_module;
use starlark::values::Value;
use starlark::values::dict::DictRef;
use starlark::values::none::NoneType;

use super::super::args::{Call, is_callable, unknown_hint};
use super::super::collect::{Kind, ReferenceKind};
use super::super::convert::kind_of;
use super::super::place::ArgRef;
use super::super::signature::{Native, optional, required};
use super::builder::priority;
use super::scheduler_kind::{COMMON, kind, own_arguments};
use crate::model::{CodebasePlan, FnId, Properties, SchedulerPlan, StampSpec};

const STAMP_FIELDS: [&str; 4] = ["repository", "project", "branch", "revision"];

pub(super) static SCHEDULER: Native = Native {
    name: "scheduler",
    doc: "Declares a scheduler, which starts builds. Prefer the functions in @stdlib//schedulers.star, one for \
             each kind; they call this one.",
    example: "scheduler(\"hourly\", \"periodic\", builders = [\"linux\"], every = \"1h\")",
    positional: 2,
    kinds: &[],
    params: &[
        required("name", "text", "Its name."),
        required(
            "kind",
            "text",
            "\"branch\", \"any_branch\", \"periodic\", \"nightly\", \"dependent\", \"triggerable\" or \"force\".",
        ),
        required("builders", "list of text", "Names of the builders that it starts."),
        optional(
            "properties",
            "dict or function of (scheduler, properties, changes)",
            "{}",
            "Properties for its builds.",
        ),
        optional(
            "codebases",
            "dict of codebase to dict",
            "{\"\": {}}",
            "What to check out if no change determines it: `repository`, `project`, `branch` and `revision` for each \
             codebase.",
        ),
        optional(
            "priority",
            "whole number or function of (scheduler, properties)",
            "None",
            "Requests with a higher priority start first.",
        ),
        optional("reason", "text", "None", "The reason shown for its builds."),
        optional("filter", "change_filter", "every change", "Which changes it accepts."),
        optional("quiet", "length of time", "\"1m\"", "How long it waits for further changes before it starts builds."),
        optional(
            "important",
            "list of glob patterns or function of (change)",
            "every change",
            "Which changes start a build; other changes are included in the next one.",
        ),
        optional(
            "unimportant",
            "list of glob patterns",
            "[]",
            "Files that are not important: a change that touches only these does not start a build.",
        ),
        optional("only_important", "bool", "False", "Ignores changes that are not important."),
        optional("every", "length of time", "–", "How often."),
        optional("cron", "cron expression", "–", "When: minute, hour, day, month, weekday."),
        optional("zone", "time zone", "\"UTC\"", "The time zone of `cron`."),
        optional("only_if_changed", "bool", "False", "Starts builds only if a change has arrived since the last time."),
        optional("upstream", "text", "–", "The scheduler whose builds must succeed first."),
        optional("label", "text", "the name", "Title of the form."),
        optional("button", "text", "the name", "Label of the button."),
        optional("params", "list of param", "[]", "Fields of the form."),
    ],
};

#[starlark_module]
pub(super) fn functions(builder: &mut GlobalsBuilder) {
    fn scheduler<'v>(args: &Arguments<'v, '_>, eval: &mut Evaluator<'v, '_, '_>) -> starlark::Result<NoneType> {
        let mut call = Call::open(&SCHEDULER, args, eval)?;
        let name = call.subject("scheduler");
        call.collector.declare(Kind::Scheduler, &name, &call.site);
        note_foreign(&call);
        let (properties, properties_fn) = properties(&mut call);
        let plan = SchedulerPlan {
            name: name.clone(),
            builders: call.references("builders", ReferenceKind::Builder),
            properties,
            properties_fn,
            codebases: codebases(&call),
            priority: priority(&mut call),
            reason: call.string("reason"),
            kind: kind(&mut call, &name),
            place: call.place(),
        };
        call.collector.plan.borrow_mut().schedulers.entry(name).or_insert(plan);
        Ok(NoneType)
    }
}

/// Notes arguments that the kind does not take.
fn note_foreign(call: &Call<'_, '_, '_, '_, '_>) {
    let Some(word) = call.value("kind").and_then(Value::unpack_str) else { return };
    let Some(own) = own_arguments(word) else { return };
    for name in SCHEDULER.names().filter(|name| !COMMON.contains(name) && !own.contains(name)) {
        if call.value(name).is_some() {
            call.wrong(name, &format!("is not an argument of schedulers of kind \"{word}\""), None);
        }
    }
}

fn properties(call: &mut Call<'_, '_, '_, '_, '_>) -> (Properties, Option<FnId>) {
    match call.value("properties") {
        Some(value) if is_callable(value) => {
            (Properties::default(), call.function("properties", &["scheduler", "properties", "changes"]))
        }
        _ => (call.properties("properties", "Scheduler"), None),
    }
}

fn codebases(call: &Call<'_, '_, '_, '_, '_>) -> Vec<CodebasePlan> {
    let mut plans = Vec::new();
    for (codebase, value) in call.dict("codebases").unwrap_or_default() {
        let at = call.arg("codebases").key(&codebase);
        plans.push(CodebasePlan { stamp: stamp(call, &at, codebase, value) });
    }
    if plans.is_empty() {
        plans.push(CodebasePlan::default());
    }
    plans
}

fn stamp(call: &Call<'_, '_, '_, '_, '_>, at: &ArgRef, codebase: String, value: Value<'_>) -> StampSpec {
    let mut stamp = StampSpec { codebase, ..StampSpec::default() };
    let Some(fields) = DictRef::from_value(value) else {
        let message = format!("{}: codebase `{}` must be a dict, not {}", call.title, stamp.codebase, kind_of(value));
        call.problem(at.clone(), message, Some("for example {\"repository\": \"…\", \"branch\": \"main\"}".to_owned()));
        return stamp;
    };
    for (name, value) in fields.iter() {
        let name = name.unpack_str().unwrap_or_default();
        let at = at.key(name);
        let text = value.unpack_str().map(str::to_owned);
        if text.is_none() && !value.is_none() {
            call.problem(at, format!("{}: `{name}` must be a text, not {}", call.title, kind_of(value)), None);
            continue;
        }
        match name {
            "repository" => stamp.repository = text.unwrap_or_default(),
            "project" => stamp.project = text.unwrap_or_default(),
            "branch" => stamp.branch = text,
            "revision" => stamp.revision = text,
            _ => {
                let message = format!("{}: a codebase has no `{name}`", call.title);
                call.problem(at, message, Some(unknown_hint(name, STAMP_FIELDS.into_iter())));
            }
        }
    }
    stamp
}
