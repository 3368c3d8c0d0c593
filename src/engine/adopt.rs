//! Configurations come into force.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::diff::{Ids, Known};
use super::filter::Filters;
use super::links::Links;
use super::state::State;
use super::turn::Turn;
use super::{Reply, Ticket};
use crate::model::{BuilderAbout, BuilderId, Difference, Event, FunctionKind, Plan, PlanChange, UserFunction};

impl Turn<'_> {
    /// A configuration was loaded: compare it with the one in force, and put it in its place as one. Gives what differs.
    pub fn plan_loaded(&mut self, plan: &Arc<Plan>, why: String, ticket: Option<Ticket>) -> Vec<PlanChange> {
        let digest = plan.digest.clone();
        self.in_flight.plans.insert(digest.clone(), Arc::clone(plan));
        // After a refusal the same one is adopted once more, so that the refusal is over for everybody.
        // So it is when somebody loads it again because functions failed: they are asked anew.
        let first = !std::mem::replace(&mut self.in_flight.loaded, true);
        let afresh = self.state.refused || (!first && !self.state.troubles.is_empty());
        if self.state.plan.as_ref() == Some(&digest) && !afresh {
            self.reply(ticket, Reply::Adopted { digest, changes: Vec::new() });
            return Vec::new();
        }
        let ids = Ids::of(plan, self.state);
        let known = Known { ids: &ids, state: self.state };
        let mut changes = self.plan().map_or_else(Vec::new, |old| super::diff::compare(&old, plan, &known));
        self.tell_left_requests(&mut changes);
        let event = Event::PlanAdopted {
            digest: digest.clone(),
            why,
            changes: changes.clone(),
            about: about(plan, &ids.builders),
            builders: ids.builders,
            workers: ids.workers,
            schedulers: ids.schedulers,
            change_sources: ids.change_sources,
        };
        self.in_flight.claims.clear();
        self.in_flight.asking = super::asking::Asking::default();
        self.in_flight.retries.clear();
        self.in_flight.postponed.clear();
        self.record(event);
        self.in_flight.prepare(self.state);
        self.complain_of_patterns();
        self.time_schedulers(&changes);
        self.dismiss_idle_workers();
        self.cancel_homeless();
        if changes.iter().any(|change| matches!(change, PlanChange::Lock { .. })) {
            self.end_hopeless_waits();
        }
        self.reply(ticket, Reply::Adopted { digest, changes: changes.clone() });
        self.in_flight.prune = true;
        changes
    }

    /// A builder that goes leaves its waiting requests behind: whoever removed it is told.
    fn tell_left_requests(&self, changes: &mut [PlanChange]) {
        for change in changes {
            if let PlanChange::Builder { id, how: Difference::Removed, waiting, .. } = change {
                *waiting = self.state.index.waiting.get(id).map_or(0, |requests| requests.len() as u64);
            }
        }
    }

    fn complain_of_patterns(&mut self) {
        for (scheduler, message) in std::mem::take(&mut self.in_flight.filters.problems) {
            let scheduler = self.state.scheduler_id(&scheduler);
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

impl super::in_flight::InFlight {
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
