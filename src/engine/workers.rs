//! Workers go, are paused, and are sent away. What becomes of their commands is told by `returns.rs`.

use super::turn::Turn;
use super::{Effect, Reply, Ticket};
use crate::base::{Span, Timestamp, nearest};
use crate::model::{Event, WorkerId};

/// A worker may stay away so long if no configuration says otherwise.
const GRACE: Span = Span::from_minutes(10);

/// A worker's connection ended. Its builds wait for it.
pub(super) fn worker_lost(turn: &mut Turn<'_>, name: String, epoch: u64, why: String) {
    let current = turn.state.workers().get(&name).and_then(|worker| worker.connection.as_ref());
    sabotage!(FencedConnectionHeard => if current.is_some_and(|connection| connection.epoch > epoch) {
        return turn.record(Event::WorkerLost { worker: turn.state.worker_id(&name), epoch, why, give_up: None });
    });
    if current.is_none_or(|connection| connection.epoch != epoch) {
        return;
    }
    turn.in_flight.connections.lost(&name);
    let idle = turn.state.load_of(&name) == 0;
    let give_up = (!idle).then(|| turn.now.plus(grace_of_workers(turn)));
    let graceful = turn.state.workers().get(&name).is_some_and(|worker| worker.graceful);
    turn.record(Event::WorkerLost { worker: turn.state.worker_id(&name), epoch, why, give_up });
    if graceful && idle {
        // It went as it was asked to. When it comes back, it comes to work.
        turn.record(Event::WorkerGraceful { worker: turn.state.worker_id(&name), graceful: false });
    }
}

/// After a restart nobody is connected; builds wait anew for their workers.
pub(super) fn forget_connections(turn: &mut Turn<'_>) {
    let give_up = turn.now.plus(grace_of_workers(turn));
    let workers: Vec<(WorkerId, u64, bool, bool)> = (turn.state.workers().iter())
        .map(|(name, worker)| (worker.id, worker.epoch, worker.connection.is_some(), turn.state.load_of(name) > 0))
        .collect();
    for (worker, epoch, connected, busy) in workers {
        if connected || busy {
            let why = "the master was started".to_owned();
            sabotage!(GraceForgottenOnRestart => {
                turn.record(Event::WorkerLost { worker, epoch, why, give_up: None });
                continue
            });
            turn.record(Event::WorkerLost { worker, epoch, why, give_up: busy.then_some(give_up) });
        }
    }
}

/// How long a worker may stay away.
pub(super) fn grace_of_workers(turn: &Turn<'_>) -> Span {
    turn.plan().map_or(GRACE, |plan| plan.master.reconnect_grace)
}

/// When the next of a stock worker's leftovers has been killed: a directory becomes free. While the worker is away,
/// nobody knows: it is told again when it comes back.
pub(super) fn leftovers_over(turn: &Turn<'_>, name: &str) -> Option<Timestamp> {
    let worker = turn.state.workers().get(name).filter(|worker| worker.connection.is_some())?;
    worker.leftovers.iter().filter_map(|leftover| leftover.over(turn.now)).min()
}

/// A stock worker has had its time to kill its leftovers. A fact, so that a clock that goes back changes nothing.
pub(super) fn end_leftovers(turn: &mut Turn<'_>, name: &str) {
    let leftovers = turn.state.workers().get(name).into_iter().flat_map(|worker| &worker.leftovers);
    let over = leftovers.filter(|leftover| leftover.over(turn.now).is_some_and(|over| over <= turn.now));
    for command in over.map(|leftover| leftover.command.clone()).collect::<Vec<_>>() {
        turn.record(Event::LeftoverEnded { worker: turn.state.worker_id(name), command, heard: false });
    }
}

/// Somebody pauses or unpauses a worker.
pub(super) fn pause_ordered(
    turn: &mut Turn<'_>,
    worker: String,
    paused: bool,
    reason: Option<String>,
    ticket: Option<Ticket>,
) {
    if refuse_unknown(turn, &worker, ticket) {
        return;
    }
    let reason = reason.filter(|_| paused);
    turn.record(Event::WorkerPaused { worker: turn.state.worker_id(&worker), paused, reason });
    turn.reply(ticket, Reply::Done);
}

/// Somebody wants a worker to finish and go.
pub(super) fn graceful_ordered(turn: &mut Turn<'_>, worker: String, ticket: Option<Ticket>) {
    if refuse_unknown(turn, &worker, ticket) {
        return;
    }
    turn.record(Event::WorkerGraceful { worker: turn.state.worker_id(&worker), graceful: true });
    dismiss_if_idle(turn, &worker);
    turn.reply(ticket, Reply::Done);
}

pub(super) fn refuse_unknown(turn: &mut Turn<'_>, name: &str, ticket: Option<Ticket>) -> bool {
    if turn.state.workers().contains_key(name) {
        return false;
    }
    let hint = nearest(name, turn.state.workers().keys().map(String::as_str));
    let hint = hint.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
    turn.reply(ticket, Reply::Unknown(format!("there is no worker `{name}`{hint}")));
    true
}

pub(super) fn disconnect(turn: &mut Turn<'_>, worker: &str, epoch: u64, why: &str) {
    turn.effects.push(Effect::Disconnect { worker: worker.to_owned(), epoch, why: why.to_owned() });
}

/// An idle worker that was asked to go is told to, one that is not configured any more is cut off: once for each of
/// their connections.
pub(super) fn dismiss_if_idle(turn: &mut Turn<'_>, name: &str) {
    let worker = turn.state.worker(name);
    if turn.state.load_of(name) > 0 {
        return;
    }
    let Some(epoch) = worker.connection.as_ref().map(|connection| connection.epoch) else { return };
    let (graceful, active) = (worker.graceful, worker.active);
    if (active && !graceful) || !turn.in_flight.connections.dismiss(name, epoch) {
        return;
    }
    if active {
        turn.effects.push(Effect::ShutDownWorker { worker: name.to_owned(), epoch });
    } else {
        disconnect(turn, name, epoch, "it is not configured any more");
    }
}

/// Looks which workers can go.
pub(super) fn dismiss_idle_workers(turn: &mut Turn<'_>) {
    for name in turn.state.workers().keys().cloned().collect::<Vec<_>>() {
        dismiss_if_idle(turn, &name);
    }
}
