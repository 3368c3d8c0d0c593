//! Starlark to [`Plan`](crate::model::Plan), and the evaluation of build scripts.
//!
//! (Face. The insides are written by the room's owner; signatures here are what others build on.)

mod face;
pub use face::*;
