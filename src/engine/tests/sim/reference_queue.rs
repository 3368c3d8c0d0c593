//! The reference model of the queue: requests, priorities, collapse, slots; who may start, who should have.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use super::reference::Reference;
use super::reference_reports::Occasion;
use crate::base::{Span, Timestamp};
use crate::model::{
    BuildId, BuilderId, BuildsetId, BuildsetRecord, ChangeId, CollapsePolicy, Event, Fact, Key, NotifyOn, Outcome,
    RequestId, RequestRecord, SchedulerKind, StepId,
};

/// A request that is open.
#[derive(Clone, Debug)]
pub struct RequestView {
    pub id: RequestId,
    pub set: BuildsetId,
    pub builder: BuilderId,
    pub priority: i64,
    pub order: Timestamp,
    pub waited_for: bool,
    pub build: Option<BuildId>,
    pub retries: u32,
    pub rests_until: Option<Timestamp>,
    pub collapsed: bool,
    /// Its changes and those of the requests that became one with it.
    pub changes: BTreeSet<ChangeId>,
    alike: String,
}

impl RequestView {
    pub const fn waits(&self) -> bool {
        self.build.is_none() && !self.collapsed
    }

    /// Whether it pauses. If its end is farther away than the longest pause, the clock went back, and it does not.
    fn rests(&self, at: Timestamp) -> bool {
        let longest = Span::from_minutes(11);
        self.rests_until.is_some_and(|until| until > at && until <= at.plus(longest))
    }

    const fn rank(&self) -> (Reverse<i64>, Timestamp, RequestId) {
        (Reverse(self.priority), self.order, self.id)
    }
}

/// A buildset.
#[derive(Clone, Debug)]
pub struct SetView {
    pub scheduler: String,
    /// Its requests, and how they ended.
    pub requests: Vec<(RequestId, Option<Outcome>)>,
    pub awaited_by: Option<(BuildId, Key, StepId)>,
    pub ended: Option<Outcome>,
    pub record: BuildsetRecord,
    /// Its changes and those of all requests that became one with its own.
    pub changes: BTreeSet<ChangeId>,
}

impl Reference {
    pub fn request(&mut self, id: RequestId) -> &mut RequestView {
        self.requests.get_mut(&id).unwrap_or_else(|| panic!("requests: {id} is not open"))
    }

    pub fn buildset_made(&mut self, set: &BuildsetRecord, requests: &[RequestRecord]) {
        self.fresh("buildset", set.id.0);
        let maker = set.made_by.name(|id| self.scheduler_names[&id].clone());
        self.changes_taken(&maker, &set.changes);
        let plan = self.plan.as_ref().and_then(|plan| plan.schedulers.get(&maker));
        if plan.is_some_and(|plan| matches!(plan.kind, SchedulerKind::Dependent { .. })) {
            *self.dependents.entry(maker.clone()).or_default() -= 1;
            self.carried.entry(maker.clone()).or_default().1.push(set.changes.clone());
        }
        let asked = self.triggering.clone().filter(|(build, ..)| set.parent == Some(*build) && set.rebuilt.is_none());
        let awaited_by = asked.filter(|asked| asked.3).map(|(build, key, step, _)| (build, key, step));
        for record in requests {
            self.fresh("request", record.id.0);
            assert_eq!(record.waited_for, awaited_by.is_some(), "triggers: request {}", record.id);
            self.add_request(record, set);
        }
        let ends = requests.iter().map(|request| (request.id, None)).collect();
        let view = SetView {
            scheduler: maker,
            requests: ends,
            awaited_by,
            ended: None,
            record: set.clone(),
            changes: set.changes.iter().copied().collect(),
        };
        self.sets.insert(set.id, view);
        for request in requests {
            self.reports_requests.insert(request.id, (request.builder, set.id));
            self.calls_for_reports(Occasion::Requested(request.id), &[NotifyOn::Pending].into());
        }
    }

    fn add_request(&mut self, record: &RequestRecord, set: &BuildsetRecord) {
        let view = RequestView {
            id: record.id,
            set: set.id,
            builder: record.builder,
            priority: record.priority,
            order: record.submitted,
            waited_for: record.waited_for,
            build: None,
            retries: 0,
            rests_until: None,
            collapsed: false,
            changes: set.changes.iter().copied().collect(),
            alike: alike(set),
        };
        if self.collapses_alike(record.builder) && !record.waited_for {
            let older = self
                .requests
                .values()
                .filter(|old| old.waits() && !old.waited_for && old.builder == view.builder && old.alike == view.alike);
            self.collapses.extend(older.map(|old| (old.id, record.id)).collect::<Vec<_>>());
        }
        self.begins_to_wait(record.builder);
        self.requests.insert(record.id, view);
    }

