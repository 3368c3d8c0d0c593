//! Scenarios in virtual time: a world with workers, changes and people around a real engine.

mod builds;
mod plans;
mod requests;
mod schedulers;
mod script;
mod world;

/// Deliberate bugs, to see whether the simulator finds them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bug {}
