//! Workers that new builds may go to: kept, so that nothing has to look at all of them for each request.

use std::collections::BTreeSet;

/// Those that are connected, take builds and have a slot of their own.
#[derive(Clone, Debug, Default)]
pub(in crate::engine) struct FreeWorkers {
    names: BTreeSet<String>,
}

impl FreeWorkers {
    /// Notes whether one is free.
    pub fn note(&mut self, worker: &str, is_free: bool) {
        if is_free {
            self.names.insert(worker.to_owned());
        } else {
            self.names.remove(worker);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    pub fn contains(&self, worker: &str) -> bool {
        self.names.contains(worker)
    }
}
