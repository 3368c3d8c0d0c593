//! The arguments of `ctx.run` as an order for the worker, and ends of commands in words.

use std::collections::BTreeMap;

use starlark::values::dict::DictRef;
use starlark::values::{UnpackValue as _, Value, ValueLike as _};

use super::super::convert::{items_of, kind_of, to_text};
use super::super::declare::env_value;
use super::super::values::secret::TextValue;
use crate::base::Span;
use crate::model::{CommandEnd, EnvValue, LogFileSpec, OnLost, Outcome, Program, Text};

/// What to execute: a text is for the shell, a list is words.
pub(super) fn program(value: Value<'_>) -> anyhow::Result<Program> {
    if value.unpack_str().is_some() || value.downcast_ref::<TextValue>().is_some() {
        let line = text("command", value)?;
        anyhow::ensure!(line != Text::plain(""), "the command is empty");
        return Ok(Program::Shell(line));
    }
    let Some(items) = items_of(value) else {
        anyhow::bail!("a command is a text for the shell or a list of words, not {}", kind_of(value));
    };
    anyhow::ensure!(!items.is_empty(), "the command is empty");
    let words = items
        .iter()
        .enumerate()
        .map(|(index, word)| to_text(*word).map_err(|why| anyhow::anyhow!("word {} of the command {why}", index + 1)));
    words.collect::<Result<_, _>>().map(Program::Argv)
}

/// A text that may hold secrets.
pub(super) fn text(name: &str, value: Value<'_>) -> anyhow::Result<Text> {
    to_text(value).map_err(|why| anyhow::anyhow!("`{name}` {why}"))
}

/// The environment on top of the worker's.
pub(super) fn environment(value: Value<'_>) -> anyhow::Result<BTreeMap<String, EnvValue>> {
    let entries = entries("env", value)?;
    let each = entries.into_iter().map(|(name, value)| {
        let value = env_value(&name, value).map_err(|why| anyhow::anyhow!("environment variable `{name}` {why}"))?;
        Ok((name, value))
    });
    each.collect()
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
        None => anyhow::bail!("`{what}` has a key that is no text: {name}"),
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

/// Why a command did not go well, in a few words.
pub(super) fn explain_end(end: &CommandEnd, outcome: Outcome) -> Option<String> {
    if outcome == Outcome::Success {
        return None;
    }
    Some(match end {
        CommandEnd::Exited(code) => format!("exit code {code}"),
        CommandEnd::Killed(Some(signal)) => format!("killed by signal {signal}"),
        CommandEnd::Killed(None) => "killed".to_owned(),
        CommandEnd::IdleTimeout => "stopped: no output for too long".to_owned(),
        CommandEnd::TotalTimeout => "stopped: took too long".to_owned(),
        CommandEnd::TooManyLines => "stopped: too many lines of output".to_owned(),
        CommandEnd::Interrupted(why) if why.is_empty() => "stopped".to_owned(),
        CommandEnd::Interrupted(why) => format!("stopped: {why}"),
        CommandEnd::Broken(why) => format!("could not run: {why}"),
        CommandEnd::Lost(why) => format!("worker lost: {why}"),
    })
}
