//! Evaluators as real processes: what kills them, and what goes on.

mod bench;
mod command;
mod deaths;
mod fuzz;
mod loads;
pub mod programs;
