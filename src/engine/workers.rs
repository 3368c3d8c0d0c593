//! Workers go, are paused, and are sent away. What becomes of their commands is told by `returns.rs`.

use super::turn::Turn;
use super::{Effect, Reply, Ticket};
use crate::base::{Span, Timestamp, nearest};
use crate::model::{Event, WorkerId};

/// A worker may stay away so long if no configuration says otherwise.
const GRACE: Span = Span::from_minutes(10);

impl Turn<'_> {
    /// A worker's connection ended. Its builds wait for it.
    pub fn worker_lost(&mut self, name: String, epoch: u64, why: String) {
        let current = self.state.workers.get(&name).and_then(|worker| worker.connection.as_ref());
        sabotage!(FencedConnectionHeard => if current.is_some_and(|connection| connection.epoch > epoch) {
            return self.record(Event::WorkerLost { worker: self.state.worker_id(&name), epoch, why, give_up: None });
        });
        if current.is_none_or(|connection| connection.epoch != epoch) {
            return;
        }
        self.in_flight.resuming.remove(&name);
        let idle = self.state.load_of(&name) == 0;
        let give_up = (!idle).then(|| self.now.plus(self.grace_of_workers()));
        let graceful = self.state.workers.get(&name).is_some_and(|worker| worker.graceful);
        self.record(Event::WorkerLost { worker: self.state.worker_id(&name), epoch, why, give_up });
        if graceful && idle {
            // It went as it was asked to. When it comes back, it comes to work.
            self.record(Event::WorkerGraceful { worker: self.state.worker_id(&name), graceful: false });
        }
    }

    /// After a restart nobody is connected; builds wait anew for their workers.
    pub fn forget_connections(&mut self) {
        let give_up = self.now.plus(self.grace_of_workers());
        let workers: Vec<(WorkerId, u64, bool, bool)> = (self.state.workers.iter())
            .map(|(name, worker)| (worker.id, worker.epoch, worker.connection.is_some(), self.state.load_of(name) > 0))
            .collect();
        for (worker, epoch, connected, busy) in workers {
            if connected || busy {
                let why = "the master was started".to_owned();
                sabotage!(GraceForgottenOnRestart => {
                    self.record(Event::WorkerLost { worker, epoch, why, give_up: None });
                    continue
                });
                self.record(Event::WorkerLost { worker, epoch, why, give_up: busy.then_some(give_up) });
            }
        }
    }

    /// How long a worker may stay away.
    pub fn grace_of_workers(&self) -> Span {
        self.plan().map_or(GRACE, |plan| plan.master.reconnect_grace)
    }

    /// When the next of a stock worker's leftovers has been killed: a directory becomes free. While the worker is away,
    /// nobody knows: it is told again when it comes back.
    pub fn leftovers_over(&self, name: &str) -> Option<Timestamp> {
        let worker = self.state.workers.get(name).filter(|worker| worker.connection.is_some())?;
        worker.leftovers.iter().filter_map(|leftover| leftover.over(self.now)).min()
    }

    /// A stock worker has had its time to kill its leftovers. A fact, so that a clock that goes back changes nothing.
    pub fn end_leftovers(&mut self, name: &str) {
        let leftovers = self.state.workers.get(name).into_iter().flat_map(|worker| &worker.leftovers);
        let over = leftovers.filter(|leftover| leftover.over(self.now).is_some_and(|over| over <= self.now));
        for command in over.map(|leftover| leftover.command.clone()).collect::<Vec<_>>() {
            self.record(Event::LeftoverEnded { worker: self.state.worker_id(name), command, heard: false });
        }
    }

    /// Somebody pauses or unpauses a worker.
    pub fn pause_ordered(&mut self, worker: String, paused: bool, reason: Option<String>, ticket: Option<Ticket>) {
        if self.refuse_unknown(&worker, ticket) {
            return;
        }
        let reason = reason.filter(|_| paused);
        self.record(Event::WorkerPaused { worker: self.state.worker_id(&worker), paused, reason });
        self.reply(ticket, Reply::Done);
    }

    /// Somebody wants a worker to finish and go.
    pub fn graceful_ordered(&mut self, worker: String, ticket: Option<Ticket>) {
        if self.refuse_unknown(&worker, ticket) {
            return;
        }
        self.record(Event::WorkerGraceful { worker: self.state.worker_id(&worker), graceful: true });
        self.dismiss_if_idle(&worker);
        self.reply(ticket, Reply::Done);
    }

    pub fn refuse_unknown(&mut self, name: &str, ticket: Option<Ticket>) -> bool {
        if self.state.workers.contains_key(name) {
            return false;
        }
        let hint = nearest(name, self.state.workers.keys().map(String::as_str));
        let hint = hint.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
        self.reply(ticket, Reply::Unknown(format!("there is no worker `{name}`{hint}")));
        true
    }

    pub fn disconnect(&mut self, worker: &str, epoch: u64, why: &str) {
        self.effects.push(Effect::Disconnect { worker: worker.to_owned(), epoch, why: why.to_owned() });
    }

    /// An idle worker that was asked to go is told to, one that is not configured any more is cut off: once for each of
    /// their connections.
    pub fn dismiss_if_idle(&mut self, name: &str) {
        let Some(worker) = self.state.workers.get(name).filter(|_| self.state.load_of(name) == 0) else { return };
        let Some(epoch) = worker.connection.as_ref().map(|connection| connection.epoch) else { return };
        let (graceful, active) = (worker.graceful, worker.active);
        if (active && !graceful) || self.in_flight.dismissed.get(name) == Some(&epoch) {
            return;
        }
        self.in_flight.dismissed.insert(name.to_owned(), epoch);
        if active {
            self.effects.push(Effect::ShutDownWorker { worker: name.to_owned(), epoch });
        } else {
            self.disconnect(name, epoch, "it is not configured any more");
        }
    }

    /// Looks which workers can go.
    pub fn dismiss_idle_workers(&mut self) {
        for name in self.state.workers.keys().cloned().collect::<Vec<_>>() {
            self.dismiss_if_idle(&name);
        }
    }
}
