//! Which request gets which worker, and when.
//!
//! Only builders that something changed for are looked at, in order of their first request: higher priority, then the
//! longest waiting. A builder whose requests cannot start waits until its own slots, a worker's slots or locks change.

use std::sync::Arc;

use super::asking::{FunctionAnswer, NoAnswer};
use super::locking::{definitions, kin_of_request, merge_locks, queue};
use super::state::{AskedAt, LockHolder, LockRequest, Rank, Retry};
use super::timers::TimerKey;
use super::turn::Turn;
use crate::model::{
    BuildId, BuilderId, BuilderPlan, FnId, FunctionKind, LockAccess, Plan, Question, RequestId, UserFunction,
    WaitingRequest, dirs_clash,
};

/// `next_build` is shown at most so many requests, the first in the queue: a queue of ten thousand must not make each
/// question slow.
const SHOWN_MAX: usize = 100;

/// Where `can_start` or locks refuse a request, at most so many are tried.
pub(super) const TRIED_MAX: usize = 20;

/// Loads are compared in parts of a million of a worker's slots.
const LOAD_SCALE: u64 = 1_000_000;

/// What became of a look at a builder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MatchOutcome {
    Started,
    /// Nothing can start; with a wish for locks, or without.
    Claims,
    Nothing,
}

/// A worker that a request could go to, the directory that the build would have there, and the locks that it would take.
#[derive(Clone, Debug)]
pub(super) struct Placement {
    pub worker: String,
    pub dir: String,
    /// The build whose slot it would use.
    pub lender: Option<BuildId>,
    pub locks: Vec<LockAccess>,
}

