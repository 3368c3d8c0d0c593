//! Configurations come into force.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::filter::Filters;
use super::pass::Pass;
use super::schedulers::Links;
use super::state::State;
use super::{Reply, Ticket};
use crate::model::{
    BuilderAbout, BuilderId, ChangeSourceId, Event, FunctionKind, Plan, PlanChange, SchedulerId, UserFunction, WorkerId,
};

impl Pass<'_> {
    /// A configuration was loaded: compare it with the one in force, and put it in its place as one.
    pub fn plan_loaded(&mut self, plan: &Arc<Plan>, cause: String, ticket: Option<Ticket>) {
        let digest = plan.digest.clone();
        self.up.plans.insert(digest.clone(), Arc::clone(plan));
        // After a refusal the same one is adopted once more, so that the refusal is over for everybody.
        // So it is when somebody loads it again because functions failed: they are asked anew.
        let first = !std::mem::replace(&mut self.up.loaded, true);
        let afresh = self.state.refused || (!first && !self.state.troubles.is_empty());
        if self.state.plan.as_ref() == Some(&digest) && !afresh {
            return self.reply(ticket, Reply::Adopted { digest, changes: Vec::new() });
        }
        let mut changes = self.plan().map_or_else(Vec::new, |old| super::diff::compare(&old, plan));
        self.tell_left_requests(&mut changes);
        let builders = number(
            plan.builders.keys(),
            self.state.last.builder,
            |name| self.state.builder_ids.get(name).copied(),
            BuilderId,
        );
        let event = Event::PlanAdopted {
            digest: digest.clone(),
            cause,
            changes: changes.clone(),
            about: about(plan, &builders),
            builders,
            workers: number(
                plan.workers.keys(),
                self.state.last.worker,
                |name| self.state.workers.get(name).map(|worker| worker.id),
                WorkerId,
            ),
            schedulers: number(
                plan.schedulers.keys(),
                self.state.last.scheduler,
                |name| self.state.schedulers.get(name).map(|scheduler| scheduler.id),
                SchedulerId,
            ),
            change_sources: number(
                plan.change_sources.keys(),
                self.state.last.source,
                |name| self.state.sources.get(name).map(|source| source.id),
                ChangeSourceId,
            ),
        };
        self.up.claims.clear();
        self.up.asking = super::decide::Asking::default();
        self.up.retries.clear();
        self.up.postponed.clear();
        self.record(event);
        self.void_polls(&changes);
        self.up.prepare(self.state);
        self.complain_of_patterns();
        self.time_schedulers(&changes);
        self.dismiss_idle_workers();
        self.cancel_homeless();
        if changes.iter().any(|change| change.kind == "lock") {
            self.end_hopeless_waits();
        }
        self.reply(ticket, Reply::Adopted { digest, changes });
        self.up.prune = true;
    }

    /// A builder that goes leaves its waiting requests behind: whoever removed it is told.
    fn tell_left_requests(&self, changes: &mut [PlanChange]) {
        let gone = changes.iter_mut().filter(|change| change.kind == "builder" && change.what == "removed");
        for change in gone {
            let id = self.state.builder_ids.get(&change.name);
            match id.and_then(|id| self.state.index.waiting.get(id)).map_or(0, std::collections::BTreeSet::len) {
                0 => {}
                1 => change.what.push_str(", and one request waits for its return"),
                waiting => change.what.push_str(&format!(", and {waiting} requests wait for its return")),
            }
        }
    }

    fn complain_of_patterns(&mut self) {
        for (scheduler, message) in std::mem::take(&mut self.up.filters.problems) {
            self.function_failed(&UserFunction::new(FunctionKind::Pattern, scheduler), &message, 0);
        }
    }
}

/// What pages tell about each builder.
fn about(plan: &Plan, ids: &BTreeMap<String, BuilderId>) -> BTreeMap<BuilderId, BuilderAbout> {
    let about = |name: &String, id: &BuilderId| {
        let builder = plan.builders.get(name)?;
        let (tags, description) = (builder.tags.clone(), builder.description.clone());
        Some((*id, BuilderAbout { tags, description, workers: builder.workers.clone() }))
    };
    ids.iter().filter_map(|(name, id)| about(name, id)).collect()
}

impl super::underway::Underway {
    /// Works out what follows from the configuration in force.
    pub fn prepare(&mut self, state: &State) {
        let Some(plan) = state.plan.as_ref().and_then(|digest| self.plans.get(digest)) else { return };
        self.filters = Filters::of(plan);
        self.links = Links::of(plan);
        self.builders_of_worker = BTreeMap::new();
        for builder in plan.builders.values() {
            let Some(id) = state.builder_ids.get(&builder.name) else { continue };
            for worker in &builder.workers {
                self.builders_of_worker.entry(worker.clone()).or_default().push(*id);
            }
        }
    }
}

/// Ids for all names: the known ones keep theirs.
fn number<'n, Id>(
    names: impl Iterator<Item = &'n String>,
    mut last: u64,
    known: impl Fn(&str) -> Option<Id>,
    make: impl Fn(u64) -> Id,
) -> BTreeMap<String, Id> {
    names
        .map(|name| {
            let id = known(name).unwrap_or_else(|| {
                last += 1;
                make(last)
            });
            (name.clone(), id)
        })
        .collect()
}
