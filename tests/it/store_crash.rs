//! The store under SIGKILL: whatever moment it dies at, what it acknowledged is there, once and whole, and journal and packs
//! alone tell the same.
//!
//! The test starts itself again as a child that writes under load, with several writers, and tells through a pipe what was
//! acknowledged. `make torture ROUNDS=500` runs more rounds; `STARWRIGHT_STORE_SEED` chooses other moments.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use starwright::testing::base::Timestamp;
use starwright::testing::model::*;
use starwright::testing::store::{Store, maintain};
use tempfile::TempDir;

use crate::support::history::{ALL, History, everything, log_part};

/// Set for the child: the directory of its store.
const CHILD: &str = "STARWRIGHT_STORE_CHILD";
/// How many rounds; the suite's own number is small.
const KILLS: &str = "STARWRIGHT_STORE_KILLS";
/// Chooses the moments.
const SEED: &str = "STARWRIGHT_STORE_SEED";

/// Rounds on one directory: it grows, and every round reads all of it.
const ROUNDS_PER_STORE: u64 = 20;
/// Tasks that commit facts at the same time, so that flushes are shared.
const WRITERS: usize = 4;
const LOGS: u64 = 3;
/// Longest life of a child.
const LIFE_MAX: Duration = Duration::from_millis(220);

#[test]
fn nothing_acknowledged_is_lost_or_doubled_by_a_kill() {
    if let Ok(dir) = std::env::var(CHILD) {
        write_under_load(Path::new(&dir));
        return;
    }
    let rounds = variable(KILLS).unwrap_or(25);
    let mut random = History::new(variable(SEED).unwrap_or(1));
    let (mut dir, mut told, mut figures) = (TempDir::new().unwrap(), Told::default(), Figures::default());
    let begun = Instant::now();
    for round in 0..rounds {
        if round > 0 && round.is_multiple_of(ROUNDS_PER_STORE) {
            figures.add(&told);
            (dir, told) = (TempDir::new().unwrap(), Told::default());
            eprintln!("{round} of {rounds} rounds, {}", figures.words(begun));
        }
        let life = Duration::from_micros(2_000 + random.draw(LIFE_MAX.as_micros() as u64));
        let before = told.last();
        run_and_kill(dir.path(), life, &mut told);
        figures.idle += u64::from(told.last() == before);
        let whole = check(dir.path(), &told, round);
        check_rebuilt(dir.path(), &told, &whole, round);
    }
    figures.add(&told);
    eprintln!("{rounds} kills, nothing lost: {}", figures.words(begun));
    // Far below what a busy machine does: only a test that no longer tests anything fails here.
    assert!(figures.facts > 4 * rounds && figures.parts > rounds, "{figures:?}: hardly anything was written");
    assert!(figures.idle * 2 < rounds, "{figures:?}: most children died before they did anything");
}

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|value| value.parse().ok())
}

/// What children were told is durable.
#[derive(Clone, Debug, Default)]
struct Told {
    /// Check sum and build of each fact.
    facts: BTreeMap<u64, (u32, Option<BuildId>)>,
    /// Parts of each log.
    parts: [u64; LOGS as usize],
    /// The newest snapshot: its fact.
    snapshot: u64,
    /// Builds that retention removed.
    removed: u64,
}

impl Told {
    fn last(&self) -> u64 {
        self.facts.last_key_value().map_or(0, |(seq, _)| *seq)
    }

    fn note(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        let number = |at: usize| words[at].parse::<u64>().unwrap();
        match words[..] {
            ["fact", _, _, build] => {
                self.facts.insert(number(1), (number(2) as u32, build.parse().ok().map(BuildId)));
            }
            ["snapshot", _] => self.snapshot = self.snapshot.max(number(1)),
            ["part", _, _] => {
                let parts = &mut self.parts[number(1) as usize];
                *parts = (*parts).max(number(2));
            }
            ["removed", _] => self.removed += number(1),
            _ => panic!("the child said `{line}`"),
        }
    }
}

/// What all rounds came to.
#[derive(Debug, Default)]
struct Figures {
    facts: u64,
    parts: u64,
    removed: u64,
    /// Rounds in which nothing was acknowledged.
    idle: u64,
}

