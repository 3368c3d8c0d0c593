//! The one integration binary: one link instead of thirty. `house.rs` fails when a file is forgotten here.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "tests start programs, read variables, and show logs"
)]

mod alerts;
mod bars;
mod chaos;
mod cli;
mod commits;
mod config_example;
mod config_git;
mod config_golden;
mod config_warnings;
mod core_files;
mod docs;
mod ends;
mod evaluator;
mod facts_golden;
mod files;
mod forges;
mod house;
mod link_ours;
mod link_recorded;
mod link_stock;
mod mail;
mod mail_smtp;
mod output;
mod people;
mod protocol_fixtures;
mod reference;
mod results;
mod stdlib;
mod stock_worker;
mod store;
mod store_command;
mod store_crash;
mod store_damage;
mod store_disk;
mod store_golden;
mod store_maintain;
mod store_points;
mod store_retention;
mod store_trouble;
mod support;
mod system;
mod test_formats;
mod two_browsers;
mod vcs_git;
mod vcs_git_trouble;
mod vcs_hook;
mod vcs_hook_forges;
mod vcs_hook_fuzz;
mod vcs_pulls;
mod vcs_trees;
mod web;
mod wire_golden;
mod worker;
