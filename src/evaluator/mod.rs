//! Starlark in child processes: nothing in a configuration can crash, hang or exhaust the process that asks.
//!
//! ```text
//!   master, up, check                     starwright evaluator
//!  ┌──────────────────┐  load, fork, end  ┌──────────────┐ one for each configuration: loads it once
//!  │ Templates ───────┼──── socket ──────►│ template     │
//!  │                  │                   └──┬────────┬──┘ fork: shares the heap
//!  │ Evaluator ───────┼──── pipes ──────────►│evaluator│ turns, decisions, templates of reports
//!  └──────────────────┘                      └─────────┘
//! ```
//! `process` is what runs in the child; `client` starts, asks, bounds and replaces children. Both speak in [`message`]s.
//! The client uses `config` for files, sources and problems only: it evaluates nothing. See `docs/design/evaluator.md`.

mod client;
mod frame;
mod limits;
mod message;
mod process;

pub use client::{
    Abort, Evaluator, KillHandle, Launcher, Load, Loaded, Lost, Mode, Readiness, RetiredTemplates, Template,
    TemplateOrigin, Templates, load,
};
#[cfg(unix)]
pub use client::{Awaited, Evaluation};
pub use limits::Limits;
pub use process::main;

pub use crate::config::{ConfigDirectory, Problem, Refused, Sources, summary};
