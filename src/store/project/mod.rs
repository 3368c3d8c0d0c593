//! From facts to records: the fold that makes the history.
//!
//! Deterministic: the same facts in the same order give the same keys and values, whatever the clock,
//! the disk or the batch boundaries. A fact about something that is not there (its build was removed)
//! changes nothing.

mod alerts;
mod artifact;
mod audit;
mod build;
mod delivery;
mod meta;
mod names;
mod projects;
mod report;
mod request;
mod results;
mod step;

use super::StoreError;
use super::key::Table;
use super::txn::{Records, Txn};
use crate::model::{Answer, Event, Fact};

pub(crate) use alerts::StoredAlert;
pub(crate) use artifact::{ARTIFACT_BYTES, remove_all as remove_artifacts};
pub(crate) use build::{StoredEnd, StoredProperty};
pub(crate) use meta::{BUILDS_TOTAL, LAST_SEQ, PLAN_REFUSED, StoredRefusal};
pub(crate) use names::StoredWorker;
pub(crate) use report::StoredReport;
pub(crate) use results::{
    StoredDatum, StoredValue, columns, datum_text, find_mark, history_key, remove_results, value_key,
};
pub(crate) use step::StepPlace;

/// Applies one fact to the records.
#[expect(clippy::too_many_lines, reason = "a flat match that only dispatches")]
pub(crate) fn project(txn: &mut Txn<'_>, fact: &Fact) -> Result<(), StoreError> {
    let at = fact.at;
    audit::told(txn, fact)?;
    match &fact.event {
        Event::MasterStarted { name, installation: _ } => names::master_started(txn, at, name)?,
        Event::MasterStopped => names::master_stopped(txn, at)?,
        Event::PlanAdopted {
            digest: _,
            why: _,
            changes,
            builders,
            workers,
            schedulers,
            change_sources,
            about,
            projects,
        } => {
            projects::adopt(txn, projects)?;
            names::adopt_builders(txn, builders, about)?;
            names::adopt_workers(txn, workers)?;
            names::adopt_schedulers(txn, schedulers)?;
            names::adopt_change_sources(txn, change_sources)?;
            meta::plan_adopted(txn, fact);
            alerts::plan_adopted(txn, changes, change_sources)?;
        }
        Event::PlanRefused { why: _, message } => {
            meta::plan_refused(txn, at, message);
            alerts::plan_refused(txn, at, message)?;
        }

        Event::ChangeArrived { change } => request::change_arrived(txn, change)?,
        Event::SourcePolled { source, cursor: _ } => {
            names::source_polled(txn, at, *source)?;
            let name = names::source_name(txn, *source)?;
            alerts::source_polled(txn, &name);
        }
        Event::SourceFailed { source, error, failures: _, retry: _ } => {
            names::source_failed(txn, *source, error)?;
            let name = names::source_name(txn, *source)?;
            alerts::source_failed(txn, at, &name, error)?;
        }
        Event::ChangeQueued { scheduler: _, change: _, important: _, due: _ }
        | Event::ChangeAnnounced { .. }
        | Event::DeliveryTaken { .. }
        | Event::SchedulerTimed { scheduler: _, next: _, skipped: _ }
        | Event::ChangeUndecided { .. }
        | Event::BuildsetUndecided { .. }
        | Event::BuildsetOwed { .. }
        | Event::TriggerRefused { .. }
        | Event::TriggerUndecided { .. } => {}
        Event::ChangeDeclined { scheduler, change: _, why } => {
            let name = names::scheduler_name(txn, *scheduler)?;
            alerts::change_declined(txn, at, &name, *why)?;
        }
        Event::BuildsetForgone { scheduler, stamps: _, changes: _ } => {
            let name = names::scheduler_name(txn, *scheduler)?;
            alerts::buildset_forgone(txn, at, &name)?;
        }
        Event::ScriptFailed { function, message, losses: _ } => {
            let subject = names::owner(txn, function.of)?;
            alerts::script_failed(txn, at, (subject, function.kind), message)?;
        }
        Event::ScriptSuspended { function, message } => {
            let subject = names::owner(txn, function.of)?;
            alerts::script_suspended(txn, at, (subject, function.kind), message)?;
        }
        Event::ScriptRecovered { function } => {
            let subject = names::owner(txn, function.of)?;
            alerts::script_recovered(txn, (subject, function.kind));
        }
        Event::EvaluationLost { build, step: _, name, part: _, message, losses: _ } => {
            alerts::evaluation_lost(txn, at, *build, (name.as_str(), message.as_str()))?;
        }
        Event::SchedulerEnabled { scheduler, enabled } => names::scheduler_enabled(txn, *scheduler, *enabled)?,

        Event::StepNoted { build, step, note: _, log: _, opened, text: _ } => {
            step::noted(txn, *build, *step, opened.as_ref())?;
        }
        Event::StepLinked { build: _, step, name, url } => step::linked(txn, *step, name, url)?,
        Event::BuildsetMade { buildset, requests } => request::buildset_made(txn, buildset, requests)?,
        Event::RequestCollapsed { request, into } => request::collapsed(txn, *request, *into)?,
        Event::RequestPriority { request, priority } => request::priority(txn, *request, *priority)?,
        Event::RequestEnded { request, outcome } => request::ended(txn, at, *request, *outcome)?,
        Event::RequestWaits { request, why: _ } => request::waits(txn, *request)?,
        Event::BuildsetEnded { buildset, outcome } => request::buildset_ended(txn, at, *buildset, *outcome)?,

        Event::BuildStarted {
            build,
            number,
            builder,
            worker,
            dir: _,
            lender: _,
            requests,
            plan,
            properties,
            changes,
            reason: _,
        } => build::started(
            txn,
            fact.seq,
            crate::model::BuildRecord {
                id: *build,
                number: *number,
                builder: *builder,
                worker: *worker,
                request: requests.first().copied().unwrap_or_default(),
                requests: requests.clone(),
                started: at,
                completed: None,
                outcome: None,
                state: build::STARTING.to_owned(),
                culprits: Vec::new(),
                locks_wait_ms: 0,
                properties: properties.clone(),
                plan: plan.clone(),
                changes: changes.clone(),
            },
        )?,
        Event::LocksAwaited { build, step, locks: _, state } => step::locks_awaited(txn, *build, *step, state)?,
        Event::LocksTaken { build, step, locks: _ } => step::locks_taken(txn, at, *build, *step)?,
        Event::LocksReleased { build: _, step: _ }
        | Event::StepDecided { build: _, step: _, yes: _ }
        | Event::StepRetried { build: _, step: _, at: _ }
        | Event::CommandRestarted { build: _, key: _, command: _, why: _ }
        | Event::BuildStopping { build: _, why: _, reason: _, outcome: _ }
        | Event::StopEscalated { build: _, command: _, level: _, due: _ }
        | Event::CommandGivenUp { build: _, command: _ }
        | Event::LeftoversInterrupted { worker: _, commands: _ }
        | Event::LeftoverEnded { worker: _, command: _, heard: _ } => {}
        Event::Answered { build, key: _, answer } => {
            if let Answer::Command(result) = answer {
                artifact::kept(txn, at, *build, result.artifacts())?;
            }
        }
        Event::BuildState { build, state } => build::state(txn, *build, state)?,
        Event::LocksWaited { build, waited } => build::locks_waited(txn, *build, *waited)?,
        Event::StepStarted { build, step, number, name, parent, index: _, key: _, attempt: _, state } => {
            step::started(
                txn,
                crate::model::StepRecord {
                    id: *step,
                    build: *build,
                    number: *number,
                    name: name.clone(),
                    parent: *parent,
                    started: Some(at),
                    locks_acquired: Some(at),
                    completed: None,
                    outcome: None,
                    state: state.clone(),
                    urls: Vec::new(),
                    hidden: false,
                },
            )?;
        }
        Event::StepEnded { build, step, outcome, state, hidden } => {
            let end = step::End { at, outcome: *outcome, state, hidden: *hidden };
            step::ended(txn, *build, *step, &end)?;
        }
        Event::Asked { build, step, key: _, ask, command: _, logs, due: _ } => {
            step::asked(txn, *build, *step, ask, logs)?;
            results::asked(txn, fact, *build, *step, ask)?;
        }
        Event::LogClosed { build: _, step, log } => step::log_closed(txn, *step, *log)?,
        Event::BuildEnded { build, outcome, state, culprits } => {
            let end = build::End { at, outcome: *outcome, state, culprits };
            build::ended(txn, fact.seq, *build, &end)?;
            alerts::build_ended(txn, *build);
        }

        Event::WorkerConnected { worker, epoch, instance: _, resumes: _, info } => {
            names::worker_connected(txn, at, *worker, *epoch, info)?;
        }
        Event::WorkerLost { worker, epoch, why: _, give_up: _ } => names::worker_lost(txn, at, *worker, *epoch)?,
        Event::WorkerPaused { worker, paused, reason } => names::worker_paused(txn, *worker, *paused, reason.as_ref())?,
        Event::WorkerGraceful { worker, graceful } => names::worker_graceful(txn, *worker, *graceful)?,

        Event::ReportQueued { report } => delivery::queued(txn, report),
        Event::ReportRemarked { report, remarks } => delivery::remarked(txn, at, *report, remarks)?,
        Event::ReportSent { report } => delivery::sent(txn, *report)?,
        Event::ReportDropped { report, why } => delivery::dropped(txn, at, *report, why)?,
        Event::ReportFailed { report, error, tries, retry } => {
            delivery::failed(txn, at, *report, error, (*tries, *retry))?;
        }
        Event::ReportSuperseded { report, by: _ } => delivery::superseded(txn, *report)?,
    }
    names::master_seen(txn, at)?;
    txn.put_number(Table::Meta.name(LAST_SEQ), fact.seq);
    Ok(())
}

/// The number of the last fact in the records.
pub(crate) fn last_seq(records: &(impl Records + ?Sized)) -> Result<u64, StoreError> {
    Ok(records.number(&Table::Meta.name(LAST_SEQ))?.unwrap_or(0))
}
