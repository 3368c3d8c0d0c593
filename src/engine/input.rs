//! What the engine is told: observed or asked.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::{
    BuildId, BuilderId, BuildsetRecord, CommandId, CommandResult, Cursor, EvalOutcome, NewChange, Plan, ReportId,
    RequestId, StampSpec, Value,
};

/// Names one asker, so that the shell can give it the answer ([`super::Effect::Reply`]) once the
/// events behind it are durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// Exactly one thing that happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// A master process took up work on this state. Comes first, before any plan. The engine answers
    /// with the effects that should be under way (polls, evaluations, deliveries).
    Started { name: String, installation: String },
    /// It is about to end in order.
    Stopping,
    /// A configuration was loaded. The first one is adopted without comparison.
    PlanLoaded { plan: Arc<Plan>, cause: String, ticket: Option<Ticket> },
    /// A configuration was refused; recorded for the page and the API.
    PlanRefused { cause: String, message: String, ticket: Option<Ticket> },
    /// The deadline that [`super::Engine::deadline`] named has come (or any other moment).
    Woke,

    /// Changes from a hook, `sendchange` or a person.
    ChangesSeen { changes: Vec<NewChange>, by: Telling, ticket: Option<Ticket> },
    /// A poll ended.
    Polled { source: String, report: Result<ChangeReport, String> },
    /// Somebody wants this source (none: all) polled now.
    PollAsked { source: Option<String>, ticket: Option<Ticket> },

    /// Somebody wants builds.
    ForceAsked { ask: ForceAsk, ticket: Option<Ticket> },
    /// Somebody wants a build again.
    RebuildAsked { ask: RebuildAsk, ticket: Option<Ticket> },
    /// Somebody wants a build stopped.
    StopAsked { build: BuildId, why: String, by: String, ticket: Option<Ticket> },
    /// Somebody ends a build at once, as an exception, whatever it does: it cannot go on.
    EndAsked { build: BuildId, why: String, ticket: Option<Ticket> },
    /// Somebody wants a request cancelled (a running one's build is stopped).
    CancelAsked { request: RequestId, why: String, by: String, ticket: Option<Ticket> },
    /// Somebody changes a priority.
    PriorityAsked { request: RequestId, priority: i64, ticket: Option<Ticket> },
    /// Somebody switches a scheduler.
    EnableAsked { scheduler: String, enabled: bool, ticket: Option<Ticket> },
    /// Somebody pauses or unpauses a worker.
    PauseAsked { worker: String, paused: bool, reason: Option<String>, ticket: Option<Ticket> },
    /// Somebody wants a worker to finish and go.
    GracefulAsked { worker: String, ticket: Option<Ticket> },
    /// Somebody wants a worker to drop out at once.
    KillAsked { worker: String, why: String, ticket: Option<Ticket> },

    /// A worker's connection is ready. The epoch is the link's, higher than all before.
    WorkerConnected { worker: String, epoch: u64, instance: String, resumes: bool, info: BTreeMap<String, String> },
    /// What became of the commands that [`super::Effect::Resume`] asked about.
    Resumed { worker: String, epoch: u64, commands: Vec<ResumedCommand> },
    /// A worker's connection ended.
    WorkerLost { worker: String, epoch: u64, why: String },
    /// A command ended. From the present epoch, or (resumed) from an earlier one; once only, later
    /// ones are ignored.
    CommandEnded(CommandEnded),

    /// A build script was evaluated.
    Evaluated { build: BuildId, turn: u64, outcome: EvalOutcome },

    /// A report was delivered; `remarks` say what is wrong with it all the same: who was left out, which template failed.
    ReportSent { report: ReportId, remarks: Vec<String> },
    /// It was not. `final_` when trying again cannot help (no recipient, refused address).
    ReportFailed { report: ReportId, error: String, final_: bool },
}

/// How somebody told of changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Telling {
    pub how: How,
    /// The name of this delivery, if the sender gives it one: the same name means the same delivery.
    pub delivery: Option<String>,
}

/// Who tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum How {
    /// A person or script that wants this change recorded.
    #[default]
    Sent,
    /// A hook of a repository, which a poller may look at, too.
    Hook,
}

/// A poll that went well.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChangeReport {
    /// New changes, oldest first.
    pub changes: Vec<NewChange>,
    /// What the source has seen, these changes included.
    pub cursor: Cursor,
}

/// Builds by hand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ForceAsk {
    /// A force scheduler; none: any force scheduler that has the builder, or, if there is none, directly.
    pub scheduler: Option<String>,
    /// Builder names; empty: all of the scheduler.
    pub builders: Vec<String>,
    /// Parameters by name.
    pub params: BTreeMap<String, Value>,
    /// What to check out; empty: the scheduler's codebases.
    pub stamps: Vec<StampSpec>,
    pub reason: String,
    pub owner: String,
    /// As given; the engine says whether it is a number.
    pub priority: Option<Value>,
}

/// A build again, from the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RebuildAsk {
    pub build: BuildId,
    pub builder: BuilderId,
    /// The buildset of the build's request.
    pub buildset: BuildsetRecord,
    pub owner: String,
}

/// The state of a command of an earlier connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResumedCommand {
    pub command: CommandId,
    pub state: ResumeState,
}

/// Whether the worker still has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResumeState {
    /// Runs, or ended and will be told about: it goes on.
    Known,
    /// The worker never got it, for certain: it can be sent.
    NeverSeen,
    /// It was cut off and cannot be taken up.
    Gone,
}

/// A command's end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandEnded {
    pub worker: String,
    pub epoch: u64,
    pub command: CommandId,
    pub result: CommandResult,
}
