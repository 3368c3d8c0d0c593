//! Values of secrets: where they come from, and how they are kept out of every output.
//!
//! Values exist only here, in the message to the worker, and in its runner. No value is ever part of an
//! error, a log line or a debug output.

mod forms;
mod provider;
mod redactor;

pub(crate) use provider::Revealed;
pub use provider::{SecretError, Secrets};
pub(crate) use redactor::Redactor;
