//! What becomes of a worker's commands when it comes back, or does not.

use std::collections::{BTreeMap, BTreeSet};

use super::command_ends::{command_gone, leftover_ended, on_lost};
use super::commands::{dispatch, interrupt, order};
use super::ends::abandon;
use super::state::{Connection, RunningCommand};
use super::turn::Turn;
use super::workers::{disconnect, dismiss_if_idle, refuse_unknown};
use super::{Effect, Reply, ResumeState, ResumedCommand, Ticket};
use crate::model::{BuildId, CommandId, Event, OnLost, Outcome};

/// A worker's connection is ready. It fences the one before, if that still lasts.
pub(super) fn worker_connected(
    turn: &mut Turn<'_>,
    name: &str,
    connection: Connection,
    info: BTreeMap<String, String>,
) {
    let epoch = connection.epoch;
    let Some(worker) = turn.state.workers().get(name).filter(|worker| worker.active || turn.state.load_of(name) > 0)
    else {
        return disconnect(turn, name, epoch, "it is not configured");
    };
    if epoch <= worker.epoch {
        return disconnect(turn, name, epoch, "a newer connection came before");
    }
    let fenced = worker.connection.as_ref().map(|old| old.epoch);
    let leftovers = worker.leftovers.iter().map(|leftover| leftover.command.clone()).collect();
    if let Some(old) = fenced {
        disconnect(turn, name, old, "a newer connection took its place");
    }
    let commands_running = commands_running_on(turn, name);
    let Connection { instance, resumes, .. } = connection;
    turn.record(Event::WorkerConnected { worker: turn.state.worker_id(name), epoch, instance, resumes, info });
    if resumes {
        resume(turn, name, epoch, &commands_running);
    } else {
        forget(turn, name, epoch, leftovers, &commands_running);
    }
    for (build, command, running_command) in commands_running {
        if running_command.sent.is_none() {
            dispatch(turn, build, &command);
            // Its build may be over by now: what was never sent runs nowhere.
            leftover_ended(turn, name, command);
        }
    }
    dismiss_if_idle(turn, name);
}

/// Commands under way on a worker.
fn commands_running_on(turn: &Turn<'_>, worker: &str) -> Vec<(BuildId, CommandId, RunningCommand)> {
    let builds = turn.state.builds_on(worker).into_iter().filter_map(|id| turn.state.builds().get(&id));
    builds
        .flat_map(|build| {
            let commands_running = build.step.iter().flat_map(|step| &step.commands_running);
            commands_running.map(|(command, running_command)| (build.id, command.clone(), running_command.clone()))
        })
        .collect()
}

/// Asks a worker that keeps its commands what became of them; those not named it stops and forgets.
fn resume(turn: &mut Turn<'_>, worker: &str, epoch: u64, commands_running: &[(BuildId, CommandId, RunningCommand)]) {
    let sent = commands_running.iter().filter(|(_, _, running_command)| running_command.sent.is_some());
    let asked: BTreeMap<CommandId, Option<String>> =
        sent.map(|(_, command, running_command)| (command.clone(), running_command.sent.clone())).collect();
    let sent = commands_running.iter().filter(|(_, _, running_command)| running_command.sent.is_some());
    let commands = sent.filter_map(|(build, command, _)| order(turn, *build, command)).collect();
    turn.in_flight.connections.ask(worker, epoch, asked);
    turn.effects.push(Effect::Resume { worker: worker.to_owned(), epoch, commands });
}

/// A stock worker cannot tell of commands from before: they are stopped, and count as cut off.
fn forget(
    turn: &mut Turn<'_>,
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
        turn.effects.push(Effect::Forget { worker: worker.to_owned(), epoch, commands });
    }
    for (build, command, _) in sent {
        command_gone(turn, *build, command, "the worker was away, and cannot take its commands up again");
    }
}

/// A stock worker has confirmed that it kills its leftovers. Late: of an earlier connection, or of what has ended.
pub(super) fn forgotten(turn: &mut Turn<'_>, name: &str, epoch: u64, mut commands: Vec<CommandId>) {
    let Some(worker) = turn.state.workers().get(name) else { return };
    if worker.connection.as_ref().is_none_or(|connection| connection.epoch != epoch) {
        return;
    }
    let left: BTreeSet<&CommandId> = worker.leftovers.iter().map(|leftover| &leftover.command).collect();
    commands.retain(|command| left.contains(command));
    if !commands.is_empty() {
        turn.record(Event::LeftoversInterrupted { worker: turn.state.worker_id(name), commands });
    }
}

