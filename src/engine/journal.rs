//! What the journal and the logs of a step get: asks, answers, and what the engine itself has to say.

use super::state::{Log, State, Step};
use super::turn::Turn;
use super::{Effect, words};
use crate::base::Timestamp;
use crate::model::{Answer, Ask, BuildId, CommandId, Event, Key, LogId, LogKind, LogOpened, Note, StepId};

pub(super) fn record_ask(turn: &mut Turn<'_>, build: BuildId, step: StepId, key: &Key, ask: Ask, more: Recorded) {
    let Recorded { command, logs, due } = more;
    turn.record(Event::Asked { build, step, key: key.clone(), ask, command, logs, due });
}

/// What is recorded with an ask.
#[derive(Clone, Debug, Default)]
pub(super) struct Recorded {
    pub command: Option<CommandId>,
    pub logs: Vec<LogOpened>,
    pub due: Option<Timestamp>,
}

/// Records an answer; the script is evaluated again.
pub(super) fn answer(turn: &mut Turn<'_>, build: BuildId, key: Key, answer: Answer) {
    turn.record(Event::Answered { build, key, answer });
}

/// An id that no command ever had, in any installation.
pub(super) fn next_command(turn: &Turn<'_>, id: BuildId) -> CommandId {
    let number = turn.state.build(id).commands;
    CommandId(format!("{}-{id}-{}", turn.state.installation(), number + 1))
}

/// Writes to a log of a step what no script asked for.
pub(super) fn write_note(turn: &mut Turn<'_>, build: BuildId, step: StepId, note: Note, log: &str, text: String) {
    let current = turn.state.current_step(build);
    let opened = log_to_open(turn, current, step, log, false);
    let known = current.log(step, log).map(|log| log.id);
    let log = known.or(opened.as_ref().map(|opened| opened.log)).expect("a log is open, or is opened");
    turn.record(Event::StepNoted { build, step, note, log, opened, text: text.clone() });
    turn.effects.extend(engine_write(turn.state, build, step, log, &text));
}

/// The log of this name, if it is to be opened: the step does not have it.
pub(super) fn log_to_open(turn: &Turn<'_>, current: &Step, step: StepId, name: &str, html: bool) -> Option<LogOpened> {
    if current.log(step, name).is_some() {
        return None;
    }
    let none = std::collections::BTreeMap::new();
    let slug = words::slug(name, current.logs.get(&step).unwrap_or(&none));
    let kind = match (name, html) {
        ("stdio", _) => LogKind::Stdio,
        (_, true) => LogKind::Html,
        (_, false) => LogKind::Text,
    };
    Some(LogOpened { log: LogId(turn.state.last().log + 1), name: name.to_owned(), slug, kind })
}

/// The write to a log that an ask just recorded means.
pub(super) fn log_write(state: &State, id: BuildId, step: StepId, key: &Key, name: &str) -> Option<Effect> {
    let current = state.builds().get(&id)?.step.as_ref()?;
    let log = current.log(step, name)?;
    let Ask::WriteLog { text, .. } = current.ask(key)? else { return None };
    Some(write(id, log, text))
}

/// The write to a log that a note just recorded means.
pub(super) fn engine_write(state: &State, id: BuildId, step: StepId, log: LogId, text: &str) -> Option<Effect> {
    let logs = state.builds().get(&id)?.step.as_ref()?.logs.get(&step)?;
    Some(write(id, logs.values().find(|open| open.id == log)?, text))
}

/// The newest of our writes to a log, in whole lines.
pub(super) fn write(build: BuildId, log: &Log, text: &str) -> Effect {
    let end = if text.ends_with('\n') { "" } else { "\n" };
    let stream = if log.stdio { 'h' } else { 't' };
    Effect::WriteLog { build, log: log.id, n: log.writes.saturating_sub(1), stream, text: format!("{text}{end}") }
}
