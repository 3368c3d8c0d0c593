//! Commands: given to the worker, ended, cut off, stopped.

use super::state::RunningCommand;
use super::turn::Turn;
use super::{CommandOrder, Effect, Work, timers};
use crate::base::{Span, Timestamp};
use crate::model::{Ask, BuildId, CommandId, Event, StopLevel};

/// After the command's own grace, a polite stop gets so long before the whole tree is killed.
const STOP_SLACK: Span = Span::from_seconds(30);

/// A kill gets so long before the command is given up.
const KILL_SLACK: Span = Span::from_seconds(30);

/// Gives a command to its worker, if that is there; if not, it is given when it comes back.
pub(super) fn dispatch(turn: &mut Turn<'_>, id: BuildId, command: &CommandId) {
    if let Some(order) = order(turn, id, command) {
        turn.effects.push(Effect::Dispatch(Box::new(order)));
    }
}

pub(super) fn order(turn: &Turn<'_>, id: BuildId, command: &CommandId) -> Option<CommandOrder> {
    let build = turn.state.builds().get(&id)?;
    let step = build.step.as_ref()?;
    let running_command = step.commands_running.get(command)?;
    let connection = turn.state.workers().get(&build.worker)?.connection.as_ref()?;
    let builder = turn.in_flight.plans.get(&build.plan)?.builders.get(&build.builder)?;
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
        | Ask::WriteLog { .. }
        | Ask::ReadLog { .. }
        | Ask::RecordTests { .. }
        | Ask::RecordValue { .. }
        | Ask::SetData { .. } => return None,
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

/// Stops the commands of the step in progress. False while one still runs.
pub(super) fn stop_commands(turn: &mut Turn<'_>, id: BuildId) -> bool {
    let (build, step) = (turn.state.build(id), turn.state.current_step(id));
    let away = turn.state.workers().get(&build.worker).is_none_or(|worker| worker.connection.is_none());
    let commands_running: Vec<(CommandId, RunningCommand)> = step
        .commands_running
        .iter()
        .map(|(command, running_command)| (command.clone(), running_command.clone()))
        .collect();
    for (command, running_command) in commands_running {
        if away {
            give_up_command(turn, id, &command);
        } else if running_command.stop.is_none() {
            let due = turn.now.plus(grace(turn, id, &running_command)).plus(STOP_SLACK);
            escalate(turn, id, &command, StopLevel::Interrupt, due);
        }
    }
    turn.state.step(id).is_none_or(|step| step.commands_running.is_empty())
}

fn grace(turn: &Turn<'_>, id: BuildId, running_command: &RunningCommand) -> Span {
    let step = turn.state.step(id);
    match step.and_then(|step| step.ask(&running_command.key)) {
        Some(Ask::Run(spec)) => spec.grace,
        _ => Span::ZERO,
    }
}

/// When a stronger means is due against a command that does not stop.
pub(super) fn stop_due(turn: &Turn<'_>, id: BuildId, running_command: &RunningCommand) -> Option<Timestamp> {
    let due = running_command.stop?.due;
    let longest = grace(turn, id, running_command).as_millis().saturating_add(STOP_SLACK.max(KILL_SLACK).as_millis());
    Some(timers::due(due, turn.now, Span::from_millis(longest)))
}

/// Uses the next stronger means where the last one did not help in time.
pub(super) fn escalate_stops(turn: &mut Turn<'_>, id: BuildId) {
    let step = turn.state.current_step(id);
    let due: Vec<(CommandId, StopLevel)> = (step.commands_running.iter())
        .filter(|(_, running_command)| stop_due(turn, id, running_command).is_some_and(|due| due <= turn.now))
        .filter_map(|(command, running_command)| Some((command.clone(), running_command.stop?.level)))
        .collect();
    for (command, level) in due {
        match level {
            StopLevel::Interrupt => escalate(turn, id, &command, StopLevel::Kill, turn.now.plus(KILL_SLACK)),
            StopLevel::Kill => give_up_command(turn, id, &command),
        }
    }
}

fn escalate(turn: &mut Turn<'_>, id: BuildId, command: &CommandId, level: StopLevel, due: Timestamp) {
    turn.record(Event::StopEscalated { build: id, command: command.clone(), level, due });
    interrupt(turn, id, command, level);
}

/// Tells the worker to stop a command.
pub(super) fn interrupt(turn: &mut Turn<'_>, id: BuildId, command: &CommandId, level: StopLevel) {
    let build = turn.state.build(id);
    let connection = turn.state.workers().get(&build.worker).and_then(|worker| worker.connection.as_ref());
    if let Some(connection) = connection {
        let why = build.stop.as_ref().map_or_else(|| "the step is over".to_owned(), |stop| stop.why.clone());
        turn.effects.push(Effect::Interrupt {
            worker: build.worker.clone(),
            epoch: connection.epoch,
            command: command.clone(),
            level,
            why,
        });
    }
}

/// A build ends at once: what of it still runs on a worker that is there is killed.
pub(super) fn kill_commands(turn: &mut Turn<'_>, id: BuildId) {
    let step = turn.state.step(id);
    let sent = step
        .into_iter()
        .flat_map(|step| &step.commands_running)
        .filter(|(_, running_command)| running_command.sent.is_some());
    for command in sent.map(|(command, _)| command.clone()).collect::<Vec<_>>() {
        interrupt(turn, id, &command, StopLevel::Kill);
    }
}

/// Nobody waits for a command any more; it is stopped when its worker comes back.
fn give_up_command(turn: &mut Turn<'_>, id: BuildId, command: &CommandId) {
    turn.record(Event::CommandGivenUp { build: id, command: command.clone() });
}
