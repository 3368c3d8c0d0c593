//! A store with a long history: how fast it fills, what it costs on disk and in memory, and how it opens and reads.
//!
//! `cargo bench --bench fill` fills 1,000,000 builds in a child process, kills that without warning, and measures what a
//! restart finds. `STARWRIGHT_FILL_BUILDS=50000` takes fewer, `STARWRIGHT_FILL_COMMIT=8` commits that many facts at a time (an
//! engine's turn has about eight; the default of 2,000 is for speed), `STARWRIGHT_BENCH_DIR` another disk.
//! `STARWRIGHT_FILL_PROFILE=one-step` has forced builds of one step with a short log each, and no requests that wait
//! (`STARWRIGHT_FILL_WAITING` for more); the default has builds of one to nine steps, changes, and some long logs.
#![allow(clippy::disallowed_methods, clippy::disallowed_macros, reason = "a program for the terminal")]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use starwright::testing::base::{Span, Timestamp};
#[allow(clippy::wildcard_imports, reason = "the nouns of the house")]
use starwright::testing::model::*;
use starwright::testing::store::{LogPart, Scan, Store};
use tempfile::TempDir;

/// Set for the child: the directory that it fills.
const CHILD: &str = "STARWRIGHT_FILL_CHILD";
const BUILDERS: u64 = 100;
const WORKERS: u64 = 20;
/// Builds whose logs are written at the same time.
const AT_ONCE: u64 = 64;
/// Facts between two snapshots of the engine.
const SNAPSHOT_FACTS: u64 = 5_000;

fn main() {
    let builds = setting("STARWRIGHT_FILL_BUILDS", 1_000_000);
    if let Some(dir) = std::env::var_os(CHILD) {
        fill(Path::new(&dir), builds);
        return;
    }
    let dir = match std::env::var_os("STARWRIGHT_BENCH_DIR") {
        Some(dir) => TempDir::new_in(dir).unwrap(),
        None => TempDir::new().unwrap(),
    };
    fill_and_kill(dir.path(), builds);
    report_disk(dir.path(), builds);
    println!("after kill -9:");
    let store = opened(dir.path());
    reads(&store, builds);
    store.close().unwrap();
    println!("after a clean end:");
    opened(dir.path()).close().unwrap();
    report_disk(dir.path(), builds);
}

/// What the builds are like.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Profile {
    Mixed,
    OneStep,
}

impl Profile {
    fn chosen() -> Self {
        match std::env::var("STARWRIGHT_FILL_PROFILE").as_deref() {
            Ok("one-step") => Self::OneStep,
            Ok(other) => panic!("there is no profile `{other}`"),
            Err(_) => Self::Mixed,
        }
    }

    /// Requests that wait when the history ends.
    fn waiting(self) -> u64 {
        setting("STARWRIGHT_FILL_WAITING", if self == Self::OneStep { 0 } else { 25_000 })
    }

    /// Mixed: half of all builds have one step, the others up to nine.
    fn steps_of(self, id: u64) -> u64 {
        match self {
            Self::OneStep => 1,
            Self::Mixed if id.is_multiple_of(2) => 1,
            Self::Mixed => 1 + id / 2 % 9,
        }
    }

    /// Mixed: most logs are short; one in a thousand has 20,000 lines.
    fn lines_of(self, build: BuildId, step: u64) -> u64 {
        match self {
            Self::OneStep => 3,
            Self::Mixed if build.0.is_multiple_of(1_000) && step == 0 => 20_000,
            Self::Mixed => 3 + (build.0 * 7 + step) % 40,
        }
    }
}

fn setting(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// Resident memory now, in MB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0 kB");
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0) / 1024
}

