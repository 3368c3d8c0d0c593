//! Facts: numbered events, each with its time and its cause, stored for good. The state of the engine and every record
//! of the history are folds over them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    Answer, Ask, BuildId, BuilderId, BuildsetRecord, Cause, Change, ChangeSourceId, CommandId, ConfigDigest, Cursor,
    EvalPart, Key, LockAccess, LogId, LogKind, NameChanges, NewChange, Outcome, PlanChange, ProjectChanges, Properties,
    Report, ReportId, RequestId, RequestRecord, SchedulerId, StepId, StopLevel, UserFunction, WorkerId,
};
use crate::base::{Span, Timestamp};

/// An event with its place in the order of all events, its time and its cause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    /// Counts from 1 without gaps.
    pub seq: u64,
    /// When it was decided, by the master's clock, which may jump.
    pub at: Timestamp,
    /// What woke the engine in the turn that decided it.
    pub cause: Cause,
    /// What became true.
    pub event: Event,
}

/// What became true.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// A master process took up work. `installation` is drawn once, when the store is made.
    MasterStarted { name: String, installation: String },
    /// It ended in order.
    MasterStopped,
    /// A configuration came into force. Carries only what differs from the one before, however large both are. `why`
    /// says for people what made the master load it.
    PlanAdopted {
        digest: ConfigDigest,
        why: String,
        changes: Vec<PlanChange>,
        builders: NameChanges<BuilderId>,
        workers: NameChanges<WorkerId>,
        schedulers: NameChanges<SchedulerId>,
        change_sources: NameChanges<ChangeSourceId>,
        /// What the pages tell about the builders for which it is new, so that it can still be told when the builder is
        /// gone.
        about: BTreeMap<BuilderId, BuilderAbout>,
        #[serde(default)]
        projects: ProjectChanges,
    },
    /// A configuration was refused; the old one stays. `message` is the report for people.
    PlanRefused { why: String, message: String },

    /// A change arrived.
    ChangeArrived { change: Change },
    /// A hook told of a change that these pollers of its repository will see: what they cannot know themselves.
    ChangeAnnounced { change: NewChange, sources: Vec<ChangeSourceId> },
    /// A delivery with a name was taken in; `change` is the first one that it recorded.
    DeliveryTaken { delivery: String, change: Option<super::ChangeId> },
    /// A poll ended well; `cursor` is what the source has seen now.
    SourcePolled { source: ChangeSourceId, cursor: Cursor },
    /// A poll failed; the next is due at `retry`.
    SourceFailed { source: ChangeSourceId, error: String, failures: u64, retry: Timestamp },

    /// A scheduler took a change and waits, at most until `due`, for others.
    ChangeQueued { scheduler: SchedulerId, change: super::ChangeId, important: bool, due: Option<Timestamp> },
    /// A timed scheduler's next moment; it may also have let one pass for want of changes (`skipped`).
    SchedulerTimed { scheduler: SchedulerId, next: Option<Timestamp>, skipped: bool },
    /// A person switched a scheduler on or off.
    SchedulerEnabled { scheduler: SchedulerId, enabled: bool },
    /// A scheduler's filter or `important` gave no answer about a change: it waits, and is asked about again at `retry`
    /// (none: with the next configuration).
    ChangeUndecided { scheduler: SchedulerId, change: super::ChangeId, tries: u32, retry: Option<Timestamp> },
    /// A change that waited for its scheduler's decision is not taken.
    ChangeDeclined { scheduler: SchedulerId, change: super::ChangeId, why: Declined },
    /// The properties of a scheduler's next buildset are not decided: it is made later.
    BuildsetUndecided { scheduler: SchedulerId, tries: u32, retry: Option<Timestamp> },
    /// A dependent scheduler owes a buildset of these sources.
    BuildsetOwed { scheduler: SchedulerId, stamps: Vec<super::StampSpec>, changes: Vec<super::ChangeId> },
    /// It is not made: too many are owed.
    BuildsetForgone { scheduler: SchedulerId, stamps: Vec<super::StampSpec>, changes: Vec<super::ChangeId> },

    /// A user function gave no answer: the first time since it last did, each time with another text (within a bound),
    /// and each time that it killed or outlasted its process; `losses` counts those. What is done without its answer
    /// tells [`FunctionKind::meanwhile`](super::FunctionKind::meanwhile). A configuration that comes into force ends
    /// all such troubles.
    ScriptFailed { function: UserFunction, message: String, losses: u32 },
    /// It killed or outlasted so many processes that it is not asked again before the next configuration.
    ScriptSuspended { function: UserFunction, message: String },
    /// It has answered again, and failed no more for a while.
    ScriptRecovered { function: UserFunction },

    /// A buildset and its requests. Takes the scheduler's queued changes that it names.
    BuildsetMade { buildset: BuildsetRecord, requests: Vec<RequestRecord> },
    /// Requests that another one's build will do the work of.
    RequestCollapsed { request: RequestId, into: RequestId },
    /// A person changed a priority.
    RequestPriority { request: RequestId, priority: i64 },
    /// A request ended.
    RequestEnded { request: RequestId, outcome: Outcome },
    /// A request waits again: its build ended with `retry`.
    RequestWaits { request: RequestId, why: String },
    /// All requests of a buildset ended.
    BuildsetEnded { buildset: super::BuildsetId, outcome: Outcome },

    /// A build took its requests, a worker's slot (its own, or that of the build that lends it one) and a directory there.
    BuildStarted {
        build: BuildId,
        number: u64,
        builder: BuilderId,
        worker: WorkerId,
        /// Its directory, below the worker's base directory: its own until its last command has ended.
        dir: String,
        /// The build whose slot it uses, one of those that wait for it.
        lender: Option<BuildId>,
        requests: Vec<RequestId>,
        plan: ConfigDigest,
        properties: Properties,
        changes: Vec<super::ChangeId>,
        reason: String,
    },
    /// A build (or its step) waits for locks, in this place of the queue. `state` tells people for which, and who holds
    /// it.
    LocksAwaited { build: BuildId, step: Option<StepId>, locks: Vec<LockAccess>, state: String },
    /// It got them.
    LocksTaken { build: BuildId, step: Option<StepId>, locks: Vec<LockAccess> },
    /// It gave them back.
    LocksReleased { build: BuildId, step: Option<StepId> },
    /// Its one-line state changed.
    BuildState { build: BuildId, state: String },

    /// A step began. `index` is its place in the builder's `steps` (none for `worker_preparation`),
    /// `key` that of its ask (child steps), `attempt` counts retries from 0.
    StepStarted {
        build: BuildId,
        step: StepId,
        number: u64,
        name: String,
        parent: Option<StepId>,
        index: Option<usize>,
        key: Option<Key>,
        attempt: u64,
        state: String,
    },
    /// A step's `do_if` was answered.
    StepDecided { build: BuildId, step: StepId, yes: bool },
    /// A step of the list is tried again at `at`.
    StepRetried { build: BuildId, step: StepId, at: Timestamp },
    /// A step ended.
    StepEnded { build: BuildId, step: StepId, outcome: Outcome, state: String, hidden: bool },

    /// A script asked. For commands: the id and the logs that are new.
    Asked {
        build: BuildId,
        step: StepId,
        key: Key,
        ask: Ask,
        command: Option<CommandId>,
        logs: Vec<LogOpened>,
        /// When a wait ends.
        due: Option<Timestamp>,
    },
    /// The process that evaluated the script died or was too late, in this step, for the `losses`th time in this build.
    EvaluationLost { build: BuildId, step: StepId, name: String, part: EvalPart, message: String, losses: u32 },
    /// The engine itself wrote to a log of a step. `opened` if the log is new.
    StepNoted { build: BuildId, step: StepId, note: Note, log: LogId, opened: Option<LogOpened>, text: String },
    /// The engine gave a step a link: to what it triggered.
    StepLinked { build: BuildId, step: StepId, name: String, url: String },
    /// A trigger could not be carried out, because the schedulers it names are not there to be triggered.
    TriggerRefused { build: BuildId, key: Key, why: String },
    /// The properties of what a trigger starts are not decided: tried again at `retry`; none: tried again now.
    TriggerUndecided { build: BuildId, key: Key, tries: u32, retry: Option<Timestamp> },
    /// It was answered.
    Answered { build: BuildId, key: Key, answer: Answer },
    /// A command that was cut off is given to the worker again under a new id.
    CommandRestarted { build: BuildId, key: Key, command: CommandId, why: String },
    /// A log will get no more lines.
    LogClosed { build: BuildId, step: StepId, log: LogId },
    /// A stop was asked; the build ends as soon as its command does, within a bound. `why` is for people.
    BuildStopping { build: BuildId, why: String, reason: StopReason, outcome: Outcome },
    /// A command is told to stop, or more sternly than before; at `due` a stronger means is used.
    StopEscalated { build: BuildId, command: CommandId, level: StopLevel, due: Timestamp },
    /// Nobody waits for a command any more, although it may still run: nothing stopped it in time, or its worker is away.
    CommandGivenUp { build: BuildId, command: CommandId },
    /// A build ended.
    /// `culprits` are the steps that gave it a bad outcome, in their order, the innermost each.
    BuildEnded { build: BuildId, outcome: Outcome, state: String, culprits: Vec<StepId> },

    /// A worker connected; `epoch` tells this connection from all earlier ones, which are void.
    WorkerConnected {
        worker: WorkerId,
        epoch: u64,
        /// Drawn at its process's start; empty for a stock worker.
        instance: String,
        /// Can take up commands of an earlier connection.
        resumes: bool,
        info: BTreeMap<String, String>,
    },
    /// It is gone; its builds wait for it until `give_up`.
    WorkerLost { worker: WorkerId, epoch: u64, why: String, give_up: Option<Timestamp> },
    /// A stock worker has confirmed the orders to kill these commands, which nobody waits for any more. They end soon, and
    /// it cannot say when.
    LeftoversInterrupted { worker: WorkerId, commands: Vec<CommandId> },
    /// A command that nobody waited for any more has ended, or a stock worker has had its time to kill it: its directory is
    /// free.
    LeftoverEnded {
        worker: WorkerId,
        command: CommandId,
        /// The worker told of its end, or never had it.
        heard: bool,
    },
    /// A person paused or unpaused it.
    WorkerPaused { worker: WorkerId, paused: bool, reason: Option<String> },
    /// It finishes its builds and takes no new ones.
    WorkerGraceful { worker: WorkerId, graceful: bool },

    /// A report went into the outbox.
    ReportQueued { report: Report },
    /// It can be delivered, but not as it is meant: without some recipients, or in other words. Follows before its end.
    ReportRemarked { report: ReportId, remarks: Vec<String> },
    /// It was delivered.
    ReportSent { report: ReportId },
    /// Delivery failed; tried again at `retry`.
    ReportFailed { report: ReportId, error: String, tries: u64, retry: Timestamp },
    /// It was given up.
    ReportDropped { report: ReportId, why: String },
    /// It is not needed any more: a later one about the same target says all.
    ReportSuperseded { report: ReportId, by: ReportId },
    /// Time spent waiting for locks outside steps.
    LocksWaited { build: BuildId, waited: Span },
}

