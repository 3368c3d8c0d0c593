//! What the rest of the engine sees of the state. It changes by [`State::apply`] alone.

use std::collections::BTreeMap;

use super::{
    Build, Builder, Buildset, Changes, Counters, FunctionTrouble, Index, Locks, Queued, Request, Scheduler, Source,
    State, Step, Worker,
};
use crate::model::{BuildId, BuilderId, BuildsetId, ConfigDigest, ReportId, RequestId, UserFunction, WorkerId};

impl State {
    /// A build that runs.
    pub fn build(&self, id: BuildId) -> &Build {
        self.builds.get(&id).expect("who works on a build has seen that it runs")
    }

    /// The step that a build is in.
    pub fn current_step(&self, build: BuildId) -> &Step {
        self.step(build).expect("who works on a step has seen that its build is in it")
    }

    /// A request that is open.
    pub fn request(&self, id: RequestId) -> &Request {
        self.requests.get(&id).expect("who works on a request has seen that it is open")
    }

    /// The buildset of an open request.
    pub fn buildset_of(&self, request: &Request) -> &Buildset {
        self.buildsets.get(&request.buildset).expect("a buildset is kept as long as it has open requests")
    }

    /// A builder of requests and builds.
    pub fn builder(&self, id: BuilderId) -> &Builder {
        self.builders.get(&id).expect("builders are kept for good")
    }

    /// A scheduler of the configuration in force.
    pub fn scheduler(&self, name: &str) -> &Scheduler {
        self.schedulers.get(name).expect("every scheduler that is configured is known")
    }

    /// The name of a worker that a recorded fact is about.
    pub fn name_of_worker(&self, id: WorkerId) -> &String {
        self.worker_name(id).expect("facts are about workers that were configured once")
    }

    /// A worker that was configured once.
    pub fn worker(&self, name: &str) -> &Worker {
        self.workers.get(name).expect("workers are kept for good")
    }

    /// The last fact in it.
    pub const fn seq(&self) -> u64 {
        self.seq
    }

    /// The highest epoch of any connection.
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The id of this installation.
    pub const fn installation(&self) -> &str {
        self.installation.as_str()
    }

    /// The highest numbers given so far.
    pub const fn last(&self) -> &Counters {
        &self.last
    }

    /// The configuration in force.
    pub const fn plan(&self) -> Option<&ConfigDigest> {
        self.plan.as_ref()
    }

    /// Whether a newer configuration than the one in force was refused.
    pub const fn refused(&self) -> bool {
        self.refused
    }

    /// Changes that somebody still needs.
    pub const fn changes(&self) -> &Changes {
        &self.changes
    }

    /// Schedulers, configured now or earlier, by name.
    pub const fn schedulers(&self) -> &BTreeMap<String, Scheduler> {
        &self.schedulers
    }

    /// Change sources, configured now or earlier, by name.
    pub const fn sources(&self) -> &BTreeMap<String, Source> {
        &self.sources
    }

    /// Workers, configured now or earlier, by name.
    pub const fn workers(&self) -> &BTreeMap<String, Worker> {
        &self.workers
    }

    /// Builders that were ever configured, by name.
    pub const fn builder_ids(&self) -> &BTreeMap<String, BuilderId> {
        &self.builder_ids
    }

    /// Builders that were ever configured.
    pub const fn builders(&self) -> &BTreeMap<BuilderId, Builder> {
        &self.builders
    }

    /// Buildsets that are open, or that a trigger waits for.
    pub const fn buildsets(&self) -> &BTreeMap<BuildsetId, Buildset> {
        &self.buildsets
    }

    /// Requests that wait or are being built.
    pub const fn requests(&self) -> &BTreeMap<RequestId, Request> {
        &self.requests
    }

    /// Builds that run.
    pub const fn builds(&self) -> &BTreeMap<BuildId, Build> {
        &self.builds
    }

    /// Who holds locks, and who waits for them.
    pub const fn locks(&self) -> &Locks {
        &self.locks
    }

    /// Reports that are not delivered.
    pub const fn outbox(&self) -> &BTreeMap<ReportId, Queued> {
        &self.outbox
    }

    /// Those of a notifier about a target, oldest first. None for reports without a target.
    pub fn reports_of(&self, notifier: &str, target: &str) -> impl DoubleEndedIterator<Item = ReportId> + '_ {
        self.index.reports.of(notifier, target)
    }

    /// The oldest report of a notifier that has more than so many.
    pub fn oldest_report_beyond(&self, notifier: &str, reports: usize) -> Option<ReportId> {
        self.index.reports.oldest_beyond(notifier, reports)
    }

    /// User functions that failed, or cost a process, under the configuration in force.
    pub const fn troubles(&self) -> &BTreeMap<UserFunction, FunctionTrouble> {
        &self.troubles
    }

    /// Ways to find things.
    pub const fn index(&self) -> &Index {
        &self.index
    }
}