/// A worker tells what became of its commands.
pub(super) fn resumed(turn: &mut Turn<'_>, name: &str, epoch: u64, told: Vec<ResumedCommand>) {
    // Late: it is lost, or has connected anew.
    let Some(connection) = turn.state.workers().get(name).and_then(|worker| worker.connection.clone()) else {
        return;
    };
    if connection.epoch != epoch {
        return;
    }
    // Late: it has answered, or was not asked in this connection.
    let Some(asked) = turn.in_flight.connections.answered(name, epoch) else { return };
    let told: BTreeMap<CommandId, ResumeState> = told.into_iter().map(|told| (told.command, told.state)).collect();
    for (command, sent) in asked {
        let Some(build) = turn.state.index().commands.get(&command).copied() else {
            // Its build is over, perhaps by what was told of another of its commands. What the worker does not have
            // runs nowhere, and keeps no directory.
            if told.get(&command) != Some(&ResumeState::Known) {
                leftover_ended(turn, name, command);
            }
            continue;
        };
        let same = sent.as_ref() == Some(&connection.instance);
        sabotage!(SentAgainWithoutMemory => if told.get(&command) == Some(&ResumeState::NeverSeen) {
            send_again(turn, build, &command);
            continue;
        });
        match told.get(&command) {
            Some(ResumeState::Known) => stop_again(turn, build, &command),
            Some(ResumeState::NeverSeen) if same => send_again(turn, build, &command),
            Some(ResumeState::NeverSeen) => {
                command_gone(turn, build, &command, "the worker came back without its memory");
            }
            Some(ResumeState::Lost) | None => command_gone(turn, build, &command, "the worker lost it"),
        }
    }
}

/// It never arrived: it is sent - unless it is to be stopped, which it is already then.
fn send_again(turn: &mut Turn<'_>, build: BuildId, command: &CommandId) {
    if running_command(turn, build, command).is_some_and(|running_command| running_command.stop.is_some()) {
        command_gone(turn, build, command, "it never arrived");
    } else {
        dispatch(turn, build, command);
    }
}

/// A stop that may not have arrived is told again.
fn stop_again(turn: &mut Turn<'_>, build: BuildId, command: &CommandId) {
    if let Some(stop) = running_command(turn, build, command).and_then(|running_command| running_command.stop) {
        interrupt(turn, build, command, stop.level);
    }
}

fn running_command<'t>(turn: &'t Turn<'_>, build: BuildId, command: &CommandId) -> Option<&'t RunningCommand> {
    turn.state.builds().get(&build)?.step.as_ref()?.commands_running.get(command)
}

/// A lost worker stayed away too long: its builds end.
pub(super) fn give_up_worker(turn: &mut Turn<'_>, name: &str) {
    if turn.state.workers().get(name).is_some_and(|worker| worker.connection.is_none()) {
        abandon_builds(turn, name, &format!("worker {name} stayed away"));
    }
}

fn abandon_builds(turn: &mut Turn<'_>, worker: &str, why: &str) {
    for id in turn.state.builds_on(worker) {
        let build = turn.state.build(id);
        let commands_running = build.step.iter().flat_map(|step| step.commands_running.values());
        let builder = turn.in_flight.plans.get(&build.plan).and_then(|plan| plan.builders.get(&build.builder));
        let mut rules: BTreeSet<bool> =
            commands_running.map(|running_command| on_lost(turn, build, running_command) == OnLost::Fail).collect();
        rules.insert(builder.is_some_and(|builder| builder.on_lost == OnLost::Fail));
        let outcome = if rules.contains(&true) { Outcome::Exception } else { Outcome::Retry };
        abandon(turn, id, outcome, why);
    }
}

/// Somebody wants a worker to end at once: its builds run elsewhere.
pub(super) fn kill_ordered(turn: &mut Turn<'_>, worker: String, why: String, ticket: Option<Ticket>) {
    if refuse_unknown(turn, &worker, ticket) {
        return;
    }
    if let Some(connection) = turn.state.workers().get(&worker).and_then(|worker| worker.connection.clone()) {
        let epoch = connection.epoch;
        turn.effects.push(Effect::KillWorker { worker: worker.clone(), epoch, why: why.clone() });
        let worker = turn.state.worker_id(&worker);
        turn.record(Event::WorkerLost { worker, epoch, why: why.clone(), give_up: None });
    }
    abandon_builds(turn, &worker, &why);
    turn.reply(ticket, Reply::Done);
}
