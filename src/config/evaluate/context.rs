//! `ctx`: what a build script can see and do.

use std::fmt;
use std::sync::Arc;

use allocative::Allocative;
use starlark::any::ProvidesStaticType;
use starlark::docs::DocType;
use starlark::environment::{GlobalsBuilder, Methods, MethodsBuilder, MethodsStatic};
use starlark::eval::Evaluator;
use starlark::values::dict::{AllocDict, DictRef};
use starlark::values::list::{AllocList, UnpackList};
use starlark::values::none::{NoneOr, NoneType};
use starlark::values::starlark_value_as_type::StarlarkValueAsType;
use starlark::values::structs::AllocStruct;
use starlark::values::tuple::UnpackTuple;
use starlark::values::{Heap, NoSerialize, StarlarkPagablePanic, StarlarkValue, Value, starlark_value};
use starlark::{starlark_module, starlark_simple_value};

use super::command;
use super::facts;
use super::files::{file, file_value, wrong_answer};
use super::result::ResultValue;
use super::run::Run;
use super::steps::{parallel, sequential};
use super::stop::Stop;
use crate::config::convert::{to_model, to_starlark};
use crate::config::marks::plain;
use crate::config::template::{AuthorText, Template, text_of};
use crate::config::values::secret::TextValue;
use crate::config::values::step::FrozenStep;
use crate::model::{
    Answer, Ask, BuildContext, CommandSpec, FileCommand, Outcome, Properties, Property, SourceStamp, StampSpec,
    TriggerSpec, check_property,
};

/// What is given to a step's function.
#[derive(Clone, ProvidesStaticType, NoSerialize, StarlarkPagablePanic, Allocative)]
pub(in crate::config) struct Ctx {
    #[allocative(skip)]
    context: Arc<BuildContext>,
}

starlark_simple_value!(Ctx);

impl Ctx {
    pub(super) const fn new(context: Arc<BuildContext>) -> Self {
        Self { context }
    }

    /// The main source tree's stamp.
    fn stamp(&self) -> Option<&SourceStamp> {
        let stamps = &self.context.stamps;
        stamps.iter().find(|stamp| stamp.spec.codebase.is_empty()).or_else(|| stamps.first())
    }
}

impl fmt::Debug for Ctx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Ctx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ctx({}/{})", self.context.builder, self.context.number)
    }
}

static METHODS: MethodsStatic = MethodsStatic::new("Ctx", methods);

#[starlark_value(type = "Ctx")]
impl<'v> StarlarkValue<'v> for Ctx {
    fn get_methods() -> Option<&'static Methods> {
        Some(METHODS.methods())
    }
}

/// What `ctx` has, for checks and the reference.
pub(in crate::config) fn context_members() -> DocType {
    METHODS.methods().documentation(Ctx::get_type_starlark_repr())
}

/// Names of types, for annotations such as `def f(ctx: Ctx)`.
#[starlark_module]
pub(in crate::config) fn context_types(builder: &mut GlobalsBuilder) {
    /// The type of `ctx`.
    const Ctx: StarlarkValueAsType<Ctx> = StarlarkValueAsType::new();
    /// The type of what commands and child steps return.
    const Result: StarlarkValueAsType<ResultValue> = StarlarkValueAsType::new();
    /// The type of steps.
    const Step: StarlarkValueAsType<FrozenStep> = StarlarkValueAsType::new();
}

/// Text of one log entry: larger ones belong into a file or a command's output.
const LOG_BYTES_MAX: usize = 1 << 20;

/// Log entries of one step together: its journal keeps them.
const LOGS_BYTES_MAX: usize = 16 << 20;

/// Letters of a log's or link's name.
const LABEL_MAX: usize = 200;

/// Letters of a link's address: browsers take no longer ones.
const URL_MAX: usize = 4_096;

/// Letters of a path: systems take no longer ones.
const PATH_MAX: usize = 4_096;

/// Paths of one file command.
const PATHS_MAX: usize = 10_000;

/// Schedulers of one trigger.
const SCHEDULERS_MAX: usize = 1_000;

/// Properties of a build: each record of one is kept with all others, and pages show them in one table.
const PROPERTIES_MAX: usize = 1_000;

