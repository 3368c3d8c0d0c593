//! Scenarios in virtual time: a world with workers, changes and people around a real engine.

mod builds;
mod clocks;
mod decisions;
mod directories;
mod lending;
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
pub(super) mod sim;
mod stops;
mod triggers;
mod waiting;
mod workers;
mod world;
