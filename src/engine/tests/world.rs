//! The world around an engine: a store, workers, time, a mail server; all in memory, all at rest unless told.
//!
//! After each input the state is compared with the fold of all facts, from nothing and from a snapshot.

mod look;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::plans::{PlanBuilder, span};
use super::script::{Functions, line_of};
use crate::base::{Span, Timestamp};
use crate::engine::{
    CommandEnded, CommandOrder, Effect, Engine, Input, PollResult, Reply, ResumeState, ResumedCommand, StopLevel,
    SubmissionResult, Ticket, Work,
};
use crate::model::{
    Actor, BuildId, BuiltOf, Cause, ChangeId, CommandEnd, CommandId, CommandResult, ConfigDigest, Cursor, EvalJob,
    Fact, ForceOrder, Intake, LogId, NewChange, Order, Outcome, Plan, Report, RequestId, Via, dirs_clash,
};

/// Every so many inputs a snapshot is taken.
const SNAPSHOT_EVERY: usize = 7;

/// So many facts are folded from nothing after each input, more only now and then.
const ALWAYS_WHOLE: usize = 100;
const SOMETIMES_WHOLE: usize = 20;

/// A fake worker: its commands live on while it is away.
#[derive(Clone, Debug, Default)]
pub struct FakeWorker {
    pub epoch: Option<u64>,
    pub instance: String,
    pub resumes: bool,
    /// Commands that run.
    pub running: BTreeMap<CommandId, CommandOrder>,
    /// Commands that ended while it was away.
    pub unsaid: BTreeMap<CommandId, CommandResult>,
    pub interrupted: Vec<(CommandId, StopLevel)>,
    pub forgotten: Vec<CommandId>,
    pub told_to_end: bool,
}

/// A build as facts tell it.
#[derive(Clone, Debug)]
pub struct BuildView {
    pub id: BuildId,
    pub worker: String,
    pub outcome: Option<Outcome>,
    pub state: String,
}

pub struct World {
    pub engine: Engine,
    pub now: Timestamp,
    pub facts: Vec<Fact>,
    pub workers: BTreeMap<String, FakeWorker>,
    /// Commands of these lines run until told to end.
    held: BTreeSet<String>,
    /// Whether evaluations wait until told.
    pub hold_scripts: bool,
    pub jobs: VecDeque<(BuildId, Arc<EvalJob>)>,
    /// How many evaluations were ordered.
    pub evaluations: usize,
    pub polls: Vec<(String, Option<Cursor>)>,
    /// Reports handed out and not answered.
    pub letters: VecDeque<Report>,
    /// Whether letters wait until told.
    pub hold_letters: bool,
    pub delivered: Vec<Report>,
    pub logs: BTreeMap<LogId, BTreeMap<u64, (char, String)>>,
    pub closed_logs: BTreeSet<LogId>,
    pub disconnected: Vec<(String, u64)>,
    replies: BTreeMap<Ticket, Reply>,
    pub plans: BTreeMap<ConfigDigest, (Arc<Plan>, Functions)>,
    queue: VecDeque<Input>,
    snapshot: (usize, Vec<u8>),
    inputs: usize,
    tickets: u64,
    epochs: u64,
}

impl World {
    /// A master that just adopted this configuration, on a summer's noon.
    pub fn new(plan: PlanBuilder) -> Self {
        let now: jiff::Timestamp = "2026-06-01T10:00:00Z".parse().unwrap();
        let mut world = Self {
            engine: Engine::new(),
            now: Timestamp::from_millis(now.as_millisecond()),
            facts: vec![],
            workers: BTreeMap::new(),
            held: BTreeSet::new(),
            hold_scripts: false,
            jobs: VecDeque::new(),
            evaluations: 0,
            polls: vec![],
            letters: VecDeque::new(),
            hold_letters: false,
            delivered: vec![],
            logs: BTreeMap::new(),
            closed_logs: BTreeSet::new(),
            disconnected: vec![],
            replies: BTreeMap::new(),
            plans: BTreeMap::new(),
            queue: VecDeque::new(),
            snapshot: (0, Engine::new().snapshot()),
            inputs: 0,
            tickets: 0,
            epochs: 0,
        };
        world.start();
        world.adopt(plan);
        world
    }

    fn start(&mut self) {
        self.input(Input::Started { name: "master".into(), installation: "inst".into() });
    }

    // --- what happens to the master