/// Where large values belong.
const KEEP_ELSEWHERE: &str = "\nhint: write large texts to a log (ctx.log) or to a file on the worker";

#[starlark_module]
fn methods(builder: &mut MethodsBuilder) {
    /// The builder's name.
    #[starlark(attribute)]
    fn builder(this: &Ctx) -> anyhow::Result<String> {
        Ok(this.context.builder.clone())
    }

    /// The build's number.
    #[starlark(attribute)]
    fn number(this: &Ctx) -> anyhow::Result<u64> {
        Ok(this.context.number)
    }

    /// The build's id, which is unique across all builders.
    #[starlark(attribute)]
    fn build_id(this: &Ctx) -> anyhow::Result<u64> {
        Ok(this.context.build.0)
    }

    /// The branch to build; None for the default branch.
    #[starlark(attribute)]
    fn branch(this: &Ctx) -> anyhow::Result<NoneOr<String>> {
        Ok(NoneOr::from_option(this.stamp().and_then(|stamp| stamp.spec.branch.clone())))
    }

    /// The revision to build; None for the newest one.
    #[starlark(attribute)]
    fn revision(this: &Ctx) -> anyhow::Result<NoneOr<String>> {
        Ok(NoneOr::from_option(this.stamp().and_then(|stamp| stamp.spec.revision.clone())))
    }

    /// The repository to build; empty if it is not known.
    #[starlark(attribute)]
    fn repository(this: &Ctx) -> anyhow::Result<String> {
        Ok(this.stamp().map(|stamp| stamp.spec.repository.clone()).unwrap_or_default())
    }

    /// What to check out, for each codebase: `codebase`, `repository`, `project`, `branch`, `revision`.
    #[starlark(attribute)]
    fn stamps<'v>(this: &Ctx, heap: Heap<'v>) -> anyhow::Result<Value<'v>> {
        Ok(heap.alloc(AllocList(this.context.stamps.iter().map(|stamp| facts::stamp(stamp, heap)))))
    }

    /// The changes that are new in this build, oldest first: `author`, `comments`, `files`, `branch`, `revision`, ….
    #[starlark(attribute)]
    fn changes<'v>(this: &Ctx, heap: Heap<'v>) -> anyhow::Result<Value<'v>> {
        Ok(heap.alloc(AllocList(this.context.changes.iter().map(|change| facts::change(change, heap)))))
    }

    /// The worker: `name`, `tags`, `system` ("posix" or "nt"), `cpus`, `dir`, `info`.
    #[starlark(attribute)]
    fn worker<'v>(this: &Ctx, heap: Heap<'v>) -> anyhow::Result<Value<'v>> {
        Ok(facts::worker(&this.context.worker, heap))
    }

    /// Why the build runs.
    #[starlark(attribute)]
    fn reason(this: &Ctx) -> anyhow::Result<String> {
        Ok(this.context.reason.clone())
    }

    /// The steps that ended before this one: `name`, `outcome`, `summary`.
    #[starlark(attribute)]
    fn steps<'v>(this: &Ctx, heap: Heap<'v>) -> anyhow::Result<Value<'v>> {
        Ok(heap.alloc(AllocList(this.context.steps.iter().map(|step| facts::step(step, heap)))))
    }

    /// The build's outcome so far.
    #[starlark(attribute)]
    fn outcome(this: &Ctx) -> anyhow::Result<&'static str> {
        Ok(this.context.outcome.word())
    }

    /// The address of the web pages; it ends with `/`.
    #[starlark(attribute)]
    fn url(this: &Ctx) -> anyhow::Result<String> {
        Ok(this.context.url.clone())
    }

    /// Whether one of the build's new changes touches a file that matches one of these patterns.
    ///
    /// `otherwise` is returned when this cannot be known: there are no changes (a forced build), or a change has no
    /// list of files.
    fn changed<'v>(
        this: &Ctx,
        #[starlark(args)] patterns: UnpackTuple<String>,
        #[starlark(require = named, default = true)] otherwise: bool,
    ) -> anyhow::Result<bool> {
        let changes = &this.context.changes;
        if changes.is_empty() || changes.iter().any(|change| change.data.files.is_empty()) {
            return Ok(otherwise);
        }
        let globs = crate::config::pure::globs(patterns.items.iter().map(String::as_str))?;
        Ok(changes.iter().flat_map(|change| &change.data.files).any(|file| globs.is_match(file)))
    }

    /// A property of the build, including those that this step has set so far.
    fn property<'v>(
        #[starlark(this)] _this: &Ctx,
        #[starlark(require = pos)] name: &str,
        default: Option<Value<'v>>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<Value<'v>> {
        let value = Run::of(eval)?.property(name);
        Ok(value.map_or_else(|| default.unwrap_or_else(Value::new_none), |value| to_starlark(&value, eval.heap())))
    }

    /// All properties of the build as a dict, including those that this step has set so far.
    fn properties<'v>(#[starlark(this)] _this: &Ctx, eval: &mut Evaluator<'v, '_, '_>) -> anyhow::Result<Value<'v>> {
        let (all, heap) = (Run::of(eval)?.properties(), eval.heap());
        Ok(heap.alloc(AllocDict(all.iter().map(|(name, value)| (name.as_str(), to_starlark(value, heap))))))
    }

    /// Runs a command on the worker and waits until it ends.
    ///
    /// A string is a shell command; a list is the program and its arguments. In a string made by `interpolate`, values
    /// are quoted, so they arrive unchanged. Unless `check` is False, a command that does not succeed ends the step
    /// with its outcome.
    fn run<'v>(
        this: Value<'v>,
        #[starlark(require = pos)] command: Value<'v>,
        #[starlark(require = named)] workdir: Option<AuthorText<'v>>,
        #[starlark(require = named)] env: Option<NoneOr<Value<'v>>>,
        #[starlark(require = named, default = NoneOr::None)] timeout: NoneOr<&str>,
        #[starlark(require = named, default = NoneOr::Other("20m"))] idle_timeout: NoneOr<&str>,
        #[starlark(require = named, default = NoneOr::None)] lines_max: NoneOr<u64>,
        #[starlark(require = named, default = "stdio")] log: &str,
        #[starlark(require = named)] log_files: Option<NoneOr<Value<'v>>>,
        #[starlark(require = named)] stdin: Option<NoneOr<Value<'v>>>,
        #[starlark(require = named)] exit_codes: Option<NoneOr<Value<'v>>>,
        #[starlark(require = named, default = true)] output: bool,
        #[starlark(require = named, default = true)] log_stdout: bool,
        #[starlark(require = named, default = true)] log_stderr: bool,
        #[starlark(require = named, default = false)] pty: bool,
        #[starlark(require = named, default = "10s")] grace: &str,
        #[starlark(require = named, default = NoneOr::None)] on_lost: NoneOr<&str>,
        #[starlark(require = named, default = true)] check: bool,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<ResultValue> {
        let run = Run::of(eval)?;
        let given = |value: Option<NoneOr<Value<'v>>>| value.and_then(NoneOr::into_option);
        let usual = || run.plan.builders.get(&run.context.builder).map(|builder| builder.on_lost).unwrap_or_default();
        let spec = CommandSpec {
            program: command::program(command, this, eval)?,
            workdir: workdir.map_or_else(|| Ok("build".to_owned()), |workdir| workdir.path("workdir", this, eval))?,
            env: given(env).map(|env| command::environment(env, this, eval)).transpose()?.unwrap_or_default(),
            idle_timeout: command::span("idle_timeout", idle_timeout.into_option())?,
            total_timeout: command::span("timeout", timeout.into_option())?,
            lines_max: lines_max.into_option(),
            log: {
                bounded("the name of a log", log, LABEL_MAX)?;
                log.to_owned()
            },
            log_files: given(log_files).map(command::log_files).transpose()?.unwrap_or_default(),
            stdin: given(stdin).map(|value| command::input(value, command, this, eval)).transpose()?,
            exit_codes: given(exit_codes)
                .map(command::exit_codes)
                .transpose()?
                .unwrap_or_else(|| [(0, Outcome::Success)].into()),
            want_output: output,
            log_stdout,
            log_stderr,
            pty,
            grace: command::span("grace", Some(grace))?.unwrap_or_default(),
            on_lost: on_lost.into_option().map(command::on_lost).transpose()?.unwrap_or_else(usual),
        };
        let result = match run.ask_recorded(Ask::Run(spec))? {
            (Ask::Run(spec), Some(Answer::Command(result))) => ResultValue::of_command(result, spec),
            (_, other) => return Err(wrong_answer("a command", other.cloned())),
        };
        if check && !result.outcome.is_ok() {
            return Err(Stop::End { outcome: Some(result.outcome), summary: result.summary }.error());
        }
        Ok(result)
    }

    /// Creates directories on the worker, including their parents.
    fn mkdir<'v>(
        this: Value<'v>,
        #[starlark(args)] paths: UnpackTuple<AuthorText<'v>>,
        #[starlark(require = named, default = true)] check: bool,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<ResultValue> {
        let paths = all_told("paths", &paths.items, this, eval)?;
        file_value(Run::of(eval)?, &FileCommand::MakeDirs(paths), check)
    }

    /// Removes files, and directories with their contents, on the worker; missing ones are ignored.
    fn remove<'v>(
        this: Value<'v>,
        #[starlark(args)] paths: UnpackTuple<AuthorText<'v>>,
        #[starlark(require = named, default = true)] check: bool,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<ResultValue> {
        let paths = all_told("paths", &paths.items, this, eval)?;
        file_value(Run::of(eval)?, &FileCommand::Remove(paths), check)
    }

    /// Copies a file or a directory tree on the worker.
    fn copy<'v>(
        this: Value<'v>,
        #[starlark(require = pos)] source: AuthorText<'v>,
        #[starlark(require = pos)] target: AuthorText<'v>,
        #[starlark(require = named, default = true)] check: bool,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<ResultValue> {
        let source = source.path("source", this, eval)?;
        let target = target.path("target", this, eval)?;
        let command = FileCommand::Copy { from: source, to: target };
        file_value(Run::of(eval)?, &command, check)
    }

    /// Information about a path on the worker: `is_dir`, `is_file`, `size`, `modified`; None if it does not exist.
    fn stat<'v>(
        this: Value<'v>,
        #[starlark(require = pos)] path: AuthorText<'v>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<Value<'v>> {
        let path = path.path("path", this, eval)?;
        let result = file(Run::of(eval)?, &FileCommand::Stat(path), false)?;
        Ok(result.stat.map_or_else(Value::new_none, |numbers| stat_value(&numbers, eval.heap())))
    }

    /// The sorted names of the entries of a directory on the worker.
    fn list_dir<'v>(
        this: Value<'v>,
        #[starlark(require = pos)] path: AuthorText<'v>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<Vec<String>> {
        let path = path.path("path", this, eval)?;
        let mut files = file(Run::of(eval)?, &FileCommand::List(path), true)?.files;
        files.sort_unstable();
        Ok(files)
    }

    /// The sorted paths on the worker that match a pattern.
    fn glob<'v>(
        this: Value<'v>,
        #[starlark(require = pos)] pattern: AuthorText<'v>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<Vec<String>> {
        let pattern = pattern.path("pattern", this, eval)?;
        let mut files = file(Run::of(eval)?, &FileCommand::Glob(pattern), true)?.files;
        files.sort_unstable();
        Ok(files)
    }

    /// Sets a property of the build, which later steps can read.
    fn set_property<'v>(
        this: Value<'v>,
        #[starlark(require = pos)] name: &str,
        #[starlark(require = pos)] value: Value<'v>,
        #[starlark(require = named, default = NoneOr::None)] source: NoneOr<&str>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<NoneType> {
        let value = data_of(value, this, eval)?;
        let run = Run::of(eval)?;
        let value = to_model(value).map_err(|why| anyhow::anyhow!("property `{name}` {why}"))?;
        check_property(name, &value, run.other_property_bytes(name)).map_err(|why| {
            anyhow::anyhow!("property `{name}` {why}{KEEP_ELSEWHERE}", name = one_line(name).unwrap_or_default())
        })?;
        if run.properties_without(name) >= PROPERTIES_MAX {
            let text =
                format!("property `{name}`: a build cannot have more than {PROPERTIES_MAX} properties{KEEP_ELSEWHERE}");
            return Err(starlark::Error::new_other(anyhow::Error::msg(text)));
        }
        let source = source.into_option().unwrap_or("Build").to_owned();
        bounded("the source of a property", &source, LABEL_MAX)?;
        run.ask(Ask::SetProperty { name: name.to_owned(), value: value.clone(), source })?;
        run.set_property(name, value);
        Ok(NoneType)
    }

    /// Sets the step's summary, one line that pages show.
    fn set_summary<'v>(
        this: Value<'v>,
        #[starlark(require = pos)] text: AuthorText<'v>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<NoneType> {
        let text = text.text("text", this, eval)?;
        let run = Run::of(eval)?;
        let text = one_line(&text)?;
        run.ask(Ask::SetSummary { step: run.step_key(), text: text.clone() })?;
        run.frame(|frame| frame.summary = Some(text));
        Ok(NoneType)
    }

    /// Adds a link to the step.
    fn add_url<'v>(
        this: Value<'v>,
        #[starlark(require = pos)] name: &str,
        #[starlark(require = pos)] url: AuthorText<'v>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<NoneType> {
        let url = url.text("url", this, eval)?;
        let run = Run::of(eval)?;
        bounded("the name of a link", name, LABEL_MAX)?;
        bounded("the address of a link", &url, URL_MAX)?;
        let known = ["http://", "https://", "file://", "mailto:", "/"];
        if !known.iter().any(|begin| url.starts_with(begin)) {
            return Err(starlark::Error::new_other(anyhow::anyhow!(
                "`{url}` is not a link: it must begin with http://, https://, file://, mailto: or /"
            )));
        }
        run.ask(Ask::AddUrl { step: run.step_key(), name: name.to_owned(), url })?;
        Ok(NoneType)
    }

    /// Appends lines to a log of the step.
    fn log<'v>(
        this: Value<'v>,
        #[starlark(require = pos)] name: &str,
        #[starlark(require = pos)] text: AuthorText<'v>,
        #[starlark(require = named, default = false)] html: bool,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<NoneType> {
        let text = text.text("text", this, eval)?;
        let run = Run::of(eval)?;
        if text.len() > LOG_BYTES_MAX {
            let text = format!("log `{name}`: {} bytes at once are more than {LOG_BYTES_MAX}", text.len());
            return Err(starlark::Error::new_other(anyhow::Error::msg(text)));
        }
        bounded("the name of a log", name, LABEL_MAX)?;
        if run.log_bytes(text.len()) > LOGS_BYTES_MAX {
            let text = format!("log `{name}`: the log entries of this step have more than {LOGS_BYTES_MAX} bytes");
            return Err(starlark::Error::new_other(anyhow::Error::msg(text)));
        }
        let mut text = text;
        if !text.ends_with('\n') {
            text.push('\n');
        }
        run.ask(Ask::WriteLog { step: run.step_key(), log: name.to_owned(), html, text })?;
        Ok(NoneType)
    }

    /// Waits for some time.
    fn wait<'v>(
        #[starlark(this)] _this: &Ctx,
        #[starlark(require = pos)] time: &str,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<NoneType> {
        let span = command::span("time", Some(time))?.unwrap_or_default();
        Run::of(eval)?.ask(Ask::Wait(span))?;
        Ok(NoneType)
    }

    /// The current time: `seconds` and `millis` since 1970, and `text` (UTC).
    fn now<'v>(#[starlark(this)] _this: &Ctx, eval: &mut Evaluator<'v, '_, '_>) -> starlark::Result<Value<'v>> {
        let heap = eval.heap();
        match Run::of(eval)?.ask(Ask::Now)? {
            Some(Answer::Time(time)) => Ok(heap.alloc(AllocStruct([
                ("seconds", heap.alloc(time.as_seconds())),
                ("millis", heap.alloc(time.as_millis())),
                ("text", heap.alloc(time.to_string())),
            ]))),
            other => Err(wrong_answer("the time", other)),
        }
    }

    /// Starts builds through triggerable schedulers; if `wait` is True, returns when they have ended.
    ///
    /// `stamps` is a list of dicts (`codebase`, `repository`, `branch`, `revision`, `project`); without it, they check
    /// out what this build checked out.
    fn trigger<'v>(
        this: Value<'v>,
        #[starlark(require = pos)] schedulers: UnpackList<String>,
        #[starlark(require = named, default = true)] wait: bool,
        #[starlark(require = named)] properties: Option<Value<'v>>,
        #[starlark(require = named)] stamps: Option<UnpackList<Value<'v>>>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<ResultValue> {
        let properties = properties.map(|all| entries_of(all, this, eval)).transpose()?;
        let mut specs = Vec::new();
        for stamp in stamps.map(|stamps| stamps.items).unwrap_or_default() {
            specs.push(stamp_spec(entries_of(stamp, this, eval)?)?);
        }
        let run = Run::of(eval)?;
        if schedulers.items.len() > SCHEDULERS_MAX {
            let text = format!("`schedulers`: {} are more than {SCHEDULERS_MAX}", schedulers.items.len());
            return Err(starlark::Error::new_other(anyhow::Error::msg(text)));
        }
        for name in &schedulers.items {
            if !run.plan.schedulers.contains_key(name) {
                let text = format!("there is no scheduler `{name}`");
                return Err(starlark::Error::new_other(anyhow::Error::msg(text)));
            }
        }
        let ask = TriggerSpec {
            schedulers: schedulers.items,
            wait,
            properties: properties.map(trigger_properties).transpose()?.unwrap_or_default(),
            stamps: specs,
        };
        let names = ask.schedulers.join(", ");
        match run.ask(Ask::Trigger(ask))? {
            Some(Answer::Triggered(triggered)) => {
                let result = ResultValue::of_triggered(&names, &triggered);
                run.frame(|frame| frame.usual.clone_from(&result.summary));
                Ok(result)
            }
            other => Err(wrong_answer("a trigger", other)),
        }
    }

    /// Runs a child step. If it fails and has `halt_on_failure`, this step ends as well.
    fn step<'v>(
        this: Value<'v>,
        #[starlark(require = pos)] step: Value<'v>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<ResultValue> {
        sequential(eval, this, step)
    }

    /// Runs child steps at the same time and returns their results, in the order given.
    fn parallel<'v>(
        this: Value<'v>,
        #[starlark(require = pos)] steps: UnpackList<Value<'v>>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<Value<'v>> {
        let results = parallel(eval, this, &steps.items)?;
        Ok(eval.heap().alloc(AllocList(results)))
    }

    /// Ends the step as a failure.
    fn fail<'v>(
        this: Value<'v>,
        #[starlark(require = pos, default = NoneOr::None)] message: NoneOr<AuthorText<'v>>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<NoneType> {
        end(Outcome::Failure, message, this, eval)
    }

    /// Ends the step as skipped.
    fn skip<'v>(
        this: Value<'v>,
        #[starlark(require = pos, default = NoneOr::None)] message: NoneOr<AuthorText<'v>>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<NoneType> {
        end(Outcome::Skipped, message, this, eval)
    }

    /// Gives the step warnings and continues. The step keeps them unless it ends with a worse outcome.
    fn warn<'v>(
        this: Value<'v>,
        #[starlark(require = pos)] message: AuthorText<'v>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<NoneType> {
        let message = message.text("message", this, eval)?;
        let message = one_line(&message)?;
        Run::of(eval)?.frame(|frame| {
            frame.verdict = frame.verdict.worse(Outcome::Warnings);
            frame.warned = true;
            frame.summary = Some(message);
        });
        Ok(NoneType)
    }
}

