//! Values of secrets: where they come from, and how they are kept out of every output.
//!
//! Values exist only here, in the message to the worker, and in its runner.

mod face;
pub use face::*;
