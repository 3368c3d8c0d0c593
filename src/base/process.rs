//! The one place that starts other processes.
//!
//! [`run`] is for short helpers such as `git`: bounded in time and output, and nothing of it stays behind.
//! [`which`] finds programs.

mod run;
mod which;

pub use run::{ProcessError, ProcessOutput, ProcessSpec, run};
pub use which::{which, which_in};
