//! What the store costs: commits, log lines in and out, and a long history.
//!
//! Each figure stands beside what the same disk does bare. `cargo bench --bench store` takes a history of 20,000
//! builds; `STARWRIGHT_BENCH_BUILDS=1000000` a long one, `STARWRIGHT_BENCH_DIR` another disk.
#![allow(clippy::disallowed_methods, clippy::disallowed_macros, reason = "a program for the terminal")]

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use starwright::testing::base::Timestamp;
#[allow(clippy::wildcard_imports, reason = "the nouns of the house")]
use starwright::testing::model::*;
use starwright::testing::store::{LogPart, Scan, Store};
use tempfile::TempDir;

#[path = "../tests/it/support/history.rs"]
#[allow(dead_code, reason = "shared with the tests")]
mod history;

use history::History;

const COMMITS: u32 = 2_000;
const CALLERS: u32 = 64;
const LOG_BYTES: usize = 1 << 30;
const PART_BYTES: usize = 64 << 10;
const LONG_LOG_LINES: u64 = 10_000_000;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    commits(&runtime);
    ingest(&runtime);
    long_log(&runtime);
    let builds = std::env::var("STARWRIGHT_BENCH_BUILDS").ok().and_then(|text| text.parse().ok()).unwrap_or(20_000);
    long_history(builds);
}

fn place() -> TempDir {
    match std::env::var_os("STARWRIGHT_BENCH_DIR") {
        Some(dir) => TempDir::new_in(dir).unwrap(),
        None => TempDir::new().unwrap(),
    }
}

/// Resident memory now, in MB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0 kB");
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0) / 1024
}

fn per_second(count: u32, time: Duration) -> f64 {
    f64::from(count) / time.as_secs_f64()
}

fn commits(runtime: &tokio::runtime::Runtime) {
    let dir = place();
    let bare = Instant::now();
    let mut file = File::create(dir.path().join("bare")).unwrap();
    for _ in 0..COMMITS {
        file.write_all(&[7; 1_000]).unwrap();
        file.sync_data().unwrap();
    }
    let bare = bare.elapsed();
    println!("append 1 kB and sync                        {:>9.0} a second", per_second(COMMITS, bare));

    let store = Store::open(&dir.path().join("store")).unwrap();
    let mut history = History::new(1);
    let commits: Vec<_> = (0..COMMITS).map(|_| history.step()).collect();
    let start = Instant::now();
    for commit in commits {
        store.commit_blocking(commit).unwrap();
    }
    let one = start.elapsed();
    println!(
        "commits, one caller                         {:>9.0} a second   {:.2} × bare",
        per_second(COMMITS, one),
        one.as_secs_f64() / bare.as_secs_f64()
    );
    let rounds = COMMITS / CALLERS;
    let start = Instant::now();
    for _ in 0..rounds {
        let commits: Vec<_> = (0..CALLERS).map(|_| history.step()).collect();
        runtime.block_on(async {
            for result in futures_util::future::join_all(commits.into_iter().map(|commit| store.commit(commit))).await {
                result.unwrap();
            }
        });
    }
    println!(
        "commits, {CALLERS} callers                        {:>9.0} a second",
        per_second(rounds * CALLERS, start.elapsed())
    );
    store.close().unwrap();
}

/// Text like that of a compiler: compresses about tenfold.
fn text(seed: usize, bytes: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes + 100);
    let mut number = seed * 7_919;
    while out.len() < bytes {
        number = number.wrapping_mul(1_103_515_245).wrapping_add(12_345);
        writeln!(
            out,
            "[{:>3}%] Building CXX object src/CMakeFiles/part_{:03}.dir/file_{}.cpp.o",
            number % 101,
            number % 97,
            number % 10_007
        )
        .unwrap();
    }
    out
}

