//! The one integration binary: one link instead of thirty. `house.rs` fails when a file is forgotten here.
#![allow(clippy::disallowed_methods, reason = "tests start programs and read variables themselves")]

mod bars;
mod house;
mod protocol_fixtures;
mod store;
mod store_crash;
mod store_damage;
mod store_golden;
mod store_maintain;
mod support;
