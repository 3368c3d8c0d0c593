//! From state and fact to state: builds and their steps.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::builds::{Culprit, DoneStep, Log, Pause, StepPlace, Stop};
use super::illegal_fact::{IllegalFact, unknown};
use super::locks::Waiter;
use super::{Build, Child, Escalation, LockHolder, Retry, RunningCommand, State, Step};
use crate::base::Timestamp;
use crate::model::{
    Answer, Ask, BuildId, Cause, CommandId, Entry, Event, Fact, Key, LogId, LogKind, LogOpened, Note, Outcome,
    Properties, Property, StepId, StopReason,
};

impl State {
    pub(super) fn apply_build(&mut self, fact: &Fact) -> Result<(), IllegalFact> {
        match &fact.event {
            Event::BuildStarted { .. } => self.build_started(fact),
            Event::LocksAwaited { build, step, locks, state: _ } => {
                let worker = self.build_mut(*build)?.worker.clone();
                let owner = LockHolder { build: *build, step: *step };
                self.locks.wait(fact.seq, Waiter { owner, worker, locks: locks.clone() });
                Ok(())
            }
            Event::LocksTaken { build, step, locks } => {
                let worker = self.build_mut(*build)?.worker.clone();
                self.locks.take(LockHolder { build: *build, step: *step }, &worker, locks);
                Ok(())
            }
            Event::LocksReleased { build, step } => {
                self.locks.release(LockHolder { build: *build, step: *step });
                Ok(())
            }
            Event::BuildState { build, .. } | Event::LocksWaited { build, .. } => self.build_mut(*build).map(drop),
            Event::StepStarted { build, step, .. } => self.step_started(*build, *step, fact),
            Event::StepDecided { build, step, yes } => {
                let found = self.step_mut(*build)?;
                if found.id != *step {
                    return Err(unknown("step", step));
                }
                found.decided = Some(*yes);
                Ok(())
            }
            Event::StepRetried { build, at, .. } => self.step_retried(*build, *at),
            Event::StepEnded { build, step, outcome, state, hidden } => {
                self.step_ended(*build, *step, *outcome, state, *hidden)
            }
            Event::Asked { build, .. } => self.asked(*build, fact),
            Event::EvaluationLost { build, losses, .. } => {
                self.build_mut(*build)?.losses = *losses;
                Ok(())
            }
            Event::StepNoted { build, step, note, log, opened, .. } => {
                self.step_noted(*build, *step, note, *log, opened.as_ref())
            }
            Event::StepLinked { build, .. } | Event::TriggerRefused { build, .. } => self.build_mut(*build).map(drop),
            Event::TriggerUndecided { build, key, tries, retry } => {
                let step = self.step_mut(*build)?;
                step.undecided.insert(key.clone(), Retry { tries: *tries, due: *retry });
                if retry.is_none() {
                    step.triggering = Some(key.clone());
                }
                Ok(())
            }
            Event::Answered { build, key, answer } => self.answered(*build, key, answer),
            Event::CommandRestarted { build, key, command, .. } => self.command_restarted(*build, key, command),
            Event::LogClosed { build, step, log } => self.log_closed(*build, *step, *log),
            Event::BuildStopping { build, why, reason, outcome } => {
                let by = match (reason, &fact.cause) {
                    (StopReason::Ordered, Cause::Order(by)) => Some(by.clone()),
                    (StopReason::Ordered | StopReason::ParentEnded(_), _) => None,
                };
                let found = self.build_mut(*build)?;
                let times = found.stop.as_ref().map_or(0, |stop| stop.times) + 1;
                found.stop = Some(Stop { why: why.clone(), by, outcome: *outcome, times });
                Ok(())
            }
            Event::StopEscalated { build, command, level, due } => {
                self.running_command_mut(*build, command)?.stop = Some(Escalation { level: *level, due: *due });
                Ok(())
            }
            Event::CommandGivenUp { build, command } => self.command_given_up(*build, command),
            Event::BuildEnded { build, outcome, culprits, .. } => self.build_ended(*build, *outcome, culprits),
            other => Err(format!("it is not about a build: {other:?}")),
        }
    }

