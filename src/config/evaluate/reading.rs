//! Texts that stand in logs: what an evaluation has of them, and what it still needs.
//!
//! A journal refers to long texts; the job holds those that are read. An evaluation that lacks one notes what it wants and
//! is suspended; whoever evaluates reads it and evaluates again (docs/design/output.md).

use std::collections::BTreeSet;
use std::sync::Arc;

use starlark::values::Value;

use super::super::output_words::{encoding_name, log_bytes};
use super::run::Run;
use super::stop::Stop;
use crate::base::{parse_size, size_text};
use crate::model::{
    Answer, Ask, CommandResult, Entry, FoundLog, LogId, LogRequest, MoreOutput, OUTPUT_BYTES_MAX, OUTPUT_HEAD_MAX,
    OutputPlan, TEXTS_BYTES_MAX, TextEnd, TextRef, Want,
};

/// The arguments of a command that are about its output.
pub(super) struct OutputArguments<'v, 'a> {
    pub output: Value<'v>,
    pub output_max: Option<&'a str>,
    pub encoding: Option<&'a str>,
    pub log_max: Option<&'a str>,
    pub log_stdout: bool,
    /// What counts where the arguments say nothing.
    pub usual: UsualOutput,
}

/// What worker, builder and master say of output.
#[derive(Clone, Debug, Default)]
pub(super) struct UsualOutput {
    encoding: Option<String>,
    log_bytes_max: Option<u64>,
}

impl UsualOutput {
    /// Of the build in progress.
    pub(super) fn of(run: &Run) -> Self {
        let worker = run.plan.workers.get(&run.context.worker.name);
        let builder = run.plan.builders.get(&run.context.builder);
        Self {
            encoding: worker.and_then(|worker| worker.encoding.clone()),
            log_bytes_max: builder.and_then(|builder| builder.log_bytes_max).or(run.plan.master.log_bytes_max),
        }
    }
}

/// Whether the result carries output at all, and what else becomes of it.
pub(super) fn output_plan(arguments: &OutputArguments<'_, '_>) -> anyhow::Result<(bool, OutputPlan)> {
    let (wanted, end, usual) = match (arguments.output.unpack_bool(), arguments.output.unpack_str()) {
        (Some(false), _) => (false, TextEnd::Head, OUTPUT_HEAD_MAX as u64),
        (Some(true), _) | (_, Some("head")) => (true, TextEnd::Head, OUTPUT_HEAD_MAX as u64),
        (_, Some("tail")) => (true, TextEnd::Tail, OUTPUT_HEAD_MAX as u64),
        (_, Some("all")) => (true, TextEnd::Head, OUTPUT_BYTES_MAX),
        _ => anyhow::bail!("`output` must be True, False, \"head\", \"tail\" or \"all\", not {}", arguments.output),
    };
    let bytes_max = arguments.output_max.map(|text| text_bytes("output_max", text)).transpose()?.unwrap_or(usual);
    let is_head = end == TextEnd::Head && bytes_max == OUTPUT_HEAD_MAX as u64;
    let more = (wanted && !is_head).then_some(MoreOutput { end, bytes_max });
    anyhow::ensure!(
        more.is_none() || arguments.log_stdout,
        "more than the first {} of the output are read from the log, so `log_stdout` cannot be False\nhint: give the \
         command a log of its own, with `log = \"…\"`",
        size_text(OUTPUT_HEAD_MAX as u64)
    );
    let log_bytes_max = arguments.log_max.map(log_bytes).transpose()?.or(arguments.usual.log_bytes_max);
    let encoding = arguments.encoding.map(encoding_name).transpose()?.or_else(|| arguments.usual.encoding.clone());
    Ok((wanted, OutputPlan { more, encoding, log_bytes_max }))
}

/// A size of text that scripts read.
pub(super) fn text_bytes(name: &str, text: &str) -> anyhow::Result<u64> {
    let bytes = parse_size(text).map_err(|error| anyhow::anyhow!("`{name}`: {error}"))?;
    anyhow::ensure!(
        (1..=OUTPUT_BYTES_MAX).contains(&bytes),
        "`{name}` must be between 1 byte and {}, not \"{text}\"",
        size_text(OUTPUT_BYTES_MAX)
    );
    Ok(bytes)
}