fn end<'v>(
    outcome: Outcome,
    message: NoneOr<AuthorText<'v>>,
    ctx: Value<'v>,
    eval: &mut Evaluator<'v, '_, '_>,
) -> starlark::Result<NoneType> {
    let message = message.into_option().map(|message| message.text("message", ctx, eval)).transpose()?;
    let summary = message.as_deref().map(one_line).transpose()?;
    Err(Stop::End { outcome: Some(outcome), summary }.error())
}

/// Texts, some of which may be templates.
fn all_told<'v>(
    name: &str,
    texts: &[AuthorText<'v>],
    ctx: Value<'v>,
    eval: &mut Evaluator<'v, '_, '_>,
) -> starlark::Result<Vec<String>> {
    if texts.len() > PATHS_MAX {
        let text = format!("`{name}`: {} are more than {PATHS_MAX}", texts.len());
        return Err(starlark::Error::new_other(anyhow::Error::msg(text)));
    }
    texts.iter().map(|text| text.path(name, ctx, eval).and_then(|path| path_of(name, path))).collect()
}

/// A path of sensible length.
fn path_of(name: &str, path: String) -> starlark::Result<String> {
    bounded(&format!("`{name}`"), &path, PATH_MAX)?;
    Ok(path)
}

/// A text that stands on one line of a page, or names something.
fn bounded(what: &str, text: &str, letters_max: usize) -> anyhow::Result<()> {
    let letters = text.chars().count();
    anyhow::ensure!(letters <= letters_max, "{what} has {letters} letters, more than {letters_max}");
    anyhow::ensure!(!text.chars().any(char::is_control), "{what} has control characters in it");
    Ok(())
}

