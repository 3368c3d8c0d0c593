//! What a script asks for is recorded, and done or begun.

use super::commands::dispatch;
use super::finish::fail_script;
use super::journal::{Recorded, answer, log_to_open, log_write, next_command, record_ask};
use super::lending::waits_for_slot;
use super::locking::{LockOutcome, ask_locks};
use super::state::{Log, Step};
use super::step_ends::{close_step, last_child};
use super::triggers::trigger;
use super::turn::Turn;
use super::{timers, words};
use crate::base::Timestamp;
use crate::model::{
    Answer, Ask, BeginStep, BuildId, EndStep, Event, Key, LogId, LogKind, LogOpened, RECORDED_BYTES_MAX, RECORDED_MAX,
    StepId,
};

/// Takes one ask that is not in the journal yet.
pub(super) fn take_ask(turn: &mut Turn<'_>, id: BuildId, key: Key, ask: Ask) {
    let step = turn.state.current_step(id);
    let own = step.step_at(&key);
    let named = |named: &Option<Key>| match named {
        Some(key) => step.child_at(key).unwrap_or(own),
        None => step.id,
    };
    match ask {
        // It asks again when it has its slot back.
        Ask::Run(_) | Ask::File(_) if waits_for_slot(turn, id) => {
            if turn.in_flight.slots.wait(id) {
                turn.in_flight.marks.deadlocks();
            }
        }
        Ask::Run(_) | Ask::File(_) => ask_command(turn, id, own, key, ask),
        Ask::Wait(span) => {
            let due = turn.now.plus(span);
            record_ask(turn, id, own, &key, ask, Recorded { due: Some(due), ..Recorded::default() });
            if due <= turn.now {
                answer(turn, id, key, Answer::Done);
            }
        }
        Ask::Now => {
            record_ask(turn, id, own, &key, ask, Recorded::default());
            answer(turn, id, key, Answer::Time(turn.now));
        }
        Ask::Trigger(ref spec) => {
            let spec = spec.clone();
            record_ask(turn, id, own, &key, ask, Recorded::default());
            trigger(turn, id, key, spec);
        }
        Ask::BeginStep(ref begin) => {
            let (begin, parent) = (begin.clone(), named(&begin.parent));
            record_ask(turn, id, parent, &key, ask, Recorded::default());
            begin_child(turn, id, parent, key, begin);
        }
        Ask::EndStep(ref end) => {
            let (end, child) = (end.clone(), step.child_at(&end.begun));
            record_ask(turn, id, child.unwrap_or(own), &key, ask, Recorded::default());
            if let Some(child) = child.filter(|child| !flies_inside(turn, id, *child)) {
                end_child(turn, id, child, end);
            }
        }
        Ask::SetProperty { .. } | Ask::ReadLog { .. } => record_ask(turn, id, own, &key, ask, Recorded::default()),
        Ask::SetSummary { step: ref at, .. } | Ask::AddUrl { step: ref at, .. } => {
            let at = named(at);
            record_ask(turn, id, at, &key, ask, Recorded::default());
        }
        Ask::RecordTests { step: ref at, .. } | Ask::RecordValue { step: ref at, .. } => {
            let at = named(at);
            record_result(turn, id, at, &key, ask);
        }
        Ask::SetData { .. } => record_result(turn, id, own, &key, ask),
        Ask::WriteLog { step: ref at, .. } => {
            let at = named(at);
            write_log(turn, id, at, &key, ask);
        }
    }
}

fn ask_command(turn: &mut Turn<'_>, id: BuildId, step: StepId, key: Key, ask: Ask) {
    let command = next_command(turn, id);
    let logs = command_logs(turn, id, step, &ask);
    record_ask(turn, id, step, &key, ask, Recorded { command: Some(command.clone()), logs, due: None });
    dispatch(turn, id, &command);
}

/// Logs that a command opens: its main one, unless the step has it already, and one for each file it follows.
fn command_logs(turn: &Turn<'_>, id: BuildId, step: StepId, ask: &Ask) -> Vec<LogOpened> {
    let Ask::Run(spec) = ask else { return Vec::new() };
    let current = turn.state.current_step(id);
    let main = current.log(step, &spec.log).is_none().then_some(&spec.log);
    let names: Vec<&String> = main.into_iter().chain(spec.log_files.keys()).collect();
    let mut taken = current.logs.get(&step).cloned().unwrap_or_default();
    let mut opened = Vec::new();
    for name in names {
        let slug = words::slug(name, &taken);
        let log = LogId(turn.state.last().log + 1 + opened.len() as u64);
        taken.insert(slug.clone(), Log { id: log, name: name.clone(), stdio: true, writes: 0 });
        opened.push(LogOpened { log, name: name.clone(), slug, kind: LogKind::Stdio });
    }
    opened
}

