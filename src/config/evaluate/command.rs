//! The arguments of `ctx.run` as an order for the worker, and ends of commands in words.

use std::collections::BTreeMap;

use starlark::eval::Evaluator;
use starlark::values::dict::DictRef;
use starlark::values::{UnpackValue as _, Value};

use super::super::convert::{items_of, kind_of, to_text};
use super::super::declare::env_value;
use super::super::shell::{
    Part, check_input, check_input_of_words, check_windows_words, check_words, has_places, places, render,
};
use super::super::template::{Template, parts_of, text_of, text_of_parts};
use super::stop::Stop;
use crate::base::Span;
use crate::model::{
    CommandEnd, CommandResult, CommandSpec, EnvValue, FileCommand, LogFileSpec, OnLost, Outcome, Piece, Program, Text,
};

/// What to execute: a text is for the shell, a list is words. Values of templates are quoted in a text as the
/// place needs it, and stand in words as they are.
pub(super) fn program<'v>(
    value: Value<'v>,
    ctx: Value<'v>,
    eval: &mut Evaluator<'v, '_, '_>,
) -> starlark::Result<Program> {
    let Some(items) = items_of(value) else {
        return line(value, ctx, eval).map(Program::Shell);
    };
    let items = items.to_vec();
    if items.is_empty() {
        return Err(failure("the command is empty"));
    }
    let mut words = Vec::new();
    for (index, item) in items.into_iter().enumerate() {
        let found = parts(item, ctx, eval)?;
        words.push(found.map_err(|why| failure(format!("word {} of the command {why}", index + 1)))?);
    }
    if let Some((message, hint)) = check_words(&words) {
        return Err(failure(format!("{message}\nhint: {hint}")));
    }
    if let Some(problem) = check_windows_words(&words) {
        return Err(unfit(problem));
    }
    Ok(Program::Argv(words.into_iter().map(text_of_parts).collect()))
}

fn line<'v>(value: Value<'v>, ctx: Value<'v>, eval: &mut Evaluator<'v, '_, '_>) -> starlark::Result<Text> {
    let parts = parts(value, ctx, eval)?.map_err(|why| match value.unpack_str() {
        Some(_) => failure(format!("the command {why}")),
        None => failure(format!("a command is a text for the shell or a list of words, not {}", kind_of(value))),
    })?;
    let is_empty = |part: &Part| matches!(part, Part::Syntax(text) if text.is_empty());
    if parts.iter().all(is_empty) {
        return Err(failure("the command is empty"));
    }
    if let Some((message, hint)) = places(&parts) {
        return Err(failure(format!("{message}\nhint: {hint}")));
    }
    let windows = has_places(&parts) && is_windows(ctx, eval)?;
    render(&parts, windows).map_err(unfit)
}

/// The line that the shell gets for a command; secrets show by name.
pub(in crate::config) fn line_of<'v>(
    value: Value<'v>,
    ctx: Value<'v>,
    eval: &mut Evaluator<'v, '_, '_>,
) -> starlark::Result<String> {
    program(value, ctx, eval).map(|program| words_of(&program))
}

/// A text, a text with secrets or a template as parts; why it is none.
fn parts<'v>(
    value: Value<'v>,
    ctx: Value<'v>,
    eval: &mut Evaluator<'v, '_, '_>,
) -> starlark::Result<Result<Vec<Part>, String>> {
    if let Some(template) = Template::from_value(value) {
        return parts_of(template, ctx, eval).map(Ok);
    }
    let part = |piece: &Piece| match piece {
        Piece::Plain(text) => Part::Syntax(text.clone()),
        Piece::Secret(name) | Piece::QuotedSecret(name, _) => {
            let value = Text(vec![Piece::Secret(name.clone())]);
            Part::Value { value, place: format!("secret(\"{name}\")") }
        }
        Piece::Address { .. } => {
            Part::Value { value: Text(vec![piece.clone()]), place: "the part of an address".to_owned() }
        }
    };
    Ok(to_text(value).map(|text| text.0.iter().map(part).collect()))
}

fn is_windows<'v>(ctx: Value<'v>, eval: &Evaluator<'v, '_, '_>) -> starlark::Result<bool> {
    let heap = eval.heap();
    let Some(worker) = ctx.get_attr("worker", heap)? else { return Ok(false) };
    Ok(worker.get_attr("system", heap)?.and_then(Value::unpack_str) == Some("nt"))
}

/// A value from outside that cannot be used: the step fails, whatever else the script would do.
pub(in crate::config) fn unfit((message, hint): (String, String)) -> starlark::Error {
    Stop::End { outcome: Some(Outcome::Failure), summary: Some(format!("{message}: {hint}")) }.error()
}

