//! What a script asks for is recorded, and done or begun.

use super::Effect;
use super::locking::LockOutcome;
use super::state::{Log, State, Step};
use super::turn::Turn;
use super::{timers, words};
use crate::base::Timestamp;
use crate::model::{
    Answer, Ask, BeginStep, BuildId, CommandId, EndStep, Event, Key, LogId, LogKind, LogOpened, Note, StepId,
};

impl Turn<'_> {
    /// Takes one ask that is not in the journal yet.
    pub fn take_ask(&mut self, id: BuildId, key: Key, ask: Ask) {
        let Some(step) = self.state.builds.get(&id).and_then(|build| build.step.as_ref()) else { return };
        let own = step.step_at(&key);
        let named = |named: &Option<Key>| match named {
            Some(key) => step.child_at(key).unwrap_or(own),
            None => step.id,
        };
        match ask {
            // It asks again when it has its slot back.
            Ask::Run(_) | Ask::File(_) if self.waits_for_slot(id) => {
                self.in_flight.deadlocks |= self.in_flight.slot_waits.insert(id);
            }
            Ask::Run(_) | Ask::File(_) => self.ask_command(id, own, key, ask),
            Ask::Wait(span) => {
                let due = self.now.plus(span);
                self.record_ask(id, own, &key, ask, Recorded { due: Some(due), ..Recorded::default() });
                if due <= self.now {
                    self.answer(id, key, Answer::Done);
                }
            }
            Ask::Now => {
                self.record_ask(id, own, &key, ask, Recorded::default());
                self.answer(id, key, Answer::Time(self.now));
            }
            Ask::Trigger(ref trigger) => {
                let trigger = trigger.clone();
                self.record_ask(id, own, &key, ask, Recorded::default());
                self.trigger(id, key, trigger);
            }
            Ask::BeginStep(ref begin) => {
                let (begin, parent) = (begin.clone(), named(&begin.parent));
                self.record_ask(id, parent, &key, ask, Recorded::default());
                self.begin_child(id, parent, key, begin);
            }
            Ask::EndStep(ref end) => {
                let (end, child) = (end.clone(), step.child_at(&end.begun));
                self.record_ask(id, child.unwrap_or(own), &key, ask, Recorded::default());
                if let Some(child) = child.filter(|child| !self.flies_inside(id, *child)) {
                    self.end_child(id, child, end);
                }
            }
            Ask::SetProperty { .. } => self.record_ask(id, own, &key, ask, Recorded::default()),
            Ask::SetSummary { step: ref at, .. } | Ask::AddUrl { step: ref at, .. } => {
                let at = named(at);
                self.record_ask(id, at, &key, ask, Recorded::default());
            }
            Ask::WriteLog { step: ref at, .. } => {
                let at = named(at);
                self.write_log(id, at, &key, ask);
            }
        }
    }

    fn record_ask(&mut self, build: BuildId, step: StepId, key: &Key, ask: Ask, more: Recorded) {
        let Recorded { command, logs, due } = more;
        self.record(Event::Asked { build, step, key: key.clone(), ask, command, logs, due });
    }

    /// Records an answer; the script is evaluated again.
    pub fn answer(&mut self, build: BuildId, key: Key, answer: Answer) {
        self.record(Event::Answered { build, key, answer });
    }

    fn ask_command(&mut self, id: BuildId, step: StepId, key: Key, ask: Ask) {
        let command = self.next_command(id);
        let logs = self.command_logs(id, step, &ask);
        self.record_ask(id, step, &key, ask, Recorded { command: Some(command.clone()), logs, due: None });
        self.dispatch(id, &command);
    }

    /// An id that no command ever had, in any installation.
    pub fn next_command(&self, id: BuildId) -> CommandId {
        let number = self.state.builds.get(&id).map_or(0, |build| build.commands);
        CommandId(format!("{}-{id}-{}", self.state.installation, number + 1))
    }

    /// Logs that a command opens: its main one, unless the step has it already, and one for each file it follows.
    fn command_logs(&self, id: BuildId, step: StepId, ask: &Ask) -> Vec<LogOpened> {
        let Ask::Run(spec) = ask else { return Vec::new() };
        let Some(current) = self.state.builds.get(&id).and_then(|build| build.step.as_ref()) else { return Vec::new() };
        let main = current.log(step, &spec.log).is_none().then_some(&spec.log);
        let names: Vec<&String> = main.into_iter().chain(spec.log_files.keys()).collect();
        let mut taken = current.logs.get(&step).cloned().unwrap_or_default();
        let mut opened = Vec::new();
        for name in names {
            let slug = words::slug(name, &taken);
            let log = LogId(self.state.last.log + 1 + opened.len() as u64);
            taken.insert(slug.clone(), Log { id: log, name: name.clone(), stdio: true, writes: 0 });
            opened.push(LogOpened { log, name: name.clone(), slug, kind: LogKind::Stdio });
        }
        opened
    }

    /// Ends waits whose time has come.
    pub fn end_waits(&mut self, id: BuildId) {
        let Some(step) = self.state.builds.get(&id).and_then(|build| build.step.as_ref()) else { return };
        let due: Vec<Key> =
            step.waits.keys().filter(|key| self.wait_ends(step, key) <= Some(self.now)).cloned().collect();
        for key in due {
            self.answer(id, key, Answer::Done);
        }
    }

    /// When a wait ends.
    pub fn wait_ends(&self, step: &Step, key: &Key) -> Option<Timestamp> {
        let at = *step.waits.get(key)?;
        match step.ask(key) {
            Some(Ask::Wait(span)) => Some(timers::due(at, self.now, *span)),
            _ => Some(at),
        }
    }

    fn begin_child(&mut self, id: BuildId, parent: StepId, key: Key, begin: BeginStep) {
        let Some(build) = self.state.builds.get(&id) else { return };
        let step = StepId(self.state.last.step + 1);
        self.record(Event::StepStarted {
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
        match self.ask_locks(id, step, &begin.locks) {
            LockOutcome::Granted => {
                self.answer_children(id);
            }
            LockOutcome::Waits => {}
            LockOutcome::Deadlock(why) => self.fail_script(id, &why),
        }
    }

    /// Tells the script of child steps that got their locks. True if there were any.
    pub fn answer_children(&mut self, id: BuildId) -> bool {
        let Some(step) = self.state.builds.get(&id).and_then(|build| build.step.as_ref()) else { return false };
        let holds = |step: StepId| self.state.locks.holds(super::state::LockHolder { build: id, step: Some(step) });
        let served: Vec<Key> =
            step.silent_children().filter(|(child, _)| holds(*child)).map(|(_, key)| key.clone()).collect();
        for key in &served {
            self.answer(id, key.clone(), Answer::Done);
        }
        !served.is_empty()
    }

    /// Whether a command of this child step, or of one inside of it, still runs. A script that fails ends child steps
    /// whose commands it does not wait for any more: they keep their logs and locks until those have stopped.
    fn flies_inside(&self, id: BuildId, child: StepId) -> bool {
        let step = self.state.builds.get(&id).and_then(|build| build.step.as_ref());
        let commands_running = step.into_iter().flat_map(|step| step.commands_running.values());
        commands_running.into_iter().any(|running_command| self.is_child_of(id, running_command.step, child))
    }

    /// Ends a child step, and those inside of it that the script left open.
    fn end_child(&mut self, id: BuildId, child: StepId, end: EndStep) {
        while let Some((inner, name)) = self.last_child(id, |step| step != child && self.is_child_of(id, step, child)) {
            self.close_step(id, inner, &name, end.outcome, None, false);
        }
        let name = |step: &Step| step.children.get(&child).map(|child| child.name.clone());
        if let Some(name) = self.state.builds.get(&id).and_then(|build| build.step.as_ref()).and_then(name) {
            self.close_step(id, child, &name, end.outcome, end.summary, end.hidden);
        }
    }

    fn is_child_of(&self, id: BuildId, step: StepId, outer: StepId) -> bool {
        super::locking::is_inside(self.state, id, step, outer)
    }

    fn write_log(&mut self, id: BuildId, step: StepId, key: &Key, ask: Ask) {
        let Ask::WriteLog { log: name, html, .. } = &ask else { return };
        let Some(current) = self.state.builds.get(&id).and_then(|build| build.step.as_ref()) else { return };
        let logs = self.log_to_open(current, step, name, *html).into_iter().collect();
        let name = name.clone();
        self.record_ask(id, step, key, ask, Recorded { logs, ..Recorded::default() });
        self.effects.extend(log_write(self.state, id, step, key, &name));
    }

    /// The log of this name, if it is to be opened: the step does not have it.
    fn log_to_open(&self, current: &Step, step: StepId, name: &str, html: bool) -> Option<LogOpened> {
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
        Some(LogOpened { log: LogId(self.state.last.log + 1), name: name.to_owned(), slug, kind })
    }

    /// Writes to a log of a step what no script asked for.
    pub fn write_note(&mut self, build: BuildId, step: StepId, note: Note, log: &str, text: String) {
        let current = self.state.builds.get(&build).and_then(|build| build.step.as_ref());
        let current = current.expect("notes are about the step in progress");
        let opened = self.log_to_open(current, step, log, false);
        let known = current.log(step, log).map(|log| log.id);
        let log = known.or(opened.as_ref().map(|opened| opened.log)).expect("a log is open, or is opened");
        self.record(Event::StepNoted { build, step, note, log, opened, text: text.clone() });
        self.effects.extend(engine_write(self.state, build, step, log, &text));
    }
}

/// The write to a log that an ask just recorded means.
pub(super) fn log_write(state: &State, id: BuildId, step: StepId, key: &Key, name: &str) -> Option<Effect> {
    let current = state.builds.get(&id)?.step.as_ref()?;
    let log = current.log(step, name)?;
    let Ask::WriteLog { text, .. } = current.ask(key)? else { return None };
    Some(write(id, log, text))
}

/// The write to a log that a note just recorded means.
pub(super) fn engine_write(state: &State, id: BuildId, step: StepId, log: LogId, text: &str) -> Option<Effect> {
    let logs = state.builds.get(&id)?.step.as_ref()?.logs.get(&step)?;
    Some(write(id, logs.values().find(|open| open.id == log)?, text))
}

/// The newest of our writes to a log, in whole lines.
fn write(build: BuildId, log: &Log, text: &str) -> Effect {
    let end = if text.ends_with('\n') { "" } else { "\n" };
    let stream = if log.stdio { 'h' } else { 't' };
    Effect::WriteLog { build, log: log.id, n: log.writes.saturating_sub(1), stream, text: format!("{text}{end}") }
}

/// What is recorded with an ask.
#[derive(Clone, Debug, Default)]
struct Recorded {
    command: Option<CommandId>,
    logs: Vec<LogOpened>,
    due: Option<Timestamp>,
}
