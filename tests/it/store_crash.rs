//! The store under SIGKILL: whatever moment it dies at, what it acknowledged is there, once and whole.
//!
//! The test starts itself again as a child that writes under load and tells what was acknowledged through a pipe. More
//! rounds: `STARWRIGHT_STORE_KILLS=500 cargo test --test it store_crash`.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use starwright::base::Timestamp;
use starwright::model::*;
use starwright::store::Store;
use tempfile::TempDir;

use crate::support::history::{History, everything, log_part};

/// Set for the child: the folder of its store.
const CHILD: &str = "STARWRIGHT_STORE_CHILD";
/// How many rounds; the suite's own number is small.
const KILLS: &str = "STARWRIGHT_STORE_KILLS";

const LOGS: u64 = 3;

#[test]
fn nothing_acknowledged_is_lost_or_doubled_by_a_kill() {
    if let Ok(dir) = std::env::var(CHILD) {
        write_under_load(Path::new(&dir));
        return;
    }
    let rounds: u64 = std::env::var(KILLS).ok().and_then(|kills| kills.parse().ok()).unwrap_or(20);
    let dir = TempDir::new().unwrap();
    let mut acknowledged = Acknowledged::default();
    for round in 0..rounds {
        let moment = Duration::from_micros(2_000 + (round * 7_919_993) % 220_000);
        acknowledged.merge(&run_and_kill(dir.path(), moment));
        check(dir.path(), &acknowledged, round);
    }
    assert!(acknowledged.fact > 100 && acknowledged.parts.iter().all(|parts| *parts > 20), "{acknowledged:?}");
}

/// The highest number of each kind that a child was told is durable.
#[derive(Clone, Debug, Default)]
struct Acknowledged {
    fact: u64,
    /// Parts of each log.
    parts: [u64; LOGS as usize],
    /// Snapshots: their fact.
    snapshot: u64,
}

impl Acknowledged {
    fn note(&mut self, line: &str) {
        let mut words = line.split(' ');
        let kind = words.next().unwrap_or_default();
        let mut number = || words.next().and_then(|word| word.parse::<u64>().ok());
        match kind {
            "fact" => self.fact = self.fact.max(number().unwrap_or(0)),
            "snapshot" => self.snapshot = self.snapshot.max(number().unwrap_or(0)),
            "part" => {
                if let (Some(log), Some(parts)) = (number(), number()) {
                    let told = &mut self.parts[usize::try_from(log).unwrap()];
                    *told = (*told).max(parts);
                }
            }
            _ => {}
        }
    }

    fn merge(&mut self, other: &Self) {
        self.fact = self.fact.max(other.fact);
        self.snapshot = self.snapshot.max(other.snapshot);
        for (mine, theirs) in self.parts.iter_mut().zip(other.parts) {
            *mine = (*mine).max(theirs);
        }
    }
}

fn run_and_kill(dir: &Path, moment: Duration) -> Acknowledged {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "store_crash::nothing_acknowledged_is_lost_or_doubled_by_a_kill", "--nocapture"])
        .env(CHILD, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut told = Acknowledged::default();
    let mut line = String::new();
    // The moment counts from the first write, so that slow machines are killed at work, too.
    while output.read_line(&mut line).unwrap() > 0 && !line.starts_with("writing") {
        line.clear();
    }
    assert!(line.starts_with("writing"), "the child ended early");
    let reader = std::thread::spawn(move || {
        for line in output.lines() {
            let Ok(line) = line else { break };
            told.note(&line);
        }
        told
    });
    std::thread::park_timeout(moment);
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap()
}

