//! What is kept: facts, history records, configurations, logs.
//!
//! (Face. The insides are written by the store's owner; signatures here are what others build on.)

mod face;
pub use face::*;
