//! The reference model: what must be true, worked out from durable facts and configurations alone.
//!
//! It knows nothing of the engine's insides. It takes the facts of one turn at a time, refuses what the rules of the
//! house forbid, and after each turn asks whether something should have been done that was not.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::reference_builds::{BuildView, LogView};
use super::reference_locks::{Held, Waiting};
use super::reference_queue::{RequestView, SetView};
use crate::base::Timestamp;
use crate::model::{
    BuildId, BuilderId, BuildsetId, ChangeId, ChangeSourceId, CommandId, ConfigDigest, Difference, Event, Fact, Key,
    LogId, Outcome, Plan, PlanChange, RequestId, SchedulerId, SchedulerKind, StepId, WorkerId,
};

/// A worker, as facts tell it.
#[derive(Clone, Debug, Default)]
pub struct WorkerView {
    pub epoch: Option<u64>,
    /// When it connected.
    pub connected: Timestamp,
    pub resumes: bool,
    pub paused: bool,
    pub graceful: bool,
    /// Until when its builds wait for it.
    pub give_up: Option<Timestamp>,
}

/// A change that a scheduler holds.
#[derive(Clone, Debug)]
pub struct QueuedView {
    pub change: ChangeId,
    pub due: Option<Timestamp>,
    pub seq: u64,
}

#[derive(Clone, Debug, Default)]
pub struct Reference {
    pub plans: BTreeMap<ConfigDigest, Arc<Plan>>,
    /// The last fact taken.
    pub seq: u64,
    /// The moment of the last fact.
    pub at: Timestamp,
    /// The last fact before which the clock went back.
    pub clock_back: u64,
    pub plan: Option<Arc<Plan>>,
    pub workers: BTreeMap<String, WorkerView>,
    pub builder_names: BTreeMap<BuilderId, String>,
    pub disabled: BTreeSet<String>,
    pub requests: BTreeMap<RequestId, RequestView>,
    pub sets: BTreeMap<BuildsetId, SetView>,
    pub builds: BTreeMap<BuildId, BuildView>,
    pub ended_builds: BTreeMap<BuildId, Outcome>,
    /// Commands that were cut off, and those that run in their place.
    pub restarts: Vec<(CommandId, CommandId)>,
    /// Steps that have to be over by the end of the turn: what they waited for was cancelled.
    pub parents_over: Vec<super::reference_locks::Owner>,
    pub worker_names: BTreeMap<WorkerId, String>,
    pub scheduler_names: BTreeMap<SchedulerId, String>,
    pub source_names: BTreeMap<ChangeSourceId, String>,
    pub names_in_force: super::reference_names::NamesInForce,
    pub numbers: BTreeMap<BuilderId, u64>,
    pub results: super::reference_results::Results,
    pub holds: Vec<Held>,
    pub waits: Vec<Waiting>,
    /// Since which fact the first request of a builder could start but for locks.
    pub claimable: BTreeMap<BuilderId, u64>,
    /// Since which fact a builder's queue has been without a start.
    pub queue_since: BTreeMap<BuilderId, u64>,
    pub reports: super::reference_reports::Reports,
    /// Builder and buildset of every request.
    pub reports_requests: BTreeMap<RequestId, (BuilderId, BuildsetId)>,
    pub leftovers: Vec<super::reference_dirs::Leftover>,
    pub logs: BTreeMap<LogId, LogView>,
    pub commands: BTreeMap<CommandId, (BuildId, Key)>,
    pub answers: BTreeMap<CommandId, crate::model::CommandResult>,
    /// Contents of artifacts that answers named.
    pub artifacts: BTreeSet<String>,
    pub changes: BTreeMap<(Option<String>, Option<String>), ChangeId>,
    /// Those that a poller or its hooks told of.
    pub of_source: BTreeSet<(Option<String>, Option<String>)>,
    /// The branch of each change.
    pub branches: BTreeMap<ChangeId, Option<String>>,
    pub queued: BTreeMap<String, Vec<QueuedView>>,
    /// What pollers had seen when they first looked.
    pub watched: Option<crate::model::Cursor>,
    /// Collapses that have to follow: older request, newer request.
    pub collapses: Vec<(RequestId, RequestId)>,
    /// Dependent buildsets of this turn, and buildsets of this turn that they may follow, by scheduler.
    pub dependents: BTreeMap<String, i64>,
    /// Changes that dependent buildsets of this turn have to carry, and those that they carry, by scheduler.
    #[expect(clippy::type_complexity, reason = "explained beside it")]
    pub carried: BTreeMap<String, (Vec<Vec<ChangeId>>, Vec<Vec<ChangeId>>)>,
    /// Buildsets that a trigger asked for, of this turn.
    pub triggering: Option<(BuildId, Key, StepId, bool)>,
    /// Requests that somebody may have cancelled: asked, or because their parent is over.
    pub cancellable: BTreeSet<RequestId>,
    pub stoppable: BTreeSet<BuildId>,
    pub last_ids: BTreeMap<&'static str, u64>,
    /// Builder and first buildset of each build.
    pub origins: BTreeMap<BuildId, (BuilderId, BuildsetId)>,
    /// Counts facts that mean progress.
    pub news: u64,
}