impl Figures {
    fn add(&mut self, told: &Told) {
        self.facts += told.facts.len() as u64;
        self.parts += told.parts.iter().sum::<u64>();
        self.removed += told.removed;
    }

    fn words(&self, begun: Instant) -> String {
        let Self { facts, parts, removed, idle } = self;
        let seconds = begun.elapsed().as_secs();
        format!(
            "{facts} facts and {parts} log parts acknowledged and found again, {removed} builds removed, {idle} rounds without an acknowledgement, {seconds} s"
        )
    }
}

fn run_and_kill(dir: &Path, life: Duration, told: &mut Told) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "store_crash::nothing_acknowledged_is_lost_or_doubled_by_a_kill", "--nocapture"])
        .env(CHILD, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    // The moment counts from the first write, so that slow machines are killed at work, too.
    while output.read_line(&mut line).unwrap() > 0 && !line.starts_with("writing") {
        line.clear();
    }
    assert!(line.starts_with("writing"), "the child ended early");
    let reader = std::thread::spawn(move || {
        let mut lines: Vec<Vec<u8>> = output.split(b'\n').map_while(Result::ok).collect();
        // The last line may be cut; what it says was not acknowledged then.
        lines.truncate(lines.len().saturating_sub(1));
        lines
    });
    std::thread::park_timeout(life);
    child.kill().unwrap();
    child.wait().unwrap();
    for line in reader.join().unwrap() {
        told.note(std::str::from_utf8(&line).unwrap());
    }
}

/// The child: commits facts, appends to logs, saves snapshots, removes builds; says what is durable.
fn write_under_load(dir: &Path) {
    let store = Store::open(dir).unwrap();
    tell("writing");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    for log in 0..LOGS {
        runtime.spawn(append(store.clone(), log));
    }
    let last = store.last_fact().unwrap();
    let history = if last == 0 { History::new(3) } else { History::after(last, last) };
    let history = Arc::new(tokio::sync::Mutex::new(history));
    let durable = Arc::new(AtomicU64::new(last));
    for _ in 0..WRITERS {
        runtime.spawn(commit(store.clone(), Arc::clone(&history), Arc::clone(&durable)));
    }
    for round in 0_u64.. {
        let seq = durable.load(Ordering::SeqCst);
        if round.is_multiple_of(4) && seq > 0 {
            runtime.block_on(store.save_snapshot(seq, snapshot(seq))).unwrap();
            tell(&format!("snapshot {seq}"));
        }
        let keep = RetentionPlan { days: None, builds: Some(5), log_days: None, ..RetentionPlan::default() };
        let removed = store.retire(&keep, Timestamp::default()).unwrap();
        tell(&format!("removed {removed}"));
    }
}

/// One write a line: a line is there or not, or cut by the kill.
fn tell(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(format!("{text}\n").as_bytes());
    let _ = out.flush();
}

async fn commit(store: Store, history: Arc<tokio::sync::Mutex<History>>, durable: Arc<AtomicU64>) {
    loop {
        let mut history = history.lock().await;
        let facts: Vec<_> = (0..4).flat_map(|_| history.step()).collect();
        let mut committed = Box::pin(store.commit(facts.clone()));
        // Asked in the order of the facts; waited for together with the others.
        let early = futures_util::poll!(&mut committed);
        drop(history);
        match early {
            std::task::Poll::Ready(done) => done.unwrap(),
            std::task::Poll::Pending => committed.await.unwrap(),
        }
        for fact in &facts {
            let build = fact.event.build().map_or_else(|| "-".to_owned(), |build| build.0.to_string());
            tell(&format!("fact {} {} {build}", fact.seq, checksum(fact)));
        }
        durable.fetch_max(facts.last().unwrap().seq, Ordering::SeqCst);
    }
}

async fn append(store: Store, log: u64) {
    let (build, id) = log_ids(log);
    let mut n = store.logs().next(build, id, "cmd").unwrap();
    loop {
        store.logs().append(build, id, "cmd", n, part(log, n)).await.unwrap();
        n += 1;
        tell(&format!("part {log} {n}"));
        if n.is_multiple_of(50) {
            store.logs().close(build, id).await.unwrap();
        }
    }
}

fn checksum(fact: &Fact) -> u32 {
    crc32fast::hash(format!("{fact:?}").as_bytes())
}

