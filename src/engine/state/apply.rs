//! From state and fact to state: changes, configurations, workers, reports; the rest is handed on.
//!
//! Each function either refuses before it changes anything, or changes all that its fact means.

use std::collections::BTreeMap;

use super::illegal_fact::{IllegalFact, unknown};
use super::schedulers::QUEUED_MAX;
use super::{Builder, Connection, Queued, QueuedChange, Scheduler, Source, State, Worker};
use crate::base::Timestamp;
use crate::model::{
    BuilderId, ChangeId, ChangeSourceId, Difference, Event, Fact, NameChanges, PlanChange, Report, ReportId,
    SchedulerId, WorkerId,
};

impl State {
    /// Makes a fact part of the state.
    pub fn apply(&mut self, fact: &Fact) -> Result<(), IllegalFact> {
        if fact.seq != self.seq + 1 {
            return Err(format!("it should be fact {}", self.seq + 1));
        }
        self.take_in(fact)?;
        self.seq = fact.seq;
        Ok(())
    }

    #[expect(clippy::too_many_lines, reason = "a flat match that only dispatches")]
    fn take_in(&mut self, fact: &Fact) -> Result<(), IllegalFact> {
        let at = fact.at;
        match &fact.event {
            Event::MasterStarted { installation, .. } => {
                self.installation.clone_from(installation);
                Ok(())
            }
            Event::MasterStopped | Event::ReportRemarked { .. } => Ok(()),
            Event::PlanRefused { .. } => {
                self.refused = true;
                Ok(())
            }
            Event::PlanAdopted { digest, changes, builders, workers, schedulers, change_sources, .. } => {
                self.name_builders(builders)?;
                self.name_workers(workers)?;
                self.name_schedulers(schedulers, changes)?;
                self.name_sources(change_sources, changes)?;
                self.plan = Some(digest.clone());
                self.refused = false;
                self.ask_again(at);
                Ok(())
            }

            Event::ChangeArrived { change } => {
                self.last.change = self.last.change.max(change.id.0);
                self.last.stamp = self.last.stamp.max(change.stamp.id.0);
                self.changes.arrived(change);
                Ok(())
            }
            Event::ChangeAnnounced { change, sources } => {
                self.changes.announce(change, at);
                sources.iter().try_for_each(|source| {
                    self.source_mut(*source)?.wanted = true;
                    Ok(())
                })
            }
            Event::DeliveryTaken { delivery, change } => {
                self.changes.take_delivery(delivery, *change);
                Ok(())
            }
            Event::SourcePolled { source, cursor } => {
                let source = self.source_mut(*source)?;
                source.cursor = Some(cursor.clone());
                source.polled = Some(at);
                source.wanted = false;
                source.failures = 0;
                source.retry = None;
                Ok(())
            }
            Event::SourceFailed { source, failures, retry, .. } => {
                let source = self.source_mut(*source)?;
                source.failures = *failures;
                source.retry = Some(*retry);
                Ok(())
            }
            Event::ChangeQueued { scheduler, change, important, due } => {
                self.change_queued(*scheduler, QueuedChange { change: *change, important: *important, due: *due })
            }
            Event::SchedulerTimed { scheduler, next, skipped } => {
                let scheduler = self.scheduler_mut(*scheduler)?;
                scheduler.next = *next;
                if *skipped {
                    scheduler.last = Some(at);
                }
                Ok(())
            }
            Event::SchedulerEnabled { scheduler, enabled } => {
                let found = self.scheduler_mut(*scheduler)?;
                found.enabled = *enabled;
                let dropped = if *enabled { Vec::new() } else { found.forget() };
                self.changes.release(&dropped);
                Ok(())
            }

            Event::ChangeUndecided { .. }
            | Event::ChangeDeclined { .. }
            | Event::BuildsetUndecided { .. }
            | Event::BuildsetOwed { .. }
            | Event::BuildsetForgone { .. }
            | Event::ScriptFailed { .. }
            | Event::ScriptSuspended { .. }
            | Event::ScriptRecovered { .. } => self.apply_undecided(&fact.event),

            Event::BuildsetMade { buildset, requests } => self.buildset_made(buildset, requests, at),
            Event::RequestCollapsed { request, into } => self.request_collapsed(*request, *into),
            Event::RequestPriority { request, priority } => self.request_priority(*request, *priority),
            Event::RequestEnded { request, outcome } => self.request_ended(*request, *outcome),
            Event::RequestWaits { request, .. } => self.request_waits(*request, at),
            Event::BuildsetEnded { buildset, outcome } => self.buildset_ended(*buildset, *outcome),

            Event::BuildStarted { .. }
            | Event::LocksAwaited { .. }
            | Event::LocksTaken { .. }
            | Event::LocksReleased { .. }
            | Event::BuildState { .. }
            | Event::StepStarted { .. }
            | Event::StepDecided { .. }
            | Event::StepRetried { .. }
            | Event::StepEnded { .. }
            | Event::Asked { .. }
            | Event::EvaluationLost { .. }
            | Event::StepNoted { .. }
            | Event::StepLinked { .. }
            | Event::TriggerRefused { .. }
            | Event::TriggerUndecided { .. }
            | Event::Answered { .. }
            | Event::CommandRestarted { .. }
            | Event::LogClosed { .. }
            | Event::BuildStopping { .. }
            | Event::StopEscalated { .. }
            | Event::CommandGivenUp { .. }
            | Event::LocksWaited { .. }
            | Event::BuildEnded { .. } => self.apply_build(fact),

            Event::WorkerConnected { worker, epoch, instance, resumes, info } => {
                let connection = Connection { epoch: *epoch, instance: instance.clone(), resumes: *resumes };
                self.worker_connected(*worker, connection, info)
            }
            Event::LeftoversInterrupted { worker, commands } => {
                self.worker_mut(*worker)?.leftovers_interrupted(commands, at);
                Ok(())
            }
            Event::LeftoverEnded { worker, command, heard: _ } => {
                self.worker_mut(*worker)?.leftover_ended(command);
                Ok(())
            }
            Event::WorkerLost { worker, give_up, .. } => {
                let worker = self.worker_mut(*worker)?;
                worker.connection = None;
                worker.give_up = *give_up;
                Ok(())
            }
            Event::WorkerPaused { worker, paused, .. } => {
                self.worker_mut(*worker)?.paused = *paused;
                Ok(())
            }
            Event::WorkerGraceful { worker, graceful } => {
                self.worker_mut(*worker)?.graceful = *graceful;
                Ok(())
            }

            Event::ReportQueued { report } => {
                self.report_queued(report, at);
                Ok(())
            }
            Event::ReportSent { report }
            | Event::ReportDropped { report, .. }
            | Event::ReportSuperseded { report, .. } => self.report_left(*report),
            Event::ReportFailed { report, tries, retry, .. } => self.report_failed(*report, *tries, *retry),
        }
    }

