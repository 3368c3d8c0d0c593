//! What a build script asks for, what it is answered, and the journal of both.
//!
//! A script is evaluated again from its start whenever an answer arrives. Each ask has a [`Key`], the
//! path of call numbers that leads to it, so branches of `ctx.parallel` need no threads. An ask found
//! in the journal gets its recorded answer; an unrecorded one is handed to the engine. Asks that need
//! no answer (see [`Ask::is_immediate`]) let the script go on at once.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    BuildDatum, BuildId, BuilderId, CommandId, CommandResult, CommandSpec, EvalPart, FileCommand, FoundLog, LockAccess,
    LogRequest, Measurement, Outcome, Properties, StampSpec, StepId, TestSet, Value,
};
use crate::base::{Span, Timestamp};

/// The place of an ask in a script: call number, then branch and call number for each nesting.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Key(pub Vec<u32>);

/// Asks of one step. Each is stored with the build, and every evaluation passes all of them.
pub const ASKS_MAX: usize = 10_000;

/// Something a script asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ask {
    /// Run a command on the build's worker. Answer: [`Answer::Command`].
    Run(CommandSpec),
    /// A file command on the build's worker. Answer: [`Answer::Command`].
    File(FileCommand),
    /// Let some time pass. Answer: [`Answer::Done`].
    Wait(Span),
    /// The present moment. Answer: [`Answer::Time`].
    Now,
    /// Start builds through triggerable schedulers. Answer: [`Answer::Triggered`].
    Trigger(TriggerSpec),
    /// Start a child step. Answer: [`Answer::Done`] once its locks are held; immediate if it needs none.
    BeginStep(BeginStep),
    /// End the child step begun at `begun`. Immediate.
    EndStep(EndStep),
    /// Set a property of the build. Immediate.
    SetProperty { name: String, value: Value, source: String },
    /// Set the one-line summary of the current step. Immediate.
    SetSummary { step: Option<Key>, text: String },
    /// Add a link to the current step. Immediate.
    AddUrl { step: Option<Key>, name: String, url: String },
    /// Append text (whole lines) to a log of the current step. Immediate.
    WriteLog { step: Option<Key>, log: String, html: bool, text: String },
    /// Read a log. Immediate: the evaluation that asks first has looked already, and says what was there.
    ReadLog { request: LogRequest, found: FoundLog },
    /// Record the results of tests with the current step. Immediate.
    RecordTests { step: Option<Key>, set: Box<TestSet> },
    /// Record a number with the current step. Immediate.
    RecordValue { step: Option<Key>, measurement: Measurement },
    /// Keep a datum with the build. Immediate.
    SetData { datum: BuildDatum },
}

/// Asks of a `do_if` have keys below this one: no script counts so far.
const DO_IF: u32 = u32::MAX - 2;
/// The same for `hide_if`.
const HIDE_IF: u32 = u32::MAX - 1;

impl Key {
    /// What the keys of a part of a step begin with.
    #[must_use]
    pub fn root_of(part: EvalPart) -> Vec<u32> {
        match part {
            EvalPart::DoIf => vec![DO_IF],
            EvalPart::Body => Vec::new(),
            EvalPart::HideIf => vec![HIDE_IF],
        }
    }

    /// The part of a step that asked.
    #[must_use]
    pub fn part(&self) -> EvalPart {
        match self.0.first() {
            Some(&DO_IF) => EvalPart::DoIf,
            Some(&HIDE_IF) => EvalPart::HideIf,
            _ => EvalPart::Body,
        }
    }
}

impl Ask {
    /// Whether it only looks at the worker.
    #[must_use]
    pub const fn only_looks(&self) -> bool {
        matches!(self, Self::File(FileCommand::Stat(_) | FileCommand::List(_) | FileCommand::Glob(_)))
    }