/// Plain data, or a template as the text that it comes to.
fn data_of<'v>(value: Value<'v>, ctx: Value<'v>, eval: &mut Evaluator<'v, '_, '_>) -> starlark::Result<Value<'v>> {
    let Some(template) = Template::from_value(value) else { return Ok(value) };
    let text = text_of(template, ctx, eval)?;
    let heap = eval.heap();
    let secret = text.secrets().next().is_some();
    // A secret is refused by whoever takes plain data.
    Ok(if secret { heap.alloc(TextValue(text)) } else { heap.alloc(text.masked()) })
}

/// A dict with its templates filled in; other values as they are.
fn entries_of<'v>(value: Value<'v>, ctx: Value<'v>, eval: &mut Evaluator<'v, '_, '_>) -> starlark::Result<Value<'v>> {
    let Some(entries) = DictRef::from_value(value) else { return Ok(value) };
    let entries: Vec<(Value<'v>, Value<'v>)> = entries.iter().collect();
    let mut filled = Vec::new();
    for (name, value) in entries {
        filled.push((name, data_of(value, ctx, eval)?));
    }
    Ok(eval.heap().alloc(AllocDict(filled)))
}

/// A text for one line of a page.
fn one_line(text: &str) -> anyhow::Result<String> {
    const LETTERS_MAX: usize = 300;
    let text = plain(text).map_err(anyhow::Error::msg)?;
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    Ok(match line.char_indices().nth(LETTERS_MAX) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    })
}

