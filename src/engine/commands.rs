//! Commands: given to the worker, ended, cut off, stopped.

use std::collections::BTreeMap;

use super::state::{Build, RunningCommand};
use super::turn::Turn;
use super::{CommandEnded, CommandOrder, Effect, Work, timers};
use crate::base::{Span, Timestamp};
use crate::model::{
    Answer, Ask, BuildId, CommandEnd, CommandId, CommandResult, CommandSpec, Event, Note, OnLost, Outcome, StopLevel,
};

/// After the command's own grace, a polite stop gets so long before the whole tree is killed.
const STOP_SLACK: Span = Span::from_seconds(30);
/// A kill gets so long before the command is given up.
const KILL_SLACK: Span = Span::from_seconds(30);
/// A command is given to its worker again at most so often: one that takes the worker down each time ends.
const RESTARTS_MAX: u32 = 5;

impl Turn<'_> {
    /// Gives a command to its worker, if that is there; if not, it is given when it comes back.
    pub fn dispatch(&mut self, id: BuildId, command: &CommandId) {
        if let Some(order) = self.order(id, command) {
            self.effects.push(Effect::Dispatch(Box::new(order)));
        }
    }

    pub(super) fn order(&self, id: BuildId, command: &CommandId) -> Option<CommandOrder> {
        let build = self.state.builds.get(&id)?;
        let step = build.step.as_ref()?;
        let running_command = step.commands_running.get(command)?;
        let connection = self.state.workers.get(&build.worker)?.connection.as_ref()?;
        let builder = self.in_flight.plans.get(&build.plan)?.builders.get(&build.builder)?;
        let work = match step.ask(&running_command.key)? {
            Ask::Run(spec) => Work::Run(spec.clone()),
            Ask::File(file) => Work::File(file.clone()),
            // The master answers these itself.
            Ask::Wait(_)
            | Ask::Now
            | Ask::Trigger(_)
            | Ask::BeginStep(_)
            | Ask::EndStep(_)
            | Ask::SetProperty { .. }
            | Ask::SetSummary { .. }
            | Ask::AddUrl { .. }
            | Ask::WriteLog { .. } => return None,
        };
        Some(CommandOrder {
            worker: build.worker.clone(),
            epoch: connection.epoch,
            command: command.clone(),
            build: id,
            builder: build.builder.clone(),
            step: running_command.step,
            dir: build.dir.clone(),
            work,
            logs: running_command.logs.clone(),
            env: builder.env.clone(),
            plan: build.plan.clone(),
        })
    }

    /// A command ended. Of one that nobody waits for any more it is news that its directory is free.
    pub fn command_ended(&mut self, ended: CommandEnded) {
        let Some(id) = self.state.index.commands.get(&ended.command).copied() else {
            return self.leftover_ended(&ended.worker, ended.command);
        };
        let Some(build) = self.state.builds.get(&id).filter(|build| build.worker == ended.worker) else { return };
        let Some(running_command) = build.step.as_ref().and_then(|step| step.commands_running.get(&ended.command))
        else {
            return;
        };
        sabotage!(WrongBranchAnswered => if let Some(first) = build.step.iter().flat_map(|step| step.commands_running.values()).next() {
            return self.answer(id, first.key.clone(), Answer::Command(ended.result));
        });
        match &ended.result.end {
            CommandEnd::Lost(why) if running_command.stop.is_none() => {
                let why = why.clone();
                self.command_gone(id, &ended.command, &why);
            }
            _ => {
                let running_command = running_command.clone();
                self.note_file_failure(id, &running_command, &ended.result);
                let key = running_command.key;
                self.answer(id, key, Answer::Command(ended.result));
            }
        }
    }

    /// A command does not run, for certain. If it was left behind, its directory is free.
    pub fn leftover_ended(&mut self, worker: &str, command: CommandId) {
        let known = self.state.workers.get(worker);
        if known.is_some_and(|known| known.leftovers.iter().any(|leftover| leftover.command == command)) {
            self.record(Event::LeftoverEnded { worker: self.state.worker_id(worker), command, heard: true });
        }
    }

    /// File commands have no output: what the worker said about one that failed becomes a log.
    fn note_file_failure(&mut self, id: BuildId, running_command: &RunningCommand, result: &CommandResult) {
        let step = self.state.builds.get(&id).and_then(|build| build.step.as_ref());
        let Some(Ask::File(command)) = step.and_then(|step| step.ask(&running_command.key)) else { return };
        let Some(text) = result.stderr.clone().filter(|text| !text.trim().is_empty()) else { return };
        if !result.outcome.is_ok() && !command.only_looks() {
            self.write_note(id, running_command.step, Note::FileFailed(running_command.key.clone()), "stdio", text);
        }
    }

    /// A command was cut off and cannot be taken up: whatever is to be done then is done.
    pub fn command_gone(&mut self, id: BuildId, command: &CommandId, why: &str) {
        let Some(build) = self.state.builds.get(&id) else { return };
        let Some(running_command) = build.step.as_ref().and_then(|step| step.commands_running.get(command)).cloned()
        else {
            return;
        };
        let rule = if running_command.stop.is_some() { OnLost::Fail } else { self.on_lost(build, &running_command) };
        if rule == OnLost::RunAgain && running_command.restarts < RESTARTS_MAX {
            return self.run_again(id, &running_command, why);
        }
        // Its end is a fact in any case: it does not run any more, and so does not keep its directory.
        let end = CommandEnd::Lost(why.to_owned());
        let result = CommandResult { outcome: Outcome::Exception, ..CommandResult::of(end, &BTreeMap::default()) };
        self.answer(id, running_command.key, Answer::Command(result));
        if rule == OnLost::RetryBuild {
            self.abandon(id, Outcome::Retry, why);
        }
    }

    /// What to do about a lost command: what it says itself, else what its builder says. File commands come to the
    /// same when they are done twice.
    pub fn on_lost(&self, build: &Build, running_command: &RunningCommand) -> OnLost {
        let builder = self.in_flight.plans.get(&build.plan).and_then(|plan| plan.builders.get(&build.builder));
        match build.step.as_ref().and_then(|step| step.ask(&running_command.key)) {
            Some(Ask::Run(CommandSpec { on_lost: OnLost::RetryBuild, .. })) => {
                builder.map_or(OnLost::RetryBuild, |builder| builder.on_lost)
            }
            Some(Ask::Run(spec)) => spec.on_lost,
            _ => OnLost::RunAgain,
        }
    }

    fn run_again(&mut self, id: BuildId, running_command: &RunningCommand, why: &str) {
        let command = self.next_command(id);
        self.record(Event::CommandRestarted {
            build: id,
            key: running_command.key.clone(),
            command: command.clone(),
            why: why.to_owned(),
        });
        self.dispatch(id, &command);
    }

    /// Stops the commands of the step in progress. False while one still runs.
    pub fn stop_commands(&mut self, id: BuildId) -> bool {
        let Some(build) = self.state.builds.get(&id) else { return true };
        let Some(step) = &build.step else { return true };
        let away = self.state.workers.get(&build.worker).is_none_or(|worker| worker.connection.is_none());
        let commands_running: Vec<(CommandId, RunningCommand)> = step
            .commands_running
            .iter()
            .map(|(command, running_command)| (command.clone(), running_command.clone()))
            .collect();
        for (command, running_command) in commands_running {
            if away {
                self.give_up_command(id, &command);
            } else if running_command.stop.is_none() {
                let due = self.now.plus(self.grace(id, &running_command)).plus(STOP_SLACK);
                self.escalate(id, &command, StopLevel::Interrupt, due);
            }
        }
        self.state
            .builds
            .get(&id)
            .and_then(|build| build.step.as_ref())
            .is_none_or(|step| step.commands_running.is_empty())
    }

    fn grace(&self, id: BuildId, running_command: &RunningCommand) -> Span {
        let step = self.state.builds.get(&id).and_then(|build| build.step.as_ref());
        match step.and_then(|step| step.ask(&running_command.key)) {
            Some(Ask::Run(spec)) => spec.grace,
            _ => Span::ZERO,
        }
    }

    /// When a stronger means is due against a command that does not stop.
    pub fn stop_due(&self, id: BuildId, running_command: &RunningCommand) -> Option<Timestamp> {
        let due = running_command.stop?.due;
        let longest =
            self.grace(id, running_command).as_millis().saturating_add(STOP_SLACK.max(KILL_SLACK).as_millis());
        Some(timers::due(due, self.now, Span::from_millis(longest)))
    }

    /// Uses the next stronger means where the last one did not help in time.
    pub fn escalate_stops(&mut self, id: BuildId) {
        let Some(step) = self.state.builds.get(&id).and_then(|build| build.step.as_ref()) else { return };
        let due: Vec<(CommandId, StopLevel)> = (step.commands_running.iter())
            .filter(|(_, running_command)| self.stop_due(id, running_command).is_some_and(|due| due <= self.now))
            .filter_map(|(command, running_command)| Some((command.clone(), running_command.stop?.level)))
            .collect();
        for (command, level) in due {
            match level {
                StopLevel::Interrupt => self.escalate(id, &command, StopLevel::Kill, self.now.plus(KILL_SLACK)),
                StopLevel::Kill => self.give_up_command(id, &command),
            }
        }
    }

    fn escalate(&mut self, id: BuildId, command: &CommandId, level: StopLevel, due: Timestamp) {
        self.record(Event::StopEscalated { build: id, command: command.clone(), level, due });
        self.interrupt(id, command, level);
    }

    /// Tells the worker to stop a command.
    pub fn interrupt(&mut self, id: BuildId, command: &CommandId, level: StopLevel) {
        let Some(build) = self.state.builds.get(&id) else { return };
        let connection = self.state.workers.get(&build.worker).and_then(|worker| worker.connection.as_ref());
        if let Some(connection) = connection {
            let why = build.stop.as_ref().map_or_else(|| "the step is over".to_owned(), |stop| stop.why.clone());
            self.effects.push(Effect::Interrupt {
                worker: build.worker.clone(),
                epoch: connection.epoch,
                command: command.clone(),
                level,
                why,
            });
        }
    }

    /// A build ends at once: what of it still runs on a worker that is there is killed.
    pub fn kill_commands(&mut self, id: BuildId) {
        let step = self.state.builds.get(&id).and_then(|build| build.step.as_ref());
        let sent = step
            .into_iter()
            .flat_map(|step| &step.commands_running)
            .filter(|(_, running_command)| running_command.sent.is_some());
        for command in sent.map(|(command, _)| command.clone()).collect::<Vec<_>>() {
            self.interrupt(id, &command, StopLevel::Kill);
        }
    }

    /// Nobody waits for a command any more; it is stopped when its worker comes back.
    fn give_up_command(&mut self, id: BuildId, command: &CommandId) {
        self.record(Event::CommandGivenUp { build: id, command: command.clone() });
    }
}