    fn build_started(&mut self, fact: &Fact) -> Result<(), IllegalFact> {
        let Event::BuildStarted {
            build: id,
            number,
            builder,
            worker,
            dir,
            lender,
            requests,
            plan,
            properties,
            changes,
            reason,
        } = &fact.event
        else {
            return Err("it starts no build".to_owned());
        };
        for request in requests {
            let found = self.requests.get(request).ok_or_else(|| unknown("request", request))?;
            if found.build.is_some() {
                return Err(format!("request `{request}` is being built"));
            }
        }
        let first = requests.first().ok_or("a build needs a request")?;
        let set = Arc::clone(&self.buildsets.get(&self.requests[first].buildset).ok_or("its buildset is gone")?.record);
        self.worker_mut(*worker)?.used = fact.seq;
        let worker_name = self.worker_name(*worker).cloned().unwrap_or_default();
        self.last.build = self.last.build.max(id.0);
        let count = self.builders.get_mut(builder).ok_or_else(|| unknown("builder", builder))?;
        count.number = count.number.max(*number);
        let builder_name = count.name.clone();
        for request in requests {
            if let Some(found) = self.requests.get_mut(request) {
                self.index.wait_no_more(found);
                found.build = Some(*id);
                found.rests_until = None;
                found.last_build = Some((*id, *number));
            }
        }
        let build = Build {
            id: *id,
            number: *number,
            builder: builder_name,
            builder_id: *builder,
            worker: worker_name,
            dir: dir.clone(),
            lender: *lender,
            requests: requests.clone(),
            plan: plan.clone(),
            properties: Arc::new(properties.clone()),
            stamps: Arc::new(set.stamps.clone()),
            changes: changes.clone(),
            reason: reason.clone(),
            started: fact.at,
            done: Vec::new(),
            names: BTreeSet::new(),
            steps: 0,
            commands: 0,
            preparing: None,
            step: None,
            pause: None,
            index: 0,
            stop: None,
            losses: 0,
            recorded: 0,
            recorded_bytes: 0,
        };
        self.index.build_runs(&build);
        self.builds.insert(*id, build);
        Ok(())
    }

    fn step_started(&mut self, id: BuildId, step: StepId, fact: &Fact) -> Result<(), IllegalFact> {
        let Event::StepStarted { number, name, parent, index, key, attempt, .. } = &fact.event else {
            return Err("it starts no step".to_owned());
        };
        self.last.step = self.last.step.max(step.0);
        let worker = self.build_mut(id)?.worker.clone();
        let info = self.workers.get(&worker).map(|worker| worker.info.clone()).unwrap_or_default();
        let build = self.build_mut(id)?;
        match (index, key, parent) {
            (Some(index), None, None) if build.step.is_none() && build.preparing.is_none() => {
                let place = StepPlace { number: *number, index: *index, attempt: *attempt };
                build.step = Some(Step::new(step, name.clone(), place, build, info));
                build.pause = None;
            }
            (None, Some(key), Some(parent)) if build.has_step(*parent) => {
                let child = Child { key: key.clone(), name: name.clone(), parent: *parent, number: *number };
                if let Some(current) = &mut build.step {
                    current.children.insert(step, child);
                }
            }
            (None, None, None) if build.steps == 0 => build.preparing = Some(step),
            _ => return Err(format!("step `{name}` has no place in build `{id}`")),
        }
        build.names.insert(name.clone());
        build.steps = build.steps.max(number + 1);
        Ok(())
    }

    fn step_retried(&mut self, id: BuildId, until: Timestamp) -> Result<(), IllegalFact> {
        let build = self.build_mut(id)?;
        let done = build.done.last_mut().filter(|_| build.step.is_none()).ok_or("no step ended just now")?;
        done.retried = true;
        build.index = done.index;
        build.pause = Some(Pause { index: done.index, attempt: done.attempt + 1, until });
        Ok(())
    }