    fn begins_to_wait(&mut self, builder: BuilderId) {
        if !self.requests.values().any(|request| request.builder == builder && request.waits()) {
            self.queue_since.insert(builder, self.seq);
        }
    }

    fn collapses_alike(&self, builder: BuilderId) -> bool {
        let own = self.builder_plan(builder).and_then(|builder| builder.collapse.as_ref());
        let policy = own.or_else(|| self.plan.as_ref().map(|plan| &plan.master.collapse));
        matches!(policy, Some(CollapsePolicy::SameSource)) && self.builder_plan(builder).is_some()
    }

    pub fn collapsed(&mut self, old: RequestId, new: RequestId) {
        let at = self.collapses.iter().position(|pair| *pair == (old, new));
        let at = at.unwrap_or_else(|| panic!("collapse: {old} into {new}, but due are {:?}", self.collapses));
        self.collapses.remove(at);
        let older = self.request(old);
        assert!(older.waits(), "collapse: {old} does not wait");
        older.collapsed = true;
        let (order, priority, changes) = (older.order, older.priority, older.changes.clone());
        let newer = self.request(new);
        newer.changes.extend(&changes);
        let set = newer.set;
        newer.order = newer.order.min(order);
        newer.priority = newer.priority.max(priority);
        self.sets.get_mut(&set).unwrap().changes.extend(changes);
    }

    /// Whether a build waits for one that no configured builder can begin.
    fn lost_its_builder(&self, request: &RequestView) -> bool {
        request.waited_for && request.waits() && self.builder_plan(request.builder).is_none()
    }

    pub fn request_ended(&mut self, id: RequestId, outcome: Outcome) {
        let request = self.request(id).clone();
        match request.build {
            Some(build) => {
                let ended = self.ended_builds.get(&build);
                assert_eq!(ended, Some(&outcome), "requests: {id} ended, but its build {build}");
                assert_ne!(outcome, Outcome::Retry, "requests: {id} ended with a build that is to be tried again");
            }
            None if request.collapsed => assert_eq!(outcome, Outcome::Skipped, "collapse: {id}"),
            None => {
                assert_eq!(outcome, Outcome::Cancelled, "requests: {id} ended without a build");
                match self.awaiting_step(id) {
                    Some(_) if self.cancellable.contains(&id) || self.lost_its_builder(&request) => {}
                    Some(step) => self.parents_over.push(step),
                    None => assert!(self.cancellable.contains(&id), "requests: nobody cancelled {id}"),
                }
            }
        }
        self.collapses.retain(|(old, new)| *old != id && *new != id);
        self.requests.remove(&id);
        if request.build.is_none() {
            self.calls_for_reports(Occasion::RequestEnded(id), &[NotifyOn::Pending].into());
        }
        let set = self.sets.get_mut(&request.set).unwrap();
        for (_, end) in set.requests.iter_mut().filter(|(request, _)| *request == id) {
            *end = Some(outcome);
        }
    }

    pub fn request_waits(&mut self, id: RequestId) {
        let at = self.at;
        let request = self.request(id);
        let build = request.build.unwrap_or_else(|| panic!("requests: {id} waits already"));
        let builder = request.builder;
        assert_eq!(self.ended_builds.get(&build), Some(&Outcome::Retry), "requests: {id} waits again after {build}");
        self.begins_to_wait(builder);
        let request = self.request(id);
        request.build = None;
        request.retries += 1;
        let pause = 10_000_u64.saturating_mul(1 << request.retries.saturating_sub(2).min(16)).min(600_000);
        request.rests_until = (request.retries > 1).then(|| at.plus(Span::from_millis(pause)));
    }

