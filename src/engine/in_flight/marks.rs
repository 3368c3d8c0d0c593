//! What has to be looked at because of what was recorded: the core lets each part look, until nothing is marked.

use std::collections::BTreeSet;

use crate::engine::timers::TimerKey;
use crate::model::{BuildId, BuilderId, BuildsetId, Key, RequestId};

/// Marks that are set by anybody, and taken by the core.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each a mark of its own")]
pub(in crate::engine) struct Marks {
    polls: BTreeSet<String>,
    buildsets: BTreeSet<BuildsetId>,
    triggers: BTreeSet<(BuildId, Key)>,
    builds: BTreeSet<BuildId>,
    builders: BTreeSet<BuilderId>,
    locks: bool,
    lending: bool,
    deadlocks: bool,
    plans: bool,
    timers: BTreeSet<TimerKey>,
    collapses: BTreeSet<RequestId>,
}

impl Marks {
    /// Somebody wants a source polled now.
    pub fn poll(&mut self, source: &str) {
        self.polls.insert(source.to_owned());
    }

    /// A buildset may have ended.
    pub fn buildset(&mut self, id: BuildsetId) {
        self.buildsets.insert(id);
    }

    /// All buildsets of a trigger may have ended: its build is to look.
    pub fn trigger(&mut self, build: BuildId, key: Key) {
        self.triggers.insert((build, key));
        self.builds.insert(build);
    }

    /// Builds may have something to do.
    pub fn builds(&mut self, ids: impl IntoIterator<Item = BuildId>) {
        self.builds.extend(ids);
    }

    /// Requests of builders may be able to start.
    pub fn builders(&mut self, ids: impl IntoIterator<Item = BuilderId>) {
        self.builders.extend(ids);
    }

    /// Steps that wait for locks may get them.
    pub const fn locks(&mut self) {
        self.locks = true;
    }

    /// Somebody may lend or borrow a slot who could not before.
    pub const fn lending(&mut self) {
        self.lending = true;
    }

    /// Builds may have come to wait for each other.
    pub const fn deadlocks(&mut self) {
        self.deadlocks = true;
    }

    /// Builds may wait for others which did not before: their slots can be lent, and there may be a deadlock.
    pub const fn waits(&mut self) {
        self.lending();
        self.deadlocks();
    }

    /// Configurations may have become needless.
    pub const fn plans(&mut self) {
        self.plans = true;
    }

    /// Moments may have changed.
    pub fn timers(&mut self, keys: impl IntoIterator<Item = TimerKey>) {
        self.timers.extend(keys);
    }

    /// No time was left to ask whether a new request collapses others: it is asked in the next pass.
    pub fn collapse(&mut self, request: RequestId) {
        self.collapses.insert(request);
    }

    pub fn has_collapses(&self) -> bool {
        !self.collapses.is_empty()
    }

    pub fn take_collapses(&mut self) -> BTreeSet<RequestId> {
        std::mem::take(&mut self.collapses)
    }

    pub fn take_poll(&mut self) -> Option<String> {
        self.polls.pop_first()
    }

    pub fn take_buildset(&mut self) -> Option<BuildsetId> {
        self.buildsets.pop_first()
    }

    /// Triggers of this build.
    pub fn take_triggers(&mut self, build: BuildId) -> Vec<Key> {
        let own = |(of, _): &(BuildId, Key)| *of == build;
        self.triggers.extract_if(.., own).map(|(_, key)| key).collect()
    }

    pub fn take_build(&mut self) -> Option<BuildId> {
        self.builds.pop_first()
    }

    pub fn has_builders(&self) -> bool {
        !self.builders.is_empty()
    }

    pub fn take_builders(&mut self) -> BTreeSet<BuilderId> {
        std::mem::take(&mut self.builders)
    }

    pub const fn take_locks(&mut self) -> bool {
        std::mem::replace(&mut self.locks, false)
    }

    pub const fn take_lending(&mut self) -> bool {
        std::mem::replace(&mut self.lending, false)
    }

    pub const fn take_deadlocks(&mut self) -> bool {
        std::mem::replace(&mut self.deadlocks, false)
    }

    pub const fn take_plans(&mut self) -> bool {
        std::mem::replace(&mut self.plans, false)
    }

    /// Forgets some, for tests that plant a bug.
    #[cfg(test)]
    pub fn keep_timers(&mut self, keep: impl Fn(&TimerKey) -> bool) {
        self.timers.retain(keep);
    }

    pub fn take_timers(&mut self) -> BTreeSet<TimerKey> {
        std::mem::take(&mut self.timers)
    }
}
