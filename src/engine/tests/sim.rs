//! The simulator: master, store, workers, people and faults under one seeded chance, in virtual time.
//!
//! A run draws a configuration, lets people and faults loose on it, calms down, and compares all accounts. The engine is
//! the real one; what is around it is a model of what the rest of the house promises (`docs/reliability.md` says which).
//! A seed always gives the same run; what fails prints the command that runs it again.

pub mod bugs;
mod calm;
mod decisions;
mod disk;
mod draft;
mod ledger;
mod machine;
mod nights;
mod people;
mod reference;
mod reference_builds;
mod reference_dirs;
mod reference_locks;
mod reference_names;
mod reference_queue;
mod reference_reports;
mod reference_results;
mod rng;
mod run;
mod shell;
mod starlark;
mod wires;
mod workers;

use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use bugs::Bug;
use run::Sim;

/// Seeds that the suite runs, and how long people and faults are at work in each, in steps.
const SEEDS: u64 = 100;
const CHAOS: u64 = 400;

/// What has to happen somewhere in the seeds of the suite.
const KINDS: [&str; 58] = [
    "Starlark evaluated",
    "cancelled",
    "clock put back",
    "clock put forward",
    "command ignores a stop",
    "command stopped",
    "commands resumed",
    "configuration changed",
    "configuration refused",
    "connection cut",
    "connection cut by the master",
    "connection fenced by a newer one",
    "crash after commit, before effects",
    "crash amid effects",
    "crash at any moment",
    "crash before commit",
    "crash with a torn last write",
    "decision failed",
    "decision lost",
    "decision postponed",
    "delivery failed",
    "doubled input",
    "evaluation lost",
    "full disk, waited out",
    "commit failed",
    "commit failed, but kept",
    "hook only woke",
    "hook told twice",
    "doubled message",
    "machine lost its memory",
    "machine rebooted",
    "machine that never comes back",
    "order for a connection that is gone",
    "orderly end",
    "output came twice, written once",
    "poll failed",
    "poll found changes",
    "priority changed",
    "rebuilt",
    "reload in mid-build",
    "report sent again by hand",
    "report sent twice with one id",
    "restored from a snapshot",
    "scheduler switched",
    "second worker of a name",
    "second worker of a name refused",
    "slow disk",
    "snapshot damaged",
    "stock command ended unheard",
    "stock worker told to forget",
    "slot lent",
    "stopped",
    "stopped twice",
    "worker forgot commands that nobody wants",
    "worker killed by hand",
    "worker paused",
    "worker told to go",
    "worker's process ended",
];

/// What came of runs.
#[derive(Clone, Debug, Default)]
struct Tally {
    seeds: u64,
    steps: u64,
    facts: u64,
    coverage: BTreeMap<&'static str, u64>,
}

impl Tally {
    fn add(&mut self, other: &Self) {
        self.seeds += other.seeds;
        self.steps += other.steps;
        self.facts += other.facts;
        for (what, times) in &other.coverage {
            *self.coverage.entry(what).or_default() += times;
        }
    }
}

/// A run that broke a rule.
#[derive(Clone, Debug)]
struct Violation {
    seed: u64,
    step: u64,
    text: String,
    trace: Vec<String>,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "seed {}, step {}: {}", self.seed, self.step, self.text)?;
        writeln!(f, "what happened last:")?;
        self.trace.iter().try_for_each(|line| writeln!(f, "{line}"))?;
        write!(
            f,
            "run it again: STARWRIGHT_SIM_FIRST={} STARWRIGHT_SIM_SEEDS=1 cargo test --lib engine::tests::sim::seeds -- --nocapture",
            self.seed
        )
    }
}

/// One run; with a trace if it is to be told.
fn run_once(seed: u64, chaos: u64, bug: Option<Bug>, traced: bool) -> Result<Tally, Violation> {
    bugs::plant(bug);
    let mut sim = Sim::new(seed, chaos);
    sim.trace = traced.then(VecDeque::new);
    if let Some(lines) = setting("STARWRIGHT_SIM_TRACE") {
        sim.trace_max = lines as usize;
    }
    let went = catch_unwind(AssertUnwindSafe(|| sim.run()));
    bugs::plant(None);
    match went {
        Ok(()) => {
            let (steps, facts) = (sim.steps, sim.reference.seq);
            Ok(Tally { seeds: 1, steps, facts, coverage: sim.coverage })
        }
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned())).unwrap_or_default();
            let trace = sim.trace.take().map(Vec::from).unwrap_or_default();
            Err(Violation { seed, step: sim.steps, text, trace })
        }
    }
}

