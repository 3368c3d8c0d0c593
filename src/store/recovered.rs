//! What a restart begins with.

use crate::model::Fact;

/// What a restart needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// The newest whole snapshot of the engine: facts up to and including `.0` are in it.
    pub snapshot: Option<(u64, Vec<u8>)>,
    /// The facts after it, in order.
    pub facts: Vec<Fact>,
}
