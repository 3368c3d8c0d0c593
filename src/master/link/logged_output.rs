//! Long output of a command: its result refers to the lines in the log instead of carrying them (docs/design/output.md).
//!
//! Where a command's lines begin in its log is noted in the log itself: an empty part of a source of its own, whose number is
//! the line. So it is as durable as the output, and is there after a restart.

use std::sync::Arc;

use super::host::LogPlace;
use crate::master::reading::{LogRange, TextPart, find};
use crate::model::{CommandResult, LoggedOutput, MoreOutput, OUTPUT_HEAD_MAX};
use crate::store::LogStore;

/// What a command's result is to have more than the heads.
#[derive(Clone, Debug)]
pub(super) struct LoggedPlan {
    pub place: LogPlace,
    pub source: Arc<str>,
    pub more: MoreOutput,
    /// Whether standard error goes to the log; standard output does.
    pub stderr: bool,
}

/// The source that tells where a command's lines begin.
pub(super) fn first_line_source(source: &str) -> Arc<str> {
    format!("{source}/first").into()
}

impl LoggedPlan {
    /// Whether the heads of a result are not what is wanted.
    pub fn concerns(&self, result: &CommandResult) -> bool {
        let longest = [&result.stdout, &result.stderr].into_iter().flatten().map(String::len).max();
        result.cut || longest.is_some_and(|bytes| bytes as u64 > self.more.bytes_max)
    }

    /// Puts references in the place of the heads, once everything that the command printed is in its log.
    pub fn refer(&self, logs: &dyn LogStore, result: &mut CommandResult) -> Result<(), String> {
        let LogPlace { build, log } = self.place;
        let next = logs.next(build, log, &first_line_source(&self.source));
        let next = next.map_err(|error| crate::base::chain(&error))?;
        // A master of an earlier version started it: the heads must do.
        let Some(first) = next.checked_sub(1) else { return Ok(()) };
        let end = logs.lines(build, log).map_err(|error| crate::base::chain(&error))?;
        let text = |streams| {
            let range = LogRange { build, log, first, end, streams };
            find(logs, &range, TextPart::of(self.more.end, self.more.bytes_max))
        };
        let stdout = text("o")?;
        let stderr = if self.stderr { Some(text("e")?) } else { None };
        let head_cut = result.stderr.as_ref().is_some_and(|text| text.len() >= OUTPUT_HEAD_MAX);
        result.cut = stdout.cut || stderr.as_ref().map_or(head_cut, |stderr| stderr.cut);
        result.stdout = None;
        if stderr.is_some() {
            result.stderr = None;
        }
        let stderr = stderr.map(|stderr| stderr.at);
        result.logged = Some(Box::new(LoggedOutput { stdout: Some(stdout.at), stderr }));
        Ok(())
    }
}