/// One run, and if it fails the same once more, with a trace: it fails in the same way.
fn run_seed(seed: u64, chaos: u64) -> Result<Tally, Violation> {
    let bug = bug_by_name();
    run_once(seed, chaos, bug, false).map_err(|violation| match run_once(seed, chaos, bug, true) {
        Err(again) if again.step == violation.step && again.text == violation.text => again,
        other => panic!("seed {seed} fails in two ways: {violation}\n{other:?}"),
    })
}

/// Starlark's evaluation needs a deep stack.
fn on_big_stack<'scope>(scope: &'scope std::thread::Scope<'scope, '_>, work: impl FnOnce() + Send + 'scope) {
    let thread = std::thread::Builder::new().stack_size(crate::config::STACK_BYTES);
    thread.spawn_scoped(scope, work).unwrap();
}

/// Runs seeds on so many threads; the first violation by number.
fn run_seeds(first: u64, seeds: u64, chaos: u64, threads: usize, progress: bool) -> Result<Tally, Box<Violation>> {
    let next = AtomicU64::new(first);
    let found: Mutex<(Tally, Option<Violation>)> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            on_big_stack(scope, || {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + seeds || found.lock().unwrap().1.as_ref().is_some_and(|found| found.seed < seed)
                    {
                        return;
                    }
                    let result = run_seed(seed, chaos);
                    let mut found = found.lock().unwrap();
                    match result {
                        Ok(tally) => found.0.add(&tally),
                        Err(violation) => {
                            if found.1.as_ref().is_none_or(|other| other.seed > seed) {
                                found.1 = Some(violation);
                            }
                        }
                    }
                    if progress && found.0.seeds.is_multiple_of(100) {
                        tell(&format!("{} seeds, {} steps", found.0.seeds, found.0.steps));
                    }
                }
            });
        }
    });
    let (tally, violation) = found.into_inner().unwrap();
    violation.map_or(Ok(tally), |violation| Err(Box::new(violation)))
}

#[expect(
    clippy::print_stderr,
    clippy::disallowed_macros,
    reason = "whoever runs the simulator by hand wants to see how far it is"
)]
fn tell(text: &str) {
    eprintln!("{text}");
}