impl Reference {
    /// The facts of one turn, or of several that a restart found.
    pub fn take(&mut self, facts: &[Arc<Fact>]) {
        for fact in facts {
            assert_eq!(fact.seq, self.seq + 1, "numbers of facts: a gap");
            if fact.at < self.at {
                self.clock_back = fact.seq;
            }
            (self.seq, self.at) = (fact.seq, fact.at);
            let standing = matches!(
                fact.event,
                Event::WorkerConnected { .. }
                    | Event::WorkerLost { .. }
                    | Event::SchedulerTimed { .. }
                    | Event::SourcePolled { .. }
            );
            self.news += u64::from(!standing);
            self.before(&fact.event);
            self.event(fact);
        }
        if !facts.is_empty() {
            self.after_turn();
        }
    }

    /// What was begun has to be finished before anything else.
    fn before(&self, event: &Event) {
        let goes_on = matches!(
            event,
            Event::RequestCollapsed { .. }
                | Event::RequestEnded { .. }
                | Event::BuildsetEnded { .. }
                | Event::BuildsetMade { .. }
                | Event::ReportQueued { .. }
        );
        assert!(goes_on || self.collapses.is_empty(), "collapse: still to collapse {:?}: {event:?}", self.collapses);
    }

    /// Counted ids grow.
    pub fn fresh(&mut self, kind: &'static str, id: u64) {
        let last = self.last_ids.entry(kind).or_default();
        assert!(id == *last + 1, "ids: {kind} {id} after {last}");
        *last = id;
    }