    fn step_ended(
        &mut self,
        id: BuildId,
        step: StepId,
        outcome: Outcome,
        state: &str,
        hidden: bool,
    ) -> Result<(), IllegalFact> {
        let build = self.builds.get_mut(&id).ok_or_else(|| unknown("build", &id))?;
        if build.preparing == Some(step) {
            build.preparing = None;
            return Ok(());
        }
        let current = build.step.as_mut().ok_or_else(|| unknown("step", &step))?;
        if current.id != step {
            let child = current.children.remove(&step).ok_or_else(|| unknown("step", &step))?;
            let state = state.to_owned();
            let parent = child.parent;
            current.note_culprit(Culprit { step, parent, name: child.name, outcome, state, hidden });
            current.summaries.remove(&step);
            current.logs.remove(&step);
            return Ok(());
        }
        if let Some(child) = current.children.keys().next() {
            return Err(format!("child step `{child}` is open"));
        }
        let itself =
            Culprit { step, parent: step, name: current.name.clone(), outcome, state: state.to_owned(), hidden };
        current.note_culprit(itself);
        build.done.push(DoneStep {
            index: current.index,
            attempt: current.attempt,
            name: current.name.clone(),
            outcome,
            state: state.to_owned(),
            retried: false,
            culprits: std::mem::take(&mut current.culprits),
        });
        build.index = current.index + 1;
        if let Some(ended) = build.step.take() {
            self.step_left(id, ended);
        }
        Ok(())
    }

    /// What a step that ended leaves behind: commands that may still run, buildsets that nobody waits for.
    fn step_left(&mut self, id: BuildId, step: Step) {
        for (command, running_command) in step.commands_running {
            self.index.commands.remove(&command);
            self.leave_behind(id, command, &running_command);
        }
        for sets in step.triggers.values() {
            self.await_no_more(sets);
        }
    }

    /// A command that may still run is nobody's any more; its directory is in use as long as it does.
    fn leave_behind(&mut self, id: BuildId, command: CommandId, running_command: &RunningCommand) {
        let Some(build) = self.builds.get(&id).filter(|_| running_command.sent.is_some()) else { return };
        sabotage!(DirFreedTooEarly => return);
        if let Some(worker) = self.workers.get_mut(&build.worker) {
            worker.leave_behind(command, id, &build.dir);
        }
    }

    fn asked(&mut self, id: BuildId, fact: &Fact) -> Result<(), IllegalFact> {
        let Event::Asked { step, key, ask, command, logs, due, .. } = &fact.event else {
            return Err("it asks for nothing".to_owned());
        };
        let connection = self.builds.get(&id).and_then(|build| self.workers.get(&build.worker));
        let sent = connection.and_then(|worker| worker.connection.as_ref()).map(|there| there.instance.clone());
        let build = self.build_mut(id)?;
        if !build.has_step(*step) {
            return Err(unknown("step", step));
        }
        build.commands += u64::from(command.is_some());
        let current = build.step.as_mut().ok_or_else(|| unknown("step", step))?;
        if current.journal.0.contains_key(key) {
            return Err(format!("{key:?} was asked before"));
        }
        open_logs(current, *step, logs);
        if let Some(command) = command {
            let logs = command_logs(current, *step, ask, logs);
            let running_command =
                RunningCommand { key: key.clone(), step: *step, sent, logs, restarts: 0, stop: None, cut_off: false };
            current.commands_running.insert(command.clone(), running_command);
        }
        if let Some(due) = due {
            current.waits.insert(key.clone(), *due);
        }
        note_ask(current, *step, key, ask);
        let entry = Entry { ask: ask.known(), answer: None, command: command.clone(), step: *step };
        Arc::make_mut(&mut current.journal).0.insert(key.clone(), entry);
        if let Some(bytes) = ask.recorded_bytes() {
            build.recorded += 1;
            build.recorded_bytes += bytes;
        }
        if let Ask::SetProperty { name, value, source } = ask {
            let property = Property { value: value.clone(), source: source.clone() };
            Arc::<Properties>::make_mut(&mut build.properties).0.insert(name.clone(), property);
        }
        self.last.log = logs.iter().map(|log| log.log.0).fold(self.last.log, u64::max);
        if let Some(command) = command {
            self.index.commands.insert(command.clone(), id);
        }
        Ok(())
    }