#[expect(clippy::disallowed_methods, reason = "tests read their own switches")]
fn text_setting(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn setting(name: &str) -> Option<u64> {
    text_setting(name)?.parse().ok()
}

/// Every deliberate bug, within how many seeds it has to be found, and the rules that it may be found by.
const BUGS: &[(Bug, u64, &str)] = &[
    (Bug::CauseForgotten, 40, "causes"),
    (Bug::LocksKeptOnStop, 100, "bug in the engine|locks"),
    (Bug::RequestTwiceAfterRestart, 40, "restored state|bug in the engine"),
    (Bug::RetryLost, 60, "requests"),
    (Bug::CollapseDropsNewest, 40, "collapse"),
    (Bug::SlotKeptOnLoss, 60, "bug in the engine|restored state|missed start"),
    (Bug::PriorityIgnored, 40, "priorities"),
    (Bug::QuietNotRestarted, 60, "quiet period"),
    (Bug::BranchesJoined, 200, "schedulers"),
    (Bug::QuietLostOnRestart, 60, "liveness"),
    (Bug::ParentNotTold, 60, "liveness"),
    (Bug::StopTwiceEndsTwice, 200, "outbox"),
    (Bug::FencedConnectionHeard, 60, "epochs"),
    (Bug::WaitForgottenOnRestart, 60, "liveness|deadlines"),
    (Bug::DependentOnFailure, 200, "dependent schedulers"),
    (Bug::CollapsedForgottenByDependent, 200, "dependent schedulers"),
    (Bug::ReportAgainOnRestart, 100, "outbox"),
    (Bug::BranchesCompared, 200, "outbox|restored state"),
    (Bug::SkippedRepairs, 400, "outbox"),
    (Bug::BorrowersStartUntold, 200, "outbox"),
    (Bug::ReportOvertakes, 100, "outbox"),
    (Bug::PausedGetsBuilds, 100, "starts"),
    (Bug::WrongBranchAnswered, 40, "answers"),
    (Bug::ArtifactsForgotten, 40, "artifacts"),
    (Bug::GraceForgottenOnRestart, 40, "workers"),
    (Bug::SentAgainWithoutMemory, 60, "starts of commands"),
    (Bug::LockQueueJumped, 60, "locks"),
    (Bug::HookRecordsToo, 60, "changes"),
    (Bug::WakeRecords, 100, "changes"),
    (Bug::AnnouncedTakenForSeen, 60, "liveness"),
    (Bug::PolledChangeLost, 60, "liveness"),
    (Bug::DirShared, 40, "directories"),
    (Bug::DirFreedTooEarly, 100, "directories"),
    (Bug::LeftoversForEver, 100, "missed start|liveness"),
    (Bug::KillTimeIgnored, 300, "directories"),
    (Bug::SlotNeverLent, 100, "liveness"),
    (Bug::SlotLentTwice, 100, "lending"),
    (Bug::SlotNotTakenBack, 200, "lending"),
    (Bug::DeadlockUntold, 100, "liveness"),
    (Bug::UnpauseUnnoticed, 100, "missed start"),
    (Bug::UndecidedSkipped, 60, "decisions"),
    (Bug::UndecidedStarts, 60, "decisions"),
    (Bug::FailureUntold, 60, "decisions"),
    (Bug::SuspendedAsked, 100, "decisions"),
    (Bug::LossesForgotten, 100, "decisions"),
    (Bug::RemovedNameStays, 60, "names"),
    (Bug::SentBeforeCommit, 200, "outbox"),
    (Bug::LogPartDoubledOnResume, 40, "logs"),
    (Bug::SnapshotBeforeLogs, 200, "logs"),
    (Bug::EndAcknowledgedTooEarly, 150, "starts of commands"),
    (Bug::TornBatchTaken, 200, ""),
];

/// The first violation with this bug planted, if one of the seeds finds it.
fn find_bug(bug: Bug, seeds: u64) -> Option<Violation> {
    (1..=seeds).find_map(|seed| run_once(seed, CHAOS, Some(bug), false).err())
}

/// The rule that a violation breaks.
fn is_one_of(text: &str, rules: &str) -> bool {
    rules.is_empty() || rules.split('|').any(|rule| text.contains(&format!("{rule}: ")))
}

/// How a bug is found, or that it is not; the same seed is right without it.
fn look_for(bug: Bug, seeds: u64, rules: &str) -> Result<String, String> {
    let found = find_bug(bug, seeds).ok_or_else(|| format!("{bug:?} is not found by {seeds} seeds"))?;
    run_once(found.seed, CHAOS, None, false).map_err(|violation| format!("without {bug:?}: {violation}"))?;
    let text: String = found.text.lines().next().unwrap_or_default().chars().take(150).collect();
    let found = format!("{bug:?}: seed {}: {text}", found.seed);
    if is_one_of(&text, rules) { Ok(found) } else { Err(format!("found by another rule than `{rules}`: {found}")) }
}

/// The bug that whoever runs a seed by hand wants to see.
fn bug_by_name() -> Option<Bug> {
    let name = text_setting("STARWRIGHT_SIM_BUG")?;
    BUGS.iter().find(|(bug, ..)| format!("{bug:?}") == name).map(|(bug, ..)| *bug)
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

#[test]
fn every_deliberate_bug_is_found() {
    let told = setting("STARWRIGHT_SIM_BUGS").is_some();
    let next = AtomicUsize::new(0);
    let missed: Mutex<Vec<String>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..threads() {
            on_big_stack(scope, || {
                while let Some((bug, seeds, rules)) = BUGS.get(next.fetch_add(1, Ordering::Relaxed)) {
                    match look_for(*bug, *seeds, rules) {
                        Ok(found) if told => tell(&found),
                        Ok(_) => {}
                        Err(why) => missed.lock().unwrap().push(why),
                    }
                }
            });
        }
    });
    let missed = missed.into_inner().unwrap();
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

/// The seeds of the suite, or those that the environment names.
#[test]
fn seeds_run_without_a_violation() {
    let seeds = setting("STARWRIGHT_SIM_SEEDS");
    let first = setting("STARWRIGHT_SIM_FIRST").unwrap_or(1);
    let chaos = setting("STARWRIGHT_SIM_STEPS").unwrap_or(CHAOS);
    let tally = match run_seeds(first, seeds.unwrap_or(SEEDS), chaos, threads(), seeds.is_some()) {
        Ok(tally) => tally,
        Err(violation) => panic!("{violation}"),
    };
    if seeds.is_none() {
        let unseen: Vec<&str> = KINDS.iter().filter(|kind| !tally.coverage.contains_key(**kind)).copied().collect();
        assert!(unseen.is_empty(), "these never happened: {unseen:?}");
    }
    if seeds.is_some() {
        tell(&format!("{} seeds, {} steps, {} facts", tally.seeds, tally.steps, tally.facts));
        for (what, times) in &tally.coverage {
            tell(&format!("{times:9} {what}"));
        }
    }
}
