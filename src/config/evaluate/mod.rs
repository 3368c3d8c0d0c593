//! Evaluates build scripts against what is recorded, and answers questions and templates.
//!
//! A build script runs from its start each time. What it asks for is looked up in the journal by the path
//! of call numbers that leads to it; an answer that is not there yet ends the evaluation. See
//! `docs/design/replay.md`.

mod command;
#[expect(clippy::too_many_arguments, reason = "the keyword arguments of the language are arguments there")]
mod context;
mod facts;
mod files;
mod outcome;
mod printed;
mod question;
mod reading;
mod result;
mod run;
mod script;
mod steps;
mod stop;

pub(super) use command::{line_of, unfit};
pub(super) use context::{context_members, context_types};
pub(super) use printed::Printer;
pub use printed::take_printed;
pub(super) use question::{compute, decide, render};
pub(super) use result::result_members;
pub(super) use script::evaluate;

#[cfg(test)]
mod replay_law;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod transfer_tests;
