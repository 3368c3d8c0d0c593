//! `builder`: a kind of build, with its steps and the workers that can run it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use starlark::environment::GlobalsBuilder;
use starlark::eval::{Arguments, Evaluator};
use starlark::starlark_module;
use starlark::values::Value;
use starlark::values::none::NoneType;

use super::super::args::Call;
use super::super::collect::{Kind, ReferenceKind};
use super::super::convert::{items_of, kind_of, to_text};
use super::super::directory_name;
use super::super::signature::{Native, optional, required};
use super::super::values::step::Step;
use super::installation::{COLLAPSE_KIND, collapse};
use super::log_max::log_bytes_max;
use super::step::step_plan;
use crate::model::{BuilderPlan, EnvValue, OnLost, Policy, StepPlan, dir_key, normal_address, repository_name};

pub(super) static BUILDER: Native = Native {
    name: "builder",
    doc: "Declares a builder: the steps of its builds, in order, and the workers that can run them.",
    example: "builder(\"linux\", workers = [\"linux-1\"], steps = [step(\"hello\", run = lambda ctx: ctx.run(\"make\"))])",
    positional: 1,
    kinds: &[],
    params: &[
        required("name", "text", "Its name on pages, and the default name of its directory."),
        required("workers", "list of text", "Names or tags of the workers that can run it."),
        required("steps", "list of steps or functions of (ctx)", "What a build does, in order."),
        optional("project", "text", "None", "The project that it belongs to; see `project`."),
        optional("description", "text", "None", "A short description, shown on pages."),
        optional("tags", "list of text", "[]", "Tags by which pages and notifiers select builders."),
        optional(
            "slots",
            "whole number",
            "None",
            "How many of its builds may run at the same time; None for no limit.",
        ),
        optional(
            "slots_per_worker",
            "whole number",
            "1",
            "How many of its builds may run at the same time on one worker. The second one uses the directory \
             `NAME.2`, the third one `NAME.3`, and so on.",
        ),
        optional("locks", "list of locks", "[]", "Locks that each build acquires before its first step."),
        optional("properties", "dict", "{}", "Properties for each build."),
        optional(
            "env",
            "dict",
            "{}",
            "Environment of all its commands: a string (or secret) sets a variable, a list is joined as a search \
             path, None removes the variable.",
        ),
        optional("dir", "text", "the name", "Its directory on the worker, relative to the worker's base directory."),
        optional("collapse", COLLAPSE_KIND, "the master's", "How waiting requests are collapsed into one build."),
        optional(
            "priority",
            "whole number or function of (builder, properties)",
            "0",
            "Requests with a higher priority start first.",
        ),
        optional(
            "next_build",
            "function of (builder, requests)",
            "None",
            "Chooses which waiting request to start next, or None to wait.",
        ),
        optional(
            "next_worker",
            "function of (builder, workers, request)",
            "None",
            "Chooses one of the free workers, or None to wait.",
        ),
        optional(
            "can_start",
            "function of (builder, worker, request)",
            "None",
            "Whether a request may start on a worker now.",
        ),
        optional(
            "on_lost",
            "\"retry\", \"run_again\" or \"fail\"",
            "\"retry\"",
            "What to do if the worker does not come back: queue the build again, run the command again, or fail.",
        ),
        optional(
            "artifacts",
            "dict",
            "{}",
            "How long its artifacts are kept: `keep_days`, or days by the build's outcome (`success`, `failure`, …). `max_mib` \
             limits all of them together; an upload beyond that fails.",
        ),
        optional(
            "log_max",
            "size",
            "the master's",
            "How much text a log of its commands keeps, such as \"100MiB\"; of a longer one, the middle is left out.",
        ),
    ],
};

/// Each slot is a directory with a checkout of its own: far more than a worker's disk would want.
const SLOTS_PER_WORKER_MAX: i64 = 1_000;

/// What `on_lost` may be.
pub(in crate::config) const ON_LOST: [(&str, OnLost); 3] =
    [("retry", OnLost::RetryBuild), ("run_again", OnLost::RunAgain), ("fail", OnLost::Fail)];

#[starlark_module]
pub(super) fn functions(builder: &mut GlobalsBuilder) {
    fn builder<'v>(args: &Arguments<'v, '_>, eval: &mut Evaluator<'v, '_, '_>) -> starlark::Result<NoneType> {
        let mut call = Call::open(&BUILDER, args, eval)?;
        let name = call.subject("builder");
        call.collector.declare(Kind::Builder, &name, &call.site);
        let plan = BuilderPlan {
            name: name.clone(),
            project: super::project::of(&call),
            description: call.string("description"),
            tags: call.strings("tags").unwrap_or_default(),
            workers: call.references("workers", ReferenceKind::WorkerOrTag),
            slots: call.count_of("slots", 1),
            slots_per_worker: slots_per_worker(&call),
            locks: call.locks("locks"),
            properties: call.properties("properties", "Builder"),
            env: environment(&call),
            dir: directory(&call, &name),
            steps: steps(&mut call),
            codebases: codebases(&call),
            collapse: collapse(&mut call),
            priority: priority(&mut call),
            next_build: call.function("next_build", &["builder", "requests"]),
            next_worker: call.function("next_worker", &["builder", "workers", "request"]),
            can_start: call.function("can_start", &["builder", "worker", "request"]),
            on_lost: call.word("on_lost", &ON_LOST).unwrap_or_default(),
            log_bytes_max: log_bytes_max(&call),
            place: call.place(),
        };
        let artifacts = super::artifacts::rules(&call);
        let whole = &mut call.collector.plan.borrow_mut();
        whole.database.retention.artifacts_of.extend(artifacts.map(|rules| (name.clone(), rules)));
        whole.builders.entry(name).or_insert(plan);
        Ok(NoneType)
    }
}

