//! Running builds and the step in progress.
//!
//! A build holds a journal only for the step in progress; of ended steps it keeps a summary.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Retry;
use crate::base::Timestamp;
use crate::model::{
    Actor, Ask, BuildId, BuilderId, BuildsetId, ChangeId, CommandId, ConfigDigest, Journal, Key, LogId, Note, Outcome,
    Properties, RequestId, SourceStamp, StepId, StopLevel,
};

/// A build that runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::engine) struct Build {
    pub id: BuildId,
    pub number: u64,
    pub builder: String,
    pub builder_id: BuilderId,
    pub worker: String,
    /// Its directory on the worker.
    pub dir: String,
    /// The build that lends it its slot; none: it has one of its own.
    pub lender: Option<BuildId>,
    /// The first one's buildset says what to check out.
    pub requests: Vec<RequestId>,
    /// The configuration that it pins.
    pub plan: ConfigDigest,
    pub properties: Arc<Properties>,
    pub stamps: Arc<Vec<SourceStamp>>,
    pub changes: Vec<ChangeId>,
    pub reason: String,
    pub started: Timestamp,
    /// Steps of the list that ended, in order.
    pub done: Vec<DoneStep>,
    /// Names of all steps so far, to keep them unique.
    pub names: BTreeSet<String>,
    /// Steps so far, children included: the next one's number.
    pub steps: u64,
    /// Commands so far: part of the next one's id.
    pub commands: u64,
    /// `worker_preparation`, while it is open.
    pub preparing: Option<StepId>,
    /// The step in progress.
    pub step: Option<Step>,
    /// A step that is to be tried again.
    pub pause: Option<Pause>,
    /// The place in the list to go on from.
    pub index: usize,
    pub stop: Option<Stop>,
    /// How often a process that evaluated its script died or was too late.
    pub losses: u32,
    /// Test results, numbers and data that it recorded, and their bytes.
    #[serde(default)]
    pub recorded: u64,
    #[serde(default)]
    pub recorded_bytes: u64,
}

/// A step of the list that ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::engine) struct DoneStep {
    pub index: usize,
    pub attempt: u64,
    pub name: String,
    pub outcome: Outcome,
    /// Its state line.
    pub state: String,
    /// It is tried again: what it came to does not count.
    pub retried: bool,
    /// The step that gave it its outcome: itself, or the innermost ones inside of it. Empty if all is well.
    pub culprits: Vec<Culprit>,
}

/// A step that did not end well.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::engine) struct Culprit {
    pub step: StepId,
    /// The innermost step around it that is still open.
    pub parent: StepId,
    pub name: String,
    pub outcome: Outcome,
    pub state: String,
    pub hidden: bool,
}

/// Ended child steps remembered as culprits; a line names one and counts the others.
const CULPRITS_MAX: usize = 100;

/// A pause before another attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::engine) struct Pause {
    pub index: usize,
    pub attempt: u64,
    pub until: Timestamp,
}

/// A wish to stop.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::engine) struct Stop {
    pub why: String,
    /// Who gave the order, if one was given.
    pub by: Option<Actor>,
    pub outcome: Outcome,
    /// How often it was asked; the second time also stops steps that always run.
    pub times: u64,
}

/// The step of the list in progress.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::engine) struct Step {
    pub id: StepId,
    pub number: u64,
    pub name: String,
    pub index: usize,
    pub attempt: u64,
    /// Stops asked before it began: it runs in spite of them.
    pub stops_before: u64,
    /// The answer of its `do_if`.
    pub decided: Option<bool>,
    /// Properties when it began.
    pub properties: Arc<Properties>,
    /// What the worker had told when it began.
    pub worker: Arc<BTreeMap<String, String>>,
    pub journal: Arc<Journal>,
    /// Child steps that are open.
    pub children: BTreeMap<StepId, Child>,
    /// Logs that are open, by step and slug.
    pub logs: BTreeMap<StepId, BTreeMap<String, Log>>,
    /// Summaries that the script set.
    pub summaries: BTreeMap<StepId, String>,
    /// Waits, and when they end.
    pub waits: BTreeMap<Key, Timestamp>,
    /// Triggers that wait for their buildsets.
    pub triggers: BTreeMap<Key, Vec<BuildsetId>>,
    /// Triggers whose buildsets are not made yet, because properties are undecided.
    pub undecided: BTreeMap<Key, Retry>,
    /// The trigger whose buildsets are being made.
    pub triggering: Option<Key>,
    /// Commands that were asked for and have not ended.
    #[serde(rename = "flights")]
    pub commands_running: BTreeMap<CommandId, RunningCommand>,
    /// What the engine itself wrote to logs.
    pub notes: BTreeSet<Note>,
    /// Child steps that ended badly; the innermost, as far as the steps around them ended the same way.
    pub culprits: Vec<Culprit>,
}

/// A child step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::engine) struct Child {
    pub key: Key,
    pub name: String,
    pub parent: StepId,
    /// Its place among all steps of the build.
    pub number: u64,
}

/// A log that is open.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::engine) struct Log {
    pub id: LogId,
    pub name: String,
    /// Whether its lines have streams.
    pub stdio: bool,
    /// Our own writes so far.
    pub writes: u64,
}

