//! Starwright: a CI engine in one binary.
//!
//! `docs/ARCHITECTURE.md` describes the rooms and says which may import which; `tests/it/house.rs` compares that table
//! with the code.
#![deny(unsafe_code)]

pub mod base;
pub mod cli;
pub mod config;
pub mod engine;
pub mod evaluator;
pub mod master;
pub mod model;
pub mod notify;
pub mod protocol;
pub mod secrets;
pub mod store;
pub mod vcs;
pub mod web;
pub mod worker;