    #[expect(clippy::too_many_lines, reason = "a flat match that only dispatches")]
    fn event(&mut self, fact: &Fact) {
        match &fact.event {
            Event::MasterStarted { .. } => {
                self.claimable.clear();
                for since in self.queue_since.values_mut() {
                    *since = fact.seq;
                }
            }
            Event::PlanAdopted { digest, changes, builders, workers, schedulers, change_sources, about, .. } => {
                let plan = Arc::clone(&self.plans[digest]);
                self.names_in_force.builders.take(builders, &mut self.builder_names);
                self.names_in_force.workers.take(workers, &mut self.worker_names);
                self.names_in_force.schedulers.take(schedulers, &mut self.scheduler_names);
                self.names_in_force.sources.take(change_sources, &mut self.source_names);
                self.names_in_force.check(&plan, about);
                self.adopted(plan, changes);
            }
            Event::ChangeArrived { change } => {
                self.fresh("change", change.id.0);
                let key = (change.data.branch.clone(), change.data.revision.clone());
                self.branches.insert(change.id, change.data.branch.clone());
                let before = self.changes.insert(key.clone(), change.id);
                let from_source = change.source.is_some();
                let was_from_source = self.of_source.contains(&key);
                // Who is no source may tell as often as they like; a poller and its hooks tell once.
                assert!(
                    before.is_none() || !from_source && !was_from_source,
                    "changes: {:?} arrived twice",
                    change.data.revision
                );
                if from_source {
                    self.of_source.insert(key);
                }
            }
            Event::SourcePolled { cursor, .. } => {
                self.watched.get_or_insert_with(|| cursor.clone());
            }
            Event::ChangeQueued { scheduler, change, due, .. } => {
                let scheduler = self.scheduler_names[scheduler].clone();
                self.change_queued(&scheduler, *change, *due);
            }
            Event::SchedulerTimed { scheduler, next, .. } => self.timed(&self.scheduler_names[scheduler], *next),
            Event::SchedulerEnabled { scheduler, enabled } => {
                let scheduler = self.scheduler_names[scheduler].clone();
                if *enabled {
                    self.disabled.remove(&scheduler);
                } else {
                    // What it had taken by then it forgets.
                    self.queued.remove(&scheduler);
                    self.disabled.insert(scheduler);
                }
            }
            Event::BuildsetMade { buildset, requests } => self.buildset_made(buildset, requests),
            Event::RequestCollapsed { request, into } => self.collapsed(*request, *into),
            Event::RequestPriority { request, priority } => {
                self.request(*request).priority = *priority;
            }
            Event::RequestEnded { request, outcome } => self.request_ended(*request, *outcome),
            Event::RequestWaits { request, .. } => self.request_waits(*request),
            Event::BuildsetEnded { buildset, outcome } => self.buildset_ended(*buildset, *outcome),
            Event::BuildStarted { .. } => self.build_started(fact),
            Event::LocksAwaited { build, step, locks, .. } => self.locks_awaited(*build, *step, locks),
            Event::LocksTaken { build, step, locks } => self.locks_taken(*build, *step, locks),
            Event::LocksReleased { build, step } => self.locks_released(*build, *step),
            Event::WorkerConnected { worker, epoch, resumes, .. } => {
                let worker = &self.worker_names[worker].clone();
                let view = self.workers.entry(worker.clone()).or_default();
                view.epoch = Some(*epoch);
                view.connected = fact.at;
                view.resumes = *resumes;
                self.tidied(worker, *resumes);
            }
            Event::LeftoversInterrupted { worker, commands } => self.leftovers_interrupted(*worker, commands),
            Event::LeftoverEnded { command, heard, .. } => self.leftover_ended(command, *heard),
            Event::WorkerLost { worker, epoch, why, give_up } => {
                let worker = &self.worker_names[worker].clone();
                let view = self.workers.entry(worker.clone()).or_default();
                let restart = why.contains("master was started");
                assert!(
                    restart || view.epoch == Some(*epoch),
                    "epochs: `{worker}` is connected as {:?}, and lost as {epoch}",
                    view.epoch
                );
                view.epoch = None;
                view.give_up = *give_up;
            }
            Event::WorkerPaused { worker, paused, .. } => {
                self.workers.entry(self.worker_names[worker].clone()).or_default().paused = *paused;
            }
            Event::WorkerGraceful { worker, graceful } => {
                self.workers.entry(self.worker_names[worker].clone()).or_default().graceful = *graceful;
            }
            Event::ReportQueued { report } => self.report_queued(report),
            Event::ReportSent { report } => self.reports.sent(*report),
            Event::ReportDropped { report, .. } => self.reports.dropped(*report),
            Event::ReportFailed { report, .. } => self.reports.failed(*report),
            Event::ReportSuperseded { report, by } => self.reports.superseded(*report, *by),
            Event::BuildStopping { .. }
            | Event::BuildState { .. }
            | Event::StepStarted { .. }
            | Event::StepDecided { .. }
            | Event::StepRetried { .. }
            | Event::StepEnded { .. }
            | Event::Asked { .. }
            | Event::Answered { .. }
            | Event::CommandRestarted { .. }
            | Event::LogClosed { .. }
            | Event::StopEscalated { .. }
            | Event::CommandGivenUp { .. }
            | Event::StepNoted { .. }
            | Event::LocksWaited { .. }
            | Event::BuildEnded { .. } => self.build_event(fact),
            Event::MasterStopped
            | Event::PlanRefused { .. }
            | Event::ChangeAnnounced { .. }
            | Event::DeliveryTaken { .. }
            | Event::SourceFailed { .. }
            | Event::ReportRemarked { .. }
            | Event::ChangeUndecided { .. }
            | Event::ChangeDeclined { .. }
            | Event::BuildsetUndecided { .. }
            | Event::BuildsetOwed { .. }
            | Event::BuildsetForgone { .. }
            | Event::ScriptFailed { .. }
            | Event::ScriptSuspended { .. }
            | Event::ScriptRecovered { .. }
            | Event::EvaluationLost { .. }
            | Event::StepLinked { .. }
            | Event::TriggerRefused { .. }
            | Event::TriggerUndecided { .. } => {}
        }
    }

    fn adopted(&mut self, plan: Arc<Plan>, changes: &[PlanChange]) {
        let replaced = |name: &str| {
            let is_replaced = |change: &PlanChange| matches!(change, PlanChange::Scheduler { name: of, how: Difference::Replaced, .. } if of == name);
            changes.iter().any(is_replaced)
        };
        self.queued.retain(|name, _| plan.schedulers.contains_key(name) && !replaced(name));
        self.plan = Some(plan);
        self.claimable.clear();
        for since in self.queue_since.values_mut() {
            *since = self.seq;
        }
    }