/// The child: commits facts, appends to logs, saves snapshots, removes builds; says what is durable.
fn write_under_load(dir: &Path) {
    let store = Store::open(dir).unwrap();
    let told = Arc::new(Mutex::new(std::io::stdout()));
    let tell = move |text: String| {
        let mut out = told.lock().unwrap();
        // One write a line: a line is there or not.
        let _ = out.write_all(format!("{text}\n").as_bytes());
        let _ = out.flush();
    };
    tell("writing".to_owned());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut tasks = Vec::new();
    for log in 0..LOGS {
        let (store, tell) = (store.clone(), tell.clone());
        tasks.push(runtime.spawn(async move {
            let (build, id) = log_ids(log);
            let mut n = store.logs().next(build, id, "cmd").unwrap();
            loop {
                store.logs().append(build, id, "cmd", n, part(log, n)).await.unwrap();
                n += 1;
                tell(format!("part {log} {n}"));
                if n.is_multiple_of(50) {
                    store.logs().close(build, id).await.unwrap();
                }
            }
        }));
    }
    let last = store.last_fact().unwrap();
    let mut history = if last == 0 { History::new(3) } else { History::after(last, last) };
    for round in 0_u64.. {
        let commits: Vec<_> = (0..4).flat_map(|_| history.step()).collect();
        let last = commits.last().unwrap().seq;
        store.commit_blocking(commits).unwrap();
        tell(format!("fact {last}"));
        if round.is_multiple_of(20) {
            runtime.block_on(store.save_snapshot(last, snapshot(last))).unwrap();
            tell(format!("snapshot {last}"));
        }
        if round.is_multiple_of(15) {
            let keep = RetentionPlan { days: None, builds: Some(5), log_days: None };
            store.retire(&keep, Timestamp::default()).unwrap();
        }
    }
}

/// Builds of logs are none of the history's, so retention leaves them alone.
fn log_ids(log: u64) -> (BuildId, LogId) {
    (BuildId(u64::MAX - log), LogId(log))
}

/// Parts of very different sizes.
fn part(log: u64, n: u64) -> starwright::store::LogPart {
    let lines = 1 + (n * 7 + log) % 5 + if n.is_multiple_of(10) { 2_000 } else { 0 };
    log_part((0..lines).map(|line| format!("log {log} part {n} line {line}")))
}

fn snapshot(seq: u64) -> Vec<u8> {
    seq.to_le_bytes().repeat(1_000)
}

fn check(dir: &Path, acknowledged: &Acknowledged, round: u64) {
    let store = Store::open(dir).unwrap();
    let last = store.last_fact().unwrap();
    assert!(
        last >= acknowledged.fact,
        "round {round}: fact {} was acknowledged, {last} is the last",
        acknowledged.fact
    );
    let recovered = store.recover().unwrap();
    let begins = recovered.snapshot.as_ref().map_or(0, |(seq, _)| *seq);
    assert!(begins >= acknowledged.snapshot, "round {round}: a snapshot is lost");
    assert!(recovered.snapshot.is_none_or(|(seq, bytes)| bytes == snapshot(seq)), "round {round}: a torn snapshot");
    let numbers: Vec<u64> = recovered.facts.iter().map(|fact| fact.seq).collect();
    assert_eq!(numbers, (begins + 1..=last).collect::<Vec<_>>(), "round {round}: the tail has holes");
    assert_eq!(store.builds(crate::support::history::ALL).unwrap().len() as u64, store.builds_total().unwrap());
    for log in 0..LOGS {
        let (build, id) = log_ids(log);
        let parts = store.logs().next(build, id, "cmd").unwrap();
        let told = acknowledged.parts[usize::try_from(log).unwrap()];
        assert!(parts >= told, "round {round}: part {told} of log {log} was acknowledged, {parts} are there");
        let lines = store.logs().read(build, id, 0, u64::MAX).unwrap();
        let expected = (0..parts).flat_map(|n| {
            part(log, n)
                .text
                .split(|byte| *byte == b'\n')
                .map(<[u8]>::to_vec)
                .filter(|line| !line.is_empty())
                .collect::<Vec<_>>()
        });
        assert!(lines.iter().map(|line| line.text.to_vec()).eq(expected), "round {round}: log {log} differs");
    }
    store.close().unwrap();
}

#[test]
fn a_store_made_again_after_a_kill_tells_the_same() {
    let dir = TempDir::new().unwrap();
    let mut acknowledged = Acknowledged::default();
    for round in 0..3 {
        acknowledged.merge(&run_and_kill(dir.path(), Duration::from_millis(40 + 30 * round)));
    }
    let store = Store::open(dir.path()).unwrap();
    let whole = everything(&store);
    store.close().unwrap();
    let report = starwright::store::maintain::rebuild(dir.path(), &mut |_| {}).unwrap();
    assert_eq!(report.damage, Vec::<String>::new());
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(everything(&store), whole);
    assert!(store.last_fact().unwrap() >= acknowledged.fact);
}
