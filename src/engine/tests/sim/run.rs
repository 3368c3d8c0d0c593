//! One run: everything that happens, in one order, by one seeded chance and in virtual time.
//!
//! There are no threads and no clock. What is to happen stands in one queue; a step takes the first of it. How long each
//! thing takes is chance, so that any order of independent things comes up.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::super::script::Functions;
use super::decisions::Moods;
use super::disk::{Disk, Source};
use super::draft::{self, BRANCHES, Draft};
use super::ledger::Ledger;
use super::machine::Machine;
use super::reference::Reference;
use super::rng::Rng;
use super::shell::{Shell, Then};
use super::wires::Link;
use crate::base::Timestamp;
use crate::config::{Cancel, Loaded};
use crate::engine::Input;
use crate::model::{
    BuildId, ChangeId, CommandId, ConfigDigest, Cursor, Decision, EvalJob, EvalOutcome, EvalPart, FnId, Plan, Question,
    Report, RequestId, Script, StepId,
};

/// What is told of the end of a run that failed.
const TRACE_MAX: usize = 80;

/// Something that is to happen.
#[derive(Clone, Debug)]
pub enum Happening {
    /// The batch in flight of this master process reaches the disk.
    Landed(u64),
    /// The timer of this process rings.
    Wake(u64, u64),
    /// This process looks at a clock that was set.
    LookAtClock(u64),
    Evaluated(u64, BuildId, Arc<EvalJob>),
    Polled(u64, String, Option<Cursor>),
    Delivered(u64, Box<Report>),
    LogSynced(u64, Source),
    SnapshotKept(u64, u64, Vec<u8>),
    /// An input reaches the inbox.
    Told(u64, Box<Input>, Then),
    MasterStarts,
    Greeted(u64),
    ToWorker(u64),
    ToMaster(u64),
    LinkLost(u64, u32),
    Connect(String),
    MachineStarts(String),
    JobGoesOn(String, u64, CommandId),
    Person,
    Push,
    Dies,
    Fault,
}

/// All configurations that ever were, and their functions.
#[derive(Clone, Default)]
pub struct Scene {
    pub plans: BTreeMap<ConfigDigest, (Arc<Plan>, Functions)>,
    /// Those whose steps are Starlark.
    pub starlark: BTreeMap<ConfigDigest, Loaded>,
    /// How user functions feel.
    pub moods: Moods,
}

impl Scene {
    /// One evaluation of a build script.
    pub fn evaluate(&self, job: &EvalJob) -> EvalOutcome {
        if let Some(loaded) = self.starlark.get(&job.plan) {
            return loaded.scripts.evaluate(job, &Cancel::default());
        }
        let (plan, functions) = &self.plans[&job.plan];
        let step = plan.builders.get(&job.context.builder).and_then(|builder| builder.steps.get(job.step));
        let function = step.and_then(|step| match job.part {
            EvalPart::DoIf => step.do_if,
            EvalPart::Body => Some(step.body),
            EvalPart::HideIf => step.hide_if,
        });
        functions.evaluate(function, job)
    }
}

impl Script for Scene {
    fn decide(&self, plan: &ConfigDigest, function: FnId, question: &Question) -> Decision {
        self.moods.said(function, question, || self.plans[plan].1.decide(plan, function, question))
    }
}

/// What a run is like.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each switches one kind of trouble")]
pub struct Shape {
    /// Steps before faults and people stop.
    pub chaos: u64,
    /// Whether clocks jump, and so on; by seed.
    pub clocks: bool,
    /// Configurations change.
    pub reloads: bool,
    /// How often in a hundred a message or commit is slow.
    pub slow: u64,
    /// Faults at all.
    pub faults: bool,
    /// Steps are real Starlark.
    pub starlark: bool,
}

/// Whether it is part of a delivery.
fn is_delivery(happening: &Happening) -> bool {
    match happening {
        Happening::Delivered(..) => true,
        Happening::Told(_, input, _) => matches!(**input, Input::ReportSent { .. } | Input::ReportFailed { .. }),
        _ => false,
    }
}

