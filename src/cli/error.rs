//! Errors of the command line: text, hint, exit code.

use std::process::ExitCode;

use super::output::errln;
use crate::base::{Explained, Fault, chain};
use crate::model::Outcome;

/// Exit code for a refused configuration.
pub(super) const REFUSED: u8 = 3;
const ENVIRONMENT: u8 = 10;
const BUG: u8 = 20;
const USAGE: u8 = 2;

/// What ends a subcommand early.
#[derive(Debug)]
pub(super) struct CliError {
    message: String,
    hint: Option<String>,
    code: u8,
}

impl CliError {
    /// What the parts of the program say: their texts are what failed, as a verb and its object.
    pub(super) fn of(error: &(impl Explained + 'static)) -> Self {
        Self { message: format!("failed to {}", chain(error)), hint: error.hint(), code: code_of(error.fault()) }
    }

    pub(super) fn environment(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, code: code_of(Fault::Environment) }
    }

    pub(super) fn user(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, code: code_of(Fault::User) }
    }

    pub(super) fn refused(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, code: REFUSED }
    }

    pub(super) fn bug(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, code: code_of(Fault::Bug) }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Prints it and says how to exit.
    pub(super) fn show(&self) -> ExitCode {
        errln!("{}", self.text());
        ExitCode::from(self.code)
    }

    /// As people read it.
    fn text(&self) -> String {
        let hint = self.hint.as_ref().map(|hint| format!("\nhint: {hint}"));
        let bug = if self.code == BUG { " (this is a bug in Starwright; please report it)" } else { "" };
        format!("error: {}{bug}{}", self.message, hint.unwrap_or_default())
    }
}

const fn code_of(fault: Fault) -> u8 {
    match fault {
        Fault::User => USAGE,
        Fault::Environment => ENVIRONMENT,
        Fault::Bug => BUG,
    }
}

/// The exit code that tells a build's outcome.
pub(super) fn exit_code(outcome: Outcome) -> ExitCode {
    ExitCode::from(match outcome {
        Outcome::Success | Outcome::Warnings | Outcome::Skipped => 0,
        Outcome::Failure => 1,
        Outcome::Exception => 4,
        Outcome::Retry => 5,
        Outcome::Cancelled => 6,
    })
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::PathBuf;
    use std::sync::Arc;

    use super::*;
    use crate::master::{EndBuildError, MasterError, StartError};
    use crate::model::{BuildId, LogId};
    use crate::store::StoreError;
    use crate::worker::WorkerError;

    fn refused() -> io::Error {
        io::Error::from(io::ErrorKind::PermissionDenied)
    }

    fn of_store() -> Vec<StoreError> {
        let dir = || PathBuf::from("/var/lib/starwright");
        vec![
            StoreError::Locked { dir: dir() },
            StoreError::NewerFormat { dir: dir(), found: 9, known: 1 },
            StoreError::OlderFormat { dir: dir(), found: 1, known: 2 },
            StoreError::Broken { path: dir().join("journal") },
            StoreError::NoFormat { path: dir().join("format") },
            StoreError::Corrupt { what: "record 7".to_owned(), why: "its checksum differs".to_owned() },
            StoreError::Io { action: "write", path: dir().join("facts"), source: Arc::new(refused()) },
            StoreError::Full { dir: dir(), free_mib: 3 },
            StoreError::Database { action: "read", why: "page 4 is damaged".to_owned() },
            StoreError::OutOfOrder { found: 9, expected: 7 },
            StoreError::Dump { why: "line 3 is not a record".to_owned() },
            StoreError::NewerDump { found: 9, known: 1 },
            StoreError::Poorer { dir: dir(), facts: (70, 60), builds: (9, 7) },
            StoreError::Gap { dir: dir(), fact: 812 },
            StoreError::Occupied { dir: dir() },
            StoreError::Missing { dir: dir() },
            StoreError::Closed,
        ]
    }

    fn of_master() -> Vec<MasterError> {
        vec![
            MasterError::Commit(StoreError::Closed),
            MasterError::Log { build: BuildId(1), log: LogId(2), source: StoreError::Closed },
            MasterError::Thread { name: "owner", source: refused() },
            MasterError::Task { name: "polls", why: "it returned".to_owned() },
        ]
    }

    fn of_start() -> Vec<StartError> {
        vec![
            StartError::Directory { path: PathBuf::from("state"), source: refused() },
            StartError::Store(StoreError::Closed),
            StartError::Task(MasterError::Thread { name: "owner", source: refused() }),
            StartError::Ended(Arc::new(MasterError::Task { name: "polls", why: "it returned".to_owned() })),
            StartError::Bug { what: "open the store", why: "it panicked".to_owned() },
        ]
    }

    fn of_end_build() -> Vec<EndBuildError> {
        vec![
            EndBuildError::Store(StoreError::Closed),
            EndBuildError::Unknown { build: "linux/12".to_owned() },
            EndBuildError::Over { build: "linux/12".to_owned() },
        ]
    }

    fn of_worker() -> Vec<WorkerError> {
        let dir = || PathBuf::from("/srv/worker");
        vec![
            WorkerError::Name { name: "a:b".to_owned() },
            WorkerError::Directory { dir: dir(), source: refused() },
            WorkerError::InUse { dir: dir(), holder: "process 7".to_owned() },
            WorkerError::Unsupported,
        ]
    }

    fn section(name: &str, errors: &[impl Explained + 'static]) -> String {
        let each = errors.iter().map(|error| {
            let shown = CliError::of(error);
            format!("{}\n(exit code {})\n\n", shown.text(), shown.code)
        });
        format!("--- {name}\n\n{}", each.collect::<String>())
    }

    #[test]
    fn every_error_reads_as_printed() {
        let text = [
            section("store", &of_store()),
            section("master, running", &of_master()),
            section("master, starting", &of_start()),
            section("store end-build", &of_end_build()),
            section("worker", &of_worker()),
        ]
        .concat();
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/errors.txt");
        if crate::base::environment::variable("STARWRIGHT_BLESS").is_some() {
            std::fs::write(path, &text).unwrap();
        }
        let golden = std::fs::read_to_string(path).unwrap_or_default();
        assert!(golden == text, "{path} differs; STARWRIGHT_BLESS=1 writes it anew. Now:\n{text}");
    }
}
