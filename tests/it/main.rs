//! The one integration binary: one link instead of thirty. `house.rs` fails when a file is forgotten here.
#![allow(clippy::disallowed_methods, reason = "tests start programs and read variables themselves")]

mod bars;
mod config_example;
mod config_git;
mod config_golden;
mod house;
mod mail;
mod mail_smtp;
mod link_ours;
mod link_recorded;
mod protocol_fixtures;
mod stdlib;
mod support;
mod system;
mod vcs_git;
mod vcs_git_trouble;
mod vcs_hook;
