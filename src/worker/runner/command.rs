//! Starts the command: directory, environment, program, pipes or terminal.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::process::Child;

use rustix::process::{Pid, WaitId, WaitIdOptions};

use super::environment::{Environment, merge};
use super::job::Job;
use super::recorder::{STDERR, STDOUT, SourceId};
use super::terminal;
use crate::base::environment::variables_os;
use crate::base::process::{ChildSpec, Input, spawn_ourselves_for, which_in, with_umask};
use crate::model::{Program, Text};
use crate::worker::order::Order;

/// How much a pipe from the command may hold: fewer and larger reads when it writes fast.
const PIPE_BYTES: usize = 512 * 1024;

/// Where programs are looked for when the environment has no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// A command before its start.
#[derive(Debug)]
pub(super) struct Command<'a> {
    order: &'a Order,
    pub line: CommandLine,
    pub env: Environment,
    pub stdin: Option<String>,
}

/// What to execute, with its secrets filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum CommandLine {
    /// For a program, the first word.
    Words(Vec<String>),
    /// For the shell.
    Shell(String),
}

/// A command that runs, or has just ended.
#[derive(Debug)]
pub(super) struct Running {
    child: Child,
    /// Its process, and so the leader of its group.
    pub leader: Pid,
    exit: ExitWatch,
    /// Where its output comes from.
    pub outputs: Vec<(SourceId, File)>,
    ended: Option<Ended>,
}

/// Why a command did not start; texts for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NotStarted {
    /// Its program is missing or may not be run: the command's own fault.
    Program(String),
    /// The worker could not prepare for it.
    Worker(String),
}

/// How the command's own process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ended {
    pub code: Option<i64>,
    pub signal: Option<i64>,
}

impl<'a> Command<'a> {
    /// Fills in the order; an error says which secret is not there.
    pub fn new(order: &'a Order, spool: &Path) -> Result<Self, String> {
        let fill = |text: &Text| order.fill(text);
        let line = match &order.spec.program {
            Program::Argv(words) => CommandLine::Words(words.iter().map(fill).collect::<Result<_, _>>()?),
            Program::Shell(line) => CommandLine::Shell(fill(line)?),
        };
        let stdin = order.spec.stdin.as_ref().map(fill).transpose()?;
        Ok(Self { order, line, env: merge(variables_os(), order, spool)?, stdin })
    }

    /// Starts it.
    pub fn start(&self) -> Result<Running, NotStarted> {
        let directory = Path::new(&self.order.spec.workdir);
        with_umask(self.order.umask, || std::fs::create_dir_all(directory)).map_err(|error| {
            NotStarted::Worker(format!("failed to make the directory `{}`: {error}", self.order.spec.workdir))
        })?;
        let program = self.program(directory).map_err(NotStarted::Program)?;
        let started = if self.order.spec.pty { start_in_terminal(program) } else { self.start_with_pipes(&program) };
        started.map_err(|error| {
            let why = format!("failed to start `{}`: {error}", self.name());
            if is_of_program(&error) { NotStarted::Program(why) } else { NotStarted::Worker(why) }
        })
    }

    fn program(&self, directory: &Path) -> Result<ChildSpec, String> {
        let words = match &self.line {
            CommandLine::Shell(line) => vec!["/bin/sh".to_owned(), "-c".to_owned(), line.clone()],
            CommandLine::Words(words) => words.clone(),
        };
        let name = words.first().ok_or("there is no command to start")?;
        let path = self.env.get(std::ffi::OsStr::new("PATH")).cloned().unwrap_or_else(|| DEFAULT_PATH.into());
        let file = which_in(name, Some(&path), directory).ok_or_else(|| {
            format!(
                "there is no program `{name}` in {}",
                if name.contains('/') {
                    format!("`{}`", self.order.spec.workdir)
                } else {
                    format!("PATH ({})", path.display())
                }
            )
        })?;
        Ok(ChildSpec {
            file,
            words: words.into_iter().map(Into::into).collect(),
            directory: directory.to_owned(),
            env: self.env.clone(),
            umask: self.order.umask,
        })
    }

