//! Orderly ends: what masters and workers do at a signal, what they say, and that the next ones go on.

use std::io::Write as _;
use std::net::TcpStream;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;
use starwright::testing::store::maintain::export;
use tempfile::TempDir;

use crate::support::http::{control, items, request, wait_for};
use crate::support::starwright::{PROGRAM, Running, Worker, copy_program, signal, wait_for_file};

const ENDING: &str = "shutting down; running builds continue on their workers (a second signal stops at once)";
const ENDED: &str = "stopped; the next master picks up the running builds";

const CONFIG: &str = r#"
load("@stdlib//steps.star", "sh")
load("@stdlib//schedulers.star", "force")
WORKER
builder("gated", workers = ["w1"], steps = [
    sh("echo begun >> COUNTS/begun; seq 1 2000; cat COUNTS/gate; seq 2001 4000", name = "gated"),
    sh("echo after >> COUNTS/after", name = "after"),
])
force("by-hand", builders = ["gated"])
"#;

/// A scratch directory with a configuration, whose one builder waits at a gate.
struct Place {
    dir: TempDir,
    config: PathBuf,
}

impl Place {
    fn new(worker: &str) -> Self {
        let dir = TempDir::new().unwrap();
        let counts = dir.path().join("counts");
        std::fs::create_dir_all(&counts).unwrap();
        std::fs::create_dir_all(dir.path().join("secrets")).unwrap();
        std::fs::write(dir.path().join("secrets/w1"), "swordfish\n").unwrap();
        let gate = counts.join("gate");
        assert!(std::process::Command::new("mkfifo").arg(gate).status().unwrap().success());
        let config = dir.path().join("master.star");
        let text = CONFIG.replace("WORKER", worker).replace("COUNTS", &counts.display().to_string());
        std::fs::write(&config, text).unwrap();
        Self { dir, config }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn start(&self, subcommand: &str, listen: &str) -> Running {
        Running::start(subcommand, &self.config, &self.path("data"), listen, &self.path("log"))
    }

    fn worker(&self, master: &str) -> Worker {
        Worker::start(master, "w1", &self.path("secrets/w1"), &self.path("w1"))
    }

    /// Forces the builder and waits until its command runs.
    fn begin(&self, address: &str) {
        let answer =
            control(address, "forceschedulers/by-hand", "force", serde_json::json!({"builderNames": ["gated"]}));
        assert!(answer["error"].is_null(), "{answer}");
        wait_for_file(&self.path("counts/begun"));
    }

    /// How often facts of a kind were recorded; no master may run.
    fn recorded(&self, kind: &str) -> usize {
        let mut dump = Vec::new();
        export(&self.path("data"), &mut dump, &mut |_| {}).unwrap();
        // In a dump kinds of facts are plain words.
        dump.windows(kind.len()).filter(|window| *window == kind.as_bytes()).count()
    }

    fn open_gate(&self) {
        std::fs::write(self.path("counts/gate"), "open\n").unwrap();
    }

    /// Waits for the one build, and looks whether everything happened once.
    fn finish(&self, address: &str) {
        let build = wait_for(address, "the build's end", || {
            items(address, "builders/gated/builds").into_iter().find(|build| build["complete"] == true)
        });
        assert_eq!((&build["results"], &build["number"]), (&Json::from(0), &Json::from(1)), "{build}");
        for (name, expected) in [("begun", "begun\n"), ("after", "after\n")] {
            assert_eq!(std::fs::read_to_string(self.path(&format!("counts/{name}"))).unwrap(), expected);
        }
        let path = format!("/api/v2/builds/{}/steps/gated/logs/stdio/raw", build["buildid"]);
        let (status, log) = request(address, "GET", &path, &[], "");
        assert_eq!(status, 200, "{log}");
        let numbers: Vec<u32> = log.lines().filter_map(|line| line.parse().ok()).collect();
        assert_eq!(numbers, (1..=4000).collect::<Vec<u32>>(), "each line once, in order");
    }
}

const REMOTE: &str = r#"worker("w1", password = secret("w1"))"#;
const LOCAL: &str = r#"worker("w1")"#;

#[test]
fn a_terminated_master_leaves_its_builds_to_the_next_and_no_worker_is_lost() {
    let place = Place::new(REMOTE);
    let first = place.start("master", "127.0.0.1:0");
    let address = first.address.clone();
    let _worker = place.worker(&address);
    place.begin(&address);
    signal(first.child.id(), "TERM");
    let (status, said) = first.end();
    assert_eq!((status.code(), said), (Some(0), vec![ENDING.to_owned(), ENDED.to_owned()]));
    assert_eq!(
        (place.recorded("WorkerConnected"), place.recorded("WorkerLost"), place.recorded("MasterStopped")),
        (1, 0, 1)
    );

    let second = place.start("master", &address);
    place.open_gate();
    place.finish(&second.address);
    assert!(second.terminate().success());
}

#[test]
fn a_terminated_up_leaves_its_builds_to_the_next_and_no_worker_is_lost() {
    let place = Place::new(LOCAL);
    let first = place.start("up", "127.0.0.1:0");
    place.begin(&first.address);
    assert!(first.terminate().success());
    assert_eq!((place.recorded("WorkerLost"), place.recorded("MasterStopped")), (0, 1));
    // The command goes on though nobody is there.
    place.open_gate();
    let second = place.start("up", "127.0.0.1:0");
    place.finish(&second.address);
    assert!(second.terminate().success());
}

#[test]
fn a_second_signal_ends_a_master_at_once_and_loses_nothing() {
    let place = Place::new(REMOTE);
    let first = place.start("master", "127.0.0.1:0");
    let address = first.address.clone();
    let _worker = place.worker(&address);
    place.begin(&address);
    // A request that does not come to its end: an orderly end waits for it.
    let mut slow = TcpStream::connect(&address).unwrap();
    let head = format!("POST /api/v2/builds/1 HTTP/1.1\r\nHost: {address}\r\nContent-Length: 100\r\n\r\n{{");
    slow.write_all(head.as_bytes()).unwrap();
    // Answered later than the head above was read.
    assert_eq!(request(&address, "GET", "/api/v2/masters", &[], "").0, 200);
    signal(first.child.id(), "TERM");
    assert_eq!(first.line().as_deref(), Some(ENDING));
    signal(first.child.id(), "TERM");
    let (status, said) = first.end();
    assert_eq!((status.code(), said), (Some(0), vec!["stopping at once; no recorded state is lost".to_owned()]));
    drop(slow);

    let second = place.start("master", &address);
    place.open_gate();
    place.finish(&second.address);
    assert!(second.terminate().success());
}

#[test]
fn an_idle_master_ends_at_a_signal_whoever_listens_to_events() {
    let place = Place::new(REMOTE);
    for name in ["TERM", "INT"] {
        let master = place.start("master", "127.0.0.1:0");
        let mut events = TcpStream::connect(&master.address).unwrap();
        events.write_all(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        assert_eq!(request(&master.address, "GET", "/api/v2/masters", &[], "").0, 200);
        signal(master.child.id(), name);
        let (status, said) = master.end();
        assert_eq!((status.code(), said), (Some(0), vec![ENDING.to_owned(), ENDED.to_owned()]));
    }
}

#[test]
fn a_terminated_worker_leaves_its_commands_to_the_next() {
    let place = Place::new(REMOTE);
    let master = place.start("master", "127.0.0.1:0");
    let first = place.worker(&master.address);
    place.begin(&master.address);
    let (status, said) = first.terminate();
    let expected = "stopped; running commands continue, and the next worker in this directory picks them up\n";
    assert_eq!((status.code(), said.as_str()), (Some(0), expected));
    wait_for(&master.address, "the worker to be away", || {
        let workers = items(&master.address, "workers");
        workers.iter().all(|worker| worker["connected_to"].as_array().unwrap().is_empty()).then_some(())
    });
    place.open_gate();
    let _second = place.worker(&master.address);
    place.finish(&master.address);
    assert!(master.terminate().success());
}

#[test]
fn a_terminated_worker_ends_though_its_master_is_away() {
    let place = Place::new(REMOTE);
    let master = place.start("master", "127.0.0.1:0");
    let address = master.address.clone();
    let worker = place.worker(&address);
    place.begin(&address);
    master.kill();
    let (status, said) = worker.terminate();
    assert_eq!(status.code(), Some(0), "{said}");

    place.open_gate();
    let master = place.start("master", &address);
    let _next = place.worker(&address);
    place.finish(&address);
    assert!(master.terminate().success());
}

#[test]
fn a_worker_whose_program_was_replaced_goes_on_starting_commands() {
    let place = Place::new(REMOTE);
    let text = std::fs::read_to_string(&place.config).unwrap();
    let more = r#"
builder("new", workers = ["w1"], steps = [sh("echo plain", name = "plain"), sh("tty && echo terminal", name = "terminal", pty = True)])
force("new", builders = ["new"])
"#;
    std::fs::write(&place.config, text + more).unwrap();
    let program = place.path("starwright");
    copy_program(Path::new(PROGRAM), &program);
    let master = place.start("master", "127.0.0.1:0");
    let address = &master.address;
    let _worker = Worker::start_from(&program, address, "w1", &place.path("secrets/w1"), &place.path("w1"));
    wait_for(address, "the worker to connect", || {
        let workers = items(address, "workers");
        workers.iter().any(|worker| !worker["connected_to"].as_array().unwrap().is_empty()).then_some(())
    });
    // What has its name now is not even a program.
    std::fs::write(place.path("other"), "other").unwrap();
    std::fs::rename(place.path("other"), &program).unwrap();
    // More than one build, so that no runner is left that was started before.
    for number in 1..=3 {
        let answer = control(address, "forceschedulers/new", "force", serde_json::json!({}));
        assert!(answer["error"].is_null(), "{answer}");
        let build = wait_for(address, "the build's end", || {
            items(address, &format!("builders/new/builds/{number}")).into_iter().find(|build| build["complete"] == true)
        });
        assert_eq!(build["results"], 0, "{build}");
    }
    assert!(master.terminate().success());
}
