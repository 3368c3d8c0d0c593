//! What a step, a build and a line of log cost on top of what the machine itself needs.
//!
//! Each figure stands beside its baseline, measured in the same run: bare fork, exec and wait for commands, the same
//! program into `/dev/null` for output. Run it with `make bench`.
#![allow(clippy::disallowed_methods, clippy::disallowed_macros, reason = "a program for the terminal")]

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::TempDir;

#[path = "../tests/it/support/mod.rs"]
#[allow(dead_code, reason = "shared with the tests")]
mod support;

use support::http::{control, items, wait_for};
use support::starwright::Running;

const SPAWNS: u32 = 300;
const STEPS: u32 = 200;
const BUILDS: u32 = 200;
/// Builders that share a worker of four slots.
const FOUR: [&str; 4] = ["one-0", "one-1", "one-2", "one-3"];
const LOG_MEGABYTES: u32 = 400;

fn main() {
    let place = TempDir::new().unwrap();
    let config = place.path().join("master.star");
    std::fs::write(&config, configuration()).unwrap();
    let up = Running::start("up", &config, &place.path().join("data"), "127.0.0.1:0", &place.path().join("log"));

    let bare = bare_spawn();
    println!("bare fork+exec+wait of `true`           {:>9.3} ms", millis(bare));

    build(&up.address, "warm", 1);
    let steps = build(&up.address, "steps", 1) / STEPS;
    println!(
        "one step of a build, durable            {:>9.3} ms   {:.1} × bare, {:.3} ms on top",
        millis(steps),
        ratio(steps, bare),
        millis(steps.saturating_sub(bare))
    );

    let builds = build(&up.address, "one", BUILDS) / BUILDS;
    println!(
        "one-step build, one worker, one slot    {:>9.3} ms   {:.1} × bare, {:.0} builds a second",
        millis(builds),
        ratio(builds, bare),
        1.0 / builds.as_secs_f64()
    );

    let four = build_all(&up.address, &FOUR, BUILDS) / (BUILDS * FOUR.len() as u32);
    println!(
        "one-step build, four builders and slots {:>9.3} ms   {:.1} × bare, {:.0} builds a second",
        millis(four),
        ratio(four, bare),
        1.0 / four.as_secs_f64()
    );

    let alone = output_alone();
    let ingest = build(&up.address, "output", 1);
    println!(
        "{LOG_MEGABYTES} MB of output to /dev/null            {:>9.0} MB/s",
        f64::from(LOG_MEGABYTES) / alone.as_secs_f64()
    );
    println!(
        "{LOG_MEGABYTES} MB of output to the log              {:>9.0} MB/s   {:.1} × the time",
        f64::from(LOG_MEGABYTES) / ingest.as_secs_f64(),
        ratio(ingest, alone)
    );
    println!(
        "memory of master and worker afterwards  {:>9.1} MB (high water {:.1} MB)",
        memory(up.child.id(), "VmRSS"),
        memory(up.child.id(), "VmHWM")
    );
}

fn configuration() -> String {
    format!(
        r#"
load("@stdlib//steps.star", "sh")
load("@stdlib//schedulers.star", "force")
worker("local")
worker("wide", slots = 4)
[builder(name, workers = ["wide"], collapse = "never", steps = [sh(["true"])]) for name in {FOUR:?}]
builder("warm", workers = ["local"], steps = [sh(["true"])])
builder("steps", workers = ["local"], steps = [sh(["true"], name = f"step {{n}}") for n in range({STEPS})])
builder("one", workers = ["local"], collapse = "never", steps = [sh(["true"])])
builder("output", workers = ["local"], steps = [sh({output:?})])
force("by-hand", builders = ["warm", "steps", "one", "output"] + {FOUR:?})
"#,
        output = output_command()
    )
}

fn output_command() -> String {
    format!(
        "yes 'a line of output as compilers write them, some eighty characters long, no.' | head -c {LOG_MEGABYTES}000000"
    )
}

/// Forces so many builds of a builder, and waits until all have ended.
fn build(address: &str, builder: &str, count: u32) -> Duration {
    build_all(address, &[builder], count)
}

/// The same for several builders at once.
fn build_all(address: &str, builders: &[&str], count: u32) -> Duration {
    let id = |builder: &&str| items(address, &format!("builders/{builder}"))[0]["builderid"].as_u64().unwrap();
    let ids: Vec<u64> = builders.iter().map(id).collect();
    let built = |id: &u64| items(address, &format!("builders/{id}/builds?complete=true")).len();
    let before: Vec<usize> = ids.iter().map(built).collect();
    let start = Instant::now();
    for _ in 0..count {
        for id in &ids {
            let answer = control(address, "forceschedulers/by-hand", "force", json!({"builderid": id}));
            assert!(answer["result"].is_array(), "{answer}");
        }
    }
    for (id, before) in ids.iter().zip(before) {
        wait_for(address, "the builds to end", || {
            let newest = items(address, &format!("builders/{id}/builds?order=-number&limit=1"));
            let newest = newest.first()?;
            let all = newest["number"].as_u64()? as usize >= before + count as usize;
            (all && newest["complete"] == true).then(|| assert_eq!(newest["results"], 0, "{newest}"))
        });
    }
    start.elapsed()
}

fn bare_spawn() -> Duration {
    let start = Instant::now();
    for _ in 0..SPAWNS {
        assert!(Command::new("true").status().unwrap().success());
    }
    start.elapsed() / SPAWNS
}

fn output_alone() -> Duration {
    let start = Instant::now();
    assert!(Command::new("sh").args(["-c", &output_command()]).stdout(Stdio::null()).status().unwrap().success());
    start.elapsed()
}

fn memory(pid: u32, field: &str) -> f64 {
    let status = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kilobytes| kilobytes.parse::<f64>().ok()).unwrap_or(f64::NAN) / 1024.0
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

fn ratio(one: Duration, other: Duration) -> f64 {
    one.as_secs_f64() / other.as_secs_f64()
}
