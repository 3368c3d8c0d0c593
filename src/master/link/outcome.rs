//! Works out how a command ended from what its worker reported (docs/reference/worker-protocol.md#outcome).

use std::collections::BTreeMap;

use super::limits::{FILES_BYTES_MAX, NOTE_BYTES_MAX};
use crate::base::Span;
use crate::engine::Work;
use crate::model::{CommandEnd, CommandResult, OUTPUT_HEAD_MAX, Outcome};
use crate::protocol::{CommandReport, ReportedEnd};

/// What an order says about the meaning of an end.
#[derive(Clone, Debug)]
pub(super) struct ExitRules {
    exit_codes: BTreeMap<i64, Outcome>,
    want_output: bool,
    is_file_command: bool,
}

impl ExitRules {
    pub fn of(work: &Work) -> Self {
        match work {
            Work::Run(spec) => {
                Self { exit_codes: spec.exit_codes.clone(), want_output: spec.want_output, is_file_command: false }
            }
            Work::File(_) => {
                Self { exit_codes: BTreeMap::from([(0, Outcome::Success)]), want_output: false, is_file_command: true }
            }
        }
    }

    /// A result with nothing but an end.
    pub fn bare(&self, end: CommandEnd) -> CommandResult {
        CommandResult::of(end, &self.exit_codes)
    }

    /// The result of one of our workers' commands. `interrupted` is the reason, if this link stopped it.
    pub fn reported(&self, report: &CommandReport, interrupted: Option<&str>) -> CommandResult {
        let why = || note(&report.why);
        let end = match report.end {
            ReportedEnd::Exited => CommandEnd::Exited(report.code.unwrap_or(-1)),
            ReportedEnd::Killed => CommandEnd::Killed(report.signal),
            ReportedEnd::IdleTimeout => CommandEnd::IdleTimeout,
            ReportedEnd::TotalTimeout => CommandEnd::TotalTimeout,
            ReportedEnd::TooManyLines => CommandEnd::TooManyLines,
            ReportedEnd::Interrupted => CommandEnd::Interrupted(interrupted.map_or_else(why, str::to_owned)),
            ReportedEnd::NotStarted => CommandEnd::NotStarted(why()),
            ReportedEnd::Broken => CommandEnd::Broken(why()),
            ReportedEnd::Lost => CommandEnd::Lost(why()),
        };
        let head = |bytes: &[u8]| self.want_output.then(|| lossy_head(bytes));
        let note = (self.is_file_command && !report.why.is_empty()).then(why);
        CommandResult {
            stdout: head(&report.stdout),
            stderr: head(&report.stderr).or(note),
            cut: report.cut
                || bounded_files(&report.files).len() < report.files.len()
                || report.stdout.len().max(report.stderr.len()) > OUTPUT_HEAD_MAX,
            files: bounded_files(&report.files),
            stat: report.stat.clone(),
            elapsed: Span::from_millis(report.elapsed_ms),
            ..self.bare(end)
        }
    }
}

/// What a stock worker has reported about a command so far.
#[derive(Clone, Debug, Default)]
pub(super) struct StockReport {
    pub rc: Option<i64>,
    pub elapsed: Option<f64>,
    pub failure_reason: Option<String>,
    pub files: Vec<String>,
    pub stat: Option<Vec<u64>>,
    /// From the header line about it.
    signal: Option<i64>,
    /// Headers, bounded.
    notes: String,
    /// The beginning of what it said on standard error, bounded.
    errors: String,
    stdout: Head,
    stderr: Head,
}

/// The first bytes of a stream.
#[derive(Clone, Debug, Default)]
struct Head {
    bytes: Vec<u8>,
    cut: bool,
}

impl Head {
    fn push(&mut self, bytes: &[u8]) {
        let room = OUTPUT_HEAD_MAX - self.bytes.len();
        self.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.cut |= bytes.len() > room;
    }
}

