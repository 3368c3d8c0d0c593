//! The shell: one task owns the engine; worker links, effects, reload, outbox, shutdown.

mod face;
pub use face::*;

pub use crate::engine::{ForceAsk, Reply};
pub use crate::vcs::HookError;
