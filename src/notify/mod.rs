//! Reports to people: text (pure) and delivery (I/O), fed by the outbox.

mod face;
pub use face::*;