    /// Puts a configuration in force; what differs.
    pub fn adopt(&mut self, plan: PlanBuilder) -> Vec<String> {
        let (plan, functions) = plan.build();
        self.plans.insert(plan.digest.clone(), (Arc::clone(&plan), functions));
        let reply =
            self.ask(|ticket| Input::PlanLoaded { plan, why: "test".into(), cause: Cause::Configuration, ticket });
        let Reply::Adopted { changes, .. } = reply else { panic!("{reply:?}") };
        changes
            .iter()
            .map(|change| format!("{} {} {}", change.kind(), change.name().unwrap_or_default(), change.in_words()))
            .collect()
    }

    /// The master dies and starts again; everything under way is lost, workers are cut off.
    pub fn restart(&mut self) {
        let restored = self.restore(self.snapshot.0, Some(&self.snapshot.1));
        self.engine = restored;
        self.jobs.clear();
        self.letters.clear();
        self.queue.clear();
        self.polls.clear();
        for worker in self.workers.values_mut() {
            worker.epoch = None;
        }
        self.start();
    }

    /// The master dies after its facts of this input are durable, and before it carries out any effect; then it starts
    /// again.
    pub fn crash_after_commit(&mut self, input: Input) {
        let functions = self.functions();
        let turn = self.engine.handle(self.now, input, &functions);
        self.facts.extend(turn.facts.iter().map(|fact| Fact::clone(fact)));
        self.restart();
    }

    fn restore(&self, from: usize, snapshot: Option<&[u8]>) -> Engine {
        let mut plans = |digest: &ConfigDigest| {
            self.plans.get(digest).map(|(plan, _)| Arc::clone(plan)).ok_or_else(|| "gone".to_owned())
        };
        Engine::restore(snapshot, &self.facts[from..], &mut plans).unwrap()
    }

    fn functions(&self) -> Functions {
        self.engine.plan().map(|plan| self.plans[&plan.digest].1.clone()).unwrap_or_default()
    }

    /// One input, and everything that follows from it.
    pub fn input(&mut self, input: Input) {
        self.queue.push_back(input);
        while let Some(input) = self.queue.pop_front() {
            let functions = match &input {
                Input::PlanLoaded { plan, .. } => self.plans[&plan.digest].1.clone(),
                _ => self.functions(),
            };
            let turn = self.engine.handle(self.now, input, &functions);
            self.facts.extend(turn.facts.iter().map(|fact| Fact::clone(fact)));
            self.check_fold();
            for effect in turn.effects {
                self.carry_out(effect);
            }
            self.inputs += 1;
            if self.inputs.is_multiple_of(SNAPSHOT_EVERY) {
                self.snapshot = (self.facts.len(), self.engine.snapshot());
            }
        }
    }

    fn check_fold(&self) {
        let seqs: Vec<u64> = self.facts.iter().map(|fact| fact.seq).collect();
        assert!(seqs.iter().copied().eq(1..=self.facts.len() as u64), "facts are numbered without gaps");
        if self.facts.len() < ALWAYS_WHOLE || self.inputs.is_multiple_of(SOMETIMES_WHOLE) {
            let whole = self.restore(0, None);
            assert!(whole == self.engine, "the fold of all facts differs:\n{whole:#?}\n{:#?}", self.engine);
        }
        let rest = self.restore(self.snapshot.0, Some(&self.snapshot.1));
        assert!(rest == self.engine, "the fold from a snapshot differs:\n{rest:#?}\n{:#?}", self.engine);
    }

    /// Asks and waits for the reply.
    pub fn ask(&mut self, input: impl FnOnce(Option<Ticket>) -> Input) -> Reply {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        self.input(input(Some(ticket)));
        self.replies.remove(&ticket).expect("every asker gets a reply")
    }

    // --- time

    /// Lets time pass, stopping wherever the engine wants to be woken.
    pub fn advance(&mut self, text: &str) {
        self.advance_by(span(text));
    }

    pub fn advance_by(&mut self, span: Span) {
        let end = self.now.plus(span);
        while let Some((due, _)) = self.engine.deadline()
            && due <= end
        {
            let before = (self.facts.len(), self.now);
            self.now = self.now.max(due);
            self.input(Input::Woke);
            let after = self.engine.deadline().map(|(due, _)| due);
            assert!(
                before != (self.facts.len(), self.now) || after != Some(due),
                "the engine wants to be woken at {due} for nothing"
            );
        }
        self.now = end;
    }

    /// Advances to a moment.
    pub fn advance_to(&mut self, moment: &str) {
        let moment: jiff::Timestamp = moment.parse().unwrap();
        let moment = Timestamp::from_millis(moment.as_millisecond());
        assert!(moment >= self.now);
        self.advance_by(moment.since(self.now));
    }

    /// Sets the clock without letting time pass.
    pub fn set_clock(&mut self, moment: Timestamp) {
        self.now = moment;
        self.input(Input::Woke);
    }