    fn name_builders(&mut self, names: &NameChanges<BuilderId>) -> Result<(), IllegalFact> {
        for id in &names.removed {
            self.builders.get_mut(id).ok_or_else(|| unknown("builder", id))?.active = false;
        }
        for (name, id) in &names.added {
            self.last.builder = self.last.builder.max(id.0);
            self.builder_ids.insert(name.clone(), *id);
            let builder = self.builders.entry(*id);
            builder.or_insert_with(|| Builder { name: name.clone(), ..Builder::default() }).active = true;
        }
        Ok(())
    }

    fn name_workers(&mut self, names: &NameChanges<WorkerId>) -> Result<(), IllegalFact> {
        for id in &names.removed {
            self.worker_mut(*id)?.active = false;
        }
        for (name, id) in &names.added {
            self.last.worker = self.last.worker.max(id.0);
            self.workers.entry(name.clone()).or_insert_with(|| Worker::new(*id)).active = true;
            self.index.worker_names.entry(*id).or_insert_with(|| name.clone());
        }
        Ok(())
    }

    fn name_schedulers(&mut self, names: &NameChanges<SchedulerId>, changes: &[PlanChange]) -> Result<(), IllegalFact> {
        let replaced = changes.iter().filter_map(|change| match change {
            PlanChange::Scheduler { id, how: Difference::Replaced, .. } => Some(*id),
            _ => None,
        });
        for id in replaced.chain(names.removed.iter().copied()) {
            let scheduler = self.scheduler_mut(id)?;
            scheduler.last = None;
            let dropped = scheduler.forget();
            self.changes.release(&dropped);
        }
        for id in &names.removed {
            self.scheduler_mut(*id)?.active = false;
        }
        for (name, id) in &names.added {
            self.last.scheduler = self.last.scheduler.max(id.0);
            self.schedulers.entry(name.clone()).or_insert_with(|| Scheduler::new(*id)).active = true;
            self.index.scheduler_names.entry(*id).or_insert_with(|| name.clone());
        }
        Ok(())
    }

