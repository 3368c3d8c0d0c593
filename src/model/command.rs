//! Commands for workers and how they end.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Artifact, DownloadSpec, LoggedOutput, Moved, Outcome, OutputPlan, Text, UploadSpec, WriteSpec};
use crate::base::Span;

/// What to execute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Program {
    /// Words, executed directly, the first found by `PATH`.
    Argv(Vec<Text>),
    /// A line for the worker's shell (`/bin/sh -c`, on Windows `cmd.exe /c`).
    Shell(Text),
}

/// What to do with an environment variable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EnvValue {
    /// Set it; `${NAME}` inside stands for the worker's own variable.
    Set(Text),
    /// Join these with the worker's path separator.
    Join(Vec<Text>),
    /// Remove it.
    Unset,
}

/// A file to follow as a log of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogFileSpec {
    /// Path, relative to the command's directory.
    pub path: String,
    /// Only what is written after the start.
    pub follow: bool,
}

/// What to do when the worker is lost for good, or restarts, while the command runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnLost {
    /// End the build with `retry`; its requests wait again.
    #[default]
    RetryBuild,
    /// Run this command again when the worker is back.
    RunAgain,
    /// The step fails with `exception`.
    Fail,
}

/// Bytes of the heads of stdout and stderr that a result carries: they are stored in the journal of the build, which is
/// read at each of its turns.
pub const OUTPUT_HEAD_MAX: usize = 64 << 10;

/// A command to run. Paths are relative to the builder's directory on the worker. Our own workers get it as it is, so a
/// change here needs a new version of the worker protocol (`protocol::RESUME_VERSION`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "options of the configuration, each a switch of its own")]
pub struct CommandSpec {
    /// What to execute.
    pub program: Program,
    /// Working directory, relative to the builder's; created if missing. Usually `build`. Absolute once it is on its way to
    /// a worker.
    pub workdir: String,
    /// Environment on top of the worker's, merged as in docs/reference/worker-protocol.md#environment.
    pub env: BTreeMap<String, EnvValue>,
    /// Stop after this long without output; none for no limit.
    pub idle_timeout: Option<Span>,
    /// Stop after this long; none for no limit.
    pub total_timeout: Option<Span>,
    /// Stop after more than so many lines of output.
    pub lines_max: Option<u64>,
    /// The log that takes stdout, stderr and headers; usually `stdio`.
    pub log: String,
    /// Further logs by name.
    pub log_files: BTreeMap<String, LogFileSpec>,
    /// Written to the command's standard input, which is then closed.
    pub stdin: Option<Text>,
    /// Exit codes and what they mean; others are failures. Never empty: usually 0 is success.
    pub exit_codes: BTreeMap<i64, Outcome>,
    /// Whether the result carries the command's stdout and stderr (their heads, bounded).
    pub want_output: bool,
    /// Whether stdout goes to the log.
    pub log_stdout: bool,
    /// Whether stderr goes to the log.
    pub log_stderr: bool,
    /// Run in a pseudo-terminal.
    pub pty: bool,
    /// Time between the polite signal and the kill.
    pub grace: Span,
    /// If the worker is lost.
    pub on_lost: OnLost,
    /// What the master does with the output; a worker is not told.
    #[serde(default, skip_serializing_if = "OutputPlan::is_usual")]
    pub output: Box<OutputPlan>,
}

impl CommandSpec {
    /// The texts of it, which may name secrets.
    pub fn texts(&self) -> impl Iterator<Item = &Text> {
        let program = match &self.program {
            Program::Argv(words) => words.as_slice(),
            Program::Shell(line) => std::slice::from_ref(line),
        };
        program.iter().chain(self.env.values().flat_map(EnvValue::texts)).chain(&self.stdin)
    }
}

impl EnvValue {
    fn texts(&self) -> &[Text] {
        match self {
            Self::Set(text) => std::slice::from_ref(text),
            Self::Join(texts) => texts,
            Self::Unset => &[],
        }
    }
}

/// A file command; executed by the worker itself, the same on every platform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FileCommand {
    /// Makes directories, parents included.
    MakeDirs(Vec<String>),
    /// Removes directories or files with all they hold; missing ones are fine.
    Remove(Vec<String>),
    /// Copies a tree.
    Copy { from: String, to: String },
    /// Asks for facts about a path.
    Stat(String),
    /// Lists a directory.
    List(String),
    /// Finds paths by pattern.
    Glob(String),
    /// Writes a text to a file.
    Write(WriteSpec),
    /// Keeps a file or a directory as artifacts.
    Upload(UploadSpec),
    /// Puts an artifact onto the worker.
    Download(DownloadSpec),
}