    // --- workers

    /// A worker of ours connects, or comes back.
    pub fn connect(&mut self, name: &str) {
        self.connect_as(name, true, &format!("spool of {name}"));
    }

    /// A stock worker connects, or comes back; its commands are unknown to it then.
    pub fn connect_stock(&mut self, name: &str) {
        self.connect_as(name, false, "");
    }

    pub fn connect_as(&mut self, name: &str, resumes: bool, instance: &str) {
        self.epochs = self.epochs.max(self.engine.last_epoch()) + 1;
        let epoch = self.epochs;
        let worker = self.workers.entry(name.into()).or_default();
        if worker.instance != instance {
            worker.running.clear();
            worker.unsaid.clear();
        }
        worker.epoch = Some(epoch);
        worker.resumes = resumes;
        worker.instance = instance.into();
        let info = [("basedir", "/srv/worker"), ("system", "posix"), ("numcpus", "4")];
        let info = info.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let (worker, instance) = (name.to_owned(), instance.to_owned());
        self.input(Input::WorkerConnected { worker, epoch, instance, resumes, info });
    }

    /// A worker's connection is cut; its commands go on.
    pub fn lose(&mut self, name: &str) {
        if let Some(epoch) = self.worker(name).epoch.take() {
            self.input(Input::WorkerLost { worker: name.into(), epoch, why: "gone".into() });
        }
    }

    pub fn worker(&mut self, name: &str) -> &mut FakeWorker {
        self.workers.entry(name.into()).or_default()
    }

    /// Commands of this line run until told to end.
    pub fn hold(&mut self, line: &str) {
        self.held.insert(line.into());
    }

    /// Commands that run on workers, by their lines.
    pub fn running_commands(&self) -> Vec<String> {
        self.workers.values().flat_map(|worker| worker.running.values()).map(line_of_order).collect()
    }

    /// The held command of this line ends with this code.
    pub fn end(&mut self, line: &str, code: i64) {
        self.end_with(line, CommandEnd::Exited(code));
    }

    /// The held command of this line ends like this. If its worker is away, the end is told later.
    pub fn end_with(&mut self, line: &str, end: CommandEnd) {
        let found = self.workers.iter().find_map(|(name, worker)| {
            let order = worker.running.values().find(|order| line_of_order(order) == line)?;
            Some((name.clone(), order.clone()))
        });
        let (name, order) = found.unwrap_or_else(|| panic!("`{line}` runs nowhere: {:?}", self.running_commands()));
        self.worker(&name).running.remove(&order.command);
        let result = CommandResult::of(end, &exit_codes(&order));
        self.tell_end(&name, order.command, result);
    }

    /// This held command ends with this code.
    pub fn end_command(&mut self, command: &CommandId, code: i64) {
        let found =
            self.workers.iter_mut().find_map(|(name, worker)| Some((name.clone(), worker.running.remove(command)?)));
        let (name, order) = found.unwrap_or_else(|| panic!("`{command}` runs nowhere: {:?}", self.running_commands()));
        let result = CommandResult::of(CommandEnd::Exited(code), &exit_codes(&order));
        self.tell_end(&name, order.command, result);
    }

    fn tell_end(&mut self, name: &str, command: CommandId, result: CommandResult) {
        let worker = self.worker(name);
        match worker.epoch {
            Some(epoch) => {
                let worker = name.to_owned();
                self.input(Input::CommandEnded(CommandEnded { worker, epoch, command, result }));
            }
            None => {
                worker.unsaid.insert(command, result);
            }
        }
    }

    // --- people, repositories, the mail server

    /// Forces a builder; its request.
    pub fn force(&mut self, builder: &str) -> RequestId {
        self.force_with(ForceOrder { builders: vec![builder.into()], ..ForceOrder::default() })
    }

    /// Ann gives an order.
    pub fn order(&mut self, order: Order) -> Reply {
        self.order_by(order, Actor::person("ann", Via::Page))
    }

    pub fn order_by(&mut self, order: Order, by: Actor) -> Reply {
        self.ask(|ticket| Input::Ordered { order, by, ticket })
    }

    pub fn force_with(&mut self, order: ForceOrder) -> RequestId {
        self.force_by("ann", order)
    }

    pub fn force_by(&mut self, name: &str, order: ForceOrder) -> RequestId {
        let reply = self.order_by(Order::Force(order), Actor::person(name, Via::Api));
        let Reply::Buildset { requests, .. } = reply else { panic!("{reply:?}") };
        *requests.values().next().unwrap()
    }

