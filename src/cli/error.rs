//! Errors of the command line: text, hint, exit code.

use std::process::ExitCode;

use super::output::errln;
use crate::base::Fault;
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
        errln!("error: {}", self.message);
        if let Some(hint) = &self.hint {
            errln!("hint: {hint}");
        }
        ExitCode::from(self.code)
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
