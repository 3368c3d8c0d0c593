//! The state of open work: a fold over facts.
//!
//! Knows no configuration, no scripts and no effects: what it needs stands in the facts. So it can be rebuilt from facts
//! alone, however old. Everything that is not open any more leaves it; what stays of ended work is counted per builder.

mod announced;
mod apply;
mod apply_build;
mod apply_request;
mod awaiting;
mod builds;
mod changes;
mod illegal_fact;
mod locks;
mod outbox;
mod read;
mod recent;
mod requests;
mod results;
mod schedulers;
mod undecided;
mod workers;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

pub(super) use awaiting::{FunctionTrouble, OWED_MAX, OwedBuildset, PENDING_MAX, PendingChange, Retry};
pub(super) use builds::{Build, Child, Culprit, DoneStep, Escalation, Log, RunningCommand, Step};
pub(super) use changes::Changes;
pub(super) use locks::{AskedAt, LockHolder, LockRequest, Locks, Waiter};
pub(super) use outbox::{Queued, ReportIndex};
pub(super) use recent::Fingerprint;
pub(super) use requests::{Buildset, Rank, Request, RequestEnd};
#[cfg(test)]
pub(super) use results::BRANCHES_MAX;
pub(super) use results::{Previous, Results};
pub(super) use schedulers::{QueuedChange, Scheduler, Source};
pub(super) use workers::{Connection, Worker};

use crate::base::Timestamp;
use crate::model::{
    BuildId, BuilderId, BuildsetId, BuildsetRecord, ChangeSourceId, CommandId, ConfigDigest, MadeBy, ReportId,
    RequestId, SchedulerId, SourceStamp, SourceStampId, StampSpec, UserFunction, WorkerId,
};

/// Everything that is open, and the counters.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct State {
    /// The last fact in it.
    seq: u64,
    /// The highest epoch of any connection.
    epoch: u64,
    installation: String,
    last: Counters,
    /// The configuration in force.
    plan: Option<ConfigDigest>,
    /// A newer one was refused.
    refused: bool,
    changes: Changes,
    schedulers: BTreeMap<String, Scheduler>,
    sources: BTreeMap<String, Source>,
    workers: BTreeMap<String, Worker>,
    builder_ids: BTreeMap<String, BuilderId>,
    builders: BTreeMap<BuilderId, Builder>,
    buildsets: BTreeMap<BuildsetId, Buildset>,
    requests: BTreeMap<RequestId, Request>,
    builds: BTreeMap<BuildId, Build>,
    locks: Locks,
    outbox: BTreeMap<ReportId, Queued>,
    /// User functions that failed, or cost a process, under the configuration in force.
    troubles: BTreeMap<UserFunction, FunctionTrouble>,
    #[serde(skip)]
    index: Index,
}

/// The highest numbers given so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Counters {
    pub change: u64,
    pub stamp: u64,
    pub buildset: u64,
    pub request: u64,
    pub build: u64,
    pub step: u64,
    pub log: u64,
    pub report: u64,
    pub builder: u64,
    pub worker: u64,
    pub scheduler: u64,
    pub source: u64,
}

/// What stays of a builder.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Builder {
    pub name: String,
    /// The present configuration has it.
    pub active: bool,
    /// The last build's number.
    pub number: u64,
    /// How its last builds ended, by branch.
    pub results: Results,
}

/// Ways to find things; follows from the rest.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Index {
    /// Requests that no build has, by builder.
    pub waiting: BTreeMap<BuilderId, BTreeSet<Rank>>,
    /// The same by what they must agree in to be one build.
    pub alike: BTreeMap<(BuilderId, Fingerprint), BTreeSet<RequestId>>,
    /// Builds by builder.
    pub builds_of_builder: BTreeMap<BuilderId, BTreeSet<BuildId>>,
    pub builds_of_worker: BTreeMap<String, BTreeSet<BuildId>>,
    pub commands: BTreeMap<CommandId, BuildId>,
    pub worker_names: BTreeMap<WorkerId, String>,
    pub scheduler_names: BTreeMap<SchedulerId, String>,
    pub source_names: BTreeMap<ChangeSourceId, String>,
    /// Undelivered reports by notifier and target.
    pub reports: ReportIndex,
}

impl Index {
    /// Notes a request that waits.
    pub fn wait(&mut self, request: &Request) {
        self.waiting.entry(request.builder).or_default().insert(request.rank());
        self.alike.entry((request.builder, request.fingerprint)).or_default().insert(request.id);
    }

    /// Notes that a request waits no more. Its rank must be the one it was noted with.
    pub fn wait_no_more(&mut self, request: &Request) {
        remove_from(&mut self.waiting, &request.builder, &request.rank());
        remove_from(&mut self.alike, &(request.builder, request.fingerprint), &request.id);
    }

    /// Notes a build.
    pub fn build_runs(&mut self, build: &Build) {
        self.builds_of_builder.entry(build.builder_id).or_default().insert(build.id);
        self.builds_of_worker.entry(build.worker.clone()).or_default().insert(build.id);
        let commands = build.step.iter().flat_map(|step| step.commands_running.keys());
        self.commands.extend(commands.map(|command| (command.clone(), build.id)));
    }

    /// Forgets a build.
    pub fn build_ended(&mut self, build: &Build) {
        remove_from(&mut self.builds_of_builder, &build.builder_id, &build.id);
        remove_from(&mut self.builds_of_worker, &build.worker, &build.id);
    }
}