fn fill_and_kill(dir: &Path, builds: u64) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .env(CHILD, dir)
        .env("STARWRIGHT_FILL_BUILDS", builds.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    for line in BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok) {
        println!("{line}");
        if line.starts_with("filled") {
            break;
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

fn opened(dir: &Path) -> Store {
    let start = Instant::now();
    let store = Store::open(dir).unwrap();
    println!("  open                                      {:>9.0} ms   memory {} MB", millis(start), resident());
    let start = Instant::now();
    let tail = store.recover().unwrap().facts.len();
    println!("  recover ({tail} facts after the snapshot)   {:>9.0} ms", millis(start));
    store
}

fn millis(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e3
}

fn reads(store: &Store, builds: u64) {
    let mut state = 1_u64;
    let mut any = |bound: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        1 + (state >> 20) % bound
    };
    let scan = |after| Scan { after, descending: true, limit: 50 };
    latency("50 newest builds of a builder", 1_000, || {
        store.builds_of_builder(BuilderId(any(BUILDERS)), scan(None)).unwrap();
    });
    latency("50 builds from anywhere", 1_000, || {
        store.builds(scan(Some(any(builds)))).unwrap();
    });
    latency("50 waiting requests", 500, || {
        let found = store.requests_waiting(scan(None)).unwrap().len() as u64;
        assert_eq!(found, Profile::chosen().waiting().min(50));
    });
    latency("a build with its steps and logs", 1_000, || {
        for step in store.steps(BuildId(any(builds))).unwrap() {
            store.logs_of_step(step.id).unwrap();
        }
    });
    latency("the text of a log", 1_000, || {
        let build = BuildId(any(builds));
        assert!(!store.logs().read(build, log_of(build, 0), 0, 100).unwrap().is_empty());
    });
    assert_eq!(store.builds_total().unwrap(), builds);
    println!("  memory after reading                      {:>9} MB", resident());
}

fn latency(what: &str, count: usize, mut work: impl FnMut()) {
    let mut times: Vec<Duration> = (0..count)
        .map(|_| {
            let start = Instant::now();
            work();
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    let micros = |share: usize| times[(count - 1) * share / 100].as_secs_f64() * 1e6;
    println!("  {what:<41} {:>9.0} µs in the middle, {:.0} µs p99", micros(50), micros(99));
}

/// What the disk gives to files: whole blocks, directories included.
fn report_disk(dir: &Path, builds: u64) {
    let mut total = 0;
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let bytes = allocated(&path);
        total += bytes;
        if bytes > 1 << 20 {
            println!("  {:<41} {:>9} MB", path.file_name().unwrap().to_string_lossy(), bytes >> 20);
        }
    }
    let each = total / builds.max(1);
    println!("  on disk                                   {:>9} MB   {each} bytes a build", total >> 20);
}

fn allocated(path: &Path) -> u64 {
    let found = std::fs::symlink_metadata(path).unwrap();
    #[cfg(unix)]
    let own = std::os::unix::fs::MetadataExt::blocks(&found) * 512;
    #[cfg(not(unix))]
    let own = found.len();
    let below = if found.is_dir() {
        std::fs::read_dir(path).unwrap().map(|entry| allocated(&entry.unwrap().path())).sum()
    } else {
        0
    };
    own + below
}

/// The child: fills the store, says so, and waits for its death.
fn fill(dir: &Path, builds: u64) {
    let profile = Profile::chosen();
    let store = Store::open(dir).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let start = Instant::now();
    let facts_at_once = usize::try_from(setting("STARWRIGHT_FILL_COMMIT", 2_000)).unwrap();
    let store = &store;
    let mut out = Out { store, batch: Vec::new(), facts_at_once, seq: 0, snapshot: 0 };
    out.put(Event::MasterStarted { name: "bench".to_owned(), installation: String::new() }, &runtime);
    out.put(plan(), &runtime);
    for first in (1..=builds).step_by(usize::try_from(AT_ONCE).unwrap()) {
        let group = first..(first + AT_ONCE).min(builds + 1);
        let logs = group
            .clone()
            .flat_map(|id| (0..profile.steps_of(id)).map(move |step| write_log(store, (BuildId(id), step), profile)));
        runtime.block_on(futures_util::future::join_all(logs));
        for id in group {
            out.put(request_made(id, profile), &runtime);
            build_events(id, profile).into_iter().for_each(|event| out.put(event, &runtime));
            if id.is_multiple_of(100_000) {
                let seconds = start.elapsed().as_secs();
                println!("  {id} builds after {seconds} s, memory {} MB", resident());
            }
        }
    }
    for id in builds + 1..=builds + profile.waiting() {
        out.put(request_made(id, profile), &runtime);
    }
    out.flush();
    let seconds = start.elapsed().as_secs_f64();
    println!("filled {builds} builds, {} facts in {seconds:.0} s, memory {} MB", out.seq, resident());
    // Killed here; or the parent is gone.
    let _ = std::io::stdin().read_line(&mut String::new());
}

struct Out<'a> {
    store: &'a Store,
    batch: Vec<Arc<Fact>>,
    facts_at_once: usize,
    seq: u64,
    snapshot: u64,
}

impl Out<'_> {
    fn put(&mut self, event: Event, runtime: &tokio::runtime::Runtime) {
        self.seq += 1;
        let at = Timestamp::from_millis(1_600_000_000_000 + i64::try_from(self.seq * 100).unwrap());
        self.batch.push(Arc::new(Fact { seq: self.seq, at, cause: Cause::Clock, event }));
        if self.batch.len() < self.facts_at_once {
            return;
        }
        self.flush();
        if self.seq - self.snapshot >= SNAPSHOT_FACTS {
            self.snapshot = self.seq;
            runtime.block_on(self.store.save_snapshot(self.seq, vec![1; 20_000])).unwrap();
        }
    }

    fn flush(&mut self) {
        self.store.commit_blocking(std::mem::take(&mut self.batch)).unwrap();
    }
}