fn failure(message: impl Into<String>) -> starlark::Error {
    starlark::Error::new_other(anyhow::Error::msg(message.into()))
}

/// A text that may hold secrets, or a template.
pub(super) fn text<'v>(
    name: &str,
    value: Value<'v>,
    ctx: Value<'v>,
    eval: &mut Evaluator<'v, '_, '_>,
) -> starlark::Result<Text> {
    match Template::from_value(value) {
        Some(template) => text_of(template, ctx, eval),
        None => to_text(value).map_err(|why| failure(format!("`{name}` {why}"))),
    }
}

/// The text for the standard input of a command. Values of a template are refused where the command executes it.
pub(super) fn input<'v>(
    value: Value<'v>,
    command: Value<'v>,
    ctx: Value<'v>,
    eval: &mut Evaluator<'v, '_, '_>,
) -> starlark::Result<Text> {
    let Some(template) = Template::from_value(value) else { return text("stdin", value, ctx, eval) };
    let input = parts_of(template, ctx, eval)?;
    let found = match items_of(command).map(<[Value<'v>]>::to_vec) {
        Some(items) => {
            let mut words = Vec::new();
            for item in items {
                words.push(parts(item, ctx, eval)?.map_err(failure)?);
            }
            check_input_of_words(&words, &input)
        }
        None => check_input(&parts(command, ctx, eval)?.map_err(failure)?, &input),
    };
    match found {
        Some((message, hint)) => Err(failure(format!("{message}\nhint: {hint}"))),
        None => Ok(text_of_parts(input)),
    }
}

/// The environment on top of the worker's.
pub(super) fn environment<'v>(
    value: Value<'v>,
    ctx: Value<'v>,
    eval: &mut Evaluator<'v, '_, '_>,
) -> starlark::Result<BTreeMap<String, EnvValue>> {
    let mut found = BTreeMap::new();
    for (name, value) in entries("env", value)? {
        let value = variable(&name, value, ctx, eval)?;
        found.insert(name, value);
    }
    Ok(found)
}

fn variable<'v>(
    name: &str,
    value: Value<'v>,
    ctx: Value<'v>,
    eval: &mut Evaluator<'v, '_, '_>,
) -> starlark::Result<EnvValue> {
    let Some(template) = Template::from_value(value) else {
        return env_value(name, value).map_err(|why| failure(format!("environment variable `{name}` {why}")));
    };
    let parts = parts_of(template, ctx, eval)?;
    for part in &parts {
        if let Part::Value { value, place } = part
            && names_variable(&value.masked())
        {
            let message = format!("the value of `{place}` holds `${{…}}`, which workers replace in variables");
            return Err(unfit((message, "hand it over as a word of a list command, or in `stdin`".to_owned())));
        }
    }
    // The name is checked like any other.
    env_value(name, Value::new_none()).map_err(|why| failure(format!("environment variable `{name}` {why}")))?;
    Ok(EnvValue::Set(text_of_parts(parts)))
}

/// Whether a worker would replace a part of this text by a variable of its own.
fn names_variable(text: &str) -> bool {
    let inside = |rest: &str| {
        let rest = rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_');
        rest.starts_with('}')
    };
    text.split("${").skip(1).any(inside)
}

/// Files to follow: a path, or a dict of `path` and `follow`.
pub(super) fn log_files(value: Value<'_>) -> anyhow::Result<BTreeMap<String, LogFileSpec>> {
    let each = entries("log_files", value)?.into_iter().map(|(name, value)| {
        if let Some(path) = value.unpack_str() {
            return Ok((name, LogFileSpec { path: path.to_owned(), follow: false }));
        }
        let fields = DictRef::from_value(value);
        let path =
            fields.as_ref().and_then(|fields| fields.get_str("path")).and_then(starlark::values::Value::unpack_str);
        let follow =
            fields.as_ref().and_then(|fields| fields.get_str("follow")).is_some_and(starlark::values::Value::to_bool);
        let path = path
            .ok_or_else(|| anyhow::anyhow!("log file `{name}` must be a path, or a dict of \"path\" and \"follow\""))?;
        Ok((name, LogFileSpec { path: path.to_owned(), follow }))
    });
    each.collect()
}

