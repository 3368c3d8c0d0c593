//! What really happened on the workers, command by command: what facts and logs are held against.

use std::collections::BTreeMap;

use super::machine::{Job, Part};
use crate::model::{CommandId, CommandResult};

/// A command that was started.
#[derive(Clone, Debug, Default)]
pub struct Entry {
    pub machine: String,
    pub ours: bool,
    pub starts: u64,
    pub parts: Vec<Part>,
    pub result: Option<CommandResult>,
    /// Parts that the master said were durable.
    pub kept: u64,
    /// Its machine was started anew, or lost its spool.
    pub cut_off: bool,
}

/// All commands.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    pub commands: BTreeMap<CommandId, Entry>,
}

impl Ledger {
    /// A machine starts a command. Nobody ever starts one twice under the same id.
    pub fn started(&mut self, command: &CommandId, machine: &str, ours: bool) {
        let entry = self.commands.entry(command.clone()).or_default();
        entry.starts += 1;
        assert!(
            entry.starts == 1,
            "starts of commands: {command} was started on `{}`, and again on `{machine}`",
            entry.machine
        );
        machine.clone_into(&mut entry.machine);
        entry.ours = ours;
    }

    /// It printed something, or ended.
    pub fn went_on(&mut self, command: &CommandId, job: &Job) {
        if let Some(entry) = self.commands.get_mut(command) {
            entry.parts.clone_from(&job.parts);
            entry.result.clone_from(&job.result);
        }
    }

    pub fn parts_kept(&mut self, command: &CommandId, parts: u64) {
        if let Some(entry) = self.commands.get_mut(command) {
            entry.kept = entry.kept.max(parts);
        }
    }

    pub fn cut_off(&mut self, command: &CommandId) {
        if let Some(entry) = self.commands.get_mut(command) {
            entry.cut_off = true;
        }
    }
}
