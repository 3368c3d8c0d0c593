//! What the engine orders. The shell carries effects out after the turn's events are durable (evaluations, which
//! are pure, also before); each can be ordered again after a crash, so each is idempotent or carries an id.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::Timestamp;
use crate::model::{
    BuildId, BuilderId, BuildsetId, ChangeId, CommandId, CommandSpec, ConfigDigest, Cursor, EnvValue, EvalJob, Fact,
    FileCommand, LogId, PlanChange, Report, RequestId, SchedulerId, StepId, StopLevel, UserFunction,
};

/// What came of one input.
#[derive(Clone, Debug, Default)]
pub struct Decided {
    /// What became true, in order; already part of the engine's state, not yet durable.
    pub facts: Vec<Arc<Fact>>,
    /// What to do about it, in order.
    pub effects: Vec<Effect>,
}

/// Why the engine wants to be woken.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WakeReason {
    /// The quiet period of a scheduler ends.
    QuietPeriod(String),
    /// A timed scheduler is due.
    Scheduler(String),
    /// A poll is due.
    Poll(String),
    /// A wait in a build script ends.
    Wait(BuildId),
    /// A step is tried again.
    Retry(BuildId),
    /// A stop has not helped so far.
    Stop(BuildId),
    /// A lost worker is given up.
    GiveUp(String),
    /// A stock worker has killed what it was told to.
    Leftovers(String),
    /// A report is tried again.
    Report(u64),
    /// A server that took no report has been left alone for long enough.
    Destination(String),
    /// A retried request may start again.
    Request(RequestId),
    /// A scheduler's function is asked again.
    Decision(String),
    /// A builder's queue functions are asked again.
    Queue(BuilderId),
    /// A user function that failed has answered for a while.
    Recovery(UserFunction),
    /// A script is evaluated again after its process was lost.
    Evaluation(BuildId),
    /// What a pass had no time for goes on.
    Postponed,
}

/// An order.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Answer an asker.
    Reply { ticket: super::Ticket, reply: Reply },
    /// Poll a source from this cursor; none: take the tips without history.
    Poll { source: String, cursor: Option<Cursor> },
    /// Evaluate a build script; comes back as [`super::Input::Evaluated`] with the job's turn.
    Evaluate { build: BuildId, job: Arc<EvalJob> },
    /// Send a command to a worker. Its logs exist before the first byte arrives.
    Dispatch(Box<CommandOrder>),
    /// Make a command of this worker stop.
    Interrupt { worker: String, epoch: u64, command: CommandId, level: StopLevel, why: String },
    /// Ask a worker that just connected, and resumes, which of these commands it still has: all that it was sent under
    /// the instance it told, perhaps none; what is not listed, it stops. The orders are whole: after a restart of
    /// the master only the engine knows where their output goes. Comes back as [`super::Input::Resumed`].
    Resume { worker: String, epoch: u64, commands: Vec<CommandOrder> },
    /// Stop leftovers of an earlier connection that nobody waits for any more (stock workers). Comes back as
    /// [`super::Input::Forgotten`].
    Forget { worker: String, epoch: u64, commands: Vec<CommandId> },
    /// Cut a worker's connection: an older one of the same name, or one given up.
    Disconnect { worker: String, epoch: u64, why: String },
    /// Tell a worker to end, and cut its connection soon whether it does or not.
    KillWorker { worker: String, epoch: u64, why: String },
    /// Tell a worker to end.
    ShutDownWorker { worker: String, epoch: u64 },
    /// Append whole lines to a log. `n` counts the master's writes to this log from 0: a write already
    /// there is left out.
    WriteLog { build: BuildId, log: LogId, n: u64, stream: char, text: String },
    /// Finish a log.
    CloseLog { build: BuildId, log: LogId },
    /// Deliver a report; comes back as `ReportSent` or `ReportFailed`.
    Deliver { report: Report },
}

/// A command for a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandOrder {
    pub worker: String,
    pub epoch: u64,
    pub command: CommandId,
    pub build: BuildId,
    pub builder: String,
    pub step: StepId,
    /// The builder's directory, relative to the worker's base directory.
    pub dir: String,
    pub work: Work,
    /// Logs by name (`stdio` and those of `log_files`).
    pub logs: BTreeMap<String, LogId>,
    /// The builder's environment, below the command's own.
    pub env: BTreeMap<String, EnvValue>,
    /// The plan whose secrets it may name.
    pub plan: ConfigDigest,
}

/// What a command does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    Run(CommandSpec),
    File(FileCommand),
}

/// What became of a change that somebody told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubmissionResult {
    /// It is recorded under this number.
    Recorded(ChangeId),
    /// The delivery came before, and recorded this change, if any. Nothing is recorded now.
    SameDelivery(Option<ChangeId>),
    /// A poller of its repository recorded it before.
    Known { change: ChangeId, source: String },
    /// A poller of its repository looks for it now, and will record it.
    Awaited { source: String },
    /// It was to wake the pollers of its repository, and there is none.
    NobodyPolls,
}

impl SubmissionResult {
    /// The number of a change that was recorded now.
    #[must_use]
    pub const fn recorded(&self) -> Option<ChangeId> {
        match self {
            Self::Recorded(id) => Some(*id),
            Self::SameDelivery(_) | Self::Known { .. } | Self::Awaited { .. } | Self::NobodyPolls => None,
        }
    }
}

impl std::fmt::Display for SubmissionResult {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Recorded(id) => write!(f, "change {id} is recorded"),
            Self::SameDelivery(Some(id)) => write!(f, "nothing is recorded: this delivery came before, as change {id}"),
            Self::SameDelivery(None) => f.write_str("nothing is recorded: this delivery came before"),
            Self::Known { change, source } => {
                write!(f, "nothing is recorded: poller `{source}` has recorded it before, as change {change}")
            }
            Self::Awaited { source } => write!(f, "poller `{source}` looks for it now, and records what it finds"),
            Self::NobodyPolls => f.write_str("nothing is recorded: no poller looks at this repository"),
        }
    }
}

/// What an asker is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Done, nothing to tell (also when there was nothing to do).
    Done,
    /// What became of the changes, in order.
    Changes(Vec<SubmissionResult>),
    /// A buildset was made; requests by builder.
    Buildset { buildset: BuildsetId, requests: BTreeMap<BuilderId, RequestId> },
    /// A configuration came into force, with these differences.
    Adopted { digest: ConfigDigest, changes: Vec<PlanChange> },
    /// A scheduler was switched.
    Scheduler(SchedulerId),
    /// The order makes no sense: the text for the caller, with what would do.
    Refused(String),
    /// The one who gave the order may not.
    Denied(String),
    /// A force form is wrong: field to text.
    Invalid(BTreeMap<String, String>),
    /// There is no such thing.
    Unknown(String),
}

/// When and why.
pub type Deadline = (Timestamp, WakeReason);
