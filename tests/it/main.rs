//! The one integration binary: one link instead of thirty. `house.rs` fails when a file is forgotten here.
#![allow(clippy::disallowed_methods, reason = "tests start programs and read variables themselves")]

mod bars;
mod config_example;
mod config_git;
mod config_golden;
mod house;
mod link_ours;
mod link_recorded;
mod link_stock;
mod mail;
mod mail_smtp;
mod protocol_fixtures;
mod stdlib;
mod stock_worker;
mod store;
mod store_crash;
mod store_damage;
mod store_golden;
mod store_maintain;
mod support;
mod system;
mod vcs_git;
mod vcs_git_trouble;
mod vcs_hook;
mod web;
mod worker;
