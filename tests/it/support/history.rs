//! Histories for tests of the store: facts as an engine would decide them, from a seed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use starwright::testing::base::{Span, Timestamp};
use starwright::testing::model::{
    Answer, Ask, BuildId, BuildRecord, BuilderAbout, BuilderId, BuildsetId, BuildsetRecord, Cause, Change, ChangeId,
    ChangeSourceId, ConfigDigest, Cursor, Event, Fact, FunctionKind, Key, LogId, LogKind, LogOpened, MadeBy,
    NameChanges, NewChange, Outcome, Properties, Report, ReportId, ReportReason, ReportSubject, RequestId,
    RequestRecord, RetentionPlan, SchedulerId, SourceStamp, SourceStampId, StampSpec, StepId, UserFunction, Value,
    WaitingReport, WorkerId,
};
use starwright::testing::store::{Scan, Store};

/// The facts of one commit.
pub type Commit = Vec<Arc<Fact>>;

/// Everything, in ascending order.
pub const ALL: Scan = Scan { after: None, descending: false, limit: usize::MAX };

const BUILDERS: u64 = 3;
const WORKERS: u64 = 2;

/// A small world that decides facts.
pub struct History {
    random: u64,
    seq: u64,
    clock: i64,
    last_ids: BTreeMap<&'static str, u64>,
    numbers: BTreeMap<u64, u64>,
    waiting: Vec<Waiting>,
    running: Vec<Running>,
    reports: Vec<ReportId>,
    changes: Vec<Change>,
    pending: Vec<Event>,
    /// How many builders are in force.
    builders: u64,
}

#[derive(Clone)]
struct Waiting {
    request: RequestId,
    buildset: BuildsetId,
    builder: u64,
}

struct Running {
    build: BuildId,
    of: Waiting,
    next_step: u64,
    step: Option<StepId>,
    logs: Vec<LogId>,
}

fn named<Id>(kind: &str, numbers: std::ops::RangeInclusive<u64>, id: impl Fn(u64) -> Id) -> BTreeMap<String, Id> {
    numbers.map(|number| (format!("{kind}{number}"), id(number))).collect()
}

impl History {
    /// A world that differs for each seed.
    pub fn new(seed: u64) -> Self {
        Self {
            random: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x1234_5678_9ABC_DEF1,
            seq: 0,
            clock: 1_700_000_000_000,
            last_ids: BTreeMap::new(),
            numbers: BTreeMap::new(),
            waiting: Vec::new(),
            running: Vec::new(),
            reports: Vec::new(),
            changes: Vec::new(),
            pending: Vec::new(),
            builders: 0,
        }
    }

    /// Goes on after the facts that a store has; ids go on far beyond those in use.
    pub fn after(seed: u64, last: u64) -> Self {
        let mut history = Self::new(seed);
        history.seq = last;
        history.builders = BUILDERS;
        for kind in ["change", "buildset", "request", "build", "step", "log", "report"] {
            history.last_ids.insert(kind, last * 10);
        }
        history.numbers = (1..=BUILDERS).map(|builder| (builder, last * 10)).collect();
        history
    }

    /// Lets time pass.
    pub fn wait(&mut self, span: Span) {
        self.clock += i64::try_from(span.as_millis()).unwrap();
    }

