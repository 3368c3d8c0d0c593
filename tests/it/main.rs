//! The one integration binary: one link instead of thirty. `house.rs` fails when a file is forgotten here.
#![allow(clippy::disallowed_methods, reason = "tests start programs and read variables themselves")]

mod bars;
mod house;
mod mail;
mod mail_smtp;
mod protocol_fixtures;
mod support;
mod worker;
