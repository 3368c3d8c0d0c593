//! The reference model of names: which are in force, put together from what each configuration changed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use crate::model::{BuilderAbout, BuilderId, ChangeSourceId, NameChanges, Plan, SchedulerId, WorkerId};

/// The names of one kind that are in force.
#[derive(Clone, Debug)]
pub struct InForce<Id>(BTreeMap<Id, String>);

impl<Id> Default for InForce<Id> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<Id: Copy + Ord + Debug> InForce<Id> {
    /// Takes what a configuration changes. `known` are the names of all times.
    pub fn take(&mut self, changes: &NameChanges<Id>, known: &mut BTreeMap<Id, String>) {
        for id in &changes.removed {
            assert!(self.0.remove(id).is_some(), "names: {id:?} is removed, but not in force");
        }
        for (name, id) in &changes.added {
            let before = known.insert(*id, name.clone());
            assert!(before.is_none_or(|before| before == *name), "names: {id:?} is given to `{name}`, too");
            assert!(self.0.insert(*id, name.clone()).is_none(), "names: `{name}` is added, but in force");
        }
    }

    fn check<T>(&self, plan: &BTreeMap<String, T>) {
        let (here, there): (BTreeSet<_>, BTreeSet<_>) = (self.0.values().collect(), plan.keys().collect());
        assert!(here == there, "names: in force by facts: {here:?}, by the configuration: {there:?}");
    }
}

/// Those of all kinds, and what is told of builders.
#[derive(Clone, Debug, Default)]
pub struct NamesInForce {
    pub builders: InForce<BuilderId>,
    pub workers: InForce<WorkerId>,
    pub schedulers: InForce<SchedulerId>,
    pub sources: InForce<ChangeSourceId>,
    about: BTreeMap<BuilderId, BuilderAbout>,
}

impl NamesInForce {
    /// The changes of all configurations add up to the newest one.
    pub fn check(&mut self, plan: &Plan, about: &BTreeMap<BuilderId, BuilderAbout>) {
        self.builders.check(&plan.builders);
        self.workers.check(&plan.workers);
        self.schedulers.check(&plan.schedulers);
        self.sources.check(&plan.change_sources);
        self.about.extend(about.iter().map(|(id, about)| (*id, about.clone())));
        for (id, name) in &self.builders.0 {
            let (builder, about) = (&plan.builders[name], &self.about[id]);
            let same = about.tags == builder.tags
                && about.description == builder.description
                && about.workers == builder.workers
                && about.project == builder.project;
            assert!(same, "names: pages tell of `{name}` what is no longer so: {about:?}");
        }
    }
}