fn log_of(build: BuildId, step: u64) -> LogId {
    LogId(build.0 * 10 + step)
}

async fn write_log(store: &Store, (build, step): (BuildId, u64), profile: Profile) {
    let lines = profile.lines_of(build, step);
    let text: String =
        (0..lines).map(|line| format!("[{line:>3}] Building CXX object src/part_{}.cpp.o\n", build.0 + line)).collect();
    let times = vec![Timestamp::from_millis(1_600_000_000_000); usize::try_from(lines).unwrap()];
    let part = LogPart { stream: 'o', text: text.into(), times };
    store.logs().append(build, log_of(build, step), "command", 0, part).await.unwrap();
    store.logs().close(build, log_of(build, step)).await.unwrap();
}

fn plan() -> Event {
    Event::PlanAdopted {
        digest: ConfigDigest("d".to_owned()),
        why: "start".to_owned(),
        changes: Vec::new(),
        builders: (1..=BUILDERS).map(|id| (format!("builder {id}"), BuilderId(id))).collect(),
        workers: (1..=WORKERS).map(|id| (format!("worker {id}"), WorkerId(id))).collect(),
        schedulers: NameChanges::default(),
        change_sources: NameChanges::default(),
        about: [].into(),
        projects: starwright::testing::model::ProjectChanges::default(),
    }
}

fn properties(names: &[&str], id: u64, source: &str) -> Properties {
    let mut properties = Properties::default();
    for name in names {
        properties.set(*name, format!("some value of {name} in {id}"), source);
    }
    properties
}

fn request_made(id: u64, profile: Profile) -> Event {
    let names: &[&str] = match profile {
        Profile::Mixed => &["scheduler", "owner", "reason", "branch", "revision", "repository"],
        Profile::OneStep => &["scheduler", "owner", "reason"],
    };
    let properties = properties(names, id, "Scheduler");
    let request = RequestRecord {
        id: RequestId(id),
        buildset: BuildsetId(id),
        builder: BuilderId(1 + id % BUILDERS),
        priority: 0,
        submitted: Timestamp::default(),
        claimed: None,
        completed: None,
        outcome: None,
        waited_for: false,
        collapsed_into: None,
        properties: properties.clone(),
    };
    let stamp = SourceStamp {
        id: SourceStampId(1 + id / 3),
        spec: StampSpec { branch: Some("main".to_owned()), ..StampSpec::default() },
        created: Timestamp::default(),
    };
    let buildset = BuildsetRecord {
        id: BuildsetId(id),
        reason: "a change arrived".to_owned(),
        made_by: MadeBy::Force,
        external_id: None,
        submitted: Timestamp::default(),
        completed: None,
        outcome: None,
        parent: None,
        rebuilt: None,
        stamps: if profile == Profile::Mixed { vec![stamp] } else { Vec::new() },
        properties,
        changes: if profile == Profile::Mixed { vec![ChangeId(1 + id / 3)] } else { Vec::new() },
        requests: vec![RequestId(id)],
    };
    Event::BuildsetMade { buildset, requests: vec![request] }
}

