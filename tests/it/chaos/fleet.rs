//! The real processes of an installation: a master, five workers, and a proxy before each of them.
//!
//! All of them run from a copy of the program, which can be replaced as an upgrade does: by another file of the same
//! name. A process that ends by itself is a finding.

use std::fs::{self, File, OpenOptions};
use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use tempfile::TempDir;

use super::chance::Chance;
use super::recipe::{self, PASSWORD, WORKERS};
use crate::support::git::sealed;
use crate::support::proxy::Proxy;
use crate::support::starwright::{PROGRAM, copy_program, evaluators_below, signal};
use crate::support::stock_worker::StockWorker;

/// A master and its workers, below one scratch directory.
pub struct Fleet {
    place: Option<TempDir>,
    config: PathBuf,
    port: u16,
    master: Option<Child>,
    pub workers: Vec<Member>,
}

/// A worker.
pub struct Member {
    pub name: &'static str,
    pub proxy: Proxy,
    process: Process,
}

enum Process {
    Ours(Option<Child>),
    Stock(Box<StockWorker>),
}

impl Fleet {
    /// Starts everything; with a stock worker it is the last one.
    pub fn start(stock: bool) -> Self {
        let place = TempDir::with_prefix("starwright-chaos-").unwrap();
        let config = recipe::write(place.path());
        fs::create_dir(place.path().join("bin")).unwrap();
        let mut fleet = Self { config, port: free_port(), master: None, workers: Vec::new(), place: Some(place) };
        fleet.replace_program();
        fleet.start_master();
        for name in WORKERS {
            let proxy = Proxy::start(fleet.address());
            let process = if stock && name == WORKERS[WORKERS.len() - 1] {
                let port = proxy.address.rsplit_once(':').unwrap().1.parse().unwrap();
                Process::Stock(Box::new(StockWorker::start(port, name, PASSWORD)))
            } else {
                Process::Ours(None)
            };
            fleet.workers.push(Member { name, proxy, process });
        }
        for n in 0..fleet.workers.len() {
            fleet.start_worker(n);
        }
        fleet
    }

    /// The scratch directory.
    pub fn place(&self) -> &Path {
        self.place.as_ref().expect("there until it is dropped").path()
    }