    /// The present moment of the world.
    pub fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.clock)
    }

    /// A number below `bound`.
    pub fn draw(&mut self, bound: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 16) % bound.max(1)
    }

    fn id(&mut self, kind: &'static str) -> u64 {
        let last = self.last_ids.entry(kind).or_default();
        *last += 1;
        *last
    }

    /// One event as a commit of its own.
    pub fn fact(&mut self, event: Event) -> Commit {
        self.pending.push(event);
        self.take()
    }

    fn take(&mut self) -> Commit {
        let events = std::mem::take(&mut self.pending);
        events
            .into_iter()
            .map(|event| {
                self.seq += 1;
                self.clock += 250;
                Arc::new(Fact { seq: self.seq, at: Timestamp::from_millis(self.clock), cause: Cause::Clock, event })
            })
            .collect()
    }

    /// The master starts with a configuration of three builders and two workers.
    pub fn begin(&mut self) -> Commit {
        self.pending.push(Event::MasterStarted { name: "host:dir".to_owned(), installation: "test".to_owned() });
        self.adopt(BUILDERS);
        for worker in 1..=WORKERS {
            self.pending.push(Event::WorkerConnected {
                worker: WorkerId(worker),
                epoch: worker,
                instance: String::new(),
                resumes: true,
                info: BTreeMap::from([("version".to_owned(), "1".to_owned())]),
            });
        }
        self.take()
    }

    /// The first so many builders are in force from now on, and everything else.
    fn adopt(&mut self, builders: u64) {
        let digest = format!("{builders:064x}");
        let about = BuilderAbout {
            tags: vec!["linux".to_owned()],
            description: None,
            workers: vec!["w1".to_owned()],
            project: None,
        };
        let before = std::mem::replace(&mut self.builders, builders);
        let first = before == 0;
        self.pending.push(Event::PlanAdopted {
            digest: ConfigDigest(digest),
            why: "start".to_owned(),
            changes: Vec::new(),
            builders: NameChanges {
                added: named("b", before + 1..=builders, BuilderId),
                removed: (builders + 1..=before).map(BuilderId).collect(),
            },
            workers: NameChanges { added: named("w", 1..=if first { WORKERS } else { 0 }, WorkerId), removed: vec![] },
            schedulers: NameChanges { added: named("s", 1..=u64::from(first), SchedulerId), removed: vec![] },
            change_sources: NameChanges { added: named("p", 1..=u64::from(first), ChangeSourceId), removed: vec![] },
            about: (before + 1..=builders).map(|id| (BuilderId(id), about.clone())).collect(),
            projects: starwright::testing::model::ProjectChanges::default(),
        });
    }

    /// What happens next, at random.
    pub fn step(&mut self) -> Commit {
        if self.seq == 0 {
            return self.begin();
        }
        match self.draw(20) {
            0 | 1 => self.change_arrives(),
            2 => self.odd_event(),
            3..=6 if !self.waiting.is_empty() && self.running.len() < 4 => {
                let index = self.draw(self.waiting.len().min(2) as u64) as usize;
                self.build_starts(index);
            }
            3 => self.change_arrives(),
            _ if !self.running.is_empty() => {
                let index = self.draw(self.running.len() as u64) as usize;
                self.build_goes_on(index);
            }
            _ => self.change_arrives(),
        }
        self.take()
    }

    fn change_arrives(&mut self) {
        let id = ChangeId(self.id("change"));
        let stamp = SourceStamp {
            id: SourceStampId(1 + self.draw(1 + id.0)),
            spec: StampSpec { branch: Some("main".to_owned()), ..StampSpec::default() },
            created: self.now(),
        };
        let data = NewChange {
            author: "Ada <ada@example.org>".to_owned(),
            comments: "does a thing\n".repeat(1 + self.draw(3) as usize),
            files: vec!["core/a.rs".to_owned()],
            when: Some(self.now()),
            ..NewChange::default()
        };
        let change = Change { id, data, parent: None, stamp, arrived: self.now(), source: Some(ChangeSourceId(1)) };
        self.pending.push(Event::ChangeArrived { change: change.clone() });
        self.pending.push(Event::SourcePolled {
            source: ChangeSourceId(1),
            cursor: Cursor::from([("main".to_owned(), id.to_string())]),
        });
        self.changes.push(change.clone());
        self.buildset_made(&change, None);
    }

    fn buildset_made(&mut self, change: &Change, parent: Option<BuildId>) {
        let buildset = BuildsetId(self.id("buildset"));
        let mut properties = Properties::default();
        properties.set("owner", "ada", "Scheduler");
        properties.set("ratio", Value::Float(0.25), "Scheduler");
        let builders: Vec<u64> = (1..=1 + self.draw(BUILDERS)).collect();
        let requests: Vec<RequestRecord> = builders
            .iter()
            .map(|builder| RequestRecord {
                id: RequestId(self.id("request")),
                buildset,
                builder: BuilderId(*builder),
                priority: 0,
                submitted: self.now(),
                claimed: None,
                completed: None,
                outcome: None,
                waited_for: parent.is_some(),
                collapsed_into: None,
                properties: properties.clone(),
            })
            .collect();
        for (request, builder) in requests.iter().zip(builders) {
            self.waiting.push(Waiting { request: request.id, buildset, builder });
        }
        let record = BuildsetRecord {
            id: buildset,
            reason: "a change".to_owned(),
            made_by: MadeBy::Scheduler(SchedulerId(1)),
            external_id: None,
            submitted: self.now(),
            completed: None,
            outcome: None,
            parent,
            rebuilt: None,
            stamps: vec![change.stamp.clone()],
            properties,
            changes: vec![change.id],
            requests: requests.iter().map(|request| request.id).collect(),
        };
        self.pending.push(Event::BuildsetMade { buildset: record, requests });
    }

    fn odd_event(&mut self) {
        let at = self.now();
        let event = match self.draw(12) {
            0 => Event::WorkerLost { worker: WorkerId(1), epoch: 1, why: "gone".to_owned(), give_up: Some(at) },
            1 => Event::WorkerPaused { worker: WorkerId(2), paused: true, reason: Some("tired".to_owned()) },
            2 => Event::WorkerGraceful { worker: WorkerId(2), graceful: true },
            3 => Event::PlanRefused { why: "reload".to_owned(), message: "no such builder".to_owned() },
            4 => {
                Event::SourceFailed { source: ChangeSourceId(1), error: "no route".to_owned(), failures: 1, retry: at }
            }
            5 => Event::SchedulerEnabled { scheduler: SchedulerId(1), enabled: self.draw(2) == 0 },
            6 => Event::SchedulerTimed { scheduler: SchedulerId(1), next: Some(at), skipped: false },
            7 => Event::ScriptFailed {
                function: UserFunction::new(FunctionKind::Filter, SchedulerId(1)),
                message: "division by zero".to_owned(),
                losses: 0,
            },
            8 => {
                let builders = 1 + self.draw(BUILDERS);
                return self.adopt(builders);
            }
            9 => match self.reports.pop() {
                Some(report) if self.draw(2) == 0 => Event::ReportSent { report },
                Some(report) => {
                    self.reports.push(report);
                    Event::ReportFailed { report, error: "no answer".to_owned(), tries: 1, retry: at }
                }
                None => Event::MasterStopped,
            },
            10 if self.waiting.len() > 1 => {
                let gone = self.waiting.remove(0);
                let into = self.waiting.last().unwrap().request;
                self.pending.push(Event::RequestCollapsed { request: gone.request, into });
                Event::RequestEnded { request: gone.request, outcome: Outcome::Skipped }
            }
            11 if !self.waiting.is_empty() => Event::RequestPriority { request: self.waiting[0].request, priority: 7 },
            _ => Event::WorkerConnected {
                worker: WorkerId(1),
                epoch: self.seq + 10,
                instance: "i".to_owned(),
                resumes: true,
                info: BTreeMap::new(),
            },
        };
        self.pending.push(event);
    }

    fn build_starts(&mut self, index: usize) {
        let of = self.waiting.remove(index);
        let build = BuildId(self.id("build"));
        let number = self.numbers.entry(of.builder).or_default();
        *number += 1;
        let number = *number;
        let worker = 1 + self.draw(WORKERS);
        let mut properties = Properties::default();
        properties.set("buildnumber", i64::try_from(number).unwrap(), "Build");
        self.pending.push(Event::BuildStarted {
            build,
            number,
            builder: BuilderId(of.builder),
            worker: WorkerId(worker),
            dir: format!("b{}", of.builder),
            lender: None,
            requests: vec![of.request],
            plan: ConfigDigest(format!("{BUILDERS:064x}")),
            properties,
            changes: self.changes.last().map(|change| change.id).into_iter().collect(),
            reason: "a change".to_owned(),
        });
        self.pending.push(Event::BuildState { build, state: "building".to_owned() });
        self.running.push(Running { build, of, next_step: 0, step: None, logs: Vec::new() });
    }

    fn build_goes_on(&mut self, index: usize) {
        match (self.running[index].step, self.draw(6)) {
            (None, 0..=2) if self.running[index].next_step > 0 => self.build_ends(index),
            (None, _) => self.step_starts(index),
            (Some(step), 0..=1) => self.step_ends(index, step),
            (Some(step), choice) => self.step_asks(index, step, choice),
        }
    }

    fn step_starts(&mut self, index: usize) {
        let step = StepId(self.id("step"));
        let running = &mut self.running[index];
        let (build, number) = (running.build, running.next_step);
        running.next_step += 1;
        running.step = Some(step);
        self.pending.push(Event::StepStarted {
            build,
            step,
            number,
            name: format!("step {number}"),
            parent: None,
            index: Some(0),
            key: None,
            attempt: 0,
            state: "running".to_owned(),
        });
        if self.draw(3) == 0 {
            self.pending.push(Event::LocksAwaited {
                build,
                step: Some(step),
                locks: Vec::new(),
                state: "waits for locks".to_owned(),
            });
            self.pending.push(Event::LocksTaken { build, step: Some(step), locks: Vec::new() });
            self.pending.push(Event::LocksWaited { build, waited: Span::from_millis(40) });
        }
    }

    fn step_asks(&mut self, index: usize, step: StepId, choice: u64) {
        let build = self.running[index].build;
        let log = LogId(self.id("log"));
        let (ask, logs) = match choice {
            2 => {
                let value = Value::List(vec![Value::Int(1), Value::Null]);
                (Ask::SetProperty { name: "got".to_owned(), value, source: "step".to_owned() }, Vec::new())
            }
            3 => (Ask::AddUrl { step: None, name: "report".to_owned(), url: "http://x/".to_owned() }, Vec::new()),
            4 => (Ask::SetSummary { step: None, text: "42 tests".to_owned() }, Vec::new()),
            _ => {
                self.running[index].logs.push(log);
                let opened =
                    LogOpened { log, name: "stdio".to_owned(), slug: "stdio".to_owned(), kind: LogKind::Stdio };
                (Ask::Wait(Span::from_seconds(1)), vec![opened])
            }
        };
        let key = Key(vec![u32::try_from(self.seq).unwrap()]);
        self.pending.push(Event::Asked { build, step, key: key.clone(), ask, command: None, logs, due: None });
        self.pending.push(Event::Answered { build, key, answer: Answer::Done });
    }

    fn step_ends(&mut self, index: usize, step: StepId) {
        let build = self.running[index].build;
        for log in std::mem::take(&mut self.running[index].logs) {
            self.pending.push(Event::LogClosed { build, step, log });
        }
        let outcome = Outcome::ALL[self.draw(5) as usize];
        self.pending.push(Event::StepEnded { build, step, outcome, state: "done".to_owned(), hidden: false });
        self.running[index].step = None;
    }

    fn build_ends(&mut self, index: usize) {
        let Running { build, of, .. } = self.running.remove(index);
        let outcome = Outcome::ALL[self.draw(6) as usize];
        self.pending.push(Event::BuildEnded {
            build,
            outcome,
            state: format!("build {outcome}"),
            culprits: Vec::new(),
        });
        if outcome == Outcome::Retry {
            self.pending.push(Event::RequestWaits { request: of.request, why: "lost".to_owned() });
            self.waiting.push(of);
            return;
        }
        self.pending.push(Event::RequestEnded { request: of.request, outcome });
        let is_last = !self.waiting.iter().any(|other| other.buildset == of.buildset)
            && !self.running.iter().any(|other| other.of.buildset == of.buildset);
        if is_last {
            self.pending.push(Event::BuildsetEnded { buildset: of.buildset, outcome });
        }
        let report = ReportId(self.id("report"));
        self.reports.push(report);
        let subject = ReportSubject::Build { build, builder: BuilderId(of.builder), outcome, previous: None };
        self.pending.push(Event::ReportQueued {
            report: Report {
                id: report,
                notifier: "mail".to_owned(),
                plan: ConfigDigest("aa".to_owned()),
                reason: ReportReason::Always,
                subject,
                made: self.now(),
                target: "c0ffee".to_owned(),
                latest_only: false,
                again: None,
            },
        });
        if self.draw(4) == 0 {
            let change = self.changes.last().cloned();
            change.into_iter().for_each(|change| self.buildset_made(&change, Some(build)));
        }
    }
}

