//! A disk that is full or cannot be written, while the real program runs builds on it.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value as Json;
use tempfile::TempDir;

use crate::store_disk::{SmallDisk, small_disk};
use crate::support::git::sealed;
use crate::support::http::{PATIENCE, items, request, wait_for};
use crate::support::starwright::{PROGRAM, Running, run, said};

const CONFIG: &str = r#"
load("@stdlib//steps.star", "sh")
load("@stdlib//schedulers.star", "force")
worker("local")
builder("quick", workers = ["local"], steps = [sh("echo quick >> COUNTS/quick", name = "say")])
builder("talking", workers = ["local"], steps = [
    sh("echo begun >> COUNTS/begun; cat COUNTS/gate; seq 1 5000; echo said >> COUNTS/said", name = "talk"),
])
force("by-hand", builders = ["quick", "talking"])
"#;

/// A configuration beside a small disk; commands count themselves beside it, too.
struct Place {
    disk: SmallDisk,
    dir: TempDir,
}

impl Place {
    fn new(disk: SmallDisk) -> Self {
        let dir = TempDir::new().unwrap();
        let counts = dir.path().join("counts");
        fs::create_dir(&counts).unwrap();
        assert!(Command::new("mkfifo").arg(counts.join("gate")).status().unwrap().success());
        let config = CONFIG.replace("COUNTS", &counts.display().to_string());
        fs::write(dir.path().join("master.star"), config).unwrap();
        Self { disk, dir }
    }

    fn counted(&self, name: &str) -> String {
        fs::read_to_string(self.dir.path().join("counts").join(name)).unwrap_or_default()
    }

    fn up(&self) -> Running {
        let path = |name: &str| self.dir.path().join(name);
        Running::start("up", &path("master.star"), &self.disk.path().join("data"), "127.0.0.1:0", &path("log"))
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap()
    }
}

