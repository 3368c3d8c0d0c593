//! What causes the facts of a turn: the input that woke the engine, and nothing else.

use super::Input;
use super::state::State;
use crate::model::Cause;

/// The cause of everything that follows from an input.
pub(super) fn of(input: &Input, state: &State) -> Cause {
    match input {
        Input::Started { .. } => Cause::Recovery,
        Input::Stopping => Cause::Shutdown,
        Input::PlanLoaded { cause, .. } | Input::PlanRefused { cause, .. } => cause.clone(),
        Input::Woke => Cause::Clock,
        Input::Ordered { by, .. } => Cause::Order(by.clone()),
        Input::Polled { source, .. } => of_source(state, source),
        Input::WorkerConnected { worker, .. }
        | Input::Resumed { worker, .. }
        | Input::Forgotten { worker, .. }
        | Input::WorkerLost { worker, .. } => of_worker(state, worker),
        Input::CommandEnded(ended) => of_worker(state, &ended.worker),
        Input::Evaluated { build, .. } => Cause::Script(*build),
        Input::ReportSent { report, .. } | Input::ReportFailed { report, .. } => Cause::Delivery(*report),
    }
}

/// One that no configuration ever had causes nothing itself. What is due anyway is done in its turn as in any other, and
/// that the clock causes.
fn of_worker(state: &State, name: &str) -> Cause {
    state.workers().get(name).map_or(Cause::Clock, |worker| Cause::Worker(worker.id))
}

fn of_source(state: &State, name: &str) -> Cause {
    state.sources().get(name).map_or(Cause::Clock, |source| Cause::Source(source.id))
}