/// Everything that can be read from a store's records, as text.
pub fn everything(store: &Store) -> String {
    let mut out = String::new();
    let mut put = |what: &str, value: &dyn std::fmt::Debug| writeln!(out, "{what}: {value:#?}").unwrap();
    put("last fact", &store.last_fact().unwrap());
    put("masters", &store.masters().unwrap());
    put("builders", &store.builders().unwrap());
    put("workers", &store.workers().unwrap());
    put("schedulers", &store.schedulers().unwrap());
    put("change sources", &store.change_sources().unwrap());
    put("outbox", &store.outbox().unwrap());
    put("refused", &store.plan_refused().unwrap());
    put("adopted", &store.plans_adopted(usize::MAX).unwrap());
    put("changes", &store.changes(ALL).unwrap());
    for stamp in store.stamps(ALL).unwrap() {
        put("stamp", &stamp);
        put("its change", &store.change_of_stamp(stamp.id).unwrap());
    }
    put("buildsets", &store.buildsets(ALL).unwrap());
    put("waiting", &store.requests_waiting(ALL).unwrap());
    for request in store.requests(ALL).unwrap() {
        put("request", &request);
        put("its builds", &ids(&store.builds_of_request(request.id).unwrap()));
    }
    put("builds total", &store.builds_total().unwrap());
    put("running", &ids(&store.builds_running().unwrap()));
    for build in store.builds(ALL).unwrap() {
        put("build", &build);
        put("by number", &store.build_by_number(build.builder, build.number).unwrap().map(|found| found.id));
        put("triggered", &ids(&store.builds_triggered_by(build.id).unwrap()));
        for step in store.steps(build.id).unwrap() {
            put("step", &step);
            put("found", &store.step(step.id).unwrap().map(|found| found.name));
            for log in store.logs_of_step(step.id).unwrap() {
                put("log", &log);
                put("lines", &store.logs().read(log.build, log.id, 0, u64::MAX).unwrap());
            }
        }
    }
    for builder in 1..=BUILDERS {
        put("builds of builder", &ids(&store.builds_of_builder(BuilderId(builder), ALL).unwrap()));
        put("count", &store.builds_total_of(BuilderId(builder)).unwrap());
        let requests = store.requests_of_builder(BuilderId(builder), ALL).unwrap();
        put("requests of builder", &requests.iter().map(|request| request.id).collect::<Vec<_>>());
    }
    for worker in 1..=WORKERS {
        put("builds of worker", &ids(&store.builds_of_worker(WorkerId(worker), ALL).unwrap()));
    }
    out
}

