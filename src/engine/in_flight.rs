//! What this process has under way: orders given and not yet answered, and what is to be looked at again.
//!
//! None of it survives a restart, and none needs to: an engine that begins with an empty one orders again whatever its
//! state says should be under way.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::asking::Asking;
use super::filter::Filters;
use super::links::Links;
use super::timers::{TimerKey, Timers};
use super::{
    Effect, Ticket,
    state::{AskedAt, LockHolder, Retry},
};
use crate::base::Timestamp;
use crate::model::{
    Actor, BuildContext, BuildId, BuilderId, BuildsetId, CommandId, ConfigDigest, EvalPart, ForceOrder, Key,
    LockAccess, Outcome, Plan, RequestId, StepId,
};

/// Everything that is not state.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "marks of what has to be looked at again")]
pub(super) struct InFlight {
    pub plans: BTreeMap<ConfigDigest, Arc<Plan>>,
    /// Configurations that open work needs and that cannot be loaded any more: why.
    pub unloadable: BTreeMap<ConfigDigest, String>,
    /// Compiled patterns of the configuration in force.
    pub filters: Filters,
    /// Which of its schedulers have to do with what.
    pub links: Links,
    /// Which builders a worker can build, by the configuration in force.
    pub builders_of_worker: BTreeMap<String, Vec<BuilderId>>,
    /// Workers that new builds may go to.
    pub free: BTreeSet<String>,
    /// Buildsets that may have ended.
    pub sets: BTreeSet<BuildsetId>,
    /// Builds to look at.
    pub builds: BTreeSet<BuildId>,
    /// Triggers whose buildsets have all ended, perhaps.
    pub ended_triggers: BTreeSet<(BuildId, Key)>,
    /// Builders whose requests to look at.
    pub builders: BTreeSet<BuilderId>,
    /// Whether to look at steps that wait for locks.
    pub locks: bool,
    /// Builds that wait for builds which they triggered, and perhaps some that did.
    pub parents: BTreeSet<BuildId>,
    /// Builds that want to ask for a command, and wait for their slot, which they lent.
    pub slot_waits: BTreeSet<BuildId>,
    /// Whether somebody may lend or borrow a slot who could not before.
    pub lend: bool,
    /// Whether builds may have come to wait for each other.
    pub deadlocks: bool,
    /// Whether configurations may have become needless.
    pub prune: bool,
    pub evaluations: BTreeMap<BuildId, Evaluation>,
    pub contexts: BTreeMap<BuildId, (StepId, Arc<BuildContext>)>,
    /// Steps whose body is done.
    pub finishing: BTreeMap<BuildId, Finish>,
    /// Builders whose next request could start but for locks.
    pub claims: BTreeMap<BuilderId, SlotClaim>,
    pub claims_made: u64,
    /// Workers that were asked what became of commands, since which epoch, and to which instance each was sent.
    pub resuming: BTreeMap<String, (u64, BTreeMap<CommandId, Option<String>>)>,
    /// Workers that were told to go, in which epoch.
    pub dismissed: BTreeMap<String, u64>,
    /// Sources that somebody wants polled now.
    pub wanted_polls: BTreeSet<String>,
    pub timers: Timers,
    pub touched: BTreeSet<TimerKey>,
    /// Writes to logs that the last process may not have carried out.
    pub again: Vec<Effect>,
    /// What is known of user functions.
    pub asking: Asking,
    /// What is looked at again, and not before then.
    pub postponed: BTreeMap<TimerKey, Timestamp>,
    /// Builders that a user function left in the dark: how often, and when they are looked at again.
    pub retries: BTreeMap<BuilderId, Retry>,
    /// Evaluations that are ordered again after their process was lost.
    pub evaluate_at: BTreeMap<BuildId, Timestamp>,
    /// What people asked for when no time was left for it.
    pub later: Vec<(ForceOrder, Actor, Option<Ticket>)>,
    /// New requests that `collapse` was not asked about for want of time.
    pub uncollapsed: BTreeSet<RequestId>,
    /// This process has taken its first configuration.
    pub loaded: bool,
    /// The last moment that was told.
    pub now: Timestamp,
}

/// The evaluation of a build's script.
#[derive(Clone, Debug, Default)]
pub(super) struct Evaluation {
    /// Counts the orders; answers to older ones are void.
    pub turn: u64,
    /// The newest order is not answered yet.
    pub in_flight: bool,
    /// Something changed: evaluate, now or after the one in flight.
    pub wanted: bool,
    /// What the newest order was for.
    pub part: Option<EvalPart>,
}

/// How a step's body ended, while its `hide_if` is asked.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Finish {
    pub outcome: Outcome,
    pub summary: Option<String>,
}

/// A builder's wish for locks.
#[derive(Clone, Debug)]
pub(super) struct SlotClaim {
    pub since: AskedAt,
    pub at: Timestamp,
    pub kin: Vec<LockHolder>,
    pub worker: String,
    pub wants: Vec<LockAccess>,
    /// Only locks are missing. If not, it keeps its place, but is nobody's hindrance.
    pub active: bool,
}