    // --- schedulers

    fn change_queued(&mut self, scheduler: &str, change: ChangeId, due: Option<Timestamp>) {
        assert!(!self.disabled.contains(scheduler), "schedulers: `{scheduler}` is off, and takes change {change}");
        let known = self.branches.contains_key(&change);
        assert!(known, "schedulers: there is no change {change}");
        let seq = self.seq;
        let queue = self.queued.entry(scheduler.to_owned()).or_default();
        assert!(queue.iter().all(|queued| queued.change != change), "schedulers: change {change} is taken twice");
        queue.push(QueuedView { change, due, seq });
    }

    /// A scheduler makes a buildset of changes that wait with it: each once, and not before their time.
    pub fn changes_taken(&mut self, scheduler: &str, changes: &[ChangeId]) {
        let Some(plan) = self.plan.as_ref().and_then(|plan| plan.schedulers.get(scheduler)) else { return };
        let kind = plan.kind.clone();
        let (at, clock_back) = (self.at, self.clock_back);
        let own = matches!(
            kind,
            SchedulerKind::Branch { .. }
                | SchedulerKind::AnyBranch { .. }
                | SchedulerKind::Periodic { .. }
                | SchedulerKind::Nightly { .. }
        );
        if !own {
            return;
        }
        let queue = self.queued.entry(scheduler.to_owned()).or_default();
        let (taken, rest): (Vec<QueuedView>, Vec<QueuedView>) =
            queue.drain(..).partition(|queued| changes.contains(&queued.change));
        assert!(
            taken.len() == changes.len(),
            "schedulers: `{scheduler}` builds {changes:?}, of which it has {taken:?}"
        );
        *queue = rest;
        let branches: BTreeSet<_> = changes.iter().filter_map(|change| self.branches.get(change)).collect();
        assert!(branches.len() <= 1, "schedulers: `{scheduler}` builds {branches:?} at once");
        if let SchedulerKind::Branch { .. } | SchedulerKind::AnyBranch { .. } = kind {
            let newest = taken.iter().filter(|queued| queued.due.is_some()).max_by_key(|queued| queued.change);
            let newest = newest.unwrap_or_else(|| panic!("schedulers: `{scheduler}` builds without a change"));
            let due = newest.due.unwrap();
            assert!(
                due <= at || newest.seq < clock_back,
                "quiet period: `{scheduler}` builds at {at}, but change {} is due at {due}",
                newest.change
            );
        }
    }

    /// The next moment of a timed scheduler, worked out by other means.
    fn timed(&self, scheduler: &str, next: Option<Timestamp>) {
        let Some(plan) = self.plan.as_ref().and_then(|plan| plan.schedulers.get(scheduler)) else { return };
        let Some(next) = next else { return };
        match &plan.kind {
            SchedulerKind::Periodic { every, .. } => {
                assert!(
                    next >= self.at && next <= self.at.plus(*every),
                    "timed schedulers: `{scheduler}` at {} is next due at {next}",
                    self.at
                );
            }
            SchedulerKind::Nightly { cron, zone, .. } => {
                let want = super::nights::next_daily(cron, zone, self.at);
                assert!(
                    want == next,
                    "timed schedulers: `{scheduler}` ({cron}) at {} is due at {want}, not {next}",
                    self.at
                );
            }
            _ => {}
        }
    }

    // --- after a turn

    fn after_turn(&mut self) {
        assert!(self.collapses.is_empty(), "collapse: {:?} should have followed", self.collapses);
        self.reports.check();
        let odd: Vec<_> = self.dependents.iter().filter(|(_, owed)| **owed != 0).collect();
        assert!(odd.is_empty(), "dependent schedulers: made without cause, or not made: {odd:?}");
        self.dependents.clear();
        for (scheduler, (mut owed, mut made)) in std::mem::take(&mut self.carried) {
            owed.sort();
            made.sort();
            assert_eq!(owed, made, "dependent schedulers: the changes of `{scheduler}`");
        }
        self.triggering = None;
        self.check_builds();
        self.check_requests();
        self.check_waiting_locks();
        self.note_claims();
    }

    /// What facts say of a name's plan.
    pub fn builder_plan(&self, builder: BuilderId) -> Option<&crate::model::BuilderPlan> {
        self.plan.as_ref()?.builders.get(self.builder_names.get(&builder)?)
    }
}