fn part(text: Vec<u8>) -> LogPart {
    #[expect(clippy::naive_bytecount, reason = "prepared before the clock runs")]
    let lines = text.iter().filter(|byte| **byte == b'\n').count();
    LogPart { stream: 'o', times: vec![Timestamp::from_millis(1_700_000_000_000); lines], text: text.into() }
}

fn ingest(runtime: &tokio::runtime::Runtime) {
    let dir = place();
    let texts: Vec<Vec<u8>> = (0..64).map(|seed| text(seed, PART_BYTES)).collect();
    let parts = LOG_BYTES / PART_BYTES;
    let start = Instant::now();
    let mut file = File::create(dir.path().join("bare")).unwrap();
    for number in 0..parts {
        file.write_all(&texts[number % texts.len()]).unwrap();
    }
    file.sync_data().unwrap();
    let bare = start.elapsed();
    drop(file);
    std::fs::remove_file(dir.path().join("bare")).unwrap();
    let megabytes = f64::from(u32::try_from(LOG_BYTES >> 20).unwrap());
    println!("write 1 GB and sync once                    {:>9.0} MB/s", megabytes / bare.as_secs_f64());

    for logs in [1_usize, 16] {
        let store = Store::open(&dir.path().join(format!("store {logs}"))).unwrap();
        let before = resident();
        let highest = std::sync::atomic::AtomicU64::new(0);
        let start = Instant::now();
        runtime.block_on(async {
            let writers = (0..logs).map(|log| {
                let (handle, texts, highest) = (store.logs(), &texts, &highest);
                async move {
                    let id = LogId(u64::try_from(log).unwrap());
                    // As a link does it: up to 8 MiB are under way.
                    let window = tokio::sync::Semaphore::new((8 << 20) / PART_BYTES);
                    let mut pending = futures_util::stream::FuturesUnordered::new();
                    for n in 0..parts / logs {
                        let permit = window.acquire().await.unwrap();
                        let part = part(texts[(n + log) % texts.len()].clone());
                        let handle = handle.clone();
                        pending.push(async move {
                            handle.append(BuildId(1), id, "c", u64::try_from(n).unwrap(), part).await.unwrap();
                            drop(permit);
                        });
                        // Polled at once, so that parts enter in order.
                        futures_util::future::poll_fn(|context| {
                            while let std::task::Poll::Ready(Some(())) =
                                futures_util::Stream::poll_next(std::pin::Pin::new(&mut pending), context)
                            {
                            }
                            std::task::Poll::Ready(())
                        })
                        .await;
                        while window.available_permits() == 0 {
                            futures_util::StreamExt::next(&mut pending).await;
                        }
                        if n % 512 == 0 {
                            highest.fetch_max(resident(), std::sync::atomic::Ordering::Relaxed);
                        }
                    }
                    while futures_util::StreamExt::next(&mut pending).await.is_some() {}
                    handle.close(BuildId(1), id).await.unwrap();
                }
            });
            futures_util::future::join_all(writers).await;
        });
        let time = start.elapsed();
        println!(
            "1 GB of lines into {logs:>2} log(s), durable         {:>9.0} MB/s   memory {} MB before, {} MB at most",
            megabytes / time.as_secs_f64(),
            before,
            highest.into_inner()
        );
        store.close().unwrap();
    }
}

fn long_log(runtime: &tokio::runtime::Runtime) {
    let dir = place();
    let store = Store::open(dir.path()).unwrap();
    let logs = store.logs();
    let (build, log) = (BuildId(1), LogId(1));
    let lines_a_part = 20_000;
    runtime.block_on(async {
        for n in 0..LONG_LOG_LINES / lines_a_part {
            let mut text = Vec::new();
            for line in n * lines_a_part..(n + 1) * lines_a_part {
                writeln!(text, "line {line} of a very long log").unwrap();
            }
            logs.append(build, log, "c", n, part(text)).await.unwrap();
        }
        logs.close(build, log).await.unwrap();
    });
    let start = Instant::now();
    store.close().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let logs = store.logs();
    assert_eq!(logs.lines(build, log).unwrap(), LONG_LOG_LINES);
    println!("close, open, first look at 10,000,000 lines {:>9.1} ms", start.elapsed().as_secs_f64() * 1e3);
    let mut state = 1_u64;
    latency("100 lines anywhere in 10,000,000", 2_000, || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let first = (state >> 20) % LONG_LOG_LINES;
        let lines = logs.read(build, log, first, 100).unwrap();
        assert!(lines[0].text.starts_with(format!("line {first} ").as_bytes()));
    });
    latency("the last 100 lines", 1_000, || assert_eq!(logs.tail(build, log, 100).unwrap().len(), 100));
    store.close().unwrap();
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
    println!("{what:<43} {:>9.0} µs in the middle, {:.0} µs p99", micros(50), micros(99));
}

