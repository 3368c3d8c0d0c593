//! A worker's machine: its process, its spool, and the commands that run beside it.
//!
//! What the real worker promises (`docs/design/worker-link.md`): a command that was accepted is started once, whatever
//! happens to the process and the connection; its output and its end are told until the master says that they are durable.
//! A stock worker promises nothing of the kind: what it does not tell at once is lost.

use std::collections::{BTreeMap, BTreeSet};

use super::rng::Rng;
use crate::engine::{CommandOrder, StopLevel, Work};
use crate::model::{
    Artifact, BuildId, CommandEnd, CommandId, CommandResult, ContentDigest, FileCommand, Moved, Outcome, dirs_clash,
};

/// One piece of output: the log's name, and the text.
pub type Part = (String, String);

/// A command on a machine.
#[derive(Clone, Debug)]
pub struct Job {
    pub build: BuildId,
    pub dir: String,
    pub exit_codes: BTreeMap<i64, Outcome>,
    pub logs: Vec<String>,
    pub file: Option<FileCommand>,
    /// Parts still to print.
    pub to_print: u64,
    /// How it will end by itself.
    pub end: CommandEnd,
    pub stubborn: Stubborn,
    /// Told to stop, and about to.
    pub dying: bool,
    pub parts: Vec<Part>,
    pub result: Option<CommandResult>,
}

/// What it takes to stop a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stubborn {
    Obeys,
    IgnoresPolite,
    Deaf,
}

/// A machine.
#[derive(Clone, Debug)]
pub struct Machine {
    /// The name that it connects with; two machines may share one.
    pub worker: String,
    /// Whether it keeps its commands over connections.
    pub ours: bool,
    /// Counts how often its memory was lost.
    pub memory: u64,
    /// Its process, if that runs.
    pub up: bool,
    /// Never comes back by itself.
    pub gone: bool,
    pub link: Option<u64>,
    pub jobs: BTreeMap<CommandId, Job>,
    /// Commands that the present connection may tell of, and the next part of each to send.
    pub told: BTreeMap<CommandId, u64>,
    /// Ends that were sent over the present connection.
    pub ends_sent: BTreeSet<CommandId>,
}

impl Machine {
    pub fn new(worker: &str, ours: bool) -> Self {
        Self {
            worker: worker.to_owned(),
            ours,
            memory: 1,
            up: true,
            gone: false,
            link: None,
            jobs: BTreeMap::new(),
            told: BTreeMap::new(),
            ends_sent: BTreeSet::new(),
        }
    }

    /// What it tells as its instance.
    pub fn instance(&self, id: &str) -> String {
        if self.ours { format!("{id} {}", self.memory) } else { String::new() }
    }

    /// The connection is over, for this end of it.
    pub fn unlink(&mut self) {
        self.link = None;
        self.told.clear();
        self.ends_sent.clear();
    }

    /// A command is about to start: none of another build may run in its directory. One that nothing kills is nobody's
    /// fault once a stock worker was told to.
    pub fn check_directory(&self, order: &CommandOrder) {
        let others = self.jobs.iter().filter(|(_, job)| job.result.is_none() && job.build != order.build);
        for (id, job) in others.filter(|(_, job)| dirs_clash(&job.dir, &order.dir)) {
            let undying = !self.ours && job.stubborn == Stubborn::Deaf;
            assert!(
                undying,
                "directories: {} of build {} starts in `{}` of `{}`, where {id} of build {} still runs",
                order.command, order.build, order.dir, self.worker, job.build
            );
        }
    }

    /// All commands and all that is known of them are gone.
    pub fn forget_all(&mut self) {
        self.memory += 1;
        self.jobs.clear();
    }
}

impl Job {
    /// A command about to start, of chance length, output and end.
    pub fn draw(rng: &mut Rng, order: &CommandOrder) -> Self {
        let (exit_codes, logs) = match &order.work {
            Work::Run(spec) => {
                let logs = std::iter::once(spec.log.clone()).chain(spec.log_files.keys().cloned());
                (spec.exit_codes.clone(), logs.collect())
            }
            Work::File(_) => (BTreeMap::from([(0, Outcome::Success)]), vec![]),
        };
        let to_print = if matches!(order.work, Work::Run(_)) { rng.below(5) } else { 0 };
        let end = match rng.below(100) {
            0..78 => CommandEnd::Exited(0),
            78..88 => CommandEnd::Exited(1),
            88..94 => CommandEnd::Exited(2),
            94..96 => CommandEnd::Killed(Some(11)),
            96..98 => CommandEnd::IdleTimeout,
            _ => CommandEnd::Broken("no such program".into()),
        };
        let stubborn = match rng.below(10) {
            0..7 => Stubborn::Obeys,
            7..9 => Stubborn::IgnoresPolite,
            _ => Stubborn::Deaf,
        };
        let (build, dir) = (order.build, order.dir.clone());
        let file = match &order.work {
            Work::File(command) => Some(command.clone()),
            Work::Run(_) => None,
        };
        Self { build, dir, exit_codes, logs, file, to_print, end, stubborn, dying: false, parts: vec![], result: None }
    }

    /// Prints once more, or ends. True if it goes on.
    pub fn go_on(&mut self, rng: &mut Rng, id: &CommandId) -> bool {
        if self.result.is_some() {
            return false;
        }
        if self.to_print > 0 && !self.dying {
            self.to_print -= 1;
            let log = rng.pick(&self.logs).clone();
            self.parts.push((log, format!("{id} line {}\n", self.parts.len())));
            return true;
        }
        let end = if self.dying { CommandEnd::Interrupted("asked to".into()) } else { self.end.clone() };
        // The result names its command, so that it can be seen to come back to it.
        let result = CommandResult::of(end, &self.exit_codes);
        self.result = Some(self.with_files(id, CommandResult { stdout: Some(id.0.clone()), ..result }));
        false
    }

    /// What a file command that went well brings: the content of an upload names its command, too.
    fn with_files(&self, id: &CommandId, mut result: CommandResult) -> CommandResult {
        match &self.file {
            Some(FileCommand::Upload(upload)) if result.outcome.is_ok() => {
                let digest = ContentDigest(id.0.clone());
                let (name, mode) = (upload.name.clone(), upload.mode);
                let artifact = Artifact { name, size: 1, digest, mode, modified: None };
                result.moved = Some(Box::new(Moved::Kept(vec![artifact])));
            }
            Some(FileCommand::Stat(_)) if result.outcome.is_ok() => {
                result.stat = Some(vec![0o100_644, 0, 0, 1, 0, 0, 1, 0, 0, 0]);
            }
            _ => {}
        }
        result
    }

    /// Is told to stop; whether it will.
    pub fn stop(&mut self, level: StopLevel) -> bool {
        let obeys = match self.stubborn {
            Stubborn::Obeys => true,
            Stubborn::IgnoresPolite => level == StopLevel::Kill,
            Stubborn::Deaf => false,
        };
        self.dying |= obeys;
        obeys
    }
}
