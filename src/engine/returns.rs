//! What becomes of a worker's commands when it comes back, or does not.

use std::collections::{BTreeMap, BTreeSet};

use super::state::{Connection, RunningCommand};
use super::turn::Turn;
use super::{Effect, Reply, ResumeState, ResumedCommand, Ticket};
use crate::model::{BuildId, CommandId, Event, OnLost, Outcome};

impl Turn<'_> {
    /// A worker's connection is ready. It fences the one before, if that still lasts.
    pub fn worker_connected(&mut self, name: &str, connection: Connection, info: BTreeMap<String, String>) {
        let epoch = connection.epoch;
        let Some(worker) = self.state.workers.get(name).filter(|worker| worker.active || self.state.load_of(name) > 0)
        else {
            return self.disconnect(name, epoch, "it is not configured");
        };
        if epoch <= worker.epoch {
            return self.disconnect(name, epoch, "a newer connection came before");
        }
        let fenced = worker.connection.as_ref().map(|old| old.epoch);
        let leftovers = worker.leftovers.iter().map(|leftover| leftover.command.clone()).collect();
        if let Some(old) = fenced {
            self.disconnect(name, old, "a newer connection took its place");
        }
        let commands_running = self.commands_running_on(name);
        let Connection { instance, resumes, .. } = connection;
        self.record(Event::WorkerConnected { worker: self.state.worker_id(name), epoch, instance, resumes, info });
        if resumes {
            self.resume(name, epoch, &commands_running);
        } else {
            self.forget(name, epoch, leftovers, &commands_running);
        }
        for (build, command, running_command) in commands_running {
            if running_command.sent.is_none() {
                self.dispatch(build, &command);
                // Its build may be over by now: what was never sent runs nowhere.
                self.leftover_ended(name, command);
            }
        }
        self.dismiss_if_idle(name);
    }

    /// Commands under way on a worker.
    fn commands_running_on(&self, worker: &str) -> Vec<(BuildId, CommandId, RunningCommand)> {
        let builds = self.state.builds_on(worker).into_iter().filter_map(|id| self.state.builds.get(&id));
        builds
            .flat_map(|build| {
                let commands_running = build.step.iter().flat_map(|step| &step.commands_running);
                commands_running.map(|(command, running_command)| (build.id, command.clone(), running_command.clone()))
            })
            .collect()
    }

    /// Asks a worker that keeps its commands what became of them; those not named it stops and forgets.
    fn resume(&mut self, worker: &str, epoch: u64, commands_running: &[(BuildId, CommandId, RunningCommand)]) {
        let sent = commands_running.iter().filter(|(_, _, running_command)| running_command.sent.is_some());
        let asked: BTreeMap<CommandId, Option<String>> =
            sent.map(|(_, command, running_command)| (command.clone(), running_command.sent.clone())).collect();
        let sent = commands_running.iter().filter(|(_, _, running_command)| running_command.sent.is_some());
        let commands = sent.filter_map(|(build, command, _)| self.order(*build, command)).collect();
        self.in_flight.resuming.insert(worker.to_owned(), (epoch, asked));
        self.effects.push(Effect::Resume { worker: worker.to_owned(), epoch, commands });
    }

    /// A stock worker cannot tell of commands from before: they are stopped, and count as cut off.
    fn forget(
        &mut self,
        worker: &str,
        epoch: u64,
        leftovers: Vec<CommandId>,
        commands_running: &[(BuildId, CommandId, RunningCommand)],
    ) {
        let sent: Vec<&(BuildId, CommandId, RunningCommand)> =
            commands_running.iter().filter(|(_, _, running_command)| running_command.sent.is_some()).collect();
        let mut commands = leftovers;
        commands.extend(sent.iter().map(|(_, command, _)| command.clone()));
        if !commands.is_empty() {
            self.effects.push(Effect::Forget { worker: worker.to_owned(), epoch, commands });
        }
        for (build, command, _) in sent {
            self.command_gone(*build, command, "the worker was away, and cannot take its commands up again");
        }
    }

    /// A stock worker has confirmed that it kills its leftovers. Late: of an earlier connection, or of what has ended.
    pub fn forgotten(&mut self, name: &str, epoch: u64, mut commands: Vec<CommandId>) {
        let Some(worker) = self.state.workers.get(name) else { return };
        if worker.connection.as_ref().is_none_or(|connection| connection.epoch != epoch) {
            return;
        }
        let left: BTreeSet<&CommandId> = worker.leftovers.iter().map(|leftover| &leftover.command).collect();
        commands.retain(|command| left.contains(command));
        if !commands.is_empty() {
            self.record(Event::LeftoversInterrupted { worker: self.state.worker_id(name), commands });
        }
    }

    /// A worker tells what became of its commands.
    pub fn resumed(&mut self, name: &str, epoch: u64, told: Vec<ResumedCommand>) {
        let Some(connection) = self.state.workers.get(name).and_then(|worker| worker.connection.clone()) else {
            return;
        };
        if connection.epoch != epoch || self.in_flight.resuming.get(name).is_none_or(|(asked, _)| *asked != epoch) {
            return;
        }
        let Some((_, asked)) = self.in_flight.resuming.remove(name) else { return };
        let told: BTreeMap<CommandId, ResumeState> = told.into_iter().map(|told| (told.command, told.state)).collect();
        for (command, sent) in asked {
            let Some(build) = self.state.index.commands.get(&command).copied() else {
                // Its build is over, perhaps by what was told of another of its commands. What the worker does not have
                // runs nowhere, and keeps no directory.
                if told.get(&command) != Some(&ResumeState::Known) {
                    self.leftover_ended(name, command);
                }
                continue;
            };
            let same = sent.as_ref() == Some(&connection.instance);
            sabotage!(SentAgainWithoutMemory => if told.get(&command) == Some(&ResumeState::NeverSeen) {
                self.send_again(build, &command);
                continue;
            });
            match told.get(&command) {
                Some(ResumeState::Known) => self.stop_again(build, &command),
                Some(ResumeState::NeverSeen) if same => self.send_again(build, &command),
                Some(ResumeState::NeverSeen) => {
                    self.command_gone(build, &command, "the worker came back without its memory");
                }
                Some(ResumeState::Gone) | None => self.command_gone(build, &command, "the worker lost it"),
            }
        }
    }

    /// It never arrived: it is sent - unless it is to be stopped, which it is already then.
    fn send_again(&mut self, build: BuildId, command: &CommandId) {
        if self.running_command(build, command).is_some_and(|running_command| running_command.stop.is_some()) {
            self.command_gone(build, command, "it never arrived");
        } else {
            self.dispatch(build, command);
        }
    }

    /// A stop that may not have arrived is told again.
    fn stop_again(&mut self, build: BuildId, command: &CommandId) {
        if let Some(stop) = self.running_command(build, command).and_then(|running_command| running_command.stop) {
            self.interrupt(build, command, stop.level);
        }
    }

    fn running_command(&self, build: BuildId, command: &CommandId) -> Option<&RunningCommand> {
        self.state.builds.get(&build)?.step.as_ref()?.commands_running.get(command)
    }

    /// A lost worker stayed away too long: its builds end.
    pub fn give_up_worker(&mut self, name: &str) {
        if self.state.workers.get(name).is_some_and(|worker| worker.connection.is_none()) {
            self.abandon_builds(name, &format!("worker {name} stayed away"));
        }
    }

    fn abandon_builds(&mut self, worker: &str, why: &str) {
        for id in self.state.builds_on(worker) {
            let Some(build) = self.state.builds.get(&id) else { continue };
            let commands_running = build.step.iter().flat_map(|step| step.commands_running.values());
            let builder = self.in_flight.plans.get(&build.plan).and_then(|plan| plan.builders.get(&build.builder));
            let mut rules: BTreeSet<bool> =
                commands_running.map(|running_command| self.on_lost(build, running_command) == OnLost::Fail).collect();
            rules.insert(builder.is_some_and(|builder| builder.on_lost == OnLost::Fail));
            let outcome = if rules.contains(&true) { Outcome::Exception } else { Outcome::Retry };
            self.abandon(id, outcome, why);
        }
    }

    /// Somebody wants a worker to end at once: its builds run elsewhere.
    pub fn kill_ordered(&mut self, worker: String, why: String, ticket: Option<Ticket>) {
        if self.refuse_unknown(&worker, ticket) {
            return;
        }
        if let Some(connection) = self.state.workers.get(&worker).and_then(|worker| worker.connection.clone()) {
            let epoch = connection.epoch;
            self.effects.push(Effect::KillWorker { worker: worker.clone(), epoch, why: why.clone() });
            let worker = self.state.worker_id(&worker);
            self.record(Event::WorkerLost { worker, epoch, why: why.clone(), give_up: None });
        }
        self.abandon_builds(&worker, &why);
        self.reply(ticket, Reply::Done);
    }
}