    /// What it records with its build, in bytes; none if it records nothing.
    #[must_use]
    pub const fn recorded_bytes(&self) -> Option<u64> {
        match self {
            Self::RecordTests { set, .. } => Some(set.results.bytes),
            Self::SetData { datum } => Some(datum.text.bytes),
            Self::RecordValue { .. } => Some(0),
            _ => None,
        }
    }

    /// The same as a journal keeps it: content that no evaluation reads again is left out.
    #[must_use]
    pub fn known(&self) -> Self {
        match self {
            Self::RecordTests { step, set } => {
                let set = TestSet {
                    name: set.name.clone(),
                    category: set.category.clone(),
                    counts: set.counts,
                    results: set.results.known(),
                };
                Self::RecordTests { step: step.clone(), set: Box::new(set) }
            }
            Self::SetData { datum } => {
                let text = datum.text.known();
                Self::SetData { datum: BuildDatum { name: datum.name.clone(), source: datum.source.clone(), text } }
            }
            other => other.clone(),
        }
    }

    /// Whether the script goes on without waiting for an answer.
    #[must_use]
    pub fn is_immediate(&self) -> bool {
        match self {
            Self::Run(_) | Self::File(_) | Self::Wait(_) | Self::Now | Self::Trigger(_) => false,
            Self::BeginStep(begin) => begin.locks.is_empty(),
            Self::EndStep(_)
            | Self::SetProperty { .. }
            | Self::SetSummary { .. }
            | Self::AddUrl { .. }
            | Self::WriteLog { .. }
            | Self::ReadLog { .. }
            | Self::RecordTests { .. }
            | Self::RecordValue { .. }
            | Self::SetData { .. } => true,
        }
    }
}

/// A child step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BeginStep {
    /// Name; made unique in the build by the engine.
    pub name: String,
    /// The child step that this one is inside of; none: the top-level step.
    pub parent: Option<Key>,
    /// Locks to hold while it runs.
    pub locks: Vec<LockAccess>,
}

/// The end of a child step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndStep {
    /// The key of its [`Ask::BeginStep`].
    pub begun: Key,
    /// How it ended.
    pub outcome: Outcome,
    /// One line; none for the usual words.
    pub summary: Option<String>,
    /// Whether pages leave it out by default.
    pub hidden: bool,
}

/// Builds to start through triggerable schedulers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TriggerSpec {
    /// Names of triggerable schedulers.
    pub schedulers: Vec<String>,
    /// Whether to wait until their builds ended.
    pub wait: bool,
    /// Properties for the builds, source `Trigger`.
    pub properties: Properties,
    /// What to check out; empty: the same as this build, at the revision it got.
    pub stamps: Vec<StampSpec>,
}

/// What was triggered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Triggered {
    /// The worst outcome; success if not waited for.
    pub outcome: Outcome,
    /// The builds, in order of schedulers and builders; empty if not waited for.
    pub builds: Vec<TriggeredBuild>,
}

/// A build that was triggered and waited for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TriggeredBuild {
    /// The builder's name.
    pub builder: String,
    /// Its id.
    pub builder_id: BuilderId,
    /// The last build of the request; none if it was cancelled before it ran.
    pub build: Option<BuildId>,
    /// Its number.
    pub number: Option<u64>,
    /// How it ended.
    pub outcome: Outcome,
}

/// The answer to an ask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// It is done, there is nothing to tell.
    Done,
    /// A command ended.
    Command(CommandResult),
    /// The time.
    Time(Timestamp),
    /// Triggered builds (ended, if waited for).
    Triggered(Triggered),
}

/// An ask in the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The ask.
    pub ask: Ask,
    /// Its answer, once there is one.
    pub answer: Option<Answer>,
    /// The command on the worker, for those that have one.
    pub command: Option<CommandId>,
    /// The step it belongs to.
    pub step: StepId,
}

/// The asks of the step in progress, in order of their keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Journal(pub BTreeMap<Key, Entry>);
