//! The configurations at hand, and what follows from the one in force.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::engine::filter::Filters;
use crate::engine::links::Links;
use crate::engine::state::State;
use crate::model::{BuilderId, ConfigDigest, LockPlan, NewChange, Plan};

/// Plans by digest: the one in force, and those that open work still needs.
#[derive(Clone, Debug, Default)]
pub(in crate::engine) struct Plans {
    by_digest: BTreeMap<ConfigDigest, Arc<Plan>>,
    /// Those that open work needs and that cannot be loaded any more: why.
    unloadable: BTreeMap<ConfigDigest, String>,
    /// Compiled patterns of the one in force.
    filters: Filters,
    /// Which of its schedulers have to do with what.
    links: Links,
    /// Which of its builders a worker can build.
    builders_of_worker: BTreeMap<String, Vec<BuilderId>>,
    /// This process was given one since it started.
    given: bool,
}

impl Plans {
    /// A configuration is at hand.
    pub fn put(&mut self, plan: &Arc<Plan>) {
        self.by_digest.insert(plan.digest.clone(), Arc::clone(plan));
    }

    /// One that open work needs cannot be had.
    pub fn put_unloadable(&mut self, digest: ConfigDigest, why: String) {
        self.unloadable.insert(digest, why);
    }

    /// One of those at hand.
    pub fn get(&self, digest: &ConfigDigest) -> Option<&Arc<Plan>> {
        self.by_digest.get(digest)
    }

    /// Why one is not at hand.
    pub fn why_missing(&self, digest: &ConfigDigest) -> &str {
        self.unloadable.get(digest).map_or("it is not at hand", String::as_str)
    }

    /// What a process that starts has of them.
    pub fn of_started(&mut self) -> Self {
        let (by_digest, unloadable) = (std::mem::take(&mut self.by_digest), std::mem::take(&mut self.unloadable));
        Self { by_digest, unloadable, ..Self::default() }
    }

    /// A configuration is loaded. True the first time in this process.
    pub const fn note_given(&mut self) -> bool {
        !std::mem::replace(&mut self.given, true)
    }

    /// Forgets those that nothing needs.
    pub fn prune(&mut self, needed: impl FnOnce() -> BTreeSet<ConfigDigest>) {
        if self.by_digest.len() > 1 {
            let needed = needed();
            self.by_digest.retain(|digest, _| needed.contains(digest));
        }
    }

    /// Works out what follows from the one in force.
    pub fn prepare(&mut self, state: &State) {
        let Some(plan) = state.plan().and_then(|digest| self.by_digest.get(digest)) else { return };
        self.filters = Filters::of(plan);
        self.links = Links::of(plan);
        self.builders_of_worker = BTreeMap::new();
        for builder in plan.builders.values() {
            let Some(id) = state.builder_ids().get(&builder.name) else { continue };
            for worker in &builder.workers {
                self.builders_of_worker.entry(worker.clone()).or_default().push(*id);
            }
        }
    }

    /// Patterns that do not compile: which scheduler, and why. Each is told once.
    pub fn take_pattern_problems(&mut self) -> Vec<(String, String)> {
        self.filters.take_problems()
    }

    /// Whether a scheduler's filter takes a change, apart from its function.
    pub fn filter_takes(&self, scheduler: &str, change: &NewChange) -> bool {
        self.filters.takes(scheduler, change)
    }

    /// Whether a change is important by its files, where the scheduler names files.
    pub fn is_important(&self, scheduler: &str, change: &NewChange) -> bool {
        self.filters.is_important(scheduler, change)
    }

    /// Schedulers that look at changes, in order of their names.
    pub fn listeners(&self) -> Arc<[String]> {
        Arc::clone(&self.links.listeners)
    }

    /// Schedulers that wait for this one, in order of their names.
    pub fn dependents_of(&self, scheduler: &str) -> Arc<[String]> {
        self.links.dependents.get(scheduler).cloned().unwrap_or_default()
    }

    /// Builders that a worker can build.
    pub fn builders_of(&self, worker: &str) -> &[BuilderId] {
        self.builders_of_worker.get(worker).map_or(&[], Vec::as_slice)
    }

    /// What is configured of locks: in this configuration, or in any that builds still have.
    pub fn locks<'p>(&'p self, current: Option<&ConfigDigest>) -> impl Fn(&str) -> Option<&'p LockPlan> + use<'p> {
        let current = current.and_then(|digest| self.by_digest.get(digest));
        move |name| {
            let now = current.and_then(|plan| plan.locks.get(name));
            now.or_else(|| self.by_digest.values().find_map(|plan| plan.locks.get(name)))
        }
    }
}