    fn answered(&mut self, id: BuildId, key: &Key, answer: &Answer) -> Result<(), IllegalFact> {
        let step = self.step_mut(id)?;
        let entry =
            Arc::make_mut(&mut step.journal).0.get_mut(key).ok_or_else(|| format!("{key:?} was never asked"))?;
        if entry.answer.is_some() {
            return Err(format!("{key:?} is answered already"));
        }
        entry.answer = Some(answer.clone());
        let command = entry.command.clone();
        step.waits.remove(key);
        step.undecided.remove(key);
        let sets = step.triggers.remove(key).unwrap_or_default();
        if step.triggering.as_ref() == Some(key) {
            step.triggering = None;
        }
        if let Some(command) = command {
            let running_command = step.commands_running.remove(&command);
            self.index.commands.remove(&command);
            // It counts as ended, but a stock worker only just hears that it is to be killed.
            if let Some(running_command) = running_command.filter(|running_command| running_command.cut_off) {
                self.leave_behind(id, command, &running_command);
            }
        }
        self.await_no_more(&sets);
        Ok(())
    }

    fn command_restarted(&mut self, id: BuildId, key: &Key, command: &CommandId) -> Result<(), IllegalFact> {
        let build = self.build_mut(id)?;
        let worker = build.worker.clone();
        build.commands += 1;
        let step = build.step.as_mut().ok_or("no step is in progress")?;
        let entry =
            Arc::make_mut(&mut step.journal).0.get_mut(key).ok_or_else(|| format!("{key:?} was never asked"))?;
        let old = entry.command.replace(command.clone()).ok_or_else(|| format!("{key:?} is no command"))?;
        let mut running_command = step.commands_running.remove(&old).ok_or_else(|| unknown("command", &old))?;
        let before = running_command.clone();
        running_command.restarts += 1;
        running_command.cut_off = false;
        self.index.commands.remove(&old);
        self.index.commands.insert(command.clone(), id);
        let connection = self.workers.get(&worker).and_then(|worker| worker.connection.as_ref());
        running_command.sent = connection.map(|there| there.instance.clone());
        if before.cut_off {
            self.leave_behind(id, old, &before);
        }
        self.step_mut(id)?.commands_running.insert(command.clone(), running_command);
        Ok(())
    }

    fn log_closed(&mut self, id: BuildId, step: StepId, log: LogId) -> Result<(), IllegalFact> {
        let found = self.step_mut(id)?;
        if let Some(logs) = found.logs.get_mut(&step) {
            logs.retain(|_, open| open.id != log);
        }
        Ok(())
    }

    fn command_given_up(&mut self, id: BuildId, command: &CommandId) -> Result<(), IllegalFact> {
        let running_command =
            self.step_mut(id)?.commands_running.remove(command).ok_or_else(|| unknown("command", command))?;
        self.index.commands.remove(command);
        self.leave_behind(id, command.clone(), &running_command);
        Ok(())
    }

    fn step_noted(
        &mut self,
        id: BuildId,
        step: StepId,
        note: &Note,
        log: LogId,
        opened: Option<&LogOpened>,
    ) -> Result<(), IllegalFact> {
        if !self.build_mut(id)?.has_step(step) {
            return Err(unknown("step", &step));
        }
        let current = self.step_mut(id)?;
        if !current.notes.insert(note.clone()) {
            return Err(format!("{note:?} was noted before"));
        }
        open_logs(current, step, opened.map_or(&[], std::slice::from_ref));
        let written = current.logs.get_mut(&step).and_then(|logs| logs.values_mut().find(|open| open.id == log));
        written.ok_or_else(|| unknown("log", &log))?.writes += 1;
        self.last.log = self.last.log.max(log.0);
        Ok(())
    }