impl FileCommand {
    /// What it does, in a word.
    #[must_use]
    pub const fn verb(&self) -> &'static str {
        match self {
            Self::MakeDirs(_) => "mkdir",
            Self::Remove(_) => "remove",
            Self::Copy { .. } => "copy",
            Self::Stat(_) => "stat",
            Self::List(_) => "list_dir",
            Self::Glob(_) => "glob",
            Self::Write(_) => "write",
            Self::Upload(_) => "upload",
            Self::Download(_) => "download",
        }
    }

    /// Whether a script asks it only to look: a path that is not there is an answer then.
    #[must_use]
    pub const fn only_looks(&self) -> bool {
        matches!(self, Self::Stat(_))
    }
}

/// The exit code of a program that cannot be started (POSIX shell, section 2.8.2).
pub const NOT_STARTED_CODE: i64 = 127;

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CommandEnd {
    /// It ended by itself with this code.
    Exited(i64),
    /// A signal that we did not send ended it; number where known.
    Killed(Option<i64>),
    /// No output for too long.
    IdleTimeout,
    /// Ran for too long.
    TotalTimeout,
    /// Too many lines.
    TooManyLines,
    /// The master stopped it.
    Interrupted(String),
    /// There is no such program, or the worker may not start it; the reason. Counts as exit code 127, as in a shell.
    NotStarted(String),
    /// The worker failed at it; the reason.
    Broken(String),
    /// The worker was lost.
    Lost(String),
}

/// The recorded result of a command: small, so that a journal stays small.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandResult {
    /// How it ended.
    pub end: CommandEnd,
    /// What that means by the command's exit codes.
    pub outcome: Outcome,
    /// Head of stdout, if wanted.
    pub stdout: Option<String>,
    /// Head of stderr, if wanted.
    pub stderr: Option<String>,
    /// Whether the two were cut.
    pub cut: bool,
    /// Paths, from `List` and `Glob`.
    pub files: Vec<String>,
    /// The ten numbers of `Stat` (docs/reference/worker-protocol.md#stat).
    pub stat: Option<Vec<u64>>,
    /// How long it ran.
    pub elapsed: Span,
    /// Where its output is, if more than the heads was wanted and printed. It takes the place of the heads. Evaluators get
    /// plain data by position, so only the last field may be left out when there is none.
    #[serde(default)]
    pub logged: Option<Box<LoggedOutput>>,
    /// What a transfer came to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved: Option<Box<Moved>>,
}

/// How hard to stop a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum StopLevel {
    /// Politely, with the command's grace before the kill.
    Interrupt,
    /// The whole tree, at once.
    Kill,
}

impl CommandResult {
    /// What an end means by a table of exit codes.
    #[must_use]
    pub fn judge(end: &CommandEnd, exit_codes: &BTreeMap<i64, Outcome>) -> Outcome {
        match end {
            CommandEnd::Exited(code) => exit_codes.get(code).copied().unwrap_or(Outcome::Failure),
            CommandEnd::NotStarted(_) => exit_codes.get(&NOT_STARTED_CODE).copied().unwrap_or(Outcome::Failure),
            CommandEnd::Killed(_) | CommandEnd::IdleTimeout | CommandEnd::TotalTimeout | CommandEnd::TooManyLines => {
                Outcome::Failure
            }
            CommandEnd::Interrupted(_) => Outcome::Cancelled,
            CommandEnd::Broken(_) => Outcome::Exception,
            CommandEnd::Lost(_) => Outcome::Retry,
        }
    }

    /// What an upload kept: they are artifacts of the build once this result is recorded.
    #[must_use]
    pub fn artifacts(&self) -> &[Artifact] {
        match self.moved.as_deref() {
            Some(Moved::Kept(artifacts)) => artifacts,
            Some(Moved::Downloaded(_)) | None => &[],
        }
    }

    /// A result with nothing but an end and its meaning.
    #[must_use]
    pub fn of(end: CommandEnd, exit_codes: &BTreeMap<i64, Outcome>) -> Self {
        let outcome = Self::judge(&end, exit_codes);
        Self {
            end,
            outcome,
            stdout: None,
            stderr: None,
            cut: false,
            files: Vec::new(),
            stat: None,
            elapsed: Span::ZERO,
            logged: None,
            moved: None,
        }
    }
}
