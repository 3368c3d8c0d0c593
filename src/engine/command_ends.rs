//! Commands end, fail, or are cut off: what becomes of their step and build then.

use std::collections::BTreeMap;

use super::CommandEnded;
use super::commands::dispatch;
use super::ends::abandon;
use super::journal::{answer, next_command, write_note};
use super::state::{Build, RunningCommand};
use super::turn::Turn;
use crate::model::{
    Answer, Ask, BuildId, CommandEnd, CommandId, CommandResult, CommandSpec, Event, Note, OnLost, Outcome,
};

/// A command ended. Of one that nobody waits for any more it is news that its directory is free.
pub(super) fn command_ended(turn: &mut Turn<'_>, ended: CommandEnded) {
    let Some(id) = turn.state.index().commands.get(&ended.command).copied() else {
        return leftover_ended(turn, &ended.worker, ended.command);
    };
    let build = turn.state.build(id);
    // Another worker has no part in it.
    if build.worker != ended.worker {
        return;
    }
    let running = build.step.as_ref().and_then(|step| step.commands_running.get(&ended.command));
    let running_command = running.expect("the index lists the commands that run");
    sabotage!(WrongBranchAnswered => if let Some(first) = build.step.iter().flat_map(|step| step.commands_running.values()).next() {
        return answer(turn, id, first.key.clone(), Answer::Command(ended.result));
    });
    match &ended.result.end {
        CommandEnd::Lost(why) if running_command.stop.is_none() => {
            let why = why.clone();
            command_gone(turn, id, &ended.command, &why);
        }
        _ => {
            let running_command = running_command.clone();
            note_file_failure(turn, id, &running_command, &ended.result);
            let key = running_command.key;
            sabotage!(ArtifactsForgotten => return answer(turn, id, key, Answer::Command(CommandResult { moved: None, ..ended.result })));
            answer(turn, id, key, Answer::Command(ended.result));
        }
    }
}

/// A command does not run, for certain. If it was left behind, its directory is free.
pub(super) fn leftover_ended(turn: &mut Turn<'_>, worker: &str, command: CommandId) {
    let known = turn.state.workers().get(worker);
    if known.is_some_and(|known| known.leftovers.iter().any(|leftover| leftover.command == command)) {
        turn.record(Event::LeftoverEnded { worker: turn.state.worker_id(worker), command, heard: true });
    }
}

/// File commands have no output: what the worker said about one that failed becomes a log.
fn note_file_failure(turn: &mut Turn<'_>, id: BuildId, running_command: &RunningCommand, result: &CommandResult) {
    let step = turn.state.step(id);
    let Some(Ask::File(command)) = step.and_then(|step| step.ask(&running_command.key)) else { return };
    let Some(text) = result.stderr.clone().filter(|text| !text.trim().is_empty()) else { return };
    if !result.outcome.is_ok() && !command.only_looks() {
        write_note(turn, id, running_command.step, Note::FileFailed(running_command.key.clone()), "stdio", text);
    }
}

/// A command was cut off and cannot be taken up: whatever is to be done then is done.
pub(super) fn command_gone(turn: &mut Turn<'_>, id: BuildId, command: &CommandId, why: &str) {
    // Late: what was told of another command may have ended the build.
    let Some(build) = turn.state.builds().get(&id) else { return };
    let Some(running_command) = build.step.as_ref().and_then(|step| step.commands_running.get(command)).cloned() else {
        return;
    };
    let rule = if running_command.stop.is_some() { OnLost::Fail } else { on_lost(turn, build, &running_command) };
    if rule == OnLost::RunAgain && running_command.restarts < RESTARTS_MAX {
        return run_again(turn, id, &running_command, why);
    }
    // Its end is a fact in any case: it does not run any more, and so does not keep its directory.
    let end = CommandEnd::Lost(why.to_owned());
    let result = CommandResult { outcome: Outcome::Exception, ..CommandResult::of(end, &BTreeMap::default()) };
    answer(turn, id, running_command.key, Answer::Command(result));
    if rule == OnLost::RetryBuild {
        abandon(turn, id, Outcome::Retry, why);
    }
}

/// What to do about a lost command: what it says itself, else what its builder says. File commands come to the
/// same when they are done twice.
pub(super) fn on_lost(turn: &Turn<'_>, build: &Build, running_command: &RunningCommand) -> OnLost {
    let builder = turn.in_flight.plans.get(&build.plan).and_then(|plan| plan.builders.get(&build.builder));
    match build.step.as_ref().and_then(|step| step.ask(&running_command.key)) {
        Some(Ask::Run(CommandSpec { on_lost: OnLost::RetryBuild, .. })) => {
            builder.map_or(OnLost::RetryBuild, |builder| builder.on_lost)
        }
        Some(Ask::Run(spec)) => spec.on_lost,
        _ => OnLost::RunAgain,
    }
}

fn run_again(turn: &mut Turn<'_>, id: BuildId, running_command: &RunningCommand, why: &str) {
    let command = next_command(turn, id);
    turn.record(Event::CommandRestarted {
        build: id,
        key: running_command.key.clone(),
        command: command.clone(),
        why: why.to_owned(),
    });
    dispatch(turn, id, &command);
}

/// A command is given to its worker again at most so often: one that takes the worker down each time ends.
const RESTARTS_MAX: u32 = 5;