impl Turn<'_> {
    /// Looks at all builders that something changed for.
    pub fn match_requests(&mut self) {
        let Some(plan) = self.plan() else {
            self.in_flight.builders.clear();
            return;
        };
        let noted = std::mem::take(&mut self.in_flight.builders);
        let mut ranked: std::collections::BTreeSet<(Option<Rank>, BuilderId)> =
            noted.into_iter().map(|builder| (self.first_rank(builder), builder)).collect();
        while let Some((rank, builder)) = ranked.pop_first() {
            let look = match rank {
                Some(_) if !self.in_flight.free.is_empty() => self.look_and_plan(&plan, builder),
                Some(_) | None => MatchOutcome::Nothing,
            };
            match look {
                MatchOutcome::Started => {
                    // The next one of this builder is looked at in its own turn.
                    ranked.insert((self.first_rank(builder), builder));
                }
                MatchOutcome::Claims => {}
                MatchOutcome::Nothing => {
                    self.suspend_claim(builder);
                }
            }
        }
    }

    /// The place in the queue of the first request that may start now.
    fn first_rank(&self, builder: BuilderId) -> Option<Rank> {
        self.ready(builder).next()
    }

    /// Requests of a builder that may start now, first ones first.
    fn ready(&self, builder: BuilderId) -> impl Iterator<Item = Rank> + '_ {
        let rests =
            |id: &RequestId| self.state.requests.get(id).is_some_and(|request| request.rests(self.now).is_some());
        self.state.index.waiting.get(&builder).into_iter().flatten().copied().filter(move |(_, _, id)| !rests(id))
    }

    /// Looks at a builder, and plans to look again if a user function left something open.
    fn look_and_plan(&mut self, plan: &Arc<Plan>, builder: BuilderId) -> MatchOutcome {
        self.asked.no_answer = None;
        let look = self.look_at_builder(plan, builder);
        if !self.plan_retry(builder) {
            self.in_flight.retries.remove(&builder);
            self.touch(TimerKey::Builder(builder));
        }
        look
    }

    /// Plans to look at a builder again if a user function left something open since somebody last looked.
    pub fn plan_retry(&mut self, builder: BuilderId) -> bool {
        let no_answer = self.asked.no_answer.take().filter(|no_answer| *no_answer != NoAnswer::Suspended);
        let Some(no_answer) = no_answer else { return false };
        let known = self.in_flight.retries.get(&builder).copied().unwrap_or_default();
        let tries = known.tries + u32::from(no_answer == NoAnswer::Failed);
        self.in_flight.retries.insert(builder, Retry { tries, due: self.retry_at(no_answer, tries) });
        self.touch(TimerKey::Builder(builder));
        true
    }

    fn look_at_builder(&mut self, plan: &Arc<Plan>, builder: BuilderId) -> MatchOutcome {
        let name = self.state.builders.get(&builder).map(|builder| builder.name.as_str());
        let Some(builder_plan) = name.and_then(|name| plan.builders.get(name)) else { return MatchOutcome::Nothing };
        if !self.builder_has_slot(builder_plan, builder) {
            return MatchOutcome::Nothing;
        }
        let roomy = self.roomy_workers(builder_plan, builder);
        if roomy.is_empty() {
            return MatchOutcome::Nothing;
        }
        for request in self.choose_requests(builder_plan, builder) {
            let places = self.places(plan, builder_plan, request, &roomy);
            if !places.is_empty() {
                return self.start_or_claim(plan, builder_plan, builder, request, places);
            }
        }
        MatchOutcome::Nothing
    }

    /// Whether a builder may run one more build, wherever.
    pub fn builder_has_slot(&self, plan: &BuilderPlan, builder: BuilderId) -> bool {
        let running = self.state.index.builds_of_builder.get(&builder).map_or(0, std::collections::BTreeSet::len);
        plan.slots.is_none_or(|slots| (running as u64) < slots)
    }

    /// The requests to try, in order: the one that the builder's function chooses, or the first - and those behind it as
    /// far as a function may refuse it.
    fn choose_requests(&mut self, plan: &BuilderPlan, builder: BuilderId) -> Vec<RequestId> {
        let many = if plan.next_build.is_some() {
            SHOWN_MAX
        } else if plan.can_start.is_some() {
            TRIED_MAX
        } else {
            1
        };
        let ids: Vec<RequestId> = self.ready(builder).take(many).map(|(_, _, id)| id).collect();
        self.choose_among(plan, ids)
    }

    /// The one of these requests that the builder's function chooses; without a function, all.
    pub fn choose_among(&mut self, plan: &BuilderPlan, ids: Vec<RequestId>) -> Vec<RequestId> {
        let Some(function) = plan.next_build else { return ids };
        let ids: Vec<RequestId> = ids.into_iter().take(SHOWN_MAX).collect();
        let requests: Vec<Arc<WaitingRequest>> = ids.iter().filter_map(|id| self.waiting_request(*id)).collect();
        let question = Question::NextBuild { builder: plan.name.clone(), requests };
        let chosen = self.decide(&self.function(FunctionKind::NextBuild, plan), function, question);
        choose(chosen, &ids).into_iter().collect()
    }

    fn function(&self, kind: FunctionKind, plan: &BuilderPlan) -> UserFunction {
        UserFunction::new(kind, self.state.builder_id(&plan.name))
    }

    /// Workers that have a slot for the builder, and its directory there.
    fn roomy_workers(&self, plan: &BuilderPlan, builder: BuilderId) -> Vec<(String, String)> {
        let free = plan.workers.iter().filter(|worker| self.in_flight.free.contains(*worker));
        free.filter_map(|worker| Some((worker.clone(), self.free_dir(plan, builder, worker)?))).collect()
    }

    /// The directory that the builder's next build gets on a worker: the lowest that nothing uses. None if it runs as
    /// many builds there as it may, or if all of its directories are in use.
    pub fn free_dir(&self, plan: &BuilderPlan, builder: BuilderId, worker: &str) -> Option<String> {
        sabotage!(DirShared => return Some(plan.dir.clone()));
        let running = self.state.builds_on(worker).into_iter().filter_map(|id| self.state.builds.get(&id));
        let own = running.filter(|build| build.builder_id == builder).count() as u64;
        if own >= plan.slots_per_worker.max(1) {
            return None;
        }
        let used = self.state.dirs_in_use(worker);
        plan.slot_dirs().find(|dir| !used.iter().any(|(_, used)| dirs_clash(used, dir)))
    }

    /// Places that the request could go to, most willing first: least loaded, then longest unused.
    fn places(
        &mut self,
        plan: &Plan,
        builder: &BuilderPlan,
        request: RequestId,
        roomy: &[(String, String)],
    ) -> Vec<Placement> {
        let mut free: Vec<&(String, String)> = roomy.iter().collect();
        free.sort_by_key(|(worker, _)| {
            let slots = plan.workers.get(worker).map_or(1, |worker| worker.slots.max(1));
            let load = self.state.slots_taken(worker).saturating_mul(LOAD_SCALE) / slots;
            (load, self.state.workers.get(worker).map_or(0, |worker| worker.used))
        });
        let mut places = Vec::new();
        for (worker, dir) in free {
            if self.may_start_at(builder, worker, request) {
                let (worker, dir) = (worker.clone(), dir.clone());
                places.push(Placement { locks: locks_at(plan, builder, &worker), worker, dir, lender: None });
            }
        }
        places
    }

    /// Whether the builder's function lets a request start on a worker.
    pub fn may_start_at(&mut self, builder: &BuilderPlan, worker: &str, request: RequestId) -> bool {
        builder.can_start.is_none_or(|function| self.can_start(builder, function, worker, request))
    }

    fn can_start(&mut self, builder: &BuilderPlan, function: FnId, worker: &str, request: RequestId) -> bool {
        let Some(request) = self.waiting_request(request) else { return false };
        let worker = self.candidate_worker(worker);
        let question = Question::CanStart { builder: builder.name.clone(), worker, request };
        let said = self.decide(&self.function(FunctionKind::CanStart, builder), function, question);
        sabotage!(UndecidedStarts => if said.is_err() { return true });
        said.is_ok_and(|answer| answer.is_true())
    }

    /// Starts the request where it gets its locks; if that is nowhere, asks for those of the first place.
    fn start_or_claim(
        &mut self,
        plan: &Plan,
        builder_plan: &BuilderPlan,
        builder: BuilderId,
        request: RequestId,
        places: Vec<Placement>,
    ) -> MatchOutcome {
        let kin = kin_of_request(self.state, request);
        let open = self.open_places(builder, &kin, places.clone());
        if !open.is_empty() {
            return self.start_at(builder_plan, builder, request, open);
        }
        if let Some((breaker, open)) = self.find_deadlock_breaker(plan, builder_plan, builder, request) {
            return self.start_at(builder_plan, builder, breaker, open);
        }
        if let Some(first) = places.into_iter().next() {
            self.claim(builder, kin, &first.worker, first.locks);
        }
        MatchOutcome::Claims
    }

    fn start_at(
        &mut self,
        plan: &BuilderPlan,
        builder: BuilderId,
        request: RequestId,
        open: Vec<Placement>,
    ) -> MatchOutcome {
        let workers: Vec<String> = open.iter().map(|place| place.worker.clone()).collect();
        let Some(worker) = self.choose_worker(plan, workers, request) else { return MatchOutcome::Nothing };
        let Some(place) = open.into_iter().find(|place| place.worker == worker) else { return MatchOutcome::Nothing };
        let claim = self.unclaim(builder);
        self.start_build(plan, request, place, claim.map(|claim| claim.at));
        MatchOutcome::Started
    }

    fn open_places(&self, builder: BuilderId, kin: &[LockHolder], places: Vec<Placement>) -> Vec<Placement> {
        places.into_iter().filter(|place| self.may_lock(builder, kin, place)).collect()
    }

    /// A request behind the first one, `blocked`, that gets its locks although that one does not: a build waits for it that
    /// holds some of them, or others for which somebody waits who would have to go first, and gives them back only
    /// afterwards. To let it wait for its turn would be for ever.
    fn find_deadlock_breaker(
        &mut self,
        plan: &Plan,
        builder_plan: &BuilderPlan,
        builder: BuilderId,
        blocked: RequestId,
    ) -> Option<(RequestId, Vec<Placement>)> {
        let awaited = |id: &RequestId| self.state.requests.get(id).is_some_and(|request| request.waited_for);
        let behind = self.ready(builder).map(|(_, _, id)| id).filter(|id| *id != blocked && awaited(id));
        for request in behind.take(TRIED_MAX).collect::<Vec<_>>() {
            let kin = kin_of_request(self.state, request);
            if !kin.iter().any(|owner| self.state.locks.holds(*owner)) {
                continue;
            }
            let roomy = self.roomy_workers(builder_plan, builder);
            let places = self.places(plan, builder_plan, request, &roomy);
            let open = self.open_places(builder, &kin, places);
            if !open.is_empty() {
                return Some((request, open));
            }
        }
        None
    }

    pub fn may_lock(&self, builder: BuilderId, kin: &[LockHolder], place: &Placement) -> bool {
        if place.locks.is_empty() {
            return true;
        }
        let last: AskedAt = (self.state.seq, u64::MAX);
        let since = self.in_flight.claims.get(&builder).map_or(last, |claim| claim.since);
        let asker =
            LockRequest { since, kin: kin.to_vec(), worker: &place.worker, wants: &place.locks, transitive: false };
        let define = definitions(&self.in_flight.plans, self.state.plan.as_ref());
        self.state.locks.may_take(&asker, &queue(self.state, self.in_flight), &define)
    }

    /// The most willing of these workers, or the one that the builder's function chooses.
    pub fn choose_worker(&mut self, plan: &BuilderPlan, workers: Vec<String>, request: RequestId) -> Option<String> {
        let Some(function) = plan.next_worker else { return workers.into_iter().next() };
        let request = self.waiting_request(request)?;
        let candidates = workers.iter().map(|worker| self.candidate_worker(worker)).collect();
        let question = Question::NextWorker { builder: plan.name.clone(), workers: candidates, request };
        let chosen = self.decide(&self.function(FunctionKind::NextWorker, plan), function, question);
        choose(chosen, &workers)
    }
}

/// The locks that a build takes before its first step.
pub(super) fn locks_at(plan: &Plan, builder: &BuilderPlan, worker: &str) -> Vec<LockAccess> {
    let locks = plan.workers.get(worker).map_or(&[][..], |plan| &plan.locks);
    merge_locks(builder.locks.iter().chain(locks))
}

/// What a function chose of a list: an index, or nothing for now. If it failed, the first; if it was not asked, nothing.
fn choose<T: Clone>(chosen: FunctionAnswer, from: &[T]) -> Option<T> {
    match chosen {
        Err(NoAnswer::Failed | NoAnswer::Suspended) => from.first().cloned(),
        Err(NoAnswer::Postponed) => None,
        Ok(value) => {
            value.as_int().and_then(|index| usize::try_from(index).ok()).and_then(|index| from.get(index)).cloned()
        }
    }
}