    pub fn stop(&mut self, build: &str) {
        let build = self.build(build).id;
        let reply = self.order(Order::StopBuild { build, why: "enough".into() });
        assert_eq!(reply, Reply::Done);
    }

    pub fn cancel(&mut self, request: RequestId) {
        let reply = self.order(Order::CancelRequest { request, why: "no".into() });
        assert_eq!(reply, Reply::Done);
    }

    pub fn rebuild(&mut self, build: &str) -> Reply {
        let build = self.build(build).id;
        let builder = self.builder_of(build);
        let buildset = self.buildset_of_build(build);
        let of = Some(Box::new(BuiltOf { builder, buildset }));
        self.order(Order::Rebuild { build, of })
    }

    /// A change of these files on a branch.
    pub fn change(&mut self, branch: &str, files: &[&str]) -> ChangeId {
        let number = self.facts.len();
        self.change_with(NewChange {
            branch: Some(branch.into()),
            files: files.iter().map(|&file| file.to_owned()).collect(),
            revision: Some(format!("r{number}")),
            author: "bob".into(),
            ..NewChange::default()
        })
    }

    pub fn change_with(&mut self, change: NewChange) -> ChangeId {
        let intake = self.told(change, None);
        intake[0].recorded().unwrap_or_else(|| panic!("{intake:?}"))
    }

    /// What becomes of a change that somebody tells of.
    pub fn told(&mut self, change: NewChange, delivery: Option<String>) -> Vec<SubmissionResult> {
        self.told_by(change, delivery, Actor::person("ann", Via::CommandLine))
    }

    fn told_by(&mut self, change: NewChange, delivery: Option<String>, by: Actor) -> Vec<SubmissionResult> {
        let reply = self.order_by(Order::AddChanges { changes: vec![change], delivery, intake: Intake::Report }, by);
        let Reply::Changes(intake) = reply else { panic!("{reply:?}") };
        intake
    }

    /// A hook tells of a change.
    pub fn hook(&mut self, change: NewChange) -> Vec<SubmissionResult> {
        self.told_by(change, None, Actor::Hook { dialect: "base".into() })
    }

    /// A hook tells of a change that is to be dealt with in this way.
    pub fn hook_as(&mut self, intake: Intake, change: NewChange) -> Vec<SubmissionResult> {
        let order = Order::AddChanges { changes: vec![change], delivery: None, intake };
        let reply = self.order_by(order, Actor::Hook { dialect: "github".into() });
        let Reply::Changes(intake) = reply else { panic!("{reply:?}") };
        intake
    }

    /// The poll that was ordered ends.
    pub fn polled(&mut self, source: &str, report: Result<PollResult, String>) {
        let at = self.polls.iter().position(|(name, _)| name == source).expect("a poll was ordered");
        self.polls.remove(at);
        self.input(Input::Polled { source: source.into(), report });
    }

    /// The evaluation ordered first is done.
    pub fn evaluate_next(&mut self) {
        let (build, job) = self.jobs.pop_front().expect("an evaluation was ordered");
        let input = self.evaluated(build, &job);
        self.input(input);
    }

    /// The letter handed out first is delivered, or not.
    pub fn post(&mut self, result: Result<(), (&str, bool)>) {
        let letter = self.letters.pop_front().expect("a letter was handed out");
        let report = letter.id;
        match result {
            Ok(()) => {
                self.delivered.push(letter);
                self.input(Input::ReportSent { report, remarks: Vec::new() });
            }
            Err((error, final_)) => {
                self.input(Input::ReportFailed { report, error: error.into(), final_, pause: None });
            }
        }
    }

    // --- effects