/// Waits until something shows that no event tells of.
fn until(what: &str, mut look: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !look() {
        assert!(begun.elapsed() < PATIENCE, "waiting for {what}: it never came");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

fn builds(address: &str, builder: &str) -> Vec<Json> {
    items(address, &format!("builders/{builder}/builds?order=number"))
}

fn log_of(address: &str, build: &Json) -> String {
    let steps = items(address, &format!("builds/{}/steps", build["buildid"]));
    let step = steps.iter().find(|step| step["name"] == "talk").unwrap_or_else(|| panic!("{steps:?}"));
    let logs = items(address, &format!("steps/{}/logs", step["stepid"]));
    request(address, "GET", &format!("/api/v2/logs/{}/raw", logs[0]["logid"]), &[], "").1
}

#[test]
fn on_a_full_disk_nothing_is_acknowledged_and_everything_goes_on_when_there_is_room() {
    // Needs the right to mount; the refusals themselves are shown without it by `store_disk`.
    let Some(disk) = small_disk(160) else { return };
    let place = Place::new(disk);
    let up = place.up();
    let address = up.address.clone();
    assert_eq!(run(&address, &["force", "quick", "--watch"]).status.code(), Some(0));
    run(&address, &["force", "talking"]);
    wait_for(&address, "the gate", || (place.counted("begun") == "begun\n").then_some(()));

    let ballast = place.disk.path().join("ballast");
    fs::write(&ballast, vec![1; 110 << 20]).unwrap();
    let force = run(&address, &["force", "quick", "--watch"]);
    assert_eq!(force.status.code(), Some(10), "{}", said(&force));
    assert!(said(&force).contains("is full, so nothing was done"), "{}", said(&force));
    // The command goes on and ends, and its output has nowhere to go.
    fs::write(place.dir.path().join("counts/gate"), "open\n").unwrap();
    until("the command's end", || place.counted("said") == "said\n");
    assert_eq!(builds(&address, "quick").len(), 1, "pages are there, and show what is durable");
    assert_eq!(builds(&address, "talking")[0]["complete"], false);

    fs::remove_file(&ballast).unwrap();
    let build = wait_for(&address, "the end of the other build", || {
        builds(&address, "talking").into_iter().find(|build| build["complete"] == true)
    });
    assert_eq!(build["results"], 0, "{build}");
    let numbers: Vec<u32> = log_of(&address, &build).lines().filter_map(|line| line.parse().ok()).collect();
    assert_eq!(numbers, (1..=5000).collect::<Vec<u32>>(), "each line once, in order");
    assert_eq!((place.counted("quick"), place.counted("said")), ("quick\n".to_owned(), "said\n".to_owned()));
    assert_eq!(run(&address, &["force", "quick", "--watch"]).status.code(), Some(0));
    assert!(up.terminate().success());

    let mut check = Command::new(PROGRAM);
    let check = check.args(["store", "check", "--data"]).arg(place.disk.path().join("data")).output().unwrap();
    assert!(check.status.success(), "{}", said(&check));
}

#[test]
fn a_master_killed_on_a_full_disk_starts_when_there_is_room() {
    let Some(disk) = small_disk(160) else { return };
    let place = Place::new(disk);
    let up = place.up();
    let address = up.address.clone();
    run(&address, &["force", "talking"]);
    wait_for(&address, "the gate", || (place.counted("begun") == "begun\n").then_some(()));
    let ballast = place.disk.path().join("ballast");
    fs::write(&ballast, vec![1; 110 << 20]).unwrap();
    fs::write(place.dir.path().join("counts/gate"), "open\n").unwrap();
    until("the command's end", || place.counted("said") == "said\n");
    up.kill();

    let room = std::thread::scope(|scope| {
        let starting = scope.spawn(|| place.up());
        until("the next master to say so", || {
            place.log().matches("facts cannot be saved until there is disk space").count() > 0
        });
        fs::remove_file(&ballast).unwrap();
        starting.join().unwrap()
    });
    let build = wait_for(&room.address, "the build's end", || {
        builds(&room.address, "talking").into_iter().find(|build| build["complete"] == true)
    });
    assert!(build["results"] == 0 && build["number"] == 1, "{build}");
    let numbers: Vec<u32> = log_of(&room.address, &build).lines().filter_map(|line| line.parse().ok()).collect();
    assert_eq!(numbers, (1..=5000).collect::<Vec<u32>>(), "each line once, in order");
    assert_eq!(place.counted("said"), "said\n", "the command ran once");
}

#[test]
fn a_master_on_a_read_only_disk_says_so_and_changes_nothing() {
    let Some(disk) = small_disk(160) else { return };
    let place = Place::new(disk);
    let up = place.up();
    assert_eq!(run(&up.address, &["force", "quick", "--watch"]).status.code(), Some(0));
    assert!(up.terminate().success());
    place.disk.remount("ro");
    let data = place.disk.path().join("data");
    let in_vain = |args: &[&str]| {
        let output = sealed(Command::new(PROGRAM).args(args).arg("--data").arg(&data)).output().unwrap();
        let text = said(&output);
        assert_eq!(output.status.code(), Some(10), "{args:?}: {text}");
        assert!(
            text.contains(&format!("{}", data.display())) && text.contains("Read-only file system"),
            "{args:?}: {text}"
        );
    };
    let config = place.dir.path().join("master.star");
    in_vain(&["up", config.to_str().unwrap(), "--listen", "127.0.0.1:0"]);
    for command in ["check", "compact", "rebuild"] {
        in_vain(&["store", command]);
    }
    place.disk.remount("rw");
    let up = place.up();
    assert_eq!(builds(&up.address, "quick").len(), 1);
    assert!(up.terminate().success());
}

#[test]
fn a_dump_that_finds_no_room_leaves_no_half_of_it() {
    let Some(disk) = small_disk(1) else { return };
    let (dir, _) = crate::support::history::store_with_history(61, 300);
    let dump = dir.path().join("dump");
    let store = |args: &[&str], data: &Path| {
        let output = sealed(Command::new(PROGRAM).arg("store").args(args).arg("--data").arg(data)).output().unwrap();
        (output.status.code().unwrap(), said(&output))
    };
    assert_eq!(store(&["export", dump.to_str().unwrap()], dir.path()).0, 0);
    fs::write(disk.path().join("ballast"), vec![1; 990 << 10]).unwrap();
    let target = disk.path().join("dump");
    let (code, text) = store(&["export", target.to_str().unwrap()], dir.path());
    assert!(code == 10 && text.contains("No space left"), "{code}: {text}");
    let copy = disk.path().join("copy");
    let (code, text) = store(&["import", dump.to_str().unwrap()], &copy);
    assert!(code == 10 && (text.contains("No space left") || text.contains("disk is full")), "{code}: {text}");
    let left: Vec<_> = fs::read_dir(disk.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["ballast"]);
}