/// Ends waits whose time has come.
pub(super) fn end_waits(turn: &mut Turn<'_>, id: BuildId) {
    let step = turn.state.current_step(id);
    let due: Vec<Key> = step.waits.keys().filter(|key| wait_ends(turn, step, key) <= Some(turn.now)).cloned().collect();
    for key in due {
        answer(turn, id, key, Answer::Done);
    }
}

/// When a wait ends.
pub(super) fn wait_ends(turn: &Turn<'_>, step: &Step, key: &Key) -> Option<Timestamp> {
    let at = *step.waits.get(key)?;
    match step.ask(key) {
        Some(Ask::Wait(span)) => Some(timers::due(at, turn.now, *span)),
        _ => Some(at),
    }
}

fn begin_child(turn: &mut Turn<'_>, id: BuildId, parent: StepId, key: Key, begin: BeginStep) {
    let build = turn.state.build(id);
    let step = StepId(turn.state.last().step + 1);
    turn.record(Event::StepStarted {
        build: id,
        step,
        number: build.steps,
        name: words::unique_name(&begin.name, &build.names),
        parent: Some(parent),
        index: None,
        key: Some(key),
        attempt: 0,
        state: "running".to_owned(),
    });
    if begin.locks.is_empty() {
        return;
    }
    match ask_locks(turn, id, step, &begin.locks) {
        LockOutcome::Granted => {
            answer_children(turn, id);
        }
        LockOutcome::Waits => {}
        LockOutcome::Deadlock(why) => fail_script(turn, id, &why),
    }
}

/// Tells the script of child steps that got their locks. True if there were any.
pub(super) fn answer_children(turn: &mut Turn<'_>, id: BuildId) -> bool {
    let step = turn.state.current_step(id);
    let holds = |step: StepId| turn.state.locks().holds(super::state::LockHolder { build: id, step: Some(step) });
    let served: Vec<Key> =
        step.silent_children().filter(|(child, _)| holds(*child)).map(|(_, key)| key.clone()).collect();
    for key in &served {
        answer(turn, id, key.clone(), Answer::Done);
    }
    !served.is_empty()
}

/// Whether a command of this child step, or of one inside of it, still runs. A script that fails ends child steps
/// whose commands it does not wait for any more: they keep their logs and locks until those have stopped.
fn flies_inside(turn: &Turn<'_>, id: BuildId, child: StepId) -> bool {
    let step = turn.state.step(id);
    let commands_running = step.into_iter().flat_map(|step| step.commands_running.values());
    commands_running.into_iter().any(|running_command| is_child_of(turn, id, running_command.step, child))
}

/// Ends a child step, and those inside of it that the script left open.
fn end_child(turn: &mut Turn<'_>, id: BuildId, child: StepId, end: EndStep) {
    while let Some((inner, name)) = last_child(turn, id, |step| step != child && is_child_of(turn, id, step, child)) {
        close_step(turn, id, inner, &name, end.outcome, None, false);
    }
    let name = |step: &Step| step.children.get(&child).map(|child| child.name.clone());
    if let Some(name) = turn.state.step(id).and_then(name) {
        close_step(turn, id, child, &name, end.outcome, end.summary, end.hidden);
    }
}

fn is_child_of(turn: &Turn<'_>, id: BuildId, step: StepId, outer: StepId) -> bool {
    super::locking::is_inside(turn.state, id, step, outer)
}

/// Test results, numbers and data: as far as a build may have them.
fn record_result(turn: &mut Turn<'_>, id: BuildId, step: StepId, key: &Key, ask: Ask) {
    let build = turn.state.build(id);
    let bytes = build.recorded_bytes.saturating_add(ask.recorded_bytes().unwrap_or_default());
    if build.recorded >= RECORDED_MAX || bytes > RECORDED_BYTES_MAX {
        let why = format!(
            "the build records more than {RECORDED_MAX} sets of test results, values and data, or more than {} MiB of them",
            RECORDED_BYTES_MAX >> 20
        );
        return fail_script(turn, id, &why);
    }
    record_ask(turn, id, step, key, ask, Recorded::default());
}

fn write_log(turn: &mut Turn<'_>, id: BuildId, step: StepId, key: &Key, ask: Ask) {
    let Ask::WriteLog { log: name, html, .. } = &ask else { unreachable!("it is called to write a log") };
    let current = turn.state.current_step(id);
    let logs = log_to_open(turn, current, step, name, *html).into_iter().collect();
    let name = name.clone();
    record_ask(turn, id, step, key, ask, Recorded { logs, ..Recorded::default() });
    turn.effects.extend(log_write(turn.state, id, step, key, &name));
}