impl Event {
    /// The build whose directory keeps this fact; none: it goes to the installation's own file.
    #[must_use]
    pub const fn build(&self) -> Option<BuildId> {
        match self {
            Self::BuildStarted { build, .. }
            | Self::LocksAwaited { build, .. }
            | Self::LocksTaken { build, .. }
            | Self::LocksReleased { build, .. }
            | Self::BuildState { build, .. }
            | Self::StepStarted { build, .. }
            | Self::StepDecided { build, .. }
            | Self::StepRetried { build, .. }
            | Self::StepEnded { build, .. }
            | Self::Asked { build, .. }
            | Self::EvaluationLost { build, .. }
            | Self::StepNoted { build, .. }
            | Self::StepLinked { build, .. }
            | Self::TriggerRefused { build, .. }
            | Self::TriggerUndecided { build, .. }
            | Self::Answered { build, .. }
            | Self::CommandRestarted { build, .. }
            | Self::LogClosed { build, .. }
            | Self::BuildStopping { build, .. }
            | Self::StopEscalated { build, .. }
            | Self::CommandGivenUp { build, .. }
            | Self::LocksWaited { build, .. }
            | Self::BuildEnded { build, .. } => Some(*build),
            Self::MasterStarted { .. }
            | Self::MasterStopped
            | Self::PlanAdopted { .. }
            | Self::PlanRefused { .. }
            | Self::ChangeArrived { .. }
            | Self::ChangeAnnounced { .. }
            | Self::DeliveryTaken { .. }
            | Self::SourcePolled { .. }
            | Self::SourceFailed { .. }
            | Self::ChangeQueued { .. }
            | Self::SchedulerTimed { .. }
            | Self::SchedulerEnabled { .. }
            | Self::ChangeUndecided { .. }
            | Self::ChangeDeclined { .. }
            | Self::BuildsetUndecided { .. }
            | Self::BuildsetOwed { .. }
            | Self::BuildsetForgone { .. }
            | Self::ScriptFailed { .. }
            | Self::ScriptSuspended { .. }
            | Self::ScriptRecovered { .. }
            | Self::BuildsetMade { .. }
            | Self::RequestCollapsed { .. }
            | Self::RequestPriority { .. }
            | Self::RequestEnded { .. }
            | Self::RequestWaits { .. }
            | Self::BuildsetEnded { .. }
            | Self::WorkerConnected { .. }
            | Self::WorkerLost { .. }
            | Self::LeftoversInterrupted { .. }
            | Self::LeftoverEnded { .. }
            | Self::WorkerPaused { .. }
            | Self::WorkerGraceful { .. }
            | Self::ReportQueued { .. }
            | Self::ReportRemarked { .. }
            | Self::ReportSent { .. }
            | Self::ReportFailed { .. }
            | Self::ReportDropped { .. }
            | Self::ReportSuperseded { .. } => None,
        }
    }
}

/// Why a build is told to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StopReason {
    /// Whoever gave the order that caused the fact wants it.
    Ordered,
    /// The build that triggered it and waited for it is over.
    ParentEnded(BuildId),
}

/// Why a change that waited for a decision is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Declined {
    /// The scheduler's filter says so, or it has no use for unimportant changes.
    Filter,
    /// Too many wait: the oldest leave.
    TooMany,
}

/// What the pages tell about a builder.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuilderAbout {
    pub tags: Vec<String>,
    pub description: Option<String>,
    /// Names of the workers that may build it.
    pub workers: Vec<String>,
    #[serde(default)]
    pub project: Option<String>,
}

/// What the engine writes to logs by itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Note {
    /// Why the step's script failed; once a step.
    ScriptFailed,
    /// What the worker said about the file command asked for at this key, which failed.
    FileFailed(Key),
}

/// A log that a command or script opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogOpened {
    pub log: LogId,
    pub name: String,
    pub slug: String,
    pub kind: LogKind,
}