impl Run {
    /// The result of a command with the texts that it refers to.
    pub(super) fn with_output(&self, result: &CommandResult) -> starlark::Result<CommandResult> {
        let mut result = result.clone();
        if let Some(logged) = result.logged.take() {
            for (text, head) in [(logged.stdout, &mut result.stdout), (logged.stderr, &mut result.stderr)] {
                if let Some(text) = text {
                    *head = Some(self.text(&text)?.as_ref().to_owned());
                }
            }
        }
        Ok(result)
    }

    /// The text of a log.
    pub(super) fn read_log(&self, request: LogRequest) -> starlark::Result<Arc<str>> {
        let recorded = match self.recorded_next().map(|entry| &entry.ask) {
            Some(Ask::ReadLog { request: known, found }) if *known == request => Some(Ok(found.clone())),
            // It asked for something else before: what comes of that is told where asks are compared.
            Some(_) => Some(Ok(nothing_found())),
            None => self.readings.logs.get(&request).cloned(),
        };
        let Some(found) = recorded else {
            self.want(Want::Log(request));
            return Err(Stop::Suspend.error());
        };
        let found = found.map_err(|why| starlark::Error::new_other(anyhow::Error::msg(why)))?;
        let text = found.text.clone();
        self.ask(Ask::ReadLog { request, found })?;
        self.text(&text)
    }

    /// The text that is referred to.
    fn text(&self, wanted: &TextRef) -> starlark::Result<Arc<str>> {
        if let Some(text) = self.readings.texts.get(wanted) {
            return Ok(Arc::clone(text));
        }
        // All of them at once: what was asked for before is needed again.
        let mut all: BTreeSet<&TextRef> = self.journal.0.values().flat_map(texts_of).collect();
        all.insert(wanted);
        let bytes: u64 = all.iter().map(|text| text.bytes).sum();
        if bytes > TEXTS_BYTES_MAX {
            let text = format!(
                "this step reads {} of output and logs, more than {}; split it into several steps",
                size_text(bytes),
                size_text(TEXTS_BYTES_MAX)
            );
            return Err(starlark::Error::new_other(anyhow::Error::msg(text)));
        }
        for text in all.into_iter().filter(|text| !self.readings.texts.contains_key(*text)) {
            self.want(Want::Text(text.clone()));
        }
        Err(Stop::Suspend.error())
    }

    fn want(&self, want: Want) {
        let mut wants = self.wants.borrow_mut();
        if !wants.contains(&want) {
            wants.push(want);
        }
    }
}

/// What an entry refers to.
fn texts_of(entry: &Entry) -> Vec<&TextRef> {
    match (&entry.ask, &entry.answer) {
        (_, Some(Answer::Command(CommandResult { logged: Some(logged), .. }))) => logged.texts().collect(),
        (Ask::ReadLog { found, .. }, _) => vec![&found.text],
        _ => Vec::new(),
    }
}

