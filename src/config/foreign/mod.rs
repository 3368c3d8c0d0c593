//! Words that people bring along from Buildbot and from Python, and what to write instead.
//!
//! `buildbot` and `python` are tables; `lookup` finds the row for something that was not understood. The guide
//! for people who move from Buildbot is made of the same table.

mod buildbot;
mod lookup;
mod python;
#[cfg(test)]
mod tests;

pub(super) use buildbot::guide_table;
pub(super) use lookup::{argument, attribute, member, name, syntax, word};
