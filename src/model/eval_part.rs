//! The parts of a step that are evaluated on their own.

use serde::{Deserialize, Serialize};

/// Which part of a step to evaluate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum EvalPart {
    /// `do_if`: whether to run it at all. May look at files on the worker, and asks for nothing else.
    DoIf,
    /// The step itself.
    Body,
    /// `hide_if`: whether pages leave it out. May look at files on the worker, and asks for nothing else.
    HideIf,
}