fn trigger_properties(value: Value<'_>) -> anyhow::Result<Properties> {
    match to_model(value) {
        Ok(crate::model::Value::Map(entries)) => {
            let mut bytes = 0;
            for (name, value) in &entries {
                check_property(name, value, bytes)
                    .map_err(|why| anyhow::anyhow!("property `{name}` {why}{KEEP_ELSEWHERE}"))?;
                bytes += name.len() + value.bytes();
            }
            let each = entries.into_iter();
            let each = each.map(|(name, value)| (name, Property { value, source: "Trigger".to_owned() }));
            Ok(Properties(each.collect()))
        }
        Ok(other) => anyhow::bail!("`properties` must be a dict, not {other}"),
        Err(why) => anyhow::bail!("`properties` {why}"),
    }
}

fn stamp_spec(value: Value<'_>) -> anyhow::Result<StampSpec> {
    let mut spec = StampSpec::default();
    let fields = DictRef::from_value(value).ok_or_else(|| anyhow::anyhow!("a stamp must be a dict"))?;
    for (name, value) in fields.iter() {
        let text = value.unpack_str().map(str::to_owned);
        match name.unpack_str() {
            Some("codebase") => spec.codebase = text.unwrap_or_default(),
            Some("repository") => spec.repository = text.unwrap_or_default(),
            Some("project") => spec.project = text.unwrap_or_default(),
            Some("branch") => spec.branch = text,
            Some("revision") => spec.revision = text,
            _ => anyhow::bail!("a stamp has no {name}: it has codebase, repository, project, branch, revision"),
        }
    }
    Ok(spec)
}

/// The numbers of docs/reference/worker-protocol.md#stat: mode first, size seventh, modification ninth.
fn stat_value<'v>(numbers: &[u64], heap: Heap<'v>) -> Value<'v> {
    let number = |place: usize| numbers.get(place).copied().unwrap_or_default();
    let kind = number(0) & 0o170_000;
    heap.alloc(AllocStruct([
        ("is_dir", Value::new_bool(kind == 0o040_000)),
        ("is_file", Value::new_bool(kind == 0o100_000)),
        ("mode", heap.alloc(number(0) & 0o7777)),
        ("size", heap.alloc(number(6))),
        ("modified", heap.alloc(number(8))),
    ]))
}
