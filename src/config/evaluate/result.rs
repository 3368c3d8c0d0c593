//! What a script gets back from a command, a child step or triggered builds.

use std::fmt;

use allocative::Allocative;
use starlark::any::ProvidesStaticType;
use starlark::docs::DocType;
use starlark::environment::{Methods, MethodsBuilder, MethodsStatic};
use starlark::values::list::AllocList;
use starlark::values::none::NoneOr;
use starlark::values::structs::AllocStruct;
use starlark::values::{Heap, NoSerialize, StarlarkPagablePanic, StarlarkValue, Value, starlark_value};
use starlark::{starlark_module, starlark_simple_value};

use super::command::{explain_end, explain_file};
use crate::base::Span;
use crate::model::{
    Artifact, CommandEnd, CommandResult, CommandSpec, FileCommand, Moved, NOT_STARTED_CODE, Outcome, Triggered,
    TriggeredBuild,
};

/// The result of something that a script asked for.
#[derive(Clone, Debug, ProvidesStaticType, NoSerialize, StarlarkPagablePanic, Allocative)]
pub(in crate::config) struct ResultValue {
    #[allocative(skip)]
    pub(super) outcome: Outcome,
    /// One line for people.
    pub(super) summary: Option<String>,
    /// How the command ended, if it was one.
    #[allocative(skip)]
    pub(super) end: Option<CommandEnd>,
    pub(super) stdout: Option<String>,
    pub(super) stderr: Option<String>,
    pub(super) cut: bool,
    #[allocative(skip)]
    pub(super) elapsed: Span,
    pub(super) files: Vec<String>,
    #[allocative(skip)]
    pub(super) builds: Vec<TriggeredBuild>,
    /// Of an upload or a download.
    #[allocative(skip)]
    pub(super) artifacts: Vec<Artifact>,
}

starlark_simple_value!(ResultValue);

impl ResultValue {
    /// The result of a command that ran.
    pub(super) fn of_command(result: &CommandResult, spec: &CommandSpec) -> Self {
        Self::explained(result, explain_end(&result.end, result.outcome, Some(spec)))
    }

    /// The result of a file command.
    pub(super) fn of_file(result: &CommandResult, command: &FileCommand) -> Self {
        Self::explained(result, explain_file(result, command))
    }

    fn explained(result: &CommandResult, summary: Option<String>) -> Self {
        Self {
            outcome: result.outcome,
            summary,
            end: Some(result.end.clone()),
            stdout: result.stdout.clone(),
            stderr: result.stderr.clone(),
            cut: result.cut,
            elapsed: result.elapsed,
            files: result.files.clone(),
            builds: Vec::new(),
            artifacts: match result.moved.as_deref() {
                Some(Moved::Kept(artifacts)) => artifacts.clone(),
                Some(Moved::Downloaded(artifact)) => vec![artifact.clone()],
                None => Vec::new(),
            },
        }
    }

    /// The result of a step that is not just one command.
    pub(super) fn of_outcome(outcome: Outcome, summary: Option<String>) -> Self {
        Self {
            outcome,
            summary,
            end: None,
            stdout: None,
            stderr: None,
            cut: false,
            elapsed: Span::ZERO,
            files: Vec::new(),
            builds: Vec::new(),
            artifacts: Vec::new(),
        }
    }

    /// The result of triggered builds.
    pub(super) fn of_triggered(schedulers: &str, triggered: &Triggered) -> Self {
        let counts = Outcome::ALL.into_iter().filter_map(|outcome| {
            let count = triggered.builds.iter().filter(|build| build.outcome == outcome).count();
            (count > 0).then(|| format!("{count} {outcome}"))
        });
        let counts = counts.collect::<Vec<_>>().join(", ");
        let text = if counts.is_empty() { String::new() } else { format!(": {counts}") };
        let summary = Some(format!("triggered {schedulers}{text}"));
        Self { builds: triggered.builds.clone(), ..Self::of_outcome(triggered.outcome, summary) }
    }
}

impl fmt::Display for ResultValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "result({}", self.outcome)?;
        if let Some(summary) = &self.summary {
            write!(f, ", {summary}")?;
        }
        f.write_str(")")
    }
}

static METHODS: MethodsStatic = MethodsStatic::new("result", methods);

/// What a result has, for the reference.
pub(in crate::config) fn result_members() -> DocType {
    METHODS.methods().documentation(ResultValue::get_type_starlark_repr())
}