fn nothing_found() -> FoundLog {
    let text = TextRef { log: LogId(0), first: 0, end: 0, streams: String::new(), bytes: 0, digest: String::new() };
    FoundLog { text, cut: false }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Build, usual};
    use crate::model::{
        Answer, Ask, CommandResult, EvalOutcome, FoundLog, LogId, LoggedOutput, Outcome, TextEnd, TextRef, Want,
    };

    fn text_ref(text: &str) -> TextRef {
        TextRef {
            log: LogId(1),
            first: 3,
            end: 9,
            streams: "o".to_owned(),
            bytes: text.len() as u64,
            digest: "d".to_owned(),
        }
    }

    fn spec_of(outcome: &EvalOutcome) -> crate::model::CommandSpec {
        match outcome {
            EvalOutcome::Suspended { asks } => match &asks[0].1 {
                Ask::Run(spec) => spec.clone(),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn output_in_a_log_is_wanted_and_then_read() {
        let mut build = Build::of("def f(ctx):\n    ctx.set_summary(ctx.run(\"make\", output = \"all\").stdout[:3])\n");
        let EvalOutcome::Suspended { asks } = build.evaluate() else { panic!() };
        build.record(asks);
        let key = build.open().remove(0);
        let wanted = text_ref("long text\n");
        build.answer(&key, |key, ask| {
            let Answer::Command(result) = usual(key, ask) else { panic!() };
            let logged = LoggedOutput { stdout: Some(text_ref("long text\n")), stderr: None };
            let logged = Some(Box::new(logged));
            Answer::Command(CommandResult { stdout: None, logged, ..result })
        });
        assert_eq!(build.evaluate(), EvalOutcome::Wants(vec![Want::Text(wanted.clone())]));
        build.readings.texts.insert(wanted, "long text\n".into());
        let EvalOutcome::Done { asks, outcome, .. } = build.evaluate() else { panic!() };
        assert_eq!(outcome, Outcome::Success);
        assert!(matches!(&asks[0].1, Ask::SetSummary { text, .. } if text == "lon"), "{asks:?}");
    }

    #[test]
    fn a_log_is_looked_at_once_and_what_was_found_counts_from_then_on() {
        let mut build = Build::of(
            "def f(ctx):\n    text = ctx.read_log(\"stdio\", last = 5)\n    ctx.wait(\"1s\")\n    ctx.set_summary(text)\n",
        );
        let EvalOutcome::Wants(wants) = build.evaluate() else { panic!() };
        let [Want::Log(request)] = &wants[..] else { panic!("{wants:?}") };
        assert_eq!((request.log.as_str(), request.end), ("stdio", TextEnd::Tail));
        let found = FoundLog { text: text_ref("now\n"), cut: false };
        build.readings.logs.insert(request.clone(), Ok(found.clone()));
        build.readings.texts.insert(found.text.clone(), "now\n".into());
        let EvalOutcome::Suspended { asks } = build.evaluate() else { panic!() };
        assert_eq!(asks[0].1, Ask::ReadLog { request: request.clone(), found: found.clone() });
        build.record(asks);
        // Another process, which has not looked, needs only the text.
        build.readings = crate::model::Readings::default();
        assert_eq!(build.evaluate(), EvalOutcome::Wants(vec![Want::Text(found.text.clone())]));
        build.readings.texts.insert(found.text, "now\n".into());
        assert_eq!(build.evaluate(), EvalOutcome::Suspended { asks: Vec::new() });
    }

    #[test]
    fn a_log_that_cannot_be_read_fails_the_script_with_the_reason() {
        let mut build = Build::of("def f(ctx):\n    ctx.read_log(\"nope\")\n");
        let EvalOutcome::Wants(wants) = build.evaluate() else { panic!() };
        let [Want::Log(request)] = &wants[..] else { panic!("{wants:?}") };
        build.readings.logs.insert(request.clone(), Err("there is no log `nope`".to_owned()));
        let EvalOutcome::Failed { message, .. } = build.evaluate() else { panic!() };
        assert!(message.starts_with("there is no log `nope`"), "{message}");
    }

    #[test]
    fn what_is_wanted_of_the_output_follows_from_the_arguments() {
        let plan = |arguments: &str| {
            let spec = spec_of(&Build::of(&format!("def f(ctx):\n    ctx.run(\"x\"{arguments})\n")).evaluate());
            (spec.want_output, spec.output.more.map(|more| (more.end, more.bytes_max)))
        };
        assert_eq!(plan(""), (true, None));
        assert_eq!(plan(", output = False"), (false, None));
        assert_eq!(plan(", output = \"head\""), (true, None));
        assert_eq!(plan(", output = \"head\", output_max = \"1MiB\""), (true, Some((TextEnd::Head, 1 << 20))));
        assert_eq!(plan(", output = \"tail\""), (true, Some((TextEnd::Tail, 64 << 10))));
        assert_eq!(plan(", output = \"all\""), (true, Some((TextEnd::Head, 8 << 20))));
    }

    #[test]
    fn wrong_arguments_about_output_are_rejected_with_what_would_do() {
        for (arguments, part) in [
            ("output = 3", "`output` must be True, False, \"head\", \"tail\" or \"all\""),
            ("output = \"all\", output_max = \"9MiB\"", "between 1 byte and 8 MiB"),
            ("output = \"all\", log_stdout = False", "`log_stdout` cannot be False"),
            ("encoding = \"klingon\"", "\"klingon\" is not known here"),
            ("encoding = \"utf-16le\"", "is not known here"),
            ("log_max = \"1KiB\"", "between 1 MiB and 64 GiB"),
            ("log_max = \"much\"", "`much` is not a size"),
        ] {
            let outcome = Build::of(&format!("def f(ctx):\n    ctx.run(\"x\", {arguments})\n")).evaluate();
            let EvalOutcome::Failed { message, .. } = outcome else { panic!("{arguments}: {outcome:?}") };
            assert!(message.contains(part), "{arguments}: {message}");
        }
    }
}
