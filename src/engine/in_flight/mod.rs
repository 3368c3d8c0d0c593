//! What this process has under way: orders given and not yet answered, and what is to be looked at again.
//!
//! None of it survives a restart, and none needs to: an engine that begins with an empty one orders again whatever its
//! state says should be under way.

mod claims;
mod connections;
mod evaluations;
mod finishing;
mod free_workers;
mod marks;
mod plans;
mod slots;

pub(super) use claims::SlotClaim;
pub(super) use finishing::Finish;

use self::claims::Claims;
use self::connections::Connections;
use self::evaluations::Evaluations;
use self::finishing::Finishing;
use self::free_workers::FreeWorkers;
use self::marks::Marks;
use self::plans::Plans;
use self::slots::Slots;
use super::asking::Asking;
use super::timers::Timers;

/// Everything that is not state, each part of it with a narrow face of its own. What only one part of the engine needs is
/// in [`super::settle::Parts`].
#[derive(Clone, Debug, Default)]
pub(super) struct InFlight {
    /// The configurations at hand.
    pub plans: Plans,
    /// Workers that new builds may go to.
    pub free_workers: FreeWorkers,
    /// What has to be looked at.
    pub marks: Marks,
    pub slots: Slots,
    pub evaluations: Evaluations,
    pub finishing: Finishing,
    pub claims: Claims,
    pub connections: Connections,
    pub timers: Timers,
    /// What is known of user functions.
    pub asking: Asking,
}