    fn start_with_pipes(&self, program: &ChildSpec) -> io::Result<Running> {
        let input = if self.stdin.is_some() { Input::Pipe } else { Input::Empty };
        let mut child = program.spawn(input)?;
        if let (Some(mut pipe), Some(text)) = (child.stdin.take(), self.stdin.clone()) {
            // On a thread, because the command may write before it reads. It ends with the pipe.
            std::thread::spawn(move || pipe.write_all(text.as_bytes()));
        }
        let outputs = [
            child.stdout.take().map(|pipe| (STDOUT, OwnedFd::from(pipe))),
            child.stderr.take().map(|pipe| (STDERR, OwnedFd::from(pipe))),
        ];
        let outputs = outputs.into_iter().flatten().map(|(id, pipe)| {
            widen(pipe.as_fd());
            (id, File::from(pipe))
        });
        Running::new(child, outputs.collect())
    }

    fn name(&self) -> &str {
        match &self.line {
            CommandLine::Shell(_) => "/bin/sh",
            CommandLine::Words(words) => words.first().map_or("", String::as_str),
        }
    }
}

/// Whether starting failed because of what is to be started (not a program, no permission, a missing interpreter, too
/// many words), and not because the machine is short of something.
fn is_of_program(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    let exec_format = error.raw_os_error() == Some(rustix::io::Errno::NOEXEC.raw_os_error());
    exec_format
        || matches!(
            error.kind(),
            Kind::NotFound
                | Kind::PermissionDenied
                | Kind::ArgumentListTooLong
                | Kind::InvalidInput
                | Kind::IsADirectory
        )
}

/// Starts our own program in a session with a new terminal, which then gives way to the command's.
fn start_in_terminal(program: ChildSpec) -> io::Result<Running> {
    let (terminal, path) = terminal::open()?;
    let mut child = spawn_ourselves_for(&["run-command"], &program.env)?;
    let job = Job::Enter { terminal: path, program: Box::new(program) }.sealed();
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(&job)?;
    }
    Running::new(child, vec![(STDOUT, File::from(terminal))])
}

impl Running {
    fn new(child: Child, outputs: Vec<(SourceId, File)>) -> io::Result<Self> {
        let leader = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidData)?;
        Ok(Self { child, leader, exit: ExitWatch::new(leader)?, outputs, ended: None })
    }

    /// Readable as soon as the command's own process has ended.
    pub fn exit_handle(&self) -> BorrowedFd<'_> {
        self.exit.0.as_fd()
    }

    /// How its process ended, once it has. It stays a zombie, so that its number, which is that of its group, goes to
    /// nobody else before we are done.
    pub fn ended(&mut self) -> Option<Ended> {
        if self.ended.is_none() {
            let how = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
            if let Ok(Some(status)) = rustix::process::waitid(WaitId::Pid(self.leader), how) {
                self.ended = Some(Ended {
                    code: status.exit_status().map(i64::from),
                    signal: status.terminating_signal().map(i64::from),
                });
            }
        }
        self.ended
    }

    /// Gives up its number.
    pub fn bury(mut self) {
        let _status_is_known = self.child.try_wait();
    }
}

/// A handle that becomes readable when a process ends.
#[derive(Debug)]
struct ExitWatch(OwnedFd);

impl ExitWatch {
    #[cfg(target_os = "linux")]
    fn new(process: Pid) -> io::Result<Self> {
        Ok(Self(rustix::process::pidfd_open(process, rustix::process::PidfdFlags::empty())?))
    }

    /// A pipe whose other end a thread drops when the process ended.
    #[cfg(not(target_os = "linux"))]
    fn new(process: Pid) -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        std::thread::spawn(move || {
            let _ended = rustix::process::waitid(WaitId::Pid(process), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
            drop(writer);
        });
        Ok(Self(reader.into()))
    }
}

fn widen(pipe: BorrowedFd<'_>) {
    #[cfg(target_os = "linux")]
    {
        // The system may allow less; then reads are smaller.
        let _ = rustix::pipe::fcntl_setpipe_size(pipe, PIPE_BYTES);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (pipe, PIPE_BYTES);
}