    pub fn buildset_ended(&mut self, id: BuildsetId, outcome: Outcome) {
        let set = self.sets.get_mut(&id).unwrap_or_else(|| panic!("buildsets: there is no {id}"));
        assert!(set.ended.is_none(), "buildsets: {id} ended twice");
        let ends: Option<Vec<Outcome>> = set.requests.iter().map(|(_, end)| *end).collect();
        let ends = ends.unwrap_or_else(|| panic!("buildsets: {id} ended before its requests: {:?}", set.requests));
        let worst = ends.into_iter().fold(Outcome::Skipped, Outcome::worse);
        assert_eq!(worst, outcome, "buildsets: {id}");
        set.ended = Some(outcome);
        self.calls_for_reports(Occasion::SetEnded(id), &[NotifyOn::Set].into());
        let set = &self.sets[&id];
        let (scheduler, changes) = (set.scheduler.clone(), set.changes.iter().copied().collect::<Vec<_>>());
        if !matches!(outcome, Outcome::Success | Outcome::Warnings) {
            return;
        }
        let Some(plan) = self.plan.clone() else { return };
        for after in plan.schedulers.values().filter(|after| !self.disabled.contains(&after.name)) {
            if matches!(&after.kind, SchedulerKind::Dependent { upstream } if *upstream == scheduler) {
                *self.dependents.entry(after.name.clone()).or_default() += 1;
                self.carried.entry(after.name.clone()).or_default().0.push(changes.clone());
            }
        }
    }

    // --- starts

    pub fn check_start(&mut self, fact: &Fact) {
        let Event::BuildStarted { number, builder: builder_id, worker, dir, lender, requests, plan, build, .. } =
            &fact.event
        else {
            return;
        };
        let worker = &self.worker_names[worker].clone();
        self.fresh("build", build.0);
        let last = self.numbers.entry(*builder_id).or_default();
        assert_eq!(*number, *last + 1, "ids: the number of build {build}");
        *last += 1;
        let force = self.plan.as_ref().map(|plan| &plan.digest);
        assert_eq!(Some(plan), force, "starts: build {build} pins another configuration than the one in force");
        let found = self.builder_plan(*builder_id).unwrap_or_else(|| panic!("starts: builder {builder_id} is gone"));
        assert!(found.workers.contains(worker), "starts: build {build} is not for `{worker}`");
        assert!(self.builder_has_room(*builder_id), "slots: builder {builder_id} has none for build {build}");
        self.check_directory(*build, *builder_id, worker, dir);
        if let Some(lender) = lender {
            let takes = self.workers.get(worker).is_some_and(|view| view.epoch.is_some() && !view.paused);
            assert!(takes, "starts: build {build} on `{worker}`, which takes none");
            return self.check_lender(*build, requests[0], worker, *lender);
        }
        self.check_worker(worker, *build);
        for request in requests {
            let first = self.first_ready(*builder_id).map(|first| first.id);
            let right = first == Some(*request) || self.is_pressing(*builder_id, *request);
            let right = right || self.is_moody(*builder_id);
            assert!(right, "priorities: build {build} takes {request}, but the first is {first:?}");
        }
        // A builder's turn comes with its first request.
        let rank = self.first_ready(*builder_id).map_or_else(|| self.requests[&requests[0]].rank(), RequestView::rank);
        for other in self.waiting_builders().filter(|other| other != builder_id) {
            if self.is_moody(other) || self.is_moody(*builder_id) {
                continue;
            }
            let Some(first) = self.first_ready(other).filter(|first| first.rests_until.is_none()) else { continue };
            let could = self.wants_of(other).is_empty()
                && self.builder_has_room(other)
                && self.has_directory(other, worker)
                && self.builder_plan(other).is_some_and(|plan| plan.workers.contains(worker));
            assert!(!could || first.rank() > rank, "priorities: build {build} overtakes {first:?} on `{worker}`");
        }
    }

    /// Whether a build waits for this request that holds a lock of its builder, or one for which somebody waits whom the
    /// builder would have to let pass.
    fn is_pressing(&self, builder: BuilderId, request: RequestId) -> bool {
        let Some(step) = self.awaiting_step(request) else { return false };
        let (kin, wants) = (self.kin(step), self.wants_of(builder));
        let passes = |lock: &String| {
            let both = |theirs: &BTreeSet<String>| theirs.contains(lock) && !theirs.is_disjoint(&wants);
            self.waiting_builders().any(|other| both(&self.wants_of(other)))
                || self.waits.iter().any(|wait| both(&wait.wants.iter().map(|want| want.lock.clone()).collect()))
        };
        let mut held = self.holds.iter().filter(|held| kin.contains(&held.owner));
        held.any(|held| wants.contains(&held.lock) || passes(&held.lock))
    }

    fn check_worker(&self, worker: &str, build: BuildId) {
        let view = self.workers.get(worker).cloned().unwrap_or_default();
        assert!(view.epoch.is_some(), "starts: build {build} on `{worker}`, which is away");
        assert!(!view.paused && !view.graceful, "starts: build {build} on `{worker}`, which takes none: {view:?}");
        assert!(self.worker_has_room(worker), "slots: `{worker}` has none for build {build}");
    }