/// Builds of logs are none of the history's, so retention leaves them alone.
fn log_ids(log: u64) -> (BuildId, LogId) {
    (BuildId(u64::MAX - log), LogId(log))
}

/// Parts of very different sizes.
fn part(log: u64, n: u64) -> starwright::testing::store::LogPart {
    let lines = 1 + (n * 7 + log) % 5 + if n.is_multiple_of(10) { 2_000 } else { 0 };
    log_part((0..lines).map(|line| format!("log {log} part {n} line {line}")))
}

fn snapshot(seq: u64) -> Vec<u8> {
    seq.to_le_bytes().repeat(1_000)
}

/// Opens the store as a master does after its death, and looks for everything that was acknowledged. Returns all it tells.
fn check(dir: &Path, told: &Told, round: u64) -> String {
    let store = Store::open(dir).unwrap();
    let last = store.last_fact().unwrap();
    assert!(last >= told.last(), "round {round}: fact {} was acknowledged, {last} is the last", told.last());
    let recovered = store.recover().unwrap();
    let begins = recovered.snapshot.as_ref().map_or(0, |(seq, _)| *seq);
    assert!(begins >= told.snapshot, "round {round}: snapshot {} is lost", told.snapshot);
    assert!(recovered.snapshot.is_none_or(|(seq, bytes)| bytes == snapshot(seq)), "round {round}: a torn snapshot");
    let numbers: Vec<u64> = recovered.facts.iter().map(|fact| fact.seq).collect();
    assert_eq!(numbers, (begins + 1..=last).collect::<Vec<_>>(), "round {round}: the tail has holes");
    for fact in &recovered.facts {
        let acknowledged = told.facts.get(&fact.seq);
        assert!(acknowledged.is_none_or(|(sum, _)| *sum == checksum(fact)), "round {round}: another fact {}", fact.seq);
    }
    assert_eq!(store.builds(ALL).unwrap().len() as u64, store.builds_total().unwrap());
    for log in 0..LOGS {
        check_log(&store, log, told.parts[log as usize], round);
    }
    let whole = everything(&store);
    store.close().unwrap();
    whole
}

fn check_log(store: &Store, log: u64, told: u64, round: u64) {
    let (build, id) = log_ids(log);
    let parts = store.logs().next(build, id, "cmd").unwrap();
    assert!(parts >= told, "round {round}: part {told} of log {log} was acknowledged, {parts} are there");
    let lines = store.logs().read(build, id, 0, u64::MAX).unwrap();
    let expected = (0..parts).flat_map(|n| {
        let text = part(log, n).text;
        text.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).filter(|line| !line.is_empty()).collect::<Vec<_>>()
    });
    assert!(lines.iter().map(|line| line.text.to_vec()).eq(expected), "round {round}: log {log} differs");
}

/// Makes the database again from journal and packs alone, and looks for every acknowledged fact in them; then the store's own
/// database is put back.
fn check_rebuilt(dir: &Path, told: &Told, whole: &str, round: u64) {
    let kept: Vec<_> = ["sled", "snapshots"].map(|name| (dir.join(name), dir.join(format!("{name}.kept")))).into();
    kept.iter().for_each(|(path, aside)| std::fs::rename(path, aside).unwrap());
    let report = maintain::rebuild(dir, &mut |_| {}).unwrap();
    assert_eq!(report.damage, Vec::<String>::new(), "round {round}");
    let store = Store::open(dir).unwrap();
    assert!(everything(&store) == whole, "round {round}: the rebuilt store tells something else");
    let facts = store.recover().unwrap().facts;
    assert!(facts.is_sorted_by(|left, right| left.seq < right.seq), "round {round}: out of order");
    let found: BTreeMap<u64, u32> = facts.iter().map(|fact| (fact.seq, checksum(fact))).collect();
    for (seq, (sum, build)) in &told.facts {
        match found.get(seq) {
            Some(found) => assert_eq!(found, sum, "round {round}: another fact {seq}"),
            // Retention removed the build with its facts.
            None => assert!(
                build.is_some_and(|build| store.build(build).unwrap().is_none()),
                "round {round}: fact {seq} is lost"
            ),
        }
    }
    store.close().unwrap();
    for (path, aside) in kept {
        let _ = std::fs::remove_dir_all(&path);
        std::fs::rename(aside, path).unwrap();
    }
}
