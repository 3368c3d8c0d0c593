//! Scenarios in virtual time: a world with workers, changes and people around a real engine.

mod builds;
mod locks;
mod matching;
mod plans;
mod polls;
mod recovery;
mod reload;
mod reports;
mod requests;
mod schedulers;
mod script;
mod stops;
mod triggers;
mod workers;
mod world;

/// Deliberate bugs, to see whether the simulator finds them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bug {}