fn ids(builds: &[BuildRecord]) -> Vec<BuildId> {
    builds.iter().map(|build| build.id).collect()
}

/// Lines of a log as a worker would send them.
pub fn log_part(lines: impl IntoIterator<Item = String>) -> starwright::testing::store::LogPart {
    let lines: Vec<String> = lines.into_iter().collect();
    starwright::testing::store::LogPart {
        stream: 'o',
        times: (0..lines.len()).map(|at| Timestamp::from_millis(at as i64)).collect(),
        text: lines.iter().map(|line| format!("{line}\n")).collect::<String>().into(),
    }
}

/// Makes the file `format` of a store one of another format.
pub fn set_format(dir: &std::path::Path, number: u64) -> String {
    let described = format!("starwright store\nformat {number}\ninstallation somewhere\n");
    let text = format!("{described}checksum {:08x}\n", crc32fast::hash(described.as_bytes()));
    std::fs::write(dir.join("format"), &text).unwrap();
    text
}

/// A closed store with some history, snapshots, removed builds and logs, and everything that can be read from it.
pub fn store_with_history(seed: u64, rounds: u64) -> (tempfile::TempDir, String) {
    let dir = tempfile::TempDir::new().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut history = History::new(seed);
    for round in 0..rounds {
        store.commit_blocking(history.step()).unwrap();
        if round == rounds / 3 || round == rounds / 2 {
            let last = store.last_fact().unwrap();
            runtime.block_on(store.save_snapshot(last, vec![7; 100])).unwrap();
        }
        if round == rounds * 2 / 3 {
            for WaitingReport { report, .. } in store.outbox().unwrap() {
                store.commit_blocking(history.fact(Event::ReportSent { report: report.id })).unwrap();
            }
            history.reports.clear();
            let keep = RetentionPlan { days: None, builds: Some(2), log_days: None, ..RetentionPlan::default() };
            while store.retire(&keep, history.now()).unwrap() > 0 {}
        }
    }
    store.put_config(&ConfigDigest("c0ffee".to_owned()), b"sources").unwrap();
    for build in store.builds(ALL).unwrap() {
        for step in store.steps(build.id).unwrap() {
            for log in store.logs_of_step(step.id).unwrap() {
                // Short logs share packs; one in four is too long for that.
                let rest = "x".repeat(if log.id.0.is_multiple_of(4) { 15_000 } else { 0 });
                let part = log_part((0..3).map(|line| format!("line {line} of {}{rest}", log.id)));
                runtime.block_on(store.logs().append(build.id, log.id, "c", 0, part)).unwrap();
                runtime.block_on(store.logs().close(build.id, log.id)).unwrap();
            }
        }
    }
    let whole = everything(&store);
    store.close().unwrap();
    (dir, whole)
}