/// Takes an item out of a map of sets, and the set when it is empty.
fn remove_from<K: Ord, V: Ord>(map: &mut BTreeMap<K, BTreeSet<V>>, key: &K, item: &V) {
    if let Some(set) = map.get_mut(key) {
        set.remove(item);
        if set.is_empty() {
            map.remove(key);
        }
    }
}

impl State {
    /// Finds everything again after loading.
    pub fn rebuild_index(&mut self) {
        let mut index = Index::default();
        for request in self.requests.values().filter(|request| request.build.is_none()) {
            index.wait(request);
        }
        sabotage!(RequestTwiceAfterRestart => self.requests.values().for_each(|request| index.wait(request)));
        for build in self.builds.values() {
            index.build_runs(build);
        }
        self.outbox.values().for_each(|queued| index.reports.add(&queued.report));
        index.worker_names = self.workers.iter().map(|(name, worker)| (worker.id, name.clone())).collect();
        index.scheduler_names = self.schedulers.iter().map(|(name, found)| (found.id, name.clone())).collect();
        index.source_names = self.sources.iter().map(|(name, source)| (source.id, name.clone())).collect();
        self.index = index;
    }

    /// The id of a worker, for facts about it.
    pub fn worker_id(&self, name: &str) -> WorkerId {
        self.workers.get(name).expect("facts are about workers that were configured once").id
    }

    /// The id of a scheduler, for facts about it.
    pub fn scheduler_id(&self, name: &str) -> SchedulerId {
        self.schedulers.get(name).expect("facts are about schedulers that were configured once").id
    }

    /// The id of a builder, for facts about it.
    pub fn builder_id(&self, name: &str) -> BuilderId {
        *self.builder_ids.get(name).expect("facts are about builders that were configured once")
    }

    /// The id of a change source, for facts about it.
    pub fn source_id(&self, name: &str) -> ChangeSourceId {
        self.sources.get(name).expect("facts are about change sources that were configured once").id
    }

    /// The name of a worker that a fact is about.
    pub fn worker_name(&self, id: WorkerId) -> Option<&String> {
        self.index.worker_names.get(&id)
    }

    /// The name of a scheduler that a fact is about.
    pub fn scheduler_name(&self, id: SchedulerId) -> Option<&String> {
        self.index.scheduler_names.get(&id)
    }

    /// The scheduler that made a buildset, if it was one.
    pub fn scheduler_of(&self, set: &BuildsetRecord) -> Option<&String> {
        match set.made_by {
            MadeBy::Scheduler(id) => self.scheduler_name(id),
            MadeBy::Force | MadeBy::Rebuild => None,
        }
    }

    /// The name of a change source that a fact is about.
    pub fn source_name(&self, id: ChangeSourceId) -> Option<&String> {
        self.index.source_names.get(&id)
    }

    /// The stamp of this content: the known one, or the `fresh`th new one of those that are being made.
    pub fn stamp(&self, spec: StampSpec, fresh: u64, now: Timestamp) -> SourceStamp {
        self.changes.stamp(&spec).unwrap_or_else(|| SourceStamp {
            id: SourceStampId(self.last.stamp + 1 + fresh),
            spec,
            created: now,
        })
    }

    /// The step that a build is in, if it runs and is in one.
    pub fn step(&self, build: BuildId) -> Option<&Step> {
        self.builds.get(&build)?.step.as_ref()
    }

    /// Builds on a worker.
    pub fn builds_on(&self, worker: &str) -> Vec<BuildId> {
        self.index.builds_of_worker.get(worker).into_iter().flatten().copied().collect()
    }

    /// The build that has its slot from this one. There is at most one: a slot is lent to one build at a time.
    pub fn borrower_of(&self, lender: &Build) -> Option<BuildId> {
        let there = self.index.builds_of_worker.get(&lender.worker)?;
        there.iter().copied().find(|id| self.builds.get(id).is_some_and(|build| build.lender == Some(lender.id)))
    }

    /// How many of a worker's slots are taken: builds that have their slot from another one take none.
    pub fn slots_taken(&self, worker: &str) -> u64 {
        let there = self.index.builds_of_worker.get(worker).into_iter().flatten();
        there.filter(|id| self.builds.get(id).is_some_and(|build| build.lender.is_none())).count() as u64
    }

    /// Directories of a worker that builds use, or commands that may still run; and by which build.
    pub fn dirs_in_use(&self, worker: &str) -> Vec<(BuildId, &str)> {
        let builds = self.index.builds_of_worker.get(worker).into_iter().flatten();
        let builds = builds.filter_map(|id| self.builds.get(id)).map(|build| (build.id, build.dir.as_str()));
        let leftovers = self.workers.get(worker).into_iter().flat_map(|worker| &worker.leftovers);
        builds.chain(leftovers.map(|leftover| (leftover.build, leftover.dir.as_str()))).collect()
    }

    /// How many builds are on a worker.
    pub fn load_of(&self, worker: &str) -> usize {
        self.index.builds_of_worker.get(worker).map_or(0, BTreeSet::len)
    }

    /// The configurations that open work needs.
    pub fn plans_needed(&self) -> BTreeSet<ConfigDigest> {
        let pinned = self.builds.values().map(|build| &build.plan);
        let reports = self.outbox.values().map(|queued| &queued.report.plan);
        self.plan.iter().chain(pinned).chain(reports).cloned().collect()
    }
}