    fn evaluated(&self, build: BuildId, job: &EvalJob) -> Input {
        let (plan, functions) = &self.plans[&job.plan];
        let step = plan.builders.get(&job.context.builder).and_then(|builder| builder.steps.get(job.step));
        let function = step.and_then(|step| match job.part {
            crate::model::EvalPart::DoIf => step.do_if,
            crate::model::EvalPart::Body => Some(step.body),
            crate::model::EvalPart::HideIf => step.hide_if,
        });
        Input::Evaluated { build, turn: job.turn, outcome: functions.evaluate(function, job) }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Reply { ticket, reply } => {
                assert!(self.replies.insert(ticket, reply).is_none(), "{ticket:?} is answered once");
            }
            Effect::Poll { source, cursor } => {
                assert!(!self.polls.iter().any(|(name, _)| *name == source), "`{source}` is polled once at a time");
                self.polls.push((source, cursor));
            }
            Effect::Evaluate { build, job } => {
                self.evaluations += 1;
                if self.hold_scripts {
                    self.jobs.push_back((build, job));
                } else {
                    let input = self.evaluated(build, &job);
                    self.queue.push_back(input);
                }
            }
            Effect::Dispatch(order) => self.dispatched(*order),
            Effect::Interrupt { worker, command, level, .. } => {
                self.worker(&worker).interrupted.push((command, level));
            }
            Effect::Resume { worker, epoch, commands } => {
                let commands: Vec<CommandId> = commands.into_iter().map(|order| order.command).collect();
                self.resumed(&worker, epoch, &commands);
            }
            Effect::Forget { worker, epoch, commands } => {
                let fake = self.worker(&worker);
                fake.running.retain(|command, _| !commands.contains(command));
                fake.forgotten.extend(commands.iter().cloned());
                self.queue.push_back(Input::Forgotten { worker, epoch, commands });
            }
            Effect::KillWorker { worker, epoch, .. } => {
                let fake = self.worker(&worker);
                fake.told_to_end = true;
                fake.epoch = fake.epoch.filter(|connected| *connected != epoch);
                self.disconnected.push((worker, epoch));
            }
            Effect::Disconnect { worker, epoch, .. } => {
                let fake = self.worker(&worker);
                if fake.epoch == Some(epoch) {
                    fake.epoch = None;
                }
                self.disconnected.push((worker, epoch));
            }
            Effect::ShutDownWorker { worker, .. } => self.worker(&worker).told_to_end = true,
            Effect::WriteLog { log, n, stream, text, .. } => {
                let written = self.logs.entry(log).or_default();
                let before = written.insert(n, (stream, text.clone()));
                assert!(before.is_none_or(|before| before == (stream, text)), "a write to a log keeps its number");
            }
            Effect::CloseLog { log, .. } => {
                self.closed_logs.insert(log);
            }
            Effect::Deliver { report } => {
                assert!(!self.letters.iter().any(|letter| letter.id == report.id), "a letter is handed out once");
                self.letters.push_back(report.clone());
                if !self.hold_letters {
                    self.letters.pop_back();
                    self.delivered.push(report.clone());
                    self.queue.push_back(Input::ReportSent { report: report.id, remarks: Vec::new() });
                }
            }
        }
    }

    fn dispatched(&mut self, order: CommandOrder) {
        let line = line_of_order(&order);
        let held = self.held.contains(&line);
        let worker = self.worker(&order.worker);
        assert_eq!(worker.epoch, Some(order.epoch), "`{line}` goes to the present connection");
        assert!(!worker.running.contains_key(&order.command), "`{line}` is sent once");
        let same = |other: &&CommandOrder| other.build != order.build && dirs_clash(&other.dir, &order.dir);
        let other = worker.running.values().find(same);
        assert!(other.is_none(), "`{line}` starts in `{}`, where another build runs: {other:?}", order.dir);
        if held {
            worker.running.insert(order.command.clone(), order);
            return;
        }
        let code = match line.as_str() {
            "fail" => 1,
            "warn" => 2,
            _ => 0,
        };
        let result = CommandResult::of(CommandEnd::Exited(code), &exit_codes(&order));
        let (worker, epoch, command) = (order.worker, order.epoch, order.command);
        self.queue.push_back(Input::CommandEnded(CommandEnded { worker, epoch, command, result }));
    }

    fn resumed(&mut self, name: &str, epoch: u64, commands: &[CommandId]) {
        let worker = self.worker(name);
        worker.running.retain(|command, _| commands.contains(command));
        let unsaid = std::mem::take(&mut worker.unsaid);
        let state = |command: &CommandId| {
            if worker.running.contains_key(command) || unsaid.contains_key(command) {
                ResumeState::Known
            } else {
                ResumeState::NeverSeen
            }
        };
        let told = commands.iter().map(|command| ResumedCommand { command: command.clone(), state: state(command) });
        let (worker, commands) = (name.to_owned(), told.collect());
        self.queue.push_back(Input::Resumed { worker, epoch, commands });
        for (command, result) in unsaid {
            let worker = name.to_owned();
            self.queue.push_back(Input::CommandEnded(CommandEnded { worker, epoch, command, result }));
        }
    }
}

fn line_of_order(order: &CommandOrder) -> String {
    match &order.work {
        Work::Run(spec) => line_of(spec),
        Work::File(file) => format!("{file:?}"),
    }
}

fn exit_codes(order: &CommandOrder) -> BTreeMap<i64, Outcome> {
    match &order.work {
        Work::Run(spec) => spec.exit_codes.clone(),
        Work::File(_) => BTreeMap::from([(0, Outcome::Success)]),
    }
}
