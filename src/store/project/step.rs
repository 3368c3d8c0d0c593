//! Steps and their logs, and what scripts set by asking.

use serde::{Deserialize, Serialize};

use super::build;
use crate::base::Timestamp;
use crate::model::{Ask, BuildId, LogId, LogOpened, LogRecord, Outcome, Property, StepId, StepRecord, Url};
use crate::store::StoreError;
use crate::store::key::Table;
use crate::store::txn::{Records, Txn};

/// Where a step's record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StepPlace {
    pub build: u64,
    pub number: u64,
}

/// How a step ended.
pub(super) struct End<'a> {
    pub at: Timestamp,
    pub outcome: Outcome,
    pub state: &'a str,
    pub hidden: bool,
}

/// A step whose build was removed leaves no trace.
pub(super) fn started(txn: &mut Txn<'_>, step: StepRecord) -> Result<(), StoreError> {
    if txn.bytes(&Table::Build.id(step.build.0))?.is_none() {
        return Ok(());
    }
    txn.put(Table::StepPlace.id(step.id.0), &StepPlace { build: step.build.0, number: step.number });
    txn.put(Table::Step.pair(step.build.0, step.number), &step);
    Ok(())
}

fn change(txn: &mut Txn<'_>, step: StepId, change: impl FnOnce(&mut StepRecord)) -> Result<(), StoreError> {
    match txn.record::<StepPlace>(&Table::StepPlace.id(step.0))? {
        Some(place) => txn.update(Table::Step.pair(place.build, place.number), change),
        None => Ok(()),
    }
}

/// A step without locks has them from its start; one that must wait has not.
pub(super) fn locks_awaited(
    txn: &mut Txn<'_>,
    _build: BuildId,
    step: Option<StepId>,
    state: &str,
) -> Result<(), StoreError> {
    step.map_or(Ok(()), |step| {
        change(txn, step, |step| {
            step.locks_acquired = None;
            state.clone_into(&mut step.state);
        })
    })
}

pub(super) fn locks_taken(
    txn: &mut Txn<'_>,
    at: Timestamp,
    _build: BuildId,
    step: Option<StepId>,
) -> Result<(), StoreError> {
    step.map_or(Ok(()), |step| {
        change(txn, step, |step| {
            // What it waited for is no news any more.
            if step.locks_acquired.replace(at).is_none() {
                "running".clone_into(&mut step.state);
            }
        })
    })
}

pub(super) fn ended(txn: &mut Txn<'_>, _build: BuildId, step: StepId, end: &End<'_>) -> Result<(), StoreError> {
    change(txn, step, |step| {
        step.completed = Some(end.at);
        step.outcome = Some(end.outcome);
        end.state.clone_into(&mut step.state);
        step.hidden = end.hidden;
        if end.outcome == Outcome::Skipped {
            step.locks_acquired = None;
        }
    })
}

pub(super) fn asked(
    txn: &mut Txn<'_>,
    build: BuildId,
    step: StepId,
    ask: &Ask,
    logs: &[LogOpened],
) -> Result<(), StoreError> {
    for opened in logs {
        log_opened(txn, build, step, opened)?;
    }
    match ask {
        Ask::SetProperty { name, value, source } => {
            let property = Property { value: value.clone(), source: source.clone() };
            build::property(txn, build, name, property)
        }
        Ask::SetSummary { step: _, text } => change(txn, step, |step| text.clone_into(&mut step.state)),
        Ask::AddUrl { step: _, name, url } => linked(txn, step, name, url),
        Ask::Run(_)
        | Ask::File(_)
        | Ask::Wait(_)
        | Ask::Now
        | Ask::Trigger(_)
        | Ask::BeginStep(_)
        | Ask::EndStep(_)
        | Ask::WriteLog { .. }
        | Ask::ReadLog { .. }
        | Ask::RecordTests { .. }
        | Ask::RecordValue { .. }
        | Ask::SetData { .. } => Ok(()),
    }
}

/// The engine wrote to a log, which it may have opened.
pub(super) fn noted(
    txn: &mut Txn<'_>,
    build: BuildId,
    step: StepId,
    opened: Option<&LogOpened>,
) -> Result<(), StoreError> {
    opened.map_or(Ok(()), |opened| log_opened(txn, build, step, opened))
}

/// A step got a link.
pub(super) fn linked(txn: &mut Txn<'_>, step: StepId, name: &str, url: &str) -> Result<(), StoreError> {
    change(txn, step, |step| step.urls.push(Url { name: name.to_owned(), url: url.to_owned() }))
}

/// A log that is known already (a further command writes to it) stays as it is.
fn log_opened(txn: &mut Txn<'_>, build: BuildId, step: StepId, opened: &LogOpened) -> Result<(), StoreError> {
    let known = txn.bytes(&Table::LogPlace.id(opened.log.0))?.is_some();
    if known || txn.bytes(&Table::StepPlace.id(step.0))?.is_none() {
        return Ok(());
    }
    let record = LogRecord {
        id: opened.log,
        step,
        build,
        name: opened.name.clone(),
        slug: opened.slug.clone(),
        kind: opened.kind,
        complete: false,
        lines: 0,
    };
    txn.put_number(Table::LogPlace.id(opened.log.0), step.0);
    txn.put(Table::Log.pair(step.0, opened.log.0), &record);
    Ok(())
}

pub(super) fn log_closed(txn: &mut Txn<'_>, step: StepId, log: LogId) -> Result<(), StoreError> {
    txn.update::<LogRecord>(Table::Log.pair(step.0, log.0), |log| log.complete = true)
}