    /// Takes the requests for a build that starts.
    pub fn claim_requests(&mut self, builder: BuilderId, build: BuildId, requests: &[RequestId]) {
        for id in requests {
            let request = self.request(*id);
            request.build = Some(build);
            request.rests_until = None;
        }
        let set = self.request(requests[0]).set;
        self.origins.insert(build, (builder, set));
        self.queue_since.insert(builder, self.seq);
        self.claimable.remove(&builder);
    }

    fn worker_has_room(&self, worker: &str) -> bool {
        let slots = self.plan.as_ref().and_then(|plan| plan.workers.get(worker)).map_or(0, |plan| plan.slots.max(1));
        let taken = self.builds.values().filter(|build| build.worker == worker && build.lender.is_none());
        (taken.count() as u64) < slots
    }

    fn builder_has_room(&self, builder: BuilderId) -> bool {
        let Some(plan) = self.builder_plan(builder) else { return false };
        let running = self.builds.values().filter(|build| build.builder == builder).count() as u64;
        plan.slots.is_none_or(|slots| running < slots)
    }

    /// Whether a build of this builder could start on some worker but for locks.
    pub fn has_room(&self, builder: BuilderId) -> bool {
        let Some(plan) = self.builder_plan(builder) else { return false };
        let takes = |worker: &String| {
            self.workers.get(worker).is_some_and(|view| view.epoch.is_some() && !view.paused && !view.graceful)
        };
        let fits = |name: &String| takes(name) && self.worker_has_room(name) && self.has_directory(builder, name);
        self.builder_has_room(builder) && plan.workers.iter().any(fits)
    }

    /// Whether a user function decides where its requests start.
    pub fn is_moody(&self, builder: BuilderId) -> bool {
        self.builder_plan(builder).is_some_and(|plan| plan.can_start.is_some())
    }

    /// The request of a builder that goes next.
    pub fn first_ready(&self, builder: BuilderId) -> Option<&RequestView> {
        let ready = self
            .requests
            .values()
            .filter(|request| request.builder == builder && request.waits() && !request.rests(self.at));
        ready.min_by_key(|request| request.rank())
    }

    /// After a turn: whoever could run runs, and nobody hangs between two states.
    pub fn check_requests(&mut self) {
        for request in self.requests.values() {
            let open = request.build.is_none_or(|build| self.builds.contains_key(&build));
            assert!(open, "requests: the build of {request:?} ended, and it neither ended nor waits");
            assert!(!request.collapsed, "collapse: {request:?} did not end");
        }
        for request in self.requests.values() {
            assert!(!self.lost_its_builder(request), "triggers: {request:?} is waited for, and its builder is gone");
        }
        for builder in self.waiting_builders() {
            let wants = self.wants_of(builder);
            let contested = self.holds.iter().any(|held| wants.contains(&held.lock))
                || self.waits.iter().any(|wait| wait.wants.iter().any(|want| wants.contains(&want.lock)))
                || self.waiting_builders().any(|other| other != builder && !self.wants_of(other).is_disjoint(&wants));
            let free = !contested && !self.is_moody(builder) && self.has_room(builder);
            if let Some(first) = self.first_ready(builder).filter(|_| free) {
                panic!(
                    "missed start: {first:?} could start; {:?}",
                    self.builder_plan(builder).map(|plan| &plan.workers)
                );
            }
        }
        for (build, step) in std::mem::take(&mut self.parents_over) {
            let open =
                self.builds.get(&build).is_some_and(|build| step.is_some_and(|step| build.steps.contains_key(&step)));
            assert!(!open, "triggers: step {step:?} of build {build} goes on, but what it waits for was cancelled");
        }
    }
}

/// What requests must agree in to be one build.
fn alike(set: &BuildsetRecord) -> String {
    let stamps = set.stamps.iter().map(|stamp| {
        let spec = &stamp.spec;
        (&spec.codebase, &spec.repository, &spec.project, &spec.branch)
    });
    let stamps: Vec<_> = stamps.collect();
    let given = set.properties.0.iter().filter(|(name, property)| {
        ["Scheduler", "Force Build Form", "Trigger"].contains(&property.source.as_str())
            && !["scheduler", "reason", "owner"].contains(&name.as_str())
    });
    format!("{stamps:?} {:?}", given.collect::<Vec<_>>())
}