impl StockReport {
    /// Takes note of lines, already without secrets.
    pub fn heard(&mut self, stream: char, text: &[u8], exit_rules: &ExitRules) {
        match stream {
            'h' => self.header(&String::from_utf8_lossy(text)),
            'e' => self.error(text, exit_rules),
            'o' if exit_rules.want_output => self.stdout.push(text),
            _ => {}
        }
    }

    fn error(&mut self, text: &[u8], exit_rules: &ExitRules) {
        if exit_rules.want_output || exit_rules.is_file_command {
            self.stderr.push(text);
        }
        let text = String::from_utf8_lossy(text);
        let room = NOTE_BYTES_MAX - self.errors.len();
        self.errors.push_str(&text[..text.floor_char_boundary(room)]);
    }

    /// A stock worker names the signal in this line only (docs/reference/worker-protocol.md#outcome).
    fn header(&mut self, text: &str) {
        const KILLED: &str = "process killed by signal ";
        let signal = text.lines().find_map(|line| line.strip_prefix(KILLED)?.trim().parse().ok());
        self.signal = signal.or(self.signal);
        let room = NOTE_BYTES_MAX - self.notes.len();
        self.notes.push_str(&text[..text.floor_char_boundary(room)]);
    }

    /// The result at `complete`. Success needs everything: no failure, a code, no reason of the worker's own to kill,
    /// and no interrupt of ours.
    pub fn result(
        &self,
        exit_rules: &ExitRules,
        failure: Option<&str>,
        interrupted: Option<&str>,
        ran: Span,
    ) -> CommandResult {
        let end = self.end(exit_rules, failure, interrupted);
        let head = |head: &Head| exit_rules.want_output.then(|| lossy_head(&head.bytes));
        let note = (exit_rules.is_file_command && end != CommandEnd::Exited(0)).then(|| self.note());
        CommandResult {
            stdout: head(&self.stdout),
            stderr: head(&self.stderr).or(note),
            cut: self.stdout.cut || self.stderr.cut || bounded_files(&self.files).len() < self.files.len(),
            files: bounded_files(&self.files),
            stat: self.stat.clone(),
            elapsed: self.elapsed.and_then(seconds).unwrap_or(ran),
            ..exit_rules.bare(end)
        }
    }

    fn end(&self, exit_rules: &ExitRules, failure: Option<&str>, interrupted: Option<&str>) -> CommandEnd {
        if let Some(why) = interrupted {
            return CommandEnd::Interrupted(why.to_owned());
        }
        if let Some(failure) = failure {
            return CommandEnd::Broken(first_line(failure));
        }
        match (self.failure_reason.as_deref(), self.rc) {
            (Some("timeout_without_output"), _) => CommandEnd::IdleTimeout,
            (Some("timeout"), _) => CommandEnd::TotalTimeout,
            (Some("max_lines_failure"), _) => CommandEnd::TooManyLines,
            (Some(other), _) => CommandEnd::Broken(format!("the worker killed it: {}", first_line(other))),
            (None, None) => CommandEnd::Broken(self.without_code()),
            (None, Some(_)) if self.signal.is_some() => CommandEnd::Killed(self.signal),
            (None, Some(-1)) if !exit_rules.is_file_command => {
                not_started(&self.errors).map_or(CommandEnd::Killed(None), CommandEnd::NotStarted)
            }
            (None, Some(code)) => match not_started(&self.errors) {
                Some(why) if !exit_rules.is_file_command && code != 0 => CommandEnd::NotStarted(why),
                _ => CommandEnd::Exited(code),
            },
        }
    }

    /// Why a file command failed: what its program wrote, else what the worker has to say.
    fn note(&self) -> String {
        let stderr = String::from_utf8_lossy(&self.stderr.bytes);
        let text = if stderr.is_empty() { &self.notes } else { &*stderr };
        text[..text.floor_char_boundary(NOTE_BYTES_MAX)].trim_end().to_owned()
    }

    fn without_code(&self) -> String {
        let note = self.notes.lines().next_back().map(|line| format!(": {line}")).unwrap_or_default();
        format!("the worker sent no exit code; perhaps a name or variable is not UTF-8{note}")
    }
}

