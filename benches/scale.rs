//! What a configuration costs by the number of its builders: `check`, start, reload, memory.
//!
//! Each builder has ten `sh` steps and a force scheduler. The last columns say what each size costs in multiples of the one
//! before: growth is linear when they stay near the multiple of the builders. `STARWRIGHT_SCALE_PROGRAM` measures another
//! binary, `STARWRIGHT_SCALE_SIZES` other sizes (`1000,4000`).
#![allow(clippy::disallowed_methods, clippy::disallowed_macros, reason = "a program for the terminal")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;

const SIZES: [u32; 3] = [1_000, 4_000, 10_000];
/// Each figure is the median of so many runs.
const RUNS: usize = 3;
/// How often the memory of a run is looked at for its peak.
const LOOK_EVERY: Duration = Duration::from_millis(5);

fn main() {
    let program = std::env::var("STARWRIGHT_SCALE_PROGRAM").unwrap_or(env!("CARGO_BIN_EXE_starwright").to_owned());
    let sizes = std::env::var("STARWRIGHT_SCALE_SIZES").map_or(SIZES.to_vec(), |sizes| {
        sizes.split(',').map(|size| size.trim().parse().expect("sizes are numbers")).collect()
    });
    let mut before: Option<(u32, Vec<(&str, f64)>)> = None;
    for size in sizes {
        let found = measure(&program, size);
        println!("{size} builders of ten steps, with a force scheduler each");
        for (what, value) in &found {
            let unit = if what.contains("memory") { "MB" } else { "s " };
            let growth = before.as_ref().map_or(String::new(), |(smaller, figures)| {
                let smaller_value = figures.iter().find(|(name, _)| name == what).map_or(f64::NAN, |(_, value)| *value);
                let builders = f64::from(size) / f64::from(*smaller);
                format!("{:.1} × for {builders:.1} × the builders", value / smaller_value)
            });
            println!("  {what:<42} {value:>8.2} {unit}   {growth}");
        }
        before = Some((size, found));
    }
}

/// The medians of all figures.
fn measure(program: &str, size: u32) -> Vec<(&'static str, f64)> {
    let runs: Vec<_> = (0..RUNS).map(|_| one_run(program, size)).collect();
    let median = |figure: usize| {
        let mut values: Vec<f64> = runs.iter().map(|run| run[figure].1).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    runs[0].iter().enumerate().map(|(figure, (what, _))| (*what, median(figure))).collect()
}

fn one_run(program: &str, size: u32) -> Vec<(&'static str, f64)> {
    let place = TempDir::new().unwrap();
    let (config, data) = (place.path().join("master.star"), place.path().join("data"));
    std::fs::write(&config, configuration(size, "true")).unwrap();
    let began = Instant::now();
    let check = Command::new(program).arg("check").arg(&config).stdout(Stdio::null()).spawn().unwrap();
    let check_peak = peak_until_end(check);
    let check = began.elapsed();

    let (master, address, start) = start(program, &config, &data);
    let after_start = memory(master.0.id());
    let nothing = reload(program, &address);
    std::fs::write(&config, configuration(size, "false")).unwrap();
    let changed = reload(program, &address);
    let after_reload = memory(master.0.id());
    drop(master);
    let (master, _, restart) = self::start(program, &config, &data);
    let after_restart = memory(master.0.id());
    vec![
        ("check", check.as_secs_f64()),
        ("check, memory at most", check_peak),
        ("first start", start.as_secs_f64()),
        ("first start, memory then", after_start),
        ("reload, nothing changed", nothing.as_secs_f64()),
        ("reload, one line changed", changed.as_secs_f64()),
        ("reload, memory then", after_reload),
        ("restart after kill -9", restart.as_secs_f64()),
        ("restart, memory then", after_restart),
    ]
}

/// So many builders. `command` is that of the first one, whose line is changed for a reload.
fn configuration(size: u32, command: &str) -> String {
    format!(
        r#"load("@stdlib//steps.star", "sh")
load("@stdlib//schedulers.star", "force")
worker("w", slots = 4)
builder("changes", workers = ["w"], tags = ["{command}"], steps = [sh("{command}")])
[builder(f"b{{i}}", workers = ["w"], steps = [sh(f"true {{j}}", name = f"s{{j}}") for j in range(10)]) for i in range({size})]
[force(f"f{{i}}", builders = [f"b{{i}}"]) for i in range({size})]
"#
    )
}

/// A master, killed when dropped.
struct Master(Child);

impl Drop for Master {
    fn drop(&mut self) {
        // One that ended already is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A master that listens, where, and how long that took.
fn start(program: &str, config: &Path, data: &Path) -> (Master, String, Duration) {
    let began = Instant::now();
    let mut child = Command::new(program)
        .arg("master")
        .arg(config)
        .arg("--data")
        .arg(data)
        .args(["--listen", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = lines.find(|line| line.as_ref().is_ok_and(|line| line.contains("http://"))).unwrap().unwrap();
    let took = began.elapsed();
    let address = line[line.find("http://").unwrap()..].trim().to_owned();
    // The pipe stays open and read, so that later lines never block the program.
    std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
    (Master(child), address, took)
}

fn reload(program: &str, address: &str) -> Duration {
    let began = Instant::now();
    let status = Command::new(program).args(["reload", "--master", address]).stdout(Stdio::null()).status().unwrap();
    assert!(status.success(), "the reload succeeds");
    began.elapsed()
}

/// Waits for a process; the most memory that it and its children had meanwhile.
fn peak_until_end(mut child: Child) -> f64 {
    let (id, over) = (child.id(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let watching = scope.spawn(|| {
            let mut peak = 0.0_f64;
            while !over.load(Ordering::Relaxed) {
                peak = peak.max(memory(id));
                std::thread::sleep(LOOK_EVERY);
            }
            peak
        });
        assert!(child.wait().unwrap().success(), "the configuration is right");
        over.store(true, Ordering::Relaxed);
        watching.join().unwrap()
    })
}

/// What a process and its children hold, each shared page once, in MB.
fn memory(root: u32) -> f64 {
    let mut family = vec![root];
    let parents = parents();
    let mut at = 0;
    while let Some(parent) = family.get(at).copied() {
        family.extend(parents.iter().filter(|(_, other)| *other == parent).map(|(id, _)| *id));
        at += 1;
    }
    family.iter().map(|id| share(*id)).sum::<f64>() / 1024.0
}

/// Every process with its parent.
fn parents() -> Vec<(u32, u32)> {
    let ids = std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    ids.filter_map(|id: u32| {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        // The name may hold anything, and ends with the last bracket.
        let parent = stat.rsplit_once(") ")?.1.split(' ').nth(1)?;
        Some((id, parent.parse().ok()?))
    })
    .collect()
}

/// The proportional share of a process, in kB: a page that four processes share counts a quarter.
fn share(id: u32) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{id}/smaps_rollup")).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("Pss:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kilobytes| kilobytes.parse().ok()).unwrap_or(0.0)
}