/// One-step builds of 100 builders, 25,000 waiting requests.
fn long_history(builds: u64) {
    let dir = place();
    let path = dir.path();
    let store = Store::open(path).unwrap();
    let start = Instant::now();
    let facts = fill(&store, builds);
    let took = start.elapsed();
    println!(
        "{builds} builds ({facts} facts) stored in        {:>9.1} s    memory {} MB, {} MB on disk",
        took.as_secs_f64(),
        resident(),
        size(path) >> 20
    );
    store.close().unwrap();
    let start = Instant::now();
    drop(sled_alone(&path.join("sled")));
    let alone = start.elapsed();
    let start = Instant::now();
    let store = Store::open(path).unwrap();
    println!(
        "open                                        {:>9.0} ms   sled alone {:.0} ms; memory {} MB",
        start.elapsed().as_secs_f64() * 1e3,
        alone.as_secs_f64() * 1e3,
        resident()
    );
    let start = Instant::now();
    let recovered = store.recover().unwrap();
    println!(
        "recover ({} facts in the tail)               {:>9.0} ms",
        recovered.facts.len(),
        start.elapsed().as_secs_f64() * 1e3
    );
    drop(recovered);
    let mut state = 1_u64;
    let mut any = |bound: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        1 + (state >> 20) % bound
    };
    let scan = |after| Scan { after, descending: true, limit: 50 };
    latency("50 newest builds of a builder", 2_000, || {
        store.builds_of_builder(BuilderId(any(BUILDERS)), scan(None)).unwrap();
    });
    latency("50 builds from anywhere", 2_000, || {
        store.builds(scan(Some(any(builds)))).unwrap();
    });
    latency("50 builds of a worker from anywhere", 2_000, || {
        store.builds_of_worker(WorkerId(1), scan(Some(any(builds)))).unwrap();
    });
    latency("50 waiting requests", 500, || assert_eq!(store.requests_waiting(scan(None)).unwrap().len(), 50));
    latency("a build with its steps and logs", 2_000, || {
        let build = BuildId(any(builds));
        store.build(build).unwrap().unwrap();
        for step in store.steps(build).unwrap() {
            store.logs_of_step(step.id).unwrap();
        }
    });
    latency("how many builds there are", 1_000, || assert_eq!(store.builds_total().unwrap(), builds));
    println!("memory after reading                        {:>9} MB", resident());
    store.close().unwrap();
}

const BUILDERS: u64 = 100;
const WAITING: u64 = 25_000;

