//! A run: the undisturbed round once, then rounds under fire, each compared with it.

use std::collections::BTreeMap;
use std::fs;
use std::sync::OnceLock;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use starwright::testing::store::maintain::check;

use super::faults::Faults;
use super::fleet::Fleet;
use super::history::{Build, Tale, differences, log_bytes, tale, wrong_logs};
use super::leftovers;
use super::recipe::{BUILDS, Known, WORKERS};
use super::report::{Report, today};
use super::work::{Progress, work};

/// Faults of one round at most: so many that it never comes to this, and an end if it does.
const FAULTS_MAX: u64 = 400;
/// In a long run, an upgrade after so many faults; the first round has one when half of its builds ended.
const UPGRADE_EVERY: u64 = 50;

/// Who the workers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// All five are ours.
    Ours,
    /// The last one is an unmodified `buildbot-worker`.
    OneStock,
}

/// What an undisturbed round gave.
struct Reference {
    tale: Tale,
    starts: Starts,
}

/// How often each command was started: by job and step.
type Starts = BTreeMap<String, u64>;

/// Runs a profile: rounds until the time is over, at least one.
///
/// # Panics
/// If anything differs.
pub fn run(profile: Profile, at_least: Duration, seed: u64) {
    let reference = reference();
    eprintln!("chaos: {profile:?}, seed {seed}");
    let mut fleet = Fleet::start(profile == Profile::OneStock);
    let mut faults = Faults::new(seed);
    let began = Instant::now();
    let mut report = Report {
        profile: match profile {
            Profile::Ours => "five of our workers",
            Profile::OneStock => "four of our workers, one stock worker",
        },
        seed,
        of: today(),
        ..Report::default()
    };
    while report.rounds == 0 || began.elapsed() < at_least {
        let round = format!("r{}", report.rounds + 1);
        under_fire(&mut fleet, &mut faults, &round, report.rounds == 0);
        judge(&mut fleet, reference, &round, profile, &mut report);
        let (ended, differ) = (report.rounds, report.differences.len());
        eprintln!(
            "chaos: round {ended} after {} s, {} faults, {differ} differences",
            began.elapsed().as_secs(),
            faults.count()
        );
        if differ > 0 {
            break;
        }
    }
    end(&mut fleet, &mut report);
    report.took = began.elapsed();
    report.faults = faults.done;
    eprintln!("{}", report.text());
    assert!(report.differences.is_empty(), "seed {seed}:\n{}", report.differences.join("\n"));
}

/// A round that nobody disturbs, by our own workers; made once for all profiles.
fn reference() -> &'static Reference {
    static REFERENCE: OnceLock<Reference> = OnceLock::new();
    REFERENCE.get_or_init(|| {
        let mut fleet = Fleet::start(false);
        work(&fleet.address(), "r0", &Progress::default()).unwrap();
        let tale = tale(&fleet.address(), "r0").unwrap();
        let wrong = wrong_logs(&tale, &mut Known::new(fleet.place()));
        assert!(wrong.is_empty(), "undisturbed, but logs are wrong:\n{}", wrong.join("\n"));
        assert!(tale.values().all(|builds| builds.len() == 1), "{tale:?}");
        let reference = Reference { tale, starts: starts(&fleet, "r0") };
        let left = leftovers::of_round(&mut fleet);
        assert!(left.is_empty(), "undisturbed, but left over: {left:?}");
        reference
    })
}

/// Strikes until the round's builds ended.
fn under_fire(fleet: &mut Fleet, faults: &mut Faults, round: &str, upgrade: bool) {
    let address = fleet.address();
    let progress = Progress::default();
    let before = faults.count();
    let mut upgraded = !upgrade;
    std::thread::scope(|scope| {
        let working = scope.spawn(|| work(&address, round, &progress));
        while !working.is_finished() {
            faults.pause();
            fleet.look_after();
            let half = progress.ended.load(Ordering::Relaxed) > BUILDS / 2;
            if (half && !upgraded) || faults.count() % UPGRADE_EVERY == UPGRADE_EVERY - 1 {
                upgraded = true;
                faults.upgrade(fleet);
            } else if faults.count() - before < FAULTS_MAX {
                faults.strike(fleet);
            }
        }
        if let Err(why) = working.join().expect("it does not panic") {
            panic!("{why}{}", fleet.last_words("master"));
        }
    });
}