/// A world.
pub struct Sim {
    pub rng: Rng,
    pub shape: Shape,
    /// True time since 1970, in milliseconds.
    pub now: i64,
    /// What the master's clock is ahead.
    pub ahead: i64,
    queue: BTreeMap<(i64, u64), Happening>,
    queued: u64,
    pub steps: u64,
    pub scene: Scene,
    pub draft: Draft,
    /// The configuration file.
    pub file: ConfigDigest,
    pub disk: Disk,
    pub shell: Option<Shell>,
    pub processes: u64,
    pub machines: BTreeMap<String, Machine>,
    pub links: BTreeMap<u64, Link>,
    pub last_link: u64,
    pub reference: Reference,
    pub ledger: Ledger,
    /// Commits of each branch, oldest first, and which of them pollers should see.
    pub commits: BTreeMap<String, Vec<String>>,
    pub mail: BTreeMap<u64, Report>,
    pub doom: Option<super::shell::Doom>,
    /// People and faults are at work.
    pub chaos: bool,
    pub coverage: BTreeMap<&'static str, u64>,
    pub trace: Option<VecDeque<String>>,
    pub trace_max: usize,
    /// What a script saw of its build, by step: it sees the same until the step is over.
    pub contexts: BTreeMap<u64, Vec<u8>>,
    pub tickets: u64,
    /// Machines that stay away for ever.
    pub deserted: BTreeSet<String>,
    /// Names that a second machine used.
    pub twins: BTreeSet<String>,
    /// Who waits for an answer.
    pub asked: BTreeSet<crate::engine::Ticket>,
    /// Reports that somebody gives up, until that is answered.
    pub giving_up: BTreeMap<crate::engine::Ticket, crate::model::ReportId>,
    /// Requests and the workers on which their builder may start them.
    pub allowed: BTreeSet<(RequestId, String)>,
    /// Changes that schedulers took, and in which process of the master.
    pub taken: BTreeSet<(String, ChangeId, u64)>,
    /// What is not evaluated again because too many processes died of it, and in which process of the master.
    pub given_up: BTreeSet<(BuildId, StepId, EvalPart, u64)>,
    pub first_draft: Draft,
    pub settled: bool,
    pub news_seen: u64,
    pub last_news: i64,
    /// Log lines do not become durable before.
    pub slow_until: i64,
}

/// Where runs begin: ordinary days, and the eves of the nights in which Berlin's clocks change.
const BEGINNINGS: [&str; 5] = [
    "2026-06-01T10:00:00Z",
    "2026-03-28T23:40:00Z",
    "2026-10-24T23:10:00Z",
    "2026-12-31T22:50:00Z",
    "2026-03-29T00:50:00Z",
];

impl Sim {
    /// The world of this seed.
    pub fn new(seed: u64, chaos: u64) -> Self {
        let mut rng = Rng::new(seed);
        let beginning: jiff::Timestamp = rng.pick(&BEGINNINGS).parse().unwrap();
        let draft = draft::draw(&mut rng);
        let shape = Shape {
            chaos: chaos / 2 + rng.below(chaos),
            clocks: rng.chance(40),
            reloads: rng.chance(60),
            slow: if rng.chance(30) { 15 } else { 2 },
            faults: rng.chance(95),
            starlark: rng.chance(12),
        };
        let mut sim = Self {
            shape,
            now: beginning.as_millisecond(),
            ahead: 0,
            queue: BTreeMap::new(),
            queued: 0,
            steps: 0,
            scene: Scene { moods: Moods::new(seed), ..Scene::default() },
            file: ConfigDigest::default(),
            disk: Disk::default(),
            shell: None,
            processes: 0,
            machines: BTreeMap::new(),
            links: BTreeMap::new(),
            last_link: 0,
            reference: Reference::default(),
            ledger: Ledger::default(),
            commits: BRANCHES.iter().map(|&branch| (branch.to_owned(), vec![format!("{branch}-0")])).collect(),
            mail: BTreeMap::new(),
            doom: None,
            chaos: true,
            coverage: BTreeMap::new(),
            trace: None,
            trace_max: TRACE_MAX,
            contexts: BTreeMap::new(),
            tickets: 0,
            deserted: BTreeSet::new(),
            twins: BTreeSet::new(),
            asked: BTreeSet::new(),
            giving_up: BTreeMap::new(),
            allowed: BTreeSet::new(),
            taken: BTreeSet::new(),
            given_up: BTreeSet::new(),
            first_draft: draft.clone(),
            settled: false,
            news_seen: 0,
            last_news: 0,
            slow_until: 0,
            draft,
            rng,
        };
        let draft = sim.draft.clone();
        sim.save_file(&draft);
        for worker in &draft.workers {
            let ours = sim.rng.chance(75);
            sim.machines.insert(worker.name.clone(), Machine::new(&worker.name, ours));
            let at = sim.rng.range(0, 20_000);
            sim.after(at, Happening::Connect(worker.name.clone()));
        }
        sim.after(0, Happening::MasterStarts);
        sim.after(500, Happening::Person);
        sim.after(3_000, Happening::Fault);
        sim
    }

