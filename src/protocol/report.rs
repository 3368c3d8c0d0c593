//! Our additions at the end of a command and after a reconnect: the structured result, and the state of commands
//! (docs/reference/worker-protocol.md#end, docs/reference/worker-protocol.md#resume-request).

use std::collections::BTreeMap;

use bytes::Bytes;
use rmpv::Value;

use super::fields::{FieldError, Fields, MapWriter, array, bytes, int, map, natural, text, texts};
use crate::model::CommandId;

/// `x_result` of `complete`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandReport {
    pub end: ReportedEnd,
    /// The exit code, if the process exited.
    pub code: Option<i64>,
    /// The signal that ended it, if one did.
    pub signal: Option<i64>,
    /// The reason, for people; may be empty.
    pub why: String,
    /// The heads of the streams, if they were asked for.
    pub stdout: Bytes,
    pub stderr: Bytes,
    /// Whether the heads were cut.
    pub cut: bool,
    pub elapsed_ms: u64,
    /// Of `listdir` and `glob`.
    pub files: Vec<String>,
    /// Of `stat`.
    pub stat: Option<Vec<u64>>,
    /// Of an upload: the SHA-256 of everything that was sent, in hexadecimal digits.
    pub digest: Option<String>,
}

/// How a command of our own worker ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportedEnd {
    Exited,
    /// By a signal that neither master nor worker sent.
    Killed,
    IdleTimeout,
    TotalTimeout,
    TooManyLines,
    Interrupted,
    /// The program does not exist, or cannot be executed.
    NotStarted,
    /// The worker failed.
    Broken,
    /// Its runner died.
    Lost,
}

const ENDS: [(ReportedEnd, &str); 9] = [
    (ReportedEnd::Exited, "exited"),
    (ReportedEnd::Killed, "killed"),
    (ReportedEnd::IdleTimeout, "idle_timeout"),
    (ReportedEnd::TotalTimeout, "total_timeout"),
    (ReportedEnd::TooManyLines, "too_many_lines"),
    (ReportedEnd::Interrupted, "interrupted"),
    (ReportedEnd::NotStarted, "not_started"),
    (ReportedEnd::Broken, "broken"),
    (ReportedEnd::Lost, "lost"),
];

impl ReportedEnd {
    /// The word in the protocol.
    #[must_use]
    pub fn word(self) -> &'static str {
        ENDS.iter().find(|(end, _)| *end == self).map_or("broken", |(_, word)| word)
    }

    fn from_word(word: &str) -> Option<Self> {
        ENDS.iter().find(|(_, known)| *known == word).map(|(end, _)| *end)
    }
}

impl CommandReport {
    /// A report with only an end and its reason.
    pub fn of(end: ReportedEnd, why: impl Into<String>) -> Self {
        Self {
            end,
            code: None,
            signal: None,
            why: why.into(),
            stdout: Bytes::new(),
            stderr: Bytes::new(),
            cut: false,
            elapsed_ms: 0,
            files: Vec::new(),
            stat: None,
            digest: None,
        }
    }

    pub(super) fn read(value: &Value) -> Result<Self, FieldError> {
        let wrong = || FieldError::Wrong { key: "x_result".to_owned(), got: "something else", want: "a map" };
        let fields = Fields::of(value).ok_or_else(wrong)?;
        Ok(Self {
            end: fields.need("end", "a known end", |end| ReportedEnd::from_word(text(end)?))?,
            code: fields.optional("code", "an int", int)?,
            signal: fields.optional("signal", "an int", int)?,
            why: fields.optional("why", "a str", text)?.unwrap_or_default().to_owned(),
            stdout: fields.optional("stdout", "a bin", bytes)?.unwrap_or_default(),
            stderr: fields.optional("stderr", "a bin", bytes)?.unwrap_or_default(),
            cut: fields.flag("cut", false)?,
            elapsed_ms: fields.optional("elapsed_ms", "an int", natural)?.unwrap_or(0),
            files: fields.optional("files", "an array of str", texts)?.unwrap_or_default(),
            stat: fields.optional("stat", "an array of int", |stat| stat.as_array()?.iter().map(natural).collect())?,
            digest: fields.optional("digest", "a str", text)?.map(str::to_owned),
        })
    }

    pub(super) fn write(&self) -> Value {
        let mut out = MapWriter::default();
        out.put("end", self.end.word())
            .put_or_nil("code", self.code)
            .put_or_nil("signal", self.signal)
            .put("why", self.why.as_str())
            .put("stdout", self.stdout.to_vec())
            .put("stderr", self.stderr.to_vec())
            .put("cut", self.cut)
            .put("elapsed_ms", self.elapsed_ms)
            .put("files", array(self.files.iter().map(String::as_str)))
            .put_or_nil("stat", self.stat.as_ref().map(|stat| array(stat.iter().copied())))
            .put_some("digest", self.digest.as_deref());
        out.end()
    }
}

/// The result of `x_resume`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResumeAnswer {
    pub commands: BTreeMap<CommandId, ResumedState>,
}

/// What a worker knows about a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResumedState {
    Running,
    Finished,
    Unknown,
}

impl ResumeAnswer {
    /// Reads a result. An unrecognised state counts as unknown.
    #[must_use]
    pub fn read(value: &Value) -> Self {
        let state = |word: &Value| match text(word) {
            Some("running") => ResumedState::Running,
            Some("finished") => ResumedState::Finished,
            _ => ResumedState::Unknown,
        };
        let entries = Fields::of(value).map(|fields| fields.entries().collect::<Vec<_>>()).unwrap_or_default();
        Self { commands: entries.into_iter().map(|(id, word)| (CommandId(id.to_owned()), state(word))).collect() }
    }

    /// The result to send.
    #[must_use]
    pub fn write(&self) -> Value {
        let word = |state: &ResumedState| match state {
            ResumedState::Running => "running",
            ResumedState::Finished => "finished",
            ResumedState::Unknown => "unknown",
        };
        map(self.commands.iter().map(|(id, state)| (id.0.as_str(), word(state))))
    }
}
