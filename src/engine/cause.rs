//! What causes the facts of a turn: the input that woke the engine, and nothing else.

use super::Input;
use super::state::State;
use crate::model::{Cause, ChangeSourceId, WorkerId};

/// The cause of everything that follows from an input.
pub(super) fn of(input: &Input, state: &State) -> Cause {
    match input {
        Input::Started { .. } => Cause::Recovery,
        Input::Stopping => Cause::Shutdown,
        Input::PlanLoaded { cause, .. } | Input::PlanRefused { cause, .. } => cause.clone(),
        Input::Woke => Cause::Clock,
        Input::Ordered { by, .. } => Cause::Order(by.clone()),
        Input::Polled { source, .. } => Cause::Source(source_id(state, source)),
        Input::WorkerConnected { worker, .. }
        | Input::Resumed { worker, .. }
        | Input::Forgotten { worker, .. }
        | Input::WorkerLost { worker, .. } => Cause::Worker(worker_id(state, worker)),
        Input::CommandEnded(ended) => Cause::Worker(worker_id(state, &ended.worker)),
        Input::Evaluated { build, .. } => Cause::Script(*build),
        Input::ReportSent { report, .. } | Input::ReportFailed { report, .. } => Cause::Delivery(*report),
    }
}

/// An unknown one is 0, which no worker has: it causes nothing but what is due anyway.
fn worker_id(state: &State, name: &str) -> WorkerId {
    state.workers.get(name).map_or(WorkerId(0), |worker| worker.id)
}

fn source_id(state: &State, name: &str) -> ChangeSourceId {
    state.sources.get(name).map_or(ChangeSourceId(0), |source| source.id)
}
