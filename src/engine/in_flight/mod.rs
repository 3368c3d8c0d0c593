//! What this process has under way: orders given and not yet answered, and what is to be looked at again.
//!
//! None of it survives a restart, and none needs to: an engine that begins with an empty one orders again whatever its
//! state says should be under way.

mod claims;
mod connections;
mod evaluations;
mod finishing;
mod marks;
mod slots;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub(super) use claims::SlotClaim;
pub(super) use finishing::Finish;

use self::claims::Claims;
use self::connections::Connections;
use self::evaluations::Evaluations;
use self::finishing::Finishing;
use self::marks::Marks;
use self::slots::Slots;
use super::asking::Asking;
use super::filter::Filters;
use super::links::Links;
use super::state::Retry;
use super::timers::{TimerKey, Timers};
use super::{Effect, Ticket};
use crate::base::Timestamp;
use crate::model::{Actor, BuilderId, ConfigDigest, ForceOrder, Plan, RequestId};

/// Everything that is not state.
#[derive(Clone, Debug, Default)]
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
    /// What has to be looked at.
    pub marks: Marks,
    pub slots: Slots,
    pub evaluations: Evaluations,
    pub finishing: Finishing,
    pub claims: Claims,
    pub connections: Connections,
    pub timers: Timers,
    /// Writes to logs that the last process may not have carried out.
    pub again: Vec<Effect>,
    /// What is known of user functions.
    pub asking: Asking,
    /// What is looked at again, and not before then.
    pub postponed: BTreeMap<TimerKey, Timestamp>,
    /// Builders that a user function left in the dark: how often, and when they are looked at again.
    pub retries: BTreeMap<BuilderId, Retry>,
    /// What people asked for when no time was left for it.
    pub later: Vec<(ForceOrder, Actor, Option<Ticket>)>,
    /// New requests that `collapse` was not asked about for want of time.
    pub uncollapsed: BTreeSet<RequestId>,
    /// This process has taken its first configuration.
    pub loaded: bool,
    /// The last moment that was told.
    pub now: Timestamp,
}