    fn name_sources(&mut self, names: &NameChanges<ChangeSourceId>, changes: &[PlanChange]) -> Result<(), IllegalFact> {
        let replaced = changes.iter().filter_map(|change| match change {
            PlanChange::ChangeSource { id, how: Difference::Replaced, .. } => Some(*id),
            _ => None,
        });
        for id in replaced.chain(names.removed.iter().copied()) {
            self.source_mut(id)?.forget();
        }
        for id in &names.removed {
            self.source_mut(*id)?.active = false;
        }
        for (name, id) in &names.added {
            self.last.source = self.last.source.max(id.0);
            self.sources.entry(name.clone()).or_insert_with(|| Source::new(*id)).active = true;
            self.index.source_names.entry(*id).or_insert_with(|| name.clone());
        }
        Ok(())
    }

    fn change_queued(&mut self, scheduler: SchedulerId, queued: QueuedChange) -> Result<(), IllegalFact> {
        if self.changes.get(queued.change).is_none() {
            return Err(unknown("change", &queued.change));
        }
        let change = queued.change;
        let found = self.scheduler_mut(scheduler)?;
        let was_pending = found.decided(change);
        found.enqueue(queued);
        let queue = &mut found.queued;
        let dropped: Vec<ChangeId> =
            queue.drain(..queue.len().saturating_sub(QUEUED_MAX)).map(|queued| queued.change).collect();
        if !was_pending {
            self.changes.hold(&[change]);
        }
        self.changes.release(&dropped);
        Ok(())
    }

    fn worker_connected(
        &mut self,
        id: WorkerId,
        connection: Connection,
        info: &BTreeMap<String, String>,
    ) -> Result<(), IllegalFact> {
        let worker = self.worker_mut(id)?;
        if connection.epoch <= worker.epoch {
            return Err(format!("epoch {} of worker `{id}` is not above {}", connection.epoch, worker.epoch));
        }
        worker.epoch = connection.epoch;
        worker.give_up = None;
        worker.info.clone_from(info);
        // What it may be given from now on goes to this instance.
        let (instance, epoch) = (connection.instance.clone(), connection.epoch);
        let cut_off = !connection.resumes;
        worker.tell_leftovers(connection.resumes);
        worker.connection = Some(connection);
        self.epoch = self.epoch.max(epoch);
        let name = self.worker_name(id).cloned().unwrap_or_default();
        for build in self.builds_on(&name) {
            let step = self.builds.get_mut(&build).and_then(|build| build.step.as_mut());
            for running_command in step.into_iter().flat_map(|step| step.commands_running.values_mut()) {
                if running_command.sent.is_some() {
                    running_command.cut_off = cut_off;
                }
                running_command.sent.get_or_insert_with(|| instance.clone());
            }
        }
        Ok(())
    }

    fn report_queued(&mut self, report: &Report, at: Timestamp) {
        self.last.report = self.last.report.max(report.id.0);
        self.index.reports.add(report);
        self.outbox.insert(report.id, Queued { report: report.clone(), tries: 0, due: at });
    }

    fn report_left(&mut self, report: ReportId) -> Result<(), IllegalFact> {
        let queued = self.outbox.remove(&report).ok_or_else(|| unknown("report", &report))?;
        self.index.reports.remove(&queued.report);
        Ok(())
    }

    fn report_failed(&mut self, report: ReportId, tries: u64, retry: Timestamp) -> Result<(), IllegalFact> {
        let queued = self.outbox.get_mut(&report).ok_or_else(|| unknown("report", &report))?;
        queued.tries = tries;
        queued.due = retry;
        Ok(())
    }

    pub(super) fn scheduler_mut(&mut self, id: SchedulerId) -> Result<&mut Scheduler, IllegalFact> {
        let name = self.index.scheduler_names.get(&id);
        name.and_then(|name| self.schedulers.get_mut(name)).ok_or_else(|| unknown("scheduler", &id))
    }

    fn source_mut(&mut self, id: ChangeSourceId) -> Result<&mut Source, IllegalFact> {
        let name = self.index.source_names.get(&id);
        name.and_then(|name| self.sources.get_mut(name)).ok_or_else(|| unknown("change source", &id))
    }

    pub(super) fn worker_mut(&mut self, id: WorkerId) -> Result<&mut Worker, IllegalFact> {
        let name = self.index.worker_names.get(&id);
        name.and_then(|name| self.workers.get_mut(name)).ok_or_else(|| unknown("worker", &id))
    }
}