#[starlark_value(type = "result")]
impl<'v> StarlarkValue<'v> for ResultValue {
    fn get_methods() -> Option<&'static Methods> {
        Some(METHODS.methods())
    }

    fn to_bool(&self) -> bool {
        self.outcome.is_ok()
    }
}

fn output<'a>(text: Option<&'a str>, end: Option<&CommandEnd>, name: &str) -> anyhow::Result<&'a str> {
    text.ok_or_else(|| match end {
        Some(_) => anyhow::anyhow!("`{name}` was not kept: run the command with `output = True`"),
        None => anyhow::anyhow!("`{name}` belongs to commands; this is the result of something else"),
    })
}

#[starlark_module]
fn methods(builder: &mut MethodsBuilder) {
    /// Whether it succeeded: success, warnings or skipped.
    #[starlark(attribute)]
    fn ok(this: &ResultValue) -> anyhow::Result<bool> {
        Ok(this.outcome.is_ok())
    }

    /// `success`, `warnings`, `failure`, `skipped`, `exception`, `retry` or `cancelled`.
    #[starlark(attribute)]
    fn outcome(this: &ResultValue) -> anyhow::Result<&'static str> {
        Ok(this.outcome.word())
    }

    /// The summary, or None.
    #[starlark(attribute)]
    fn summary(this: &ResultValue) -> anyhow::Result<NoneOr<String>> {
        Ok(NoneOr::from_option(this.summary.clone()))
    }

    /// The command's exit code; 127 if its program could not be started, None if it did not exit by itself.
    #[starlark(attribute)]
    fn rc(this: &ResultValue) -> anyhow::Result<NoneOr<i64>> {
        Ok(match &this.end {
            Some(CommandEnd::Exited(code)) => NoneOr::Other(*code),
            Some(CommandEnd::NotStarted(_)) => NoneOr::Other(NOT_STARTED_CODE),
            _ => NoneOr::None,
        })
    }

    /// The command's standard output: its beginning, or what `output` of `ctx.run` asked for.
    #[starlark(attribute)]
    fn stdout(this: &ResultValue) -> anyhow::Result<String> {
        output(this.stdout.as_deref(), this.end.as_ref(), "stdout").map(str::to_owned)
    }

    /// The command's standard error, in the same way.
    #[starlark(attribute)]
    fn stderr(this: &ResultValue) -> anyhow::Result<String> {
        output(this.stderr.as_deref(), this.end.as_ref(), "stderr").map(str::to_owned)
    }

    /// Whether `stdout` or `stderr` is truncated.
    #[starlark(attribute)]
    fn cut(this: &ResultValue) -> anyhow::Result<bool> {
        Ok(this.cut)
    }

    /// Whether the command was stopped because it ran too long or printed nothing for too long.
    #[starlark(attribute)]
    fn timed_out(this: &ResultValue) -> anyhow::Result<bool> {
        Ok(matches!(this.end, Some(CommandEnd::IdleTimeout | CommandEnd::TotalTimeout)))
    }

    /// How long the command ran, in seconds.
    #[starlark(attribute)]
    fn seconds(this: &ResultValue) -> anyhow::Result<f64> {
        Ok(this.elapsed.as_seconds_f64())
    }

    /// The triggered builds that `wait` waited for, each with `builder`, `number` and `outcome`.
    #[starlark(attribute)]
    fn builds<'v>(this: &ResultValue, heap: Heap<'v>) -> anyhow::Result<Value<'v>> {
        let builds = this.builds.iter().map(|build| {
            AllocStruct([
                ("builder", heap.alloc(build.builder.as_str())),
                ("number", build.number.map_or(Value::new_none(), |number| heap.alloc(number))),
                ("outcome", heap.alloc(build.outcome.word())),
            ])
        });
        Ok(heap.alloc(AllocList(builds)))
    }

    /// The artifacts that `ctx.upload` kept or `ctx.download` brought, each with `name`, `size` and `digest`.
    #[starlark(attribute)]
    fn artifacts<'v>(this: &ResultValue, heap: Heap<'v>) -> anyhow::Result<Value<'v>> {
        let artifacts = this.artifacts.iter().map(|artifact| {
            AllocStruct([
                ("name", heap.alloc(artifact.name.as_str())),
                ("size", heap.alloc(artifact.size)),
                ("digest", heap.alloc(artifact.digest.0.as_str())),
            ])
        });
        Ok(heap.alloc(AllocList(artifacts)))
    }
}