fn steps(call: &mut Call<'_, '_, '_, '_, '_>) -> Vec<Arc<StepPlan>> {
    let items = call.list("steps").unwrap_or_default();
    if items.is_empty() && call.value("steps").and_then(items_of).is_some() {
        call.wrong("steps", "is empty", Some("a build needs at least one step".to_owned()));
    }
    note_overwritten(call, &items);
    let mut plans = Vec::new();
    for (index, item) in items.into_iter().enumerate() {
        let at = call.arg("steps").item(index);
        plans.extend(step_plan(call, at, item));
    }
    plans
}

/// The codebases that the steps use, if that is known of all of them.
fn codebases(call: &Call<'_, '_, '_, '_, '_>) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    for item in call.value("steps").and_then(items_of).unwrap_or_default() {
        match Step::from_value(*item).map(|step| &step.flags.codebases) {
            Some(Some(codebases)) => used.extend(codebases.iter().cloned()),
            Some(None) | None => return BTreeSet::new(),
        }
    }
    used
}

/// Notes steps that fill a directory which an earlier one has filled with another repository. Those that run under a
/// condition may exclude each other.
fn note_overwritten(call: &Call<'_, '_, '_, '_, '_>, items: &[Value<'_>]) {
    let mut filled: BTreeMap<Vec<String>, (&str, &str)> = BTreeMap::new();
    for (index, item) in items.iter().enumerate() {
        let Some(step) = Step::from_value(*item).filter(|step| step.do_if.is_none()) else { continue };
        let Some((dir, repository)) = step.flags.checks_out.as_deref() else { continue };
        match filled.get(&dir_key(dir)) {
            Some((first, other)) if normal_address(other) != normal_address(repository) => {
                let message = format!(
                    "{}: step `{}` would replace what `{first}` checked out: both use the directory `{dir}`, but take different repositories",
                    call.title, step.name
                );
                let hint = format!("give one of them another directory: workdir = \"{}\"", repository_name(repository));
                call.problem(call.arg("steps").item(index), message, Some(hint));
            }
            Some(_) => {}
            None => drop(filled.insert(dir_key(dir), (step.name.as_str(), repository.as_str()))),
        }
    }
}

/// The argument `priority` of `builder` and `scheduler`.
pub(super) fn priority(call: &mut Call<'_, '_, '_, '_, '_>) -> Option<Policy<i64>> {
    let value = call.value("priority")?;
    if value.get_type() == "int" {
        return call.whole("priority", i64::MIN..=i64::MAX).map(Policy::Fixed);
    }
    call.function("priority", &["builder", "properties"]).map(Policy::Function)
}

fn environment(call: &Call<'_, '_, '_, '_, '_>) -> BTreeMap<String, EnvValue> {
    let mut env = BTreeMap::new();
    // `None` is a value here, so the entries are read one by one.
    for (name, value) in call.dict("env").unwrap_or_default() {
        match env_value(&name, value) {
            Ok(value) => drop(env.insert(name, value)),
            Err(why) => {
                let message = format!("{}: environment variable `{name}` {why}", call.title);
                call.problem(call.arg("env").key(&name), message, None);
            }
        }
    }
    env
}

/// What to do with an environment variable.
pub(in crate::config) fn env_value(name: &str, value: Value<'_>) -> Result<EnvValue, String> {
    if name.is_empty() || name.contains(['=', '\0']) {
        return Err("is not a valid name for a variable".to_owned());
    }
    if value.is_none() {
        return Ok(EnvValue::Unset);
    }
    if let Some(items) = items_of(value) {
        return items.iter().map(|item| to_text(*item)).collect::<Result<_, _>>().map(EnvValue::Join);
    }
    to_text(value).map(EnvValue::Set).map_err(|why| match value.get_type() {
        "int" | "float" | "bool" => format!("must be a text, not {}; write str(…)", kind_of(value)),
        _ => why,
    })
}

fn slots_per_worker(call: &Call<'_, '_, '_, '_, '_>) -> u64 {
    call.whole("slots_per_worker", 1..=SLOTS_PER_WORKER_MAX).and_then(|slots| u64::try_from(slots).ok()).unwrap_or(1)
}

/// Its directory: as given, with one spelling for each directory, or made of the name.
fn directory(call: &Call<'_, '_, '_, '_, '_>, name: &str) -> String {
    let Some(dir) = call.string("dir") else {
        let dir = directory_of(name);
        if let Some(why) = directory_name::trouble(&dir).filter(|_| !name.is_empty()) {
            let hint = "choose another name, or another directory with dir = …".to_owned();
            call.wrong("name", &format!("{why}; a builder's name is that of its directory"), Some(hint));
        }
        return dir;
    };
    let parts: Vec<&str> = dir.split(['/', '\\']).filter(|part| !part.is_empty() && *part != ".").collect();
    let inside = !parts.is_empty()
        && !dir.starts_with(['/', '\\'])
        && !dir.contains(':')
        && !dir.chars().any(char::is_control)
        && !parts.contains(&"..");
    if !inside {
        let hint = "use a relative path without `..`".to_owned();
        call.wrong("dir", &format!("leaves the worker's base directory: `{dir}`"), Some(hint));
    } else if let Some((part, why)) = parts.iter().find_map(|part| Some((part, directory_name::trouble(part)?))) {
        call.wrong("dir", &format!("has the part `{part}`, which {why}"), None);
    }
    parts.join("/")
}

/// A directory's name that every system takes.
fn directory_of(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' }).collect()
}