/// Exit codes and what they mean.
pub(super) fn exit_codes(value: Value<'_>) -> anyhow::Result<BTreeMap<i64, Outcome>> {
    let Some(entries) = DictRef::from_value(value) else {
        anyhow::bail!("`exit_codes` must be a dict such as {{0: \"success\", 5: \"warnings\"}}");
    };
    let each = entries.iter().map(|(code, word)| {
        let code = i64::unpack_value(code).ok().flatten();
        let outcome = word.unpack_str().and_then(Outcome::from_word);
        match (code, outcome) {
            (Some(code), Some(outcome)) => Ok((code, outcome)),
            _ => anyhow::bail!("`exit_codes` maps whole numbers to words such as \"success\" or \"warnings\""),
        }
    });
    let codes: BTreeMap<_, _> = each.collect::<anyhow::Result<_>>()?;
    anyhow::ensure!(!codes.is_empty(), "`exit_codes` is empty: nothing would be a success");
    Ok(codes)
}

fn entries<'v>(what: &str, value: Value<'v>) -> anyhow::Result<Vec<(String, Value<'v>)>> {
    let Some(entries) = DictRef::from_value(value) else {
        anyhow::bail!("`{what}` must be a dict, not {}", kind_of(value));
    };
    let each = entries.iter().map(|(name, value)| match name.unpack_str() {
        Some(name) => Ok((name.to_owned(), value)),
        None => anyhow::bail!("`{what}` has a key that is not a text: {name}"),
    });
    each.collect()
}

/// A length of time as people write it.
pub(super) fn span(name: &str, value: Option<&str>) -> anyhow::Result<Option<Span>> {
    let Some(text) = value else { return Ok(None) };
    text.parse().map(Some).map_err(|error: crate::base::ParseSpanError| anyhow::anyhow!("`{name}`: {error}"))
}

/// The word for a lost worker.
pub(super) fn on_lost(word: &str) -> anyhow::Result<OnLost> {
    let words = super::super::declare::ON_LOST;
    let found = words.iter().find(|(known, _)| *known == word).map(|(_, meaning)| *meaning);
    found.ok_or_else(|| anyhow::anyhow!("`on_lost` must be one of \"retry\", \"run_again\", \"fail\", not \"{word}\""))
}

/// The command for people, secrets masked.
pub(super) fn words_of(program: &Program) -> String {
    match program {
        Program::Shell(line) => line.masked(),
        Program::Argv(words) => words.iter().map(Text::masked).collect::<Vec<_>>().join(" "),
    }
}

/// Why a command did not go well, in a few words; limits are those of its order.
pub(super) fn explain_end(end: &CommandEnd, outcome: Outcome, spec: Option<&CommandSpec>) -> Option<String> {
    if outcome == Outcome::Success {
        return None;
    }
    let limit = |limit: fn(&CommandSpec) -> Option<String>| spec.and_then(limit);
    Some(match end {
        CommandEnd::Exited(code) => format!("exit code {code}"),
        CommandEnd::Killed(Some(signal)) => format!("killed by signal {signal}"),
        CommandEnd::Killed(None) => "killed".to_owned(),
        CommandEnd::IdleTimeout => match limit(|spec| Some(spec.idle_timeout?.to_string())) {
            Some(limit) => format!("stopped: no output for {limit}"),
            None => "stopped: no output for too long".to_owned(),
        },
        CommandEnd::TotalTimeout => match limit(|spec| Some(spec.total_timeout?.to_string())) {
            Some(limit) => format!("stopped: took longer than {limit}"),
            None => "stopped: took too long".to_owned(),
        },
        CommandEnd::TooManyLines => match limit(|spec| Some(spec.lines_max?.to_string())) {
            Some(limit) => format!("stopped: more than {limit} lines of output"),
            None => "stopped: too many lines of output".to_owned(),
        },
        CommandEnd::Interrupted(why) if why.is_empty() => "stopped".to_owned(),
        CommandEnd::Interrupted(why) => format!("stopped: {why}"),
        CommandEnd::NotStarted(why) => why.clone(),
        CommandEnd::Broken(why) => format!("could not run: {why}"),
        CommandEnd::Lost(why) => format!("worker lost: {why}"),
    })
}

/// Why a file command did not go well: the worker's own sentence, where it told one.
pub(super) fn explain_file(result: &CommandResult, command: &FileCommand) -> Option<String> {
    let said = result.stderr.as_deref().and_then(|note| note.lines().find(|line| !line.trim().is_empty()));
    match (&result.end, said) {
        (CommandEnd::Exited(code), Some(said)) if *code != 0 => Some(said.trim().to_owned()),
        (CommandEnd::Exited(code), None) if *code != 0 => Some(format!("`{}` ended with code {code}", command.verb())),
        (end, _) => explain_end(end, result.outcome, None),
    }
}
