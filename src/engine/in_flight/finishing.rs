//! Steps whose body is done, and that have yet to end: something of them still runs, or their `hide_if` is asked.

use std::collections::BTreeMap;

use crate::model::{BuildId, Outcome};

/// How a step's body ended.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::engine) struct Finish {
    pub outcome: Outcome,
    pub summary: Option<String>,
}

impl Finish {
    /// An outcome without words.
    pub const fn of(outcome: Outcome) -> Self {
        Self { outcome, summary: None }
    }
}

/// One a build at most.
#[derive(Clone, Debug, Default)]
pub(in crate::engine) struct Finishing {
    by_build: BTreeMap<BuildId, Finish>,
}

impl Finishing {
    /// The step in progress is to end like this, whatever its body said.
    pub fn put(&mut self, build: BuildId, finish: Finish) {
        self.by_build.insert(build, finish);
    }

    /// The body of the step in progress is done. False if it was already.
    pub fn begin(&mut self, build: BuildId, finish: Finish) -> bool {
        let is_new = !self.is(build);
        self.by_build.entry(build).or_insert(finish);
        is_new
    }

    /// Whether the step in progress is to end.
    pub fn is(&self, build: BuildId) -> bool {
        self.by_build.contains_key(&build)
    }

    /// How its body ended.
    pub fn outcome(&self, build: BuildId) -> Option<Outcome> {
        self.by_build.get(&build).map(|finish| finish.outcome)
    }

    /// The step ends.
    pub fn take(&mut self, build: BuildId) -> Option<Finish> {
        self.by_build.remove(&build)
    }
}
