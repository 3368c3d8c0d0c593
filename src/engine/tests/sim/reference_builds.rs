//! The reference model of builds: steps, asks and answers, logs, ends, and what is to be reported of them.

use std::collections::BTreeMap;

use super::reference::Reference;
use super::reference_reports::Occasion;
use super::reference_results::TopSteps;
use crate::base::Timestamp;
use crate::model::{
    Answer, Ask, BuildId, BuilderId, CommandEnd, CommandId, CommandResult, ConfigDigest, Event, Fact, FileCommand, Key,
    LogId, LogOpened, NotifyOn, Outcome, RequestId, StepId,
};

/// A build that runs.
#[derive(Clone, Debug)]
pub struct BuildView {
    pub builder: BuilderId,
    pub worker: String,
    pub dir: String,
    pub lender: Option<BuildId>,
    pub plan: ConfigDigest,
    pub requests: Vec<RequestId>,
    pub steps: BTreeMap<StepId, StepView>,
    pub top: TopSteps,
    pub asks: BTreeMap<Key, AskView>,
    pub stops: u64,
    /// The earliest fact since which its builder can have asked for its locks.
    pub queued_since: u64,
    /// Between two attempts of a step.
    pausing: bool,
    /// Child steps that were asked for and did not begin yet.
    to_begin: Vec<Key>,
}

#[derive(Clone, Debug)]
pub struct StepView {
    pub parent: Option<StepId>,
    /// Logs that are open, newest last.
    logs: Vec<(LogId, String)>,
}

#[derive(Clone, Debug)]
pub struct AskView {
    pub ask: Ask,
    pub command: Option<CommandId>,
    pub answered: bool,
    due: Option<Timestamp>,
    seq: u64,
}

/// A log, as facts tell it.
#[derive(Clone, Debug, Default)]
pub struct LogView {
    pub closed: bool,
    /// What the master itself writes, in order.
    pub written: Vec<String>,
    pub name: String,
}

impl BuildView {
    /// Whether nothing of it is open but triggers.
    pub fn only_triggers(&self) -> bool {
        let open = |ask: &&AskView| !ask.answered && !ask.ask.is_immediate();
        let mut open = self.asks.values().filter(open);
        !self.pausing && open.all(|ask| matches!(ask.ask, Ask::Trigger(_)))
    }
}

impl Reference {
    pub fn step_in_progress(&self, build: BuildId) -> Option<StepId> {
        let steps = &self.builds.get(&build)?.steps;
        steps.iter().find(|(_, step)| step.parent.is_none()).map(|(id, _)| *id)
    }

    pub fn ask_at(&self, build: BuildId, key: &Key) -> Option<(Ask, bool)> {
        let ask = self.builds.get(&build)?.asks.get(key)?;
        Some((ask.ask.clone(), ask.answered))
    }

    fn build(&mut self, id: BuildId) -> &mut BuildView {
        self.builds.get_mut(&id).unwrap_or_else(|| panic!("builds: {id} does not run"))
    }

    pub fn build_started(&mut self, fact: &Fact) {
        self.check_start(fact);
        let Event::BuildStarted { build, builder: builder_id, worker, dir, lender, requests, plan, .. } = &fact.event
        else {
            return;
        };
        let queued_since = self.queue_since.get(builder_id).copied().unwrap_or(0);
        self.claim_requests(*builder_id, *build, requests);
        let view = BuildView {
            builder: *builder_id,
            worker: self.worker_names[worker].clone(),
            dir: dir.clone(),
            lender: *lender,
            plan: plan.clone(),
            requests: requests.clone(),
            steps: BTreeMap::new(),
            top: TopSteps::default(),
            asks: BTreeMap::new(),
            stops: 0,
            queued_since,
            pausing: false,
            to_begin: vec![],
        };
        self.builds.insert(*build, view);
        self.calls_for_reports(Occasion::Started(*build), &[NotifyOn::Start].into());
    }

