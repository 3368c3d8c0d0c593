//! Starts long-running children: the command of a build, our own program beside it, and a program that replaces ours.
//!
//! No code runs between fork and exec, so the cost of a start does not depend on how much memory we use. Whatever must
//! happen in the child before the program (a session, a terminal) is done by our own program, which then calls exec
//! ([`replace_by`]).

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde::{Deserialize, Serialize};

use super::core_files::with_core_files;
use super::umask::with_umask;

/// A program with its whole environment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ChildSpec {
    /// Its file.
    pub file: PathBuf,
    /// Its arguments, beginning with the name that it sees as its own.
    pub words: Vec<OsString>,
    /// Its working directory.
    pub directory: PathBuf,
    /// Its whole environment.
    pub env: BTreeMap<OsString, OsString>,
    /// Its umask; none for ours.
    pub umask: Option<u32>,
}

/// The standard input of a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// A pipe that we write to.
    Pipe,
    /// Empty.
    Empty,
}

impl ChildSpec {
    /// Starts it in a process group of its own, with pipes from stdout and stderr.
    pub fn spawn(&self, input: Input) -> io::Result<Child> {
        let mut command = self.command();
        command.stdin(match input {
            Input::Pipe => Stdio::piped(),
            Input::Empty => Stdio::null(),
        });
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        with_core_files(|| with_umask(self.umask, || command.spawn()))
    }

    /// Replaces our process by it (exec), with our standard streams. Returns only when that fails.
    #[cfg(unix)]
    pub fn replace_us(&self) -> io::Error {
        with_core_files(|| with_umask(self.umask, || std::os::unix::process::CommandExt::exec(&mut self.command())))
    }

    #[expect(clippy::disallowed_methods, reason = "this room starts processes")]
    fn command(&self) -> Command {
        let mut command = Command::new(&self.file);
        if let Some((name, args)) = self.words.split_first() {
            #[cfg(unix)]
            std::os::unix::process::CommandExt::arg0(&mut command, name);
            #[cfg(not(unix))]
            let _ = name;
            command.args(args);
        }
        command.current_dir(&self.directory).env_clear().envs(&self.env);
        command
    }
}

/// Starts our own program again, with a pipe to its stdin and one from its stdout. It outlives us.
#[expect(clippy::disallowed_methods, reason = "this room starts processes")]
pub fn spawn_ourselves(args: &[&str]) -> io::Result<tokio::process::Child> {
    let mut command = tokio::process::Command::new(our_file()?);
    #[cfg(unix)]
    command.arg0("starwright");
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    with_core_files(|| command.spawn())
}

/// Starts our own program again, with only these variables, a pipe to its stdin and no output.
#[expect(clippy::disallowed_methods, reason = "this room starts processes")]
pub fn spawn_ourselves_for(args: &[&str], env: &BTreeMap<OsString, OsString>) -> io::Result<Child> {
    let mut command = Command::new(our_file()?);
    #[cfg(unix)]
    std::os::unix::process::CommandExt::arg0(&mut command, "starwright");
    command.args(args).env_clear().envs(env);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    with_core_files(|| command.spawn())
}

/// A helper process of our own program, which ends with us: no environment, no working directory, three streams, and
/// its own process group, so that an interrupt from the terminal reaches only us.
#[derive(Debug)]
pub struct HelperSpec<'a> {
    /// Its file; none for our own.
    pub file: Option<&'a std::path::Path>,
    /// Its arguments.
    pub args: &'a [&'a str],
    /// What it reads.
    pub stdin: Stdio,
    /// Where it writes.
    pub stdout: Stdio,
    /// Where its error messages go.
    pub stderr: Stdio,
}

impl HelperSpec<'_> {
    /// Starts it.
    #[expect(clippy::disallowed_methods, reason = "this room starts processes")]
    pub fn spawn(self) -> io::Result<Child> {
        let file = self.file.map_or_else(our_file, |file| Ok(file.to_owned()))?;
        let mut command = Command::new(file);
        #[cfg(unix)]
        {
            std::os::unix::process::CommandExt::arg0(&mut command, "starwright");
            std::os::unix::process::CommandExt::process_group(&mut command, 0);
            command.current_dir("/");
        }
        command.args(self.args).env_clear().stdin(self.stdin).stdout(self.stdout).stderr(self.stderr);
        command.spawn()
    }
}

/// The file of our own program. On Linux this is the kernel's name for it, which stays valid when an update replaces
/// the file, so a process and its helpers always have the same version.
fn our_file() -> io::Result<PathBuf> {
    if cfg!(target_os = "linux") { Ok(PathBuf::from("/proc/self/exe")) } else { std::env::current_exe() }
}