    /// Somebody writes the configuration file.
    pub fn save_file(&mut self, draft: &Draft) {
        let (mut plan, functions) = draft.plan().build();
        if self.shape.starlark {
            let loaded = super::starlark::load(draft);
            let written = Arc::make_mut(&mut plan);
            for (name, builder) in &mut written.builders {
                builder.steps.clone_from(&loaded.plan.builders[name].steps);
            }
            written.digest = ConfigDigest(format!("{} {}", written.digest, loaded.plan.digest));
            self.scene.starlark.insert(written.digest.clone(), loaded);
        }
        self.file = plan.digest.clone();
        self.reference.plans.insert(plan.digest.clone(), Arc::clone(&plan));
        self.scene.plans.insert(plan.digest.clone(), (plan, functions));
        self.draft = draft.clone();
    }

    /// The whole run, to its calm end.
    pub fn run(&mut self) {
        while self.chaos {
            self.step();
            self.chaos = self.steps < self.shape.chaos;
        }
        self.calm_down();
        let bound = self.steps + super::calm::STEPS_MAX;
        let until = self.now + super::calm::TIME_MAX;
        while !self.is_at_rest() {
            assert!(self.steps < bound && self.now < until, "liveness: {}", self.stuck());
            self.step();
        }
        self.check_the_end();
    }

    /// Takes the first thing in the queue.
    fn step(&mut self) {
        let Some(((at, _), happening)) = self.queue.pop_first() else {
            panic!("liveness: nothing is to happen any more: {}", self.stuck())
        };
        self.now = self.now.max(at);
        // Deliveries are many and change nothing for builds: they take no time from people and faults.
        self.steps += u64::from(!is_delivery(&happening));
        if self.trace.is_some() {
            let line = format!("{:6} {} {}", self.steps, self.clock_text(), short(&format!("{happening:?}")));
            self.note(line);
        }
        self.happens(happening);
    }

    fn happens(&mut self, happening: Happening) {
        match happening {
            Happening::Landed(process) => self.landed(process),
            Happening::Wake(process, number) => self.wake(process, number),
            Happening::LookAtClock(process) => {
                if self.is_process(process) {
                    self.arm_timer();
                }
            }
            Happening::Evaluated(process, build, job) => self.evaluated(process, build, &job),
            Happening::Polled(process, source, cursor) => self.polled(process, source, cursor),
            Happening::Delivered(process, report) => self.delivered(process, *report),
            Happening::LogSynced(process, source) => self.log_synced(process, &source),
            Happening::SnapshotKept(process, seq, bytes) => self.snapshot_kept(process, seq, bytes),
            Happening::Told(process, input, then) => {
                if self.is_process(process) {
                    self.turn(*input, then);
                }
            }
            Happening::MasterStarts => self.master_starts(),
            Happening::Greeted(link) => self.greeted(link),
            Happening::ToWorker(link) => self.arrives_at_worker(link),
            Happening::ToMaster(link) => self.arrives_at_master(link),
            Happening::LinkLost(link, waited) => self.link_lost(link, waited),
            Happening::Connect(machine) => self.connect(&machine),
            Happening::MachineStarts(machine) => self.machine_starts(&machine),
            Happening::JobGoesOn(machine, memory, command) => self.job_goes_on(&machine, memory, &command),
            Happening::Person => self.person(),
            Happening::Push => {
                if self.chaos {
                    self.push_commit();
                }
            }
            Happening::Dies => {
                if self.chaos {
                    self.crash_now();
                }
            }
            Happening::Fault => self.fault(),
        }
    }

    /// Lets something happen so many milliseconds from now.
    pub fn after(&mut self, millis: i64, happening: Happening) {
        self.queued += 1;
        self.queue.insert((self.now + millis.max(0), self.queued), happening);
    }

    /// What the master's clock shows.
    pub const fn clock(&self) -> Timestamp {
        Timestamp::from_millis(self.now + self.ahead)
    }

    fn clock_text(&self) -> String {
        jiff::Timestamp::from_millisecond(self.clock().as_millis()).unwrap().to_string()
    }

    /// Whether this process of the master is the one that runs.
    pub fn is_process(&self, process: u64) -> bool {
        self.shell.as_ref().is_some_and(|shell| shell.process == process)
    }

    /// A pause of the usual length, now and then a long one.
    pub fn pause(&mut self, usual: i64, long: i64) -> i64 {
        let most = if self.chaos && self.rng.chance(self.shape.slow) { long } else { usual };
        self.rng.range(0, most)
    }

    /// Counts something worth seeing.
    pub fn saw(&mut self, what: &'static str) {
        *self.coverage.entry(what).or_default() += 1;
        if self.trace.is_some() {
            self.note(format!("         * {what}"));
        }
    }

    /// Writes a line of the trace, if one is kept.
    pub fn note(&mut self, line: String) {
        if let Some(trace) = &mut self.trace {
            trace.push_back(line);
            if trace.len() > self.trace_max {
                trace.pop_front();
            }
        }
    }
}

/// The beginning of a long line.
pub fn short(line: &str) -> String {
    line.chars().take(260).collect()
}
