//! Programs without number against one evaluator, and through a real master.
//!
//! `make fuzz` says how many: `STARWRIGHT_FUZZ_PROGRAMS`, `STARWRIGHT_FUZZ_BUILDS`, `STARWRIGHT_FUZZ_SEED`.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use starwright::testing::evaluator::{Evaluator, Launcher, Limits, Mode, Template};
use starwright::testing::model::{BuildId, EvalOutcome};
use tempfile::TempDir;

use super::bench::{job, launcher, try_load};
use super::deaths::answer;
use super::programs::{Chance, function};
use crate::support::http::{control, items, request, wait_for};
use crate::support::starwright::{Running, run as starwright, said};

/// Programs in the ordinary tests: some seconds' worth.
const PROGRAMS: u64 = 2_000;
/// Functions of one configuration.
const TOGETHER: u64 = 100;
/// Builds through a master in the ordinary tests.
const BUILDS: u64 = 100;
/// Every so many rounds of builds have one that takes all the time that it may.
const ENDLESS_EVERY: usize = 10;
/// So many times functions are made up until all load.
const TRIES: usize = 20;
/// Turns of one program; what asks for more waits in vain here.
const TURNS_MAX: usize = 20;
/// Memory that a master may gain in a long run: caches of the store, and what the allocator keeps.
const GROWTH_KB_MAX: u64 = 120_000;

fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).ok().map_or(usual, |text| text.parse().unwrap_or_else(|_| panic!("{name} is not a number")))
}

/// A configuration of one builder, whose steps are made-up functions.
fn configuration(chance: &mut Chance) -> String {
    let functions: String = (0..TOGETHER).map(|n| function(&format!("f{n}"), chance)).collect();
    let steps: String = (0..TOGETHER).map(|n| format!("step(\"s{n}\", run = f{n}), ")).collect();
    format!("{functions}worker(\"w\")\nbuilder(\"b\", workers = [\"w\"], steps = [{steps}])\n")
}

#[test]
fn no_program_kills_more_than_its_evaluator() {
    let seed = number("STARWRIGHT_FUZZ_SEED", 1);
    let rounds = number("STARWRIGHT_FUZZ_PROGRAMS", PROGRAMS).div_ceil(TOGETHER);
    let limits = Limits { turn: Duration::from_millis(50), types: Duration::from_millis(50), ..Limits::default() };
    let launcher = Launcher { limits, ..launcher(Mode::Fork) };
    let (mut ended, mut lost, mut refused) = (0_u64, 0_u64, 0_u64);
    for round in 0..rounds {
        if rounds > 1_000 && round % 500 == 0 {
            println!("{} programs of {}", round * TOGETHER, rounds * TOGETHER);
        }
        let mut chance = Chance::new(seed.wrapping_mul(1_000_003).wrapping_add(round));
        match try_load(&launcher, &configuration(&mut chance)) {
            Ok(loaded) => {
                let template = loaded.template;
                let mut evaluator = template.evaluator().unwrap();
                for step in 0..TOGETHER {
                    let survived = run(&mut evaluator, &template, step);
                    ended += u64::from(survived);
                    lost += u64::from(!survived);
                }
            }
            Err(_) => refused += TOGETHER,
        }
    }
    println!("{ended} programs ended, {lost} were lost, {refused} were refused");
    assert!(ended > lost && ended > refused, "most programs are ordinary");
    assert!(lost > 0, "some programs hurt");
}

/// Runs one program to its end; false if it cost its evaluator, which is replaced.
fn run(evaluator: &mut Evaluator, template: &Arc<Template>, step: u64) -> bool {
    let mut job = job(template.digest(), Arc::default());
    job.step = usize::try_from(step).unwrap();
    for _ in 0..TURNS_MAX {
        match evaluator.turn(BuildId(step), &job) {
            Ok(EvalOutcome::Suspended { asks }) => answer(Arc::make_mut(&mut job.journal), asks),
            Ok(_) => return true,
            Err(lost) => {
                assert!(!lost.message.contains("should not"), "{lost}");
                *evaluator = template.evaluator().unwrap();
                return false;
            }
        }
    }
    true
}

