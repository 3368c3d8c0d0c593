//! Our own worker, as a real process, against a scripted master on loopback.

mod commands;
mod files;
mod login;
pub mod scripted;
mod stock;
mod stopping;
mod survival;
