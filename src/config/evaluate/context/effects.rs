//! What a build script can do. Each effect is an ask, or made of asks: what it returns is recorded.

use starlark::environment::MethodsBuilder;
use starlark::eval::Evaluator;
use starlark::starlark_module;
use starlark::values::Value;
use starlark::values::list::{AllocList, UnpackList};
use starlark::values::none::{NoneOr, NoneType};
use starlark::values::structs::AllocStruct;
use starlark::values::tuple::UnpackTuple;

use super::Ctx;
use super::arguments::{
    KEEP_ELSEWHERE, all_told, bounded, data_of, entries_of, one_line, stamp_spec, stat_value, trigger_properties,
};
use crate::config::convert::to_model;
use crate::config::evaluate::command;
use crate::config::evaluate::files::{file, file_value, wrong_answer};
use crate::config::evaluate::reading::{OutputArguments, UsualOutput, output_plan};
use crate::config::evaluate::result::ResultValue;
use crate::config::evaluate::run::Run;
use crate::config::evaluate::steps::{parallel, sequential};
use crate::config::evaluate::stop::Stop;
use crate::config::template::AuthorText;
use crate::model::{Answer, Ask, CommandSpec, FileCommand, Outcome, TriggerSpec, check_property};

/// Text of one log entry: larger ones belong into a file or a command's output.
const LOG_BYTES_MAX: usize = 1 << 20;

/// Log entries of one step together: its journal keeps them.
const LOGS_BYTES_MAX: usize = 16 << 20;

/// Letters of a log's or link's name.
const LABEL_MAX: usize = 200;

/// Letters of a link's address: browsers take no longer ones.
const URL_MAX: usize = 4_096;

/// Schedulers of one trigger.
const SCHEDULERS_MAX: usize = 1_000;

/// Properties of a build: each record of one is kept with all others, and pages show them in one table.
const PROPERTIES_MAX: usize = 1_000;

#[starlark_module]
pub(super) fn methods(builder: &mut MethodsBuilder) {
    /// Runs a command on the worker and waits until it ends.
    ///
    /// A string is a shell command; a list is the program and its arguments. In a string made by `interpolate`, values
    /// are quoted, so they arrive unchanged. Unless `check` is False, a command that does not succeed ends the step
    /// with its outcome.
    ///
    /// The result has the first 64 KiB of stdout and stderr, or none with `output = False`. `output = "all"` gives the
    /// script up to 8 MiB of each, `"head"` and `"tail"` up to `output_max` of the beginning or the end. `encoding` is
    /// that of the output, if it is not UTF-8. A log that grows beyond `log_max` keeps its beginning and its end.
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
        #[starlark(require = named)] output: Option<Value<'v>>,
        #[starlark(require = named, default = NoneOr::None)] output_max: NoneOr<&str>,
        #[starlark(require = named, default = NoneOr::None)] encoding: NoneOr<&str>,
        #[starlark(require = named, default = NoneOr::None)] log_max: NoneOr<&str>,
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
        let (want_output, output) = output_plan(&OutputArguments {
            output: output.unwrap_or_else(|| Value::new_bool(true)),
            output_max: output_max.into_option(),
            encoding: encoding.into_option(),
            log_max: log_max.into_option(),
            log_stdout,
            usual: UsualOutput::of(run),
        })?;
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
            want_output,
            log_stdout,
            log_stderr,
            pty,
            grace: command::span("grace", Some(grace))?.unwrap_or_default(),
            on_lost: on_lost.into_option().map(command::on_lost).transpose()?.unwrap_or_else(usual),
            output: Box::new(output),
        };
        let result = match run.ask_recorded(Ask::Run(spec))? {
            (Ask::Run(spec), Some(Answer::Command(result))) => ResultValue::of_command(&run.with_output(result)?, spec),
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

    /// Ends the step as failed.
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
