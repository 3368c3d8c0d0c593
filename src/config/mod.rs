//! Starlark to [`Plan`](crate::model::Plan), and the evaluation of build scripts.
//!
//! Loading (`loader`) reads files, evaluates them within bounds, and collects what declarations say; all
//! problems are reported together. Evaluation (`evaluate`) is a pure function of recorded facts: no
//! clock, no randomness, no files, no network. Nobody else in the house knows Starlark.

#![expect(unsafe_code, reason = "starlark's derives implement its unsafe marker traits; this room writes none itself")]

mod args;
mod brackets;
mod check;
mod collect;
mod convert;
mod data;
mod declare;
mod directory_name;
mod evaluate;
mod fault;
mod files;
mod foreign;
mod globals;
mod library;
mod limits;
mod loader;
mod marks;
mod narrow;
mod omission;
mod output_words;
mod parse;
mod place;
mod problem;
mod pure;
mod reference;
mod registry;
mod scripts;
mod shell;
mod signature;
mod sources;
mod summary;
mod template;
mod texts;
mod values;

pub use evaluate::take_printed;
pub use files::{ConfigDirectory, ReadError};
#[cfg(test)]
pub use limits::STACK_BYTES;
pub use loader::{LoadFrom, LoadRequest, Loaded, load, load_for, load_sources};
pub use problem::{Problem, Refused};
pub use reference::{examples, names_of_buildbot, reference};
pub use scripts::{Cancel, Scripts};
pub use sources::Sources;
pub use summary::summary;
pub use texts::{LoadHost, Phase};