    pub fn build_event(&mut self, fact: &Fact) {
        if let Some(build) = fact.event.build().and_then(|build| self.builds.get_mut(&build)) {
            build.top.take(&fact.event);
        }
        match &fact.event {
            Event::BuildStopping { build, .. } => self.stopping(*build),
            Event::StepStarted { build, step, parent, key, .. } => {
                self.fresh("step", step.0);
                let view = self.build(*build);
                view.pausing = false;
                view.to_begin.retain(|other| Some(other) != key.as_ref());
                let fits = match parent {
                    None => view.steps.is_empty(),
                    Some(parent) => view.steps.contains_key(parent),
                };
                assert!(fits, "steps: {step} of build {build} begins, open are {:?}", view.steps);
                view.steps.insert(*step, StepView { parent: *parent, logs: vec![] });
            }
            Event::StepRetried { build, .. } => {
                assert!(self.build(*build).steps.is_empty(), "steps: build {build} tries again in mid-step");
                self.build(*build).pausing = true;
            }
            Event::StepEnded { build, step, .. } => self.step_ended(*build, *step),
            Event::Asked { .. } => self.asked(fact),
            Event::Answered { build, key, answer } => self.answered(*build, key, answer),
            Event::CommandRestarted { build, key, command, .. } => {
                let view = self.build(*build).asks.get_mut(key).unwrap_or_else(|| panic!("asks: {key:?} of {build}"));
                assert!(!view.answered, "asks: {key:?} of build {build} runs again, but is answered");
                let old = view.command.replace(command.clone()).unwrap();
                self.untidy(*build, &old);
                self.name_command(command, *build, key);
                self.restarts.push((old, command.clone()));
            }
            Event::LogClosed { build, step, log } => {
                let steps = &mut self.build(*build).steps;
                if let Some(step) = steps.get_mut(step) {
                    step.logs.retain(|(open, _)| open != log);
                }
                let view = self.logs.get_mut(log).unwrap_or_else(|| panic!("logs: {log} was never opened"));
                assert!(!view.closed, "logs: {log} is closed twice");
                view.closed = true;
            }
            Event::StepNoted { build, step, log, opened, text, .. } => {
                self.noted(*build, *step, *log, opened.as_ref(), text);
            }
            Event::StopEscalated { build, command, .. } | Event::CommandGivenUp { build, command } => {
                let view = self.build(*build);
                let open = view.asks.values().any(|ask| ask.command.as_ref() == Some(command) && !ask.answered);
                assert!(open, "stops: {command} of build {build} is stopped, but nobody waits for it");
                self.untidy(*build, command);
            }
            Event::BuildEnded { build, outcome, culprits, .. } => self.build_ended(*build, *outcome, culprits),
            Event::BuildState { build, .. } | Event::StepDecided { build, .. } | Event::LocksWaited { build, .. } => {
                self.build(*build);
            }
            _ => {}
        }
    }

    fn stopping(&mut self, id: BuildId) {
        let requests = self.build(id).requests.clone();
        let asked = self.stoppable.contains(&id) || requests.iter().any(|request| self.cancellable.contains(request));
        let awaited = requests.iter().any(|request| self.requests.get(request).is_some_and(|view| view.waited_for));
        assert!(asked || awaited, "stops: nobody asked to stop build {id}");
        self.build(id).stops += 1;
    }

    fn step_ended(&mut self, build: BuildId, step: StepId) {
        let steps = &mut self.build(build).steps;
        let ended = steps.remove(&step).unwrap_or_else(|| panic!("steps: {step} of build {build} is not open"));
        let inside = steps.values().any(|other| other.parent == Some(step));
        assert!(!inside, "steps: {step} of build {build} ended before those inside of it");
        assert!(ended.logs.is_empty(), "logs: step {step} ended with open logs {:?}", ended.logs);
        if ended.parent.is_none() {
            let left = std::mem::take(&mut self.build(build).asks).into_values();
            for ask in left.filter(|ask| !ask.answered) {
                ask.command.iter().for_each(|command| self.untidy(build, command));
            }
            for set in self.sets.values_mut().filter(|set| set.awaited_by.as_ref().is_some_and(|by| by.0 == build)) {
                set.awaited_by = None;
            }
        }
        self.check_gave_all_back((build, Some(step)));
    }

    fn name_command(&mut self, command: &CommandId, build: BuildId, key: &Key) {
        let before = self.commands.insert(command.clone(), (build, key.clone()));
        assert!(before.is_none(), "ids: command {command} is there twice");
    }

    fn asked(&mut self, fact: &Fact) {
        let Event::Asked { build, step, key, ask, command, logs, due } = &fact.event else { return };
        for LogOpened { log, name, .. } in logs {
            self.fresh("log", log.0);
            self.logs.insert(*log, LogView { name: name.clone(), ..LogView::default() });
        }
        if let Some(command) = command {
            self.name_command(command, *build, key);
            self.check_slot(*build);
        }
        let view = self.build(*build);
        let open = view.steps.get_mut(step).unwrap_or_else(|| panic!("asks: step {step} of build {build} is over"));
        open.logs.extend(logs.iter().map(|opened| (opened.log, opened.name.clone())));
        let written = match ask {
            Ask::WriteLog { log, text, .. } => {
                let (id, _) = open.logs.iter().rev().find(|(_, name)| name == log).unwrap();
                Some((*id, text.clone()))
            }
            _ => None,
        };
        let (command, due) = (command.clone(), *due);
        let asked = AskView { ask: ask.clone(), command, answered: false, due, seq: fact.seq };
        let before = view.asks.insert(key.clone(), asked);
        assert!(before.is_none(), "asks: {key:?} of build {build} is asked twice");
        if let Some((log, text)) = written {
            self.logs.get_mut(&log).unwrap().written.push(format!("{}\n", text.trim_end_matches('\n')));
        }
        if let Ask::BeginStep(_) = ask {
            self.build(*build).to_begin.push(key.clone());
        }
        if let Ask::Trigger(trigger) = ask {
            self.triggering = Some((*build, key.clone(), *step, trigger.wait));
        }
    }