    /// `HOST:PORT` of the master.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn program(&self) -> PathBuf {
        self.place().join("bin/starwright")
    }

    /// Puts another file in the place of the program. What runs goes on with the one that it was started from.
    pub fn replace_program(&self) {
        let (program, new) = (self.program(), self.place().join("bin/starwright.new"));
        // Later ones are copies of the first, so that a build of the program meanwhile does not matter.
        copy_program(if program.exists() { &program } else { Path::new(PROGRAM) }, &new);
        fs::rename(new, program).unwrap();
    }

    /// Puts another configuration in place that means the same. Running builds keep theirs.
    pub fn replace_configuration(&self) {
        let new = self.place().join("master.star.new");
        let text = fs::read_to_string(&self.config).unwrap();
        fs::write(&new, text + "# changed\n").unwrap();
        fs::rename(new, &self.config).unwrap();
    }

    fn log(&self, name: &str) -> File {
        OpenOptions::new().create(true).append(true).open(self.place().join(format!("{name}.log"))).unwrap()
    }

    /// Starts a master, unless there is one.
    pub fn start_master(&mut self) {
        if self.master.is_none() {
            let mut command = Command::new(self.program());
            command.arg("master").arg(&self.config).arg("--data").arg(self.place().join("data"));
            command.args(["--listen", &self.address()]).env("STARWRIGHT_LOG", "info,warp=off,sled=warn");
            let log = self.log("master");
            let spawned =
                sealed(&mut command).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn();
            self.master = Some(spawned.unwrap());
        }
    }

    /// Starts a worker, unless it runs.
    pub fn start_worker(&mut self, n: usize) {
        let (program, place, name) = (self.program(), self.place().to_owned(), self.workers[n].name);
        let log = self.log(name);
        let member = &mut self.workers[n];
        match &mut member.process {
            Process::Ours(child @ None) => {
                let mut command = Command::new(program);
                command.args(["worker", "--master", &member.proxy.address, "--name", name, "--password-file"]);
                command.arg(place.join("secrets/chaos")).arg("--dir").arg(place.join(name));
                *child =
                    Some(sealed(&mut command).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap());
            }
            Process::Ours(Some(_)) => {}
            Process::Stock(worker) => worker.run(),
        }
    }

    /// SIGKILL, and waits until it is gone.
    pub fn kill_master(&mut self) {
        if let Some(mut master) = self.master.take() {
            master.kill().unwrap();
            master.wait().unwrap();
        }
    }

    /// SIGKILL for evaluator processes of the master: all of them, or every other one that is not a template.
    pub fn kill_evaluators(&self, which: usize) {
        let Some(master) = &self.master else { return };
        let templates = evaluators_below(master.id());
        let forked = templates.iter().flat_map(|template| evaluators_below(*template));
        let victims: Vec<u32> = match which % 2 {
            0 => forked.step_by(2).collect(),
            _ => templates.clone(),
        };
        for pid in victims {
            // It may have ended by itself.
            let _gone = Command::new("kill").args(["-KILL", &pid.to_string()]).stderr(Stdio::null()).status();
        }
    }

    /// SIGKILL, and waits until it is gone.
    pub fn kill_worker(&mut self, n: usize) {
        match &mut self.workers[n].process {
            Process::Ours(child) => {
                if let Some(mut worker) = child.take() {
                    worker.kill().unwrap();
                    worker.wait().unwrap();
                }
            }
            Process::Stock(worker) => worker.kill(),
        }
    }

    /// SIGTERM, and waits for the orderly end.
    pub fn terminate_master(&mut self) {
        if let Some(mut master) = self.master.take() {
            signal(master.id(), "TERM");
            let status = master.wait().unwrap();
            assert!(is_orderly(status), "the master ended with {status} at SIGTERM{}", self.last_words("master"));
        }
    }

    /// SIGTERM, and waits for the orderly end. A stock worker is killed.
    pub fn terminate_worker(&mut self, n: usize) {
        let name = self.workers[n].name;
        match &mut self.workers[n].process {
            Process::Ours(child) => {
                if let Some(mut worker) = child.take() {
                    signal(worker.id(), "TERM");
                    let status = worker.wait().unwrap();
                    assert!(is_orderly(status), "{name} ended with {status} at SIGTERM{}", self.last_words(name));
                }
            }
            Process::Stock(worker) => worker.kill(),
        }
    }

    /// Stops the master's process where it is, or lets it go on.
    pub fn freeze_master(&self, frozen: bool) {
        if let Some(master) = &self.master {
            signal(master.id(), if frozen { "STOP" } else { "CONT" });
        }
    }

    /// Stops a worker's process where it is, or lets it go on.
    pub fn freeze_worker(&self, n: usize, frozen: bool) {
        if let Process::Ours(Some(worker)) = &self.workers[n].process {
            signal(worker.id(), if frozen { "STOP" } else { "CONT" });
        }
    }

    /// Files of commands in the spools of all workers.
    pub fn spooled(&self) -> Vec<PathBuf> {
        let spools = self.workers.iter().map(|worker| self.place().join(worker.name).join("spool"));
        let entries = spools.filter_map(|spool| fs::read_dir(spool).ok()).flatten().flatten();
        let of_commands = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("c-"));
        of_commands.map(|entry| entry.path()).collect()
    }

    /// Panics if a process ended that nobody ended.
    pub fn look_after(&mut self) {
        let mut ended = Vec::new();
        if let Some(master) = &mut self.master
            && let Some(status) = master.try_wait().unwrap()
        {
            ended.push(("master", status));
        }
        for worker in &mut self.workers {
            if let Process::Ours(Some(child)) = &mut worker.process
                && let Some(status) = child.try_wait().unwrap()
            {
                ended.push((worker.name, status));
            }
        }
        if let Some((name, status)) = ended.first() {
            panic!("{name} ended by itself with {status}{}", self.last_words(name));
        }
    }

    /// The end of a process's log.
    pub fn last_words(&self, name: &str) -> String {
        const LINES: usize = 30;
        let log = fs::read(self.place().join(format!("{name}.log"))).unwrap_or_default();
        let log = String::from_utf8_lossy(&log).into_owned();
        let lines: Vec<&str> = log.lines().collect();
        format!("; its last words:\n{}", lines[lines.len().saturating_sub(LINES)..].join("\n"))
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        let _already_gone = self.master.take().map(|mut master| (master.kill(), master.wait()));
        for worker in &mut self.workers {
            if let Process::Ours(child) = &mut worker.process {
                let _already_gone = child.take().map(|mut child| (child.kill(), child.wait()));
            }
        }
        if std::thread::panicking()
            && let Some(place) = self.place.take()
        {
            eprintln!("everything is kept in {}", place.keep().display());
        }
    }
}

/// A process that was told to end before it could listen for signals is ended by the system.
fn is_orderly(status: ExitStatus) -> bool {
    status.success() || status.signal() == Some(SIGTERM)
}

/// Its number everywhere.
const SIGTERM: i32 = 15;

/// A port that no outgoing connection takes while the master is down: one below those that systems give away. Fleets of
/// one process get different ones, whether or not their masters live.
fn free_port() -> u16 {
    static FLEETS: AtomicU64 = AtomicU64::new(0);
    const FIRST: u64 = 20_000;
    const COUNT: u64 = 12_000;
    // Other processes begin elsewhere.
    let mut chance = Chance::new(u64::from(std::process::id()));
    let begin = chance.next();
    loop {
        let fleet = FLEETS.fetch_add(1, Ordering::Relaxed);
        let port = u16::try_from(FIRST + begin.wrapping_add(fleet) % COUNT).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