fn resident_kb(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Made-up functions for a round of builds. Those that take all the time that they may are rationed: a master gives them
/// 10 s, three times, so that one in ten would make the test wait for hours.
fn functions(chance: &mut Chance, endless_max: usize) -> Vec<String> {
    let limits = Limits { turn: Duration::from_millis(50), types: Duration::from_millis(50), ..Limits::default() };
    let launcher = Launcher { limits, ..launcher(Mode::Fork) };
    // Now and then the types of one do not fit, and all are refused.
    let (texts, template) = std::iter::repeat_with(|| {
        let texts: Vec<String> = (0..TOGETHER).map(|n| function(&format!("f{n}"), chance)).collect();
        let steps: String = (0..TOGETHER).map(|n| format!("step(\"s{n}\", run = f{n}), ")).collect();
        let builder = format!("builder(\"b\", workers = [\"w\"], steps = [{steps}])");
        let loaded = try_load(&launcher, &format!("{}worker(\"w\")\n{builder}\n", texts.concat())).ok()?;
        Some((texts, loaded.template))
    })
    .take(TRIES)
    .find_map(std::convert::identity)
    .expect("most made-up functions load");
    let mut evaluator = template.evaluator().unwrap();
    let mut endless = 0;
    let keep = |(_, step): &(String, u64)| {
        let ends = run(&mut evaluator, &template, *step);
        endless += usize::from(!ends);
        ends || endless <= endless_max
    };
    texts.into_iter().zip(0..).filter(keep).map(|(text, _)| text).collect()
}

#[test]
fn a_master_answers_and_stays_small_whatever_its_scripts_do() {
    let builds = number("STARWRIGHT_FUZZ_BUILDS", BUILDS);
    let mut chance = Chance::new(number("STARWRIGHT_FUZZ_SEED", 1) ^ 0xabcd);
    let dir = TempDir::new().unwrap();
    let config = dir.path().join("master.star");
    let mut master: Option<Running> = None;
    let (mut first, mut done, mut round) = (None, 0, 0_usize);
    while done < builds {
        let functions = functions(&mut chance, usize::from(round % ENDLESS_EVERY == 0));
        let name = |text: &String| text["def ".len()..text.find('(').unwrap()].to_owned();
        let names: Vec<String> = functions.iter().map(name).take(usize::try_from(builds - done).unwrap()).collect();
        let declared: String = names
            .iter()
            .map(|f| format!("builder(\"{f}\", workers = [\"local\"], steps = [step(\"s\", run = {f})])\n"))
            .collect();
        let text = format!(
            "load(\"@stdlib//schedulers.star\", \"force\")\n{}worker(\"local\", slots = 8)\n{declared}force(\"force\", builders = {names:?})\n",
            functions.concat()
        );
        std::fs::write(&config, text).unwrap();
        let master: &Running = match &mut master {
            Some(master) => {
                // Without the endless ones, types can be inferred that were given up before, and may not fit.
                let reloaded = starwright(&master.address, &["reload"]);
                if !reloaded.status.success() {
                    assert!(said(&reloaded).contains("is not available on the types"), "{}", said(&reloaded));
                    continue;
                }
                master
            }
            none => none.insert(Running::start(
                "up",
                &config,
                &dir.path().join("data"),
                "127.0.0.1:0",
                &dir.path().join("log"),
            )),
        };
        control(&master.address, "forceschedulers/force", "force", json!({ "builderNames": names }));
        wait_for(&master.address, "the end of the round", || {
            assert_eq!(request(&master.address, "GET", "/api/v2/application.spec", &[], "").0, 200);
            items(&master.address, "buildrequests?complete=false&limit=1").is_empty().then_some(())
        });
        first.get_or_insert_with(|| resident_kb(master.child.id()));
        done += names.len() as u64;
        round += 1;
        if builds > BUILDS {
            println!("{done} of {builds} builds ended, the master has {} kB", resident_kb(master.child.id()));
        }
    }
    let (master, first) = (master.unwrap(), first.unwrap());
    let last = resident_kb(master.child.id());
    assert!(last < first + GROWTH_KB_MAX, "the master grew from {first} to {last} kB in {builds} builds");
    assert!(master.terminate().success());
}