    /// The engine wrote to a log by itself.
    fn noted(&mut self, build: BuildId, step: StepId, log: LogId, opened: Option<&LogOpened>, text: &str) {
        if let Some(LogOpened { log, name, .. }) = opened {
            self.fresh("log", log.0);
            self.logs.insert(*log, LogView { name: name.clone(), ..LogView::default() });
        }
        let open = self.build(build).steps.get_mut(&step);
        let open = open.unwrap_or_else(|| panic!("notes: step {step} of build {build} is over"));
        open.logs.extend(opened.map(|opened| (opened.log, opened.name.clone())));
        assert!(open.logs.iter().any(|(id, _)| *id == log), "notes: log {log} of build {build} is not open");
        self.logs.get_mut(&log).unwrap().written.push(format!("{}\n", text.trim_end_matches('\n')));
    }

    fn answered(&mut self, build: BuildId, key: &Key, answer: &Answer) {
        let (at, clock_back) = (self.at, self.clock_back);
        let view = self.build(build).asks.get_mut(key).unwrap_or_else(|| panic!("asks: {key:?} of build {build}"));
        assert!(!view.answered, "asks: {key:?} of build {build} is answered twice");
        view.answered = true;
        let (ask, command, due, seq) = (view.ask.clone(), view.command.clone(), view.due, view.seq);
        match (&ask, answer) {
            (Ask::Run(_) | Ask::File(_), Answer::Command(result)) => {
                let command = command.unwrap();
                self.check_artifacts(&ask, &command, result);
                if let Some(of) = &result.stdout {
                    assert_eq!(*of, command.0, "answers: {key:?} of build {build} gets the result of another command");
                    self.answers.insert(command, result.clone());
                } else {
                    let lost = matches!(result.end, CommandEnd::Lost(_));
                    assert!(lost, "answers: {command} got a result that no worker gave: {result:?}");
                    self.untidy(build, &command);
                }
            }
            (Ask::Wait(_), Answer::Done) => {
                let due = due.unwrap();
                assert!(due <= at || seq < clock_back, "waits: {key:?} of build {build} ends at {at}, due at {due}");
            }
            (Ask::Trigger(trigger), Answer::Triggered(triggered)) => {
                let awaited = |by: &Option<(BuildId, Key, StepId)>| {
                    by.as_ref().is_some_and(|(by, at, _)| *by == build && at == key)
                };
                let mut worst = Outcome::Skipped;
                for set in self.sets.values_mut().filter(|set| awaited(&set.awaited_by)) {
                    let outcome = set.ended.unwrap_or_else(|| panic!("triggers: {key:?} of {build} is answered early"));
                    worst = worst.worse(outcome);
                    set.awaited_by = None;
                }
                if trigger.wait && !triggered.builds.is_empty() {
                    assert_eq!(triggered.outcome, worst, "triggers: {key:?} of build {build}");
                }
            }
            (Ask::Now, Answer::Time(_)) | (Ask::BeginStep(_), Answer::Done) => {}
            (ask, answer) => panic!("answers: {answer:?} to {ask:?}"),
        }
    }

    /// A build has an artifact exactly if the answer of its upload says so, and each upload that went well keeps one: that of
    /// its own command, once.
    fn check_artifacts(&mut self, ask: &Ask, command: &CommandId, result: &CommandResult) {
        let is_upload = matches!(ask, Ask::File(FileCommand::Upload(_)));
        let kept: Vec<&str> = result.artifacts().iter().map(|artifact| artifact.digest.0.as_str()).collect();
        let wanted: &[&str] = if is_upload && result.outcome.is_ok() { &[&command.0] } else { &[] };
        assert_eq!(kept, wanted, "artifacts: of {command}, which ended {:?}", result.end);
        for digest in kept {
            let is_new = self.artifacts.insert(digest.to_owned());
            assert!(is_new, "artifacts: the content of {command} is kept twice");
        }
    }

    /// After a turn: no build stands between two facts.
    pub fn check_builds(&self) {
        for (id, build) in &self.builds {
            let worker = self.workers.get(&build.worker).cloned().unwrap_or_default();
            let waits = worker.epoch.is_some() || worker.give_up.is_some();
            assert!(waits, "workers: build {id} waits for `{}`, and nobody says how long", build.worker);
            assert!(build.pausing || !build.steps.is_empty(), "steps: build {id} is in no step");
            assert!(build.to_begin.is_empty(), "steps: {:?} of build {id} did not begin", build.to_begin);
        }
    }

    fn build_ended(&mut self, id: BuildId, outcome: Outcome, culprits: &[StepId]) {
        let build = self.builds.remove(&id).unwrap_or_else(|| panic!("builds: {id} ended twice, or never began"));
        self.hand_slot_on(id, build.lender);
        assert!(build.steps.is_empty(), "builds: {id} ended with open steps");
        self.check_gave_all_back((id, None));
        assert!(
            build.stops == 0 || outcome == Outcome::Cancelled,
            "stops: build {id} was stopped, and ends {outcome:?}"
        );
        self.ended_builds.insert(id, outcome);
        let occasions = self.compare(&build, outcome, culprits);
        if outcome != Outcome::Retry {
            self.calls_for_reports(Occasion::Ended(id), &occasions);
        }
    }
}
