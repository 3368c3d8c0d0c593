//! Builds that may lend their slots, and builds that wait for theirs.

use std::collections::BTreeSet;

use crate::model::BuildId;

/// Who lends to whom is a fact; this is who may come to.
#[derive(Clone, Debug, Default)]
pub(in crate::engine) struct Slots {
    /// Builds that wait for builds which they triggered, and perhaps some that did.
    parents: BTreeSet<BuildId>,
    /// Builds that want to ask for a command, and wait for their slot, which they lent.
    waiting: BTreeSet<BuildId>,
}

impl Slots {
    /// Those that there are now.
    pub fn set_parents(&mut self, builds: impl IntoIterator<Item = BuildId>) {
        self.parents = builds.into_iter().collect();
    }

    /// A build waits for builds that it triggered.
    pub fn add_parents(&mut self, builds: impl IntoIterator<Item = BuildId>) {
        self.parents.extend(builds);
    }

    /// Forgets those that wait for nothing any more.
    pub fn keep_parents(&mut self, waits: impl Fn(BuildId) -> bool) {
        self.parents.retain(|build| waits(*build));
    }

    /// In order of their ids.
    pub fn parents(&self) -> impl DoubleEndedIterator<Item = BuildId> {
        self.parents.iter().copied()
    }

    pub fn is_parent(&self, build: BuildId) -> bool {
        self.parents.contains(&build)
    }

    /// A build wants its slot back. False if it did already.
    pub fn wait(&mut self, build: BuildId) -> bool {
        self.waiting.insert(build)
    }

    pub fn waits(&self, build: BuildId) -> bool {
        self.waiting.contains(&build)
    }

    /// It has what it waited for, or needs it no more.
    pub fn wait_no_more(&mut self, build: BuildId) {
        self.waiting.remove(&build);
    }
}
