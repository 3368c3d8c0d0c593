//! Change sources: repositories and hook payloads to [`NewChange`](crate::model::NewChange).

mod face;
pub use face::*;
