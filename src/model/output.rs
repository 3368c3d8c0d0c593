//! Output of commands that a script reads, and references to text that logs hold.
//!
//! A fact holds at most the head of a command's output. More is named by a [`TextRef`]: where in a log it stands, and the
//! digest by which it is known again (docs/design/output.md).

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::LogId;

/// Bytes of one stream of a command, or of a log, that a script can read at most: whole test logs, but little enough for
/// an evaluator that holds several.
pub const OUTPUT_BYTES_MAX: u64 = 8 << 20;

/// Bytes of all texts that the script of one step can read: an evaluator has 1 GiB, and a script makes copies.
pub const TEXTS_BYTES_MAX: u64 = 64 << 20;

/// What becomes of a command's output, beyond the head that its result may carry.
///
/// Evaluators get plain data by position, so only the last field of a struct may be left out when it says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputPlan {
    /// More than the head is wanted.
    #[serde(default)]
    pub more: Option<MoreOutput>,
    /// The encoding of what it prints; none: UTF-8.
    #[serde(default)]
    pub encoding: Option<String>,
    /// Bytes of text that each of its logs keeps; none: as the store has it.
    #[serde(default)]
    pub log_bytes_max: Option<u64>,
}

impl OutputPlan {
    /// Whether it says nothing.
    #[must_use]
    pub fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}

/// How much of its output a script wants to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoreOutput {
    /// Which end.
    pub end: TextEnd,
    /// Bytes of each stream, at most [`OUTPUT_BYTES_MAX`].
    pub bytes_max: u64,
}

/// From where a text that is too long is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum TextEnd {
    /// Its beginning.
    Head,
    /// Its end.
    Tail,
}

/// Text in a log of the same build. The digest says whether it is still the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TextRef {
    /// The log.
    pub log: LogId,
    /// Its first line.
    pub first: u64,
    /// The line after its last.
    pub end: u64,
    /// The letters of the streams whose lines count.
    pub streams: String,
    /// Bytes of the text; each line ends with a newline.
    pub bytes: u64,
    /// SHA-256 of the text, as hexadecimal digits.
    pub digest: String,
}

/// The streams of a command that are too long for its result.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoggedOutput {
    /// Standard output.
    pub stdout: Option<TextRef>,
    /// Standard error.
    pub stderr: Option<TextRef>,
}

impl LoggedOutput {
    /// What it refers to.
    pub fn texts(&self) -> impl Iterator<Item = &TextRef> {
        self.stdout.iter().chain(&self.stderr)
    }
}

/// A log that a script wants to read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LogRequest {
    /// Its name.
    pub log: String,
    /// The name of its step; none: the newest step that has such a log.
    pub step: Option<String>,
    /// Which part.
    pub part: LogPlaces,
    /// Bytes at most, and which end is kept.
    pub end: TextEnd,
    pub bytes_max: u64,
}

/// Lines of a log. Those that say how a command was run do not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum LogPlaces {
    /// From this line on; the first is line 0.
    From(u64),
    /// So many of the last ones.
    Last(u64),
}

/// What a log held when it was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundLog {
    /// The text.
    pub text: TextRef,
    /// Whether lines that were asked for are left out.
    pub cut: bool,
}

/// Something that an evaluation lacks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Want {
    /// The text that the journal refers to.
    Text(TextRef),
    /// A look at a log.
    Log(LogRequest),
}

/// What was read for an evaluation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Readings {
    /// Texts, by what refers to them.
    pub texts: BTreeMap<TextRef, Arc<str>>,
    /// Logs that were looked at just now; or why one cannot be read.
    pub logs: BTreeMap<LogRequest, Result<FoundLog, String>>,
}
