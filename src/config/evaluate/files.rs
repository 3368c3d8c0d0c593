//! File commands: done by the worker itself, the same on every platform.

use super::result::ResultValue;
use super::run::Run;
use super::stop::Stop;
use crate::model::{Answer, Ask, CommandResult, FileCommand};

/// Does a file command; a failure ends the step if `check` says so.
pub(super) fn file(run: &Run, command: &FileCommand, check: bool) -> starlark::Result<CommandResult> {
    match run.ask(Ask::File(command.clone()))? {
        Some(Answer::Command(result)) if result.outcome.is_ok() || !check => Ok(result),
        Some(Answer::Command(result)) => {
            let summary = ResultValue::of_file(&result, command).summary;
            Err(Stop::End { outcome: Some(result.outcome), summary }.error())
        }
        other => Err(wrong_answer(&format!("{command:?}"), other)),
    }
}

/// The same, as a value for the script.
pub(super) fn file_value(run: &Run, command: &FileCommand, check: bool) -> starlark::Result<ResultValue> {
    file(run, command, check).map(|result| ResultValue::of_file(&result, command))
}

/// The journal holds something that no ask of this kind gets.
pub(super) fn wrong_answer(what: &str, answer: Option<Answer>) -> starlark::Error {
    starlark::Error::new_other(anyhow::anyhow!("{what} was answered with {answer:?}"))
}