fn fill(store: &Store, builds: u64) -> u64 {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut seq = 0;
    let mut batch: Vec<Arc<Fact>> = Vec::new();
    let mut put = |event: Event, seq: &mut u64| {
        *seq += 1;
        let at = Timestamp::from_millis(1_600_000_000_000 + i64::try_from(*seq * 100).unwrap());
        batch.push(Arc::new(Fact { seq: *seq, at, cause: Cause::Clock, event }));
        if batch.len() >= 5_000 {
            store.commit_blocking(std::mem::take(&mut batch)).unwrap();
            if seq.is_multiple_of(200_000) {
                runtime.block_on(store.save_snapshot(*seq, vec![1; 1_000])).unwrap();
            }
        }
    };
    put(Event::MasterStarted { name: "bench".to_owned(), installation: String::new() }, &mut seq);
    put(
        Event::PlanAdopted {
            digest: ConfigDigest("d".to_owned()),
            why: "start".to_owned(),
            changes: Vec::new(),
            builders: (1..=BUILDERS).map(|id| (format!("builder {id}"), BuilderId(id))).collect(),
            workers: [("w1".to_owned(), WorkerId(1))].into_iter().collect(),
            schedulers: NameChanges::default(),
            change_sources: NameChanges::default(),
            about: [].into(),
            projects: starwright::testing::model::ProjectChanges::default(),
        },
        &mut seq,
    );
    for id in 1..=builds + WAITING {
        let builder = 1 + id % BUILDERS;
        put(request_made(id, builder), &mut seq);
        if id > builds {
            continue;
        }
        for event in build_events(id, builder) {
            put(event, &mut seq);
        }
    }
    store.commit_blocking(batch).unwrap();
    seq
}

fn request_made(id: u64, builder: u64) -> Event {
    let mut properties = Properties::default();
    for name in ["scheduler", "owner", "reason", "branch", "revision", "repository"] {
        properties.set(name, format!("some value of {name} that is about this long"), "Scheduler");
    }
    let request = RequestRecord {
        id: RequestId(id),
        buildset: BuildsetId(id),
        builder: BuilderId(builder),
        priority: 0,
        submitted: Timestamp::default(),
        claimed: None,
        completed: None,
        outcome: None,
        waited_for: false,
        collapsed_into: None,
        properties: properties.clone(),
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
        stamps: Vec::new(),
        properties,
        changes: Vec::new(),
        requests: vec![RequestId(id)],
    };
    Event::BuildsetMade { buildset, requests: vec![request] }
}

fn build_events(id: u64, builder: u64) -> Vec<Event> {
    let (build, step, log) = (BuildId(id), StepId(id), LogId(id));
    let mut properties = Properties::default();
    for name in ["buildername", "workername", "branch", "got_revision", "builddir", "owners", "project"] {
        properties.set(name, format!("some value of {name} that is about this long"), "Build");
    }
    let outcome = Outcome::Success;
    vec![
        Event::BuildStarted {
            build,
            number: 1 + id / BUILDERS,
            builder: BuilderId(builder),
            worker: WorkerId(1),
            dir: format!("builder_{builder}"),
            lender: None,
            requests: vec![RequestId(id)],
            plan: ConfigDigest("d".repeat(64)),
            properties,
            changes: Vec::new(),
            reason: "a change arrived".to_owned(),
        },
        Event::StepStarted {
            build,
            step,
            number: 0,
            name: "compile".to_owned(),
            parent: None,
            index: Some(0),
            key: None,
            attempt: 0,
            state: "running".to_owned(),
        },
        Event::Asked {
            build,
            step,
            key: Key(vec![0]),
            ask: Ask::Now,
            command: None,
            logs: vec![LogOpened { log, name: "stdio".into(), slug: "stdio".into(), kind: LogKind::Stdio }],
            due: None,
        },
        Event::Answered { build, key: Key(vec![0]), answer: Answer::Done },
        Event::LogClosed { build, step, log },
        Event::StepEnded { build, step, outcome, state: "compiled".to_owned(), hidden: false },
        Event::BuildEnded { build, outcome, state: "build successful".to_owned(), culprits: Vec::new() },
        Event::RequestEnded { request: RequestId(id), outcome },
        Event::BuildsetEnded { buildset: BuildsetId(id), outcome },
    ]
}

fn sled_alone(path: &Path) -> sled::Db {
    sled::Config::new().path(path).cache_capacity(32 << 20).open().unwrap()
}

fn size(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    entries
        .map(|entry| {
            let found = entry.metadata().unwrap();
            if found.is_dir() { size(&entry.path()) } else { found.len() }
        })
        .sum()
}