/// One change for three builds.
fn change_arrived(id: u64) -> Event {
    let stamp = SourceStamp {
        id: SourceStampId(1 + id / 3),
        spec: StampSpec { branch: Some("main".to_owned()), ..StampSpec::default() },
        created: Timestamp::default(),
    };
    let data = NewChange {
        author: format!("Developer {} <dev@example.org>", id % 17),
        comments: format!("fix number {id}\n\nIt was broken since {}.", id / 2),
        files: (0..=id % 5).map(|file| format!("src/part_{}/file_{file}.cpp", id % 97)).collect(),
        ..NewChange::default()
    };
    let change =
        Change { id: ChangeId(1 + id / 3), data, parent: None, stamp, arrived: Timestamp::default(), source: None };
    Event::ChangeArrived { change }
}

fn build_events(id: u64, profile: Profile) -> Vec<Event> {
    let build = BuildId(id);
    let outcome = if id.is_multiple_of(10) { Outcome::Failure } else { Outcome::Success };
    let mut events = Vec::new();
    let names = ["buildername", "builderid", "workername", "basedir", "builddir", "buildnumber"];
    let mut properties = properties(&names, id, "Build");
    match profile {
        Profile::Mixed => {
            for name in ["branch", "revision", "repository", "codebase", "project", "owners"] {
                properties.set(name, format!("some value of {name} in {id}"), "Build");
            }
            events.extend(id.is_multiple_of(3).then(|| change_arrived(id)));
        }
        Profile::OneStep => {
            for name in ["scheduler", "owner", "reason"] {
                properties.set(name, format!("some value of {name} in {id}"), "Scheduler");
            }
        }
    }
    events.push(Event::BuildStarted {
        build,
        number: 1 + id / BUILDERS,
        builder: BuilderId(1 + id % BUILDERS),
        worker: WorkerId(1 + id % WORKERS),
        dir: format!("builder_{}", 1 + id % BUILDERS),
        lender: None,
        requests: vec![RequestId(id)],
        plan: ConfigDigest("d".repeat(64)),
        properties,
        changes: Vec::new(),
        reason: "a change arrived".to_owned(),
    });
    // The engine's own step comes first.
    events.push(step_started(build, StepId(id * 20), 0, "worker_preparation"));
    events.push(Event::StepEnded {
        build,
        step: StepId(id * 20),
        outcome: Outcome::Success,
        state: format!("worker worker {} ready", 1 + id % WORKERS),
        hidden: false,
    });
    events.push(Event::BuildState { build, state: "building".to_owned() });
    for number in 0..profile.steps_of(id) {
        let (step, log) = (StepId(id * 20 + 1 + number), log_of(build, number));
        events.extend([
            step_started(build, step, number + 1, &format!("step {number}")),
            Event::Asked {
                build,
                step,
                key: Key(vec![0]),
                ask: Ask::Run(command(id)),
                command: Some(CommandId(format!("{id}.{number}"))),
                logs: vec![LogOpened { log, name: "stdio".into(), slug: "stdio".into(), kind: LogKind::Stdio }],
                due: None,
            },
            Event::Answered { build, key: Key(vec![0]), answer: Answer::Done },
            Event::LogClosed { build, step, log },
            Event::StepEnded { build, step, outcome, state: "compiled".to_owned(), hidden: false },
        ]);
    }
    events.extend([
        Event::BuildEnded { build, outcome, state: "build successful".to_owned(), culprits: Vec::new() },
        Event::RequestEnded { request: RequestId(id), outcome },
        Event::BuildsetEnded { buildset: BuildsetId(id), outcome },
    ]);
    events
}

fn step_started(build: BuildId, step: StepId, number: u64, name: &str) -> Event {
    Event::StepStarted {
        build,
        step,
        number,
        name: name.to_owned(),
        parent: None,
        index: Some(0),
        key: None,
        attempt: 0,
        state: "running".to_owned(),
    }
}

fn command(id: u64) -> CommandSpec {
    CommandSpec {
        program: Program::Shell(Text::plain(format!("make -j8 target_{}", id % 7))),
        workdir: "build".to_owned(),
        env: [].into(),
        idle_timeout: Some(Span::from_minutes(20)),
        total_timeout: None,
        lines_max: None,
        log: "stdio".to_owned(),
        log_files: [].into(),
        stdin: None,
        exit_codes: [(0, Outcome::Success)].into(),
        want_output: false,
        log_stdout: true,
        log_stderr: true,
        pty: false,
        grace: Span::from_seconds(10),
        on_lost: OnLost::RunAgain,
        output: Box::default(),
    }
}