/// Why a stock worker could not start a program. The child reports it on standard error: a heading with the program,
/// then a Python traceback, whose last line is the reason. On Windows the worker itself reports it.
fn not_started(errors: &str) -> Option<String> {
    let windows = || errors.strip_prefix("error in RunProcess._startCommand (")?.lines().next()?.strip_suffix(')');
    if let Some(rest) = errors.strip_prefix("Upon execvpe ") {
        let program = rest.split(" [").next().unwrap_or_default();
        let program = program.trim_start_matches('b').trim_matches(['\'', '"']);
        if errors.contains("FileNotFoundError: ") {
            return Some(format!("there is no program `{program}`"));
        }
        let reason = errors.trim_end().lines().next_back().unwrap_or_default();
        return Some(format!("failed to start `{program}`: {reason}"));
    }
    windows().map(str::to_owned)
}

fn lossy_head(bytes: &[u8]) -> String {
    let cut = bytes.len() > OUTPUT_HEAD_MAX;
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(OUTPUT_HEAD_MAX)]);
    // A replacement character at the end comes from a character that was cut in two, not from the command.
    if cut { text.trim_end_matches('\u{fffd}').to_owned() } else { text.into_owned() }
}

/// The first names of a listing, as far as the journal of a build has room for them.
fn bounded_files(files: &[String]) -> Vec<String> {
    let mut room = FILES_BYTES_MAX;
    let mut fits = |file: &&String| {
        let before = room;
        room = room.saturating_sub(file.len() + 1);
        before > file.len()
    };
    files.iter().take_while(|file| fits(file)).cloned().collect()
}

/// A text of a worker's that becomes part of a state: bounded, in one line, with a mark where it was cut.
pub(super) fn note(text: &str) -> String {
    let line = text.trim().replace(['\r', '\n'], " ");
    if line.len() <= NOTE_BYTES_MAX {
        return line;
    }
    format!("{}…", &line[..line.floor_char_boundary(NOTE_BYTES_MAX)])
}

/// The first line of a failure, without the words that all of them begin with.
pub(super) fn first_line(failure: &str) -> String {
    let line = failure.lines().next().unwrap_or_default();
    let line = match line.split_once(": <class ") {
        Some((before, _)) if before.starts_with("[Failure instance: Traceback") => {
            line[before.len() + 2..].trim_end_matches(']')
        }
        _ => line,
    };
    line[..line.floor_char_boundary(NOTE_BYTES_MAX)].to_owned()
}

fn seconds(seconds: f64) -> Option<Span> {
    std::time::Duration::try_from_secs_f64(seconds).ok().map(Span::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_a_stock_worker_could_not_start_is_named() {
        let trace = "Upon execvpe b'no-such-linter' [b'no-such-linter', b'.'] in environment id 139828774353472\n\
                     :Traceback (most recent call last):\n  File \"x.py\", line 583, in execvpe\n";
        let missing = format!("{trace}FileNotFoundError: [Errno 2] No such file or directory\n");
        assert_eq!(not_started(&missing).unwrap(), "there is no program `no-such-linter`");
        let forbidden = format!("{trace}PermissionError: [Errno 13] Permission denied\n");
        let text = "failed to start `no-such-linter`: PermissionError: [Errno 13] Permission denied";
        assert_eq!(not_started(&forbidden).unwrap(), text);
        let windows = "error in RunProcess._startCommand ((2, 'CreateProcess', 'not found'))\nTraceback\n";
        assert_eq!(not_started(windows).unwrap(), "(2, 'CreateProcess', 'not found')");
        assert_eq!(not_started("make: *** [all] Error 1\n"), None);
    }

    #[test]
    fn a_missing_program_counts_as_exit_code_127_and_what_that_means_is_the_commands_choice() {
        let end = CommandEnd::NotStarted("there is no program `x`".to_owned());
        assert_eq!(CommandResult::judge(&end, &[(0, Outcome::Success)].into()), Outcome::Failure);
        assert_eq!(CommandResult::judge(&end, &[(127, Outcome::Skipped)].into()), Outcome::Skipped);
    }
}