/// Compares a round with the undisturbed one.
fn judge(fleet: &mut Fleet, reference: &Reference, round: &str, profile: Profile, report: &mut Report) {
    let left = leftovers::of_round(fleet);
    let mut differ: Vec<String> = left.iter().map(|left| format!("{round}: left over: {left}")).collect();
    let found = tale(&fleet.address(), round).unwrap();
    differ.extend(compare_builds(&reference.tale, &found, profile));
    let starts = starts(fleet, round);
    differ.extend(compare_starts(&reference.starts, &starts, &found));
    report.rounds += 1;
    let builds = || found.values().flatten();
    report.builds += builds().count() as u64;
    report.retried += builds().filter(|build| build.is_retried()).count() as u64;
    report.steps += builds().map(|build| build.steps.len() as u64).sum::<u64>();
    let (started, expected) = (starts.values().sum::<u64>(), reference.starts.values().sum::<u64>());
    report.commands += started;
    report.repeated += started.saturating_sub(expected);
    report.log_bytes += log_bytes(&found);
    report.differences.extend(differ.into_iter().map(|what| format!("{round}: {what}")));
}

/// With our workers: one build for each job, equal in everything. With a stock one: its own builds may have been
/// repeated, and with a parent its child; the last one is equal but for the header lines, which it words in its own way.
fn compare_builds(reference: &Tale, found: &Tale, profile: Profile) -> Vec<String> {
    let mut differ = Vec::new();
    for (job, expected) in reference {
        let Some((last, before)) = found.get(job).and_then(|builds| builds.split_last()) else {
            differ.push(format!("{job}: no build"));
            continue;
        };
        let again = parent_of(job).and_then(|parent| found.get(&parent)).map_or(0, |parents| parents.len() - 1);
        let is_cut_off = |build: &&Build| build.is_retried() && is_stock(profile, &build.worker);
        let whole = before.iter().filter(|build| !is_cut_off(build));
        for (n, build) in whole.enumerate() {
            if n >= again || build.is_retried() {
                differ.push(format!(
                    "{job}: build {} on {} ended with {}, and another followed",
                    build.id, build.worker, build.result
                ));
            }
        }
        let headers = !is_stock(profile, &last.worker);
        differ.extend(differences(job, &expected[0], last, headers));
    }
    differ.extend(found.keys().filter(|job| !reference.contains_key(*job)).map(|job| format!("{job}: nobody asked")));
    differ
}

/// The job whose build triggers a child's.
fn parent_of(job: &str) -> Option<String> {
    job.strip_prefix("child").map(|number| format!("parent{number}"))
}

fn is_stock(profile: Profile, worker: &str) -> bool {
    profile == Profile::OneStock && worker == WORKERS[WORKERS.len() - 1]
}

/// Each command was started exactly as often as undisturbed; of a job that a stock worker began, each at most once more
/// for each build that was cut off.
fn compare_starts(reference: &Starts, found: &Starts, tale: &Tale) -> Vec<String> {
    let mut differ = Vec::new();
    for (command, expected) in reference {
        let job = command.split_once(' ').map_or("", |(job, _)| job);
        let cut_off = tale.get(job).map_or(0, |builds| builds.len() as u64 - 1);
        let count = found.get(command).copied().unwrap_or(0);
        if !(*expected..=expected * (1 + cut_off)).contains(&count) {
            differ
                .push(format!("{command}: started {count} times instead of {expected}, {cut_off} builds were cut off"));
        }
    }
    differ.extend(
        found.keys().filter(|command| !reference.contains_key(*command)).map(|extra| format!("{extra}: started")),
    );
    differ
}

fn starts(fleet: &Fleet, round: &str) -> Starts {
    let text = fs::read_to_string(fleet.place().join(format!("counts/starts-{round}"))).unwrap_or_default();
    let mut starts = Starts::new();
    for line in text.lines() {
        *starts.entry(line.to_owned()).or_default() += 1;
    }
    starts
}

/// Ends everything in order: nothing may stay, and the store is whole.
fn end(fleet: &mut Fleet, report: &mut Report) {
    (0..fleet.workers.len()).for_each(|n| fleet.terminate_worker(n));
    fleet.terminate_master();
    let left = leftovers::processes(fleet.place());
    report.differences.extend(left.iter().map(|process| format!("still runs: {process}")));
    let checked = check(&fleet.place().join("data"), &mut |_| {}).unwrap();
    report.differences.extend(checked.problems.iter().map(|problem| format!("store: {problem}")));
}
