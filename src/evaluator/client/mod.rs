//! Starts children, asks them, bounds them, replaces them. Blocks; knows no async and evaluates nothing.

mod abnormal_exit;
mod abort;
mod attempt;
mod evaluator;
mod journals;
mod launcher;
#[cfg(unix)]
mod link;
#[cfg(not(unix))]
#[path = "link_threads.rs"]
mod link;
mod load;
mod process;
mod template;
mod templates;

pub use abnormal_exit::Lost;
pub use abort::Abort;
#[cfg(unix)]
pub use evaluator::Evaluation;
pub use evaluator::Evaluator;
pub use launcher::{Launcher, Mode};
#[cfg(unix)]
pub use link::Awaited;
pub use load::{Load, Loaded, load};
pub use process::KillHandle;
pub use template::Template;
pub use templates::{Readiness, RetiredTemplates, TemplateOrigin, Templates};
