//! The one place that starts other processes.
//!
//! [`run`] is for short helpers such as `git`: bounded in time and output, with nothing left behind. [`which`] finds
//! programs. [`ChildSpec`] is for the long-running commands of builds, and [`tree`] ends everything that they started.

mod child;
mod core_files;
mod files;
mod run;
#[cfg(unix)]
pub mod tree;
mod umask;
mod which;

pub use child::{ChildSpec, HelperSpec, Input, spawn_ourselves, spawn_ourselves_for};
pub use core_files::forgo_core_files;
pub use files::open_files_max;
pub use run::{ProcessError, ProcessOutput, ProcessSpec, follow_lines, run};
pub use umask::{keep_private, users_umask, with_umask};
pub use which::which_in;
