//! What the engine is told: observed or asked.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::Span;
use crate::model::{
    Actor, BuildId, Cause, CommandId, CommandResult, Cursor, EvalOutcome, NewChange, Order, Plan, ReportId,
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
    /// A configuration was loaded. The first one is adopted without comparison. `why` says for people what made the master
    /// load it, `cause` who or what it was.
    PlanLoaded { plan: Arc<Plan>, why: String, cause: Cause, ticket: Option<Ticket> },
    /// A configuration was refused; recorded for the page and the API.
    PlanRefused { why: String, cause: Cause, message: String, ticket: Option<Ticket> },
    /// The deadline that [`super::Engine::deadline`] named has come (or any other moment).
    Woke,

    /// A poll ended.
    Polled { source: String, report: Result<PollResult, String> },
    /// Somebody gives an order, and may. Reloads never come here: the shell loads configurations.
    Ordered { order: Order, by: Actor, ticket: Option<Ticket> },

    /// A worker's connection is ready. The epoch is the link's, higher than all before.
    WorkerConnected { worker: String, epoch: u64, instance: String, resumes: bool, info: BTreeMap<String, String> },
    /// What became of the commands that [`super::Effect::Resume`] asked about.
    Resumed { worker: String, epoch: u64, commands: Vec<ResumedCommand> },
    /// A stock worker has confirmed the orders of [`super::Effect::Forget`].
    Forgotten { worker: String, epoch: u64, commands: Vec<CommandId> },
    /// A worker's connection ended.
    WorkerLost { worker: String, epoch: u64, why: String },
    /// A command ended. From the present epoch, or (resumed) from an earlier one; once only, later
    /// ones are ignored.
    CommandEnded(CommandEnded),

    /// A build script was evaluated.
    Evaluated { build: BuildId, turn: u64, outcome: EvalOutcome },

    /// A report was delivered; `remarks` say what is wrong with it all the same: who was left out, which template failed.
    ReportSent { report: ReportId, remarks: Vec<String> },
    /// It was not. `final_` when trying again cannot help (no recipient, refused address). `pause` is how long the server
    /// wants to be left alone, if it said so.
    ReportFailed { report: ReportId, error: String, final_: bool, pause: Option<Span> },
}

/// A poll that went well.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PollResult {
    /// New changes, oldest first.
    pub changes: Vec<NewChange>,
    /// What the source has seen, these changes included.
    pub cursor: Cursor,
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
    Lost,
}

/// A command's end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandEnded {
    pub worker: String,
    pub epoch: u64,
    pub command: CommandId,
    pub result: CommandResult,
}
