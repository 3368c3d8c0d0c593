//! The real program, started as its user would.

use std::io::{BufRead, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use super::git::sealed;
use super::http::PATIENCE;

/// The program.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_starwright");

/// A running `starwright up` or `starwright master`; killed when dropped.
pub struct Running {
    pub child: Child,
    /// `HOST:PORT` of its pages.
    pub address: String,
    /// What it logs, for a test that fails.
    pub log: PathBuf,
    /// What it says after that, line by line.
    lines: Receiver<String>,
}

impl Running {
    /// Starts it and waits until it says where it listens.
    pub fn start(subcommand: &str, config: &Path, data: &Path, listen: &str, log: &Path) -> Self {
        Self::start_by(Command::new(PROGRAM), subcommand, config, data, listen, log)
    }

    /// The same by another command, which runs the program with the words that follow.
    pub fn start_by(
        mut program: Command,
        subcommand: &str,
        config: &Path,
        data: &Path,
        listen: &str,
        log: &Path,
    ) -> Self {
        let file = std::fs::OpenOptions::new().create(true).append(true).open(log).unwrap();
        let mut child = sealed(program.arg(subcommand).arg(config))
            .arg("--data")
            .arg(data)
            .args(["--listen", listen])
            .env("STARWRIGHT_LOG", "info,warp=off,sled=warn")
            .stdout(Stdio::piped())
            .stderr(file)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut said = String::new();
        let address = loop {
            let Some(Ok(line)) = lines.next() else {
                let log = std::fs::read_to_string(log).unwrap_or_default();
                panic!("starwright {subcommand} ended before it listened; it said:\n{said}\nand logged:\n{log}");
            };
            if let Some(at) = line.find("http://") {
                break line[at + 7..].trim_end_matches('/').to_owned();
            }
            said.push_str(&line);
            said.push('\n');
        };
        // The pipe stays open and read, so that later lines never block the program.
        let (sender, later) = mpsc::channel();
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| drop(sender.send(line))));
        Self { child, address, log: log.to_owned(), lines: later }
    }

    /// `kill -9`, and waits until it is gone.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and waits for the end.
    pub fn terminate(self) -> std::process::ExitStatus {
        signal(self.child.id(), "TERM");
        self.end().0
    }

    /// The next line that it says; none at its end.
    pub fn line(&self) -> Option<String> {
        self.lines.recv().ok()
    }

    /// Waits for its end; how it ended, and all that it said until then.
    pub fn end(mut self) -> (ExitStatus, Vec<String>) {
        let status = self.child.wait().unwrap();
        (status, self.lines.iter().collect())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _already_gone = self.child.kill();
        let _already_reaped = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- log of starwright\n{}", std::fs::read_to_string(&self.log).unwrap_or_default());
        }
    }
}

/// A running `starwright worker`; killed when dropped.
pub struct Worker {
    pub child: Child,
}

impl Worker {
    /// Starts one.
    pub fn start(master: &str, name: &str, password_file: &Path, dir: &Path) -> Self {
        Self::start_from(Path::new(PROGRAM), master, name, password_file, dir)
    }

    /// Starts one from another file of the program.
    pub fn start_from(program: &Path, master: &str, name: &str, password_file: &Path, dir: &Path) -> Self {
        let mut command = Command::new(program);
        command.args(["worker", "--master", master, "--name", name, "--password-file"]).arg(password_file);
        let child = sealed(command.arg("--dir").arg(dir)).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        Self { child }
    }

    /// SIGTERM, and waits for the end; how it ended, and all that it said.
    pub fn terminate(mut self) -> (ExitStatus, String) {
        signal(self.child.id(), "TERM");
        let mut said = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
        (self.child.wait().unwrap(), said)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _already_gone = self.child.kill();
        let _already_reaped = self.child.wait();
    }
}

/// Sends a signal by name.
pub fn signal(pid: u32, name: &str) {
    let status = Command::new("kill").args([format!("-{name}"), pid.to_string()]).status().unwrap();
    assert!(status.success(), "kill -{name} {pid}");
}

/// Copies the program. A process of its own does it: if we held the file open for writing, a process that another test
/// starts at that moment would hold it, too, and nobody could run it until that one is under way.
pub fn copy_program(from: &Path, to: &Path) {
    let status = Command::new("cp").arg(from).arg(to).status().unwrap();
    assert!(status.success(), "cp {} {}", from.display(), to.display());
}

/// Waits until a command made a file. The master hears nothing of that, so nobody tells when to look.
///
/// # Panics
/// When it never comes.
pub fn wait_for_file(path: &Path) {
    let began = Instant::now();
    while !path.exists() {
        assert!(began.elapsed() < PATIENCE, "{} never came", path.display());
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Runs a subcommand against a master and returns all it said.
pub fn run(address: &str, args: &[&str]) -> Output {
    sealed(Command::new(PROGRAM).args(args)).env("STARWRIGHT_MASTER", format!("http://{address}")).output().unwrap()
}

/// Standard output and standard error of a subcommand.
pub fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Evaluator processes whose parent is this one.
pub fn evaluators_below(parent: u32) -> Vec<u32> {
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let numbers = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let below = numbers.filter(|pid| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let found = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1)?.parse::<u32>().ok());
        found == Some(parent) && words.starts_with(b"starwright\0evaluator")
    });
    below.collect()
}