/// A command under way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::engine) struct RunningCommand {
    pub key: Key,
    pub step: StepId,
    /// The worker's instance that it was, or may have been, sent to; none: certainly to nobody.
    pub sent: Option<String>,
    /// Logs that its output goes to.
    pub logs: BTreeMap<String, LogId>,
    /// How often it was given to the worker again.
    pub restarts: u32,
    /// How far stopping it has come.
    pub stop: Option<Escalation>,
    /// It belongs to an earlier connection of a stock worker, which is told to kill it.
    pub cut_off: bool,
}

/// How far stopping a command has come.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::engine) struct Escalation {
    pub level: StopLevel,
    /// When a stronger means is due.
    pub due: Timestamp,
}

impl Build {
    /// The step or child step with this id, if it is open.
    pub fn has_step(&self, id: StepId) -> bool {
        self.preparing == Some(id)
            || self.step.as_ref().is_some_and(|step| step.id == id || step.children.contains_key(&id))
    }

    /// Whether the step in progress is to be stopped.
    pub fn stops_step(&self) -> bool {
        let asked = self.stop.as_ref().map_or(0, |stop| stop.times);
        self.step.as_ref().is_some_and(|step| asked > step.stops_before)
    }
}

impl Step {
    /// A step that begins.
    pub fn new(id: StepId, name: String, place: StepPlace, build: &Build, worker: BTreeMap<String, String>) -> Self {
        Self {
            id,
            number: place.number,
            name,
            index: place.index,
            attempt: place.attempt,
            stops_before: build.stop.as_ref().map_or(0, |stop| stop.times),
            decided: None,
            properties: Arc::clone(&build.properties),
            worker: Arc::new(worker),
            journal: Arc::new(Journal::default()),
            children: BTreeMap::new(),
            logs: BTreeMap::new(),
            summaries: BTreeMap::new(),
            waits: BTreeMap::new(),
            triggers: BTreeMap::new(),
            undecided: BTreeMap::new(),
            triggering: None,
            commands_running: BTreeMap::new(),
            notes: BTreeSet::new(),
            culprits: Vec::new(),
        }
    }

    /// Takes note of a child step that ended: a bad one stands for itself, unless steps inside of it ended the same way.
    pub fn note_culprit(&mut self, ended: Culprit) {
        self.culprits.retain(|inner| inner.parent != ended.step || inner.outcome == ended.outcome);
        let mut inside = false;
        for inner in self.culprits.iter_mut().filter(|inner| inner.parent == ended.step) {
            inner.parent = ended.parent;
            inner.hidden |= ended.hidden;
            inside = true;
        }
        if !inside
            && !matches!(ended.outcome, Outcome::Success | Outcome::Skipped)
            && self.culprits.len() < CULPRITS_MAX
        {
            self.culprits.push(ended);
        }
    }

    /// The ask recorded at a key.
    pub fn ask(&self, key: &Key) -> Option<&Ask> {
        self.journal.0.get(key).map(|entry| &entry.ask)
    }

    /// Whether an ask still needs an answer.
    pub fn waits_for_answers(&self) -> bool {
        self.journal.0.values().any(|entry| entry.answer.is_none() && !entry.ask.is_immediate())
    }

    /// The child step begun at this key, if it is open.
    pub fn child_at(&self, key: &Key) -> Option<StepId> {
        self.children.iter().find(|(_, child)| child.key == *key).map(|(id, _)| *id)
    }

    /// The step that an ask at this key belongs to: the innermost open child whose branch of the script contains it,
    /// else this step.
    pub fn step_at(&self, key: &Key) -> StepId {
        let contains = |child: &Child| {
            let branch = child.key.0.split_last().map_or(&[][..], |(_, branch)| branch);
            child.key < *key && key.0.starts_with(branch)
        };
        self.children
            .iter()
            .filter(|(_, child)| contains(child))
            .max_by(|(_, left), (_, right)| left.key.cmp(&right.key))
            .map_or(self.id, |(id, _)| *id)
    }

    /// The step that the script was in when it failed: the innermost open child of its main branch, else this step.
    pub fn step_at_end(&self) -> StepId {
        let main = self.children.iter().filter(|(_, child)| child.key.0.len() == 1);
        main.max_by(|(_, left), (_, right)| left.key.cmp(&right.key)).map_or(self.id, |(id, _)| *id)
    }

    /// The newest log of this name that is open in a step.
    pub fn log(&self, step: StepId, name: &str) -> Option<&Log> {
        self.logs.get(&step)?.values().filter(|log| log.name == name).max_by_key(|log| log.id)
    }

    /// The same, to change it.
    pub fn log_mut(&mut self, step: StepId, name: &str) -> Option<&mut Log> {
        self.logs.get_mut(&step)?.values_mut().filter(|log| log.name == name).max_by_key(|log| log.id)
    }
}

/// Where a step stands.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) struct StepPlace {
    /// Among all steps of the build.
    pub number: u64,
    /// In the builder's list.
    pub index: usize,
    pub attempt: u64,
}
