//! A large file up to the master and down again, through real processes that are killed on the way.
//!
//! With `make test-full` it has 1 GB: neither process may grow by more than some 60 MB above what it holds while idle.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::support::http::{PATIENCE, items, wait_for};
use crate::support::starwright::{Running, Worker, run, said};
use crate::support::tier;

const BYTES: u64 = 192 << 20;
const BYTES_FULL: u64 = 1 << 30;
/// What a process may hold beyond what it held while idle.
const MEGABYTES_MORE_MAX: u64 = 60;

struct Place {
    dir: tempfile::TempDir,
    listen: String,
}

impl Place {
    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn master(&self) -> Running {
        Running::start("master", &self.path("master.star"), &self.path("data"), &self.listen, &self.path("log"))
    }

    fn worker(&self) -> Worker {
        Worker::start(&self.listen, "w1", &self.path("password"), &self.path("w"))
    }
}

fn config(bytes: u64) -> String {
    format!(
        r#"
load("@stdlib//steps.star", "download", "sh", "upload")
load("@stdlib//schedulers.star", "force")
worker("w1", password = "pass")
builder("make", workers = ["w1"], steps = [
    sh("yes 'all work and no play makes a dull file' | head -c {bytes} > big", name = "make"),
    upload("build/big", to = "out/big"),
])
builder("use", workers = ["w1"], steps = [
    download("out/big", "copy/big", builder = "make", mode = 0o600),
    sh("cmp ../copy/big ../../make/build/big", name = "compare"),
])
force("by-hand", builders = ["make", "use"])
"#
    )
}

fn is_connected(address: &str) -> Option<()> {
    let workers = items(address, "workers");
    workers.iter().any(|worker| worker["connected_to"].as_array().is_some_and(|to| !to.is_empty())).then_some(())
}

fn ended(address: &str, builder: &str) -> serde_json::Value {
    wait_for(address, "the build's end", || {
        items(address, &format!("builders/{builder}/builds?complete=true")).into_iter().next()
    })
}

/// Waits until the largest file below a directory has so many bytes. Nobody tells of that, so it is looked at.
fn until_grown(dir: &Path, bytes: u64) {
    let began = Instant::now();
    let largest = |dir: &Path| {
        let entries = fs::read_dir(dir).into_iter().flatten().flatten();
        entries.map(|entry| entry.metadata().map_or(0, |found| found.len())).max().unwrap_or_default()
    };
    while largest(dir) < bytes {
        assert!(began.elapsed() < PATIENCE, "{} never grew to {bytes} bytes", dir.display());
        std::thread::yield_now();
    }
}

/// A number of `/proc/PID/status`, in megabytes.
fn megabytes(pid: u32, key: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() / 1024
}

/// From now on the peak is that of what follows.
fn forget_peak(pid: u32) {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").unwrap();
}

#[test]
fn a_large_file_goes_up_and_down_although_everything_is_killed() {
    let bytes = if tier::is_full() { BYTES_FULL } else { BYTES };
    let listen = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let place = Place { dir: tempfile::tempdir().unwrap(), listen };
    fs::write(place.path("master.star"), config(bytes)).unwrap();
    fs::write(place.path("password"), "pass").unwrap();
    let (mut master, mut worker) = (place.master(), place.worker());
    let address = place.listen.clone();
    wait_for(&address, "the worker", || is_connected(&address));
    let idle = (megabytes(master.child.id(), "VmRSS:"), megabytes(worker.child.id(), "VmRSS:"));
    let check = |master: &Running, worker: &Worker| {
        let held = (megabytes(master.child.id(), "VmHWM:"), megabytes(worker.child.id(), "VmHWM:"));
        assert!(held.0 <= idle.0 + MEGABYTES_MORE_MAX, "the master held {} MB, and {} MB while idle", held.0, idle.0);
        assert!(held.1 <= idle.1 + MEGABYTES_MORE_MAX, "the worker held {} MB, and {} MB while idle", held.1, idle.1);
    };

    run(&address, &["force", "make"]);
    let incoming = place.path("data/artifacts/incoming");
    until_grown(&incoming, bytes / 6);
    master.kill();
    master = place.master();
    forget_peak(master.child.id());
    until_grown(&incoming, bytes / 3);
    drop(worker);
    worker = place.worker();
    forget_peak(worker.child.id());
    let build = ended(&address, "make");
    assert_eq!((build["results"].as_i64(), build["number"].as_i64()), (Some(0), Some(1)), "{build}");
    check(&master, &worker);
    let listed = said(&run(&address, &["artifacts", "make/1"]));
    assert!(listed.contains("  out/big"), "{listed}");

    forget_peak(master.child.id());
    forget_peak(worker.child.id());
    run(&address, &["force", "use"]);
    let copy = place.path("w/use/copy");
    until_grown(&copy, bytes / 6);
    master.kill();
    master = place.master();
    forget_peak(master.child.id());
    until_grown(&copy, bytes / 3);
    drop(worker);
    worker = place.worker();
    forget_peak(worker.child.id());
    let build = ended(&address, "use");
    assert_eq!((build["results"].as_i64(), build["number"].as_i64()), (Some(0), Some(1)), "{build}");
    check(&master, &worker);
    assert_eq!(fs::read_dir(&copy).unwrap().count(), 1, "nothing is left of the ways there");

    let fetched = place.path("fetched");
    fs::create_dir(&fetched).unwrap();
    // As if an earlier call had been cut off.
    let whole = fs::read(copy.join("big")).unwrap();
    fs::write(fetched.join("big.part"), &whole[..whole.len() / 2]).unwrap();
    let told = said(&run(&address, &["artifacts", "make", "get", "out/big", "-o", &fetched.display().to_string()]));
    assert!(told.contains("fetched/big ("), "{told}");
    assert!(fs::read(fetched.join("big")).unwrap() == whole, "the file is the same");
    assert!(master.terminate().success());
}