    fn build_ended(&mut self, id: BuildId, outcome: Outcome, culprits: &[StepId]) -> Result<(), IllegalFact> {
        if self.locks.concern(id) {
            return Err(format!("build `{id}` still has locks"));
        }
        let build = self.build_mut(id)?;
        if build.step.is_some() || build.preparing.is_some() {
            return Err(format!("build `{id}` has an open step"));
        }
        let Some(build) = self.builds.remove(&id) else { return Ok(()) };
        sabotage!(SlotKeptOnLoss => if outcome == Outcome::Retry { return Ok(()) });
        self.index.build_ended(&build);
        self.hand_slot_on(&build);
        if let Some(builder) = self.builders.get_mut(&build.builder_id) {
            builder.results.note(&build, outcome, culprits);
        }
        Ok(())
    }

    /// Who had its slot from a build that ended has it from that one's lender now, or for itself.
    fn hand_slot_on(&mut self, ended: &Build) {
        if let Some(heir) = self.borrower_of(ended).and_then(|heir| self.builds.get_mut(&heir)) {
            heir.lender = ended.lender;
        }
    }

    fn build_mut(&mut self, id: BuildId) -> Result<&mut Build, IllegalFact> {
        self.builds.get_mut(&id).ok_or_else(|| unknown("build", &id))
    }

    fn running_command_mut(&mut self, id: BuildId, command: &CommandId) -> Result<&mut RunningCommand, IllegalFact> {
        self.step_mut(id)?.commands_running.get_mut(command).ok_or_else(|| unknown("command", command))
    }

    fn step_mut(&mut self, id: BuildId) -> Result<&mut Step, IllegalFact> {
        self.build_mut(id)?.step.as_mut().ok_or_else(|| format!("build `{id}` has no step in progress"))
    }
}

/// Notes new logs; a later log of the same name takes the place of the earlier one, which stays open until its step ends.
fn open_logs(current: &mut Step, step: StepId, logs: &[LogOpened]) {
    let open = current.logs.entry(step).or_default();
    for log in logs {
        open.insert(
            log.slug.clone(),
            Log { id: log.log, name: log.name.clone(), stdio: log.kind == LogKind::Stdio, writes: 0 },
        );
    }
}

/// Where the output of a command goes: its main log, opened now or before, and the followed files' logs, opened now.
fn command_logs(current: &Step, step: StepId, ask: &Ask, new: &[LogOpened]) -> BTreeMap<String, LogId> {
    let mut logs: BTreeMap<_, _> = new.iter().map(|log| (log.name.clone(), log.log)).collect();
    if let Ask::Run(spec) = ask
        && let Some(log) = current.log(step, &spec.log)
    {
        logs.entry(spec.log.clone()).or_insert(log.id);
    }
    logs
}

/// What an ask means beyond the journal.
fn note_ask(current: &mut Step, step: StepId, key: &Key, ask: &Ask) {
    match ask {
        Ask::Trigger(_) => current.triggering = Some(key.clone()),
        Ask::SetSummary { text, .. } => {
            current.summaries.insert(step, text.clone());
        }
        Ask::WriteLog { log, .. } => {
            if let Some(log) = current.log_mut(step, log) {
                log.writes += 1;
            }
        }
        Ask::Run(_)
        | Ask::File(_)
        | Ask::Wait(_)
        | Ask::Now
        | Ask::BeginStep(_)
        | Ask::EndStep(_)
        | Ask::SetProperty { .. }
        | Ask::AddUrl { .. }
        | Ask::ReadLog { .. }
        | Ask::RecordTests { .. }
        | Ask::RecordValue { .. }
        | Ask::SetData { .. } => {}
    }
}
