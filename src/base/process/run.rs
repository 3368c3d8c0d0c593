//! Runs a short helper program to its end, within bounds of time and output.
//!
//! Invariants: the program runs in a process group of its own; when `run` returns or is dropped, that group is gone.
//! At most `output_max` bytes of each stream are kept; the rest is read and discarded.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};

/// How long the pipes of a helper may stay open after it has ended. Then whatever holds them is killed.
const PIPES_AFTER_END: Duration = Duration::from_millis(500);

/// How many bytes to read from a pipe at once.
const READ_BYTES: usize = 16 * 1024;

/// What to run, and within which limits.
#[derive(Clone, Debug)]
pub struct ProcessSpec {
    /// The program, looked for in `PATH` unless it contains a slash.
    pub program: OsString,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Its working directory; none for ours.
    pub cwd: Option<PathBuf>,
    /// Variables to set (or, with none, to remove) on top of our own.
    pub env: BTreeMap<String, Option<OsString>>,
    /// What it reads from its standard input.
    pub stdin: Vec<u8>,
    /// When to kill it.
    pub timeout: Duration,
    /// How many bytes of its stdout, and of its stderr, to keep.
    pub output_max: usize,
}

impl ProcessSpec {
    /// A program without arguments in our working directory, limited to 60 seconds and 1 MiB of output per stream.
    pub fn new(program: impl Into<OsString>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            cwd: None,
            env: BTreeMap::new(),
            stdin: Vec::new(),
            timeout: Duration::from_mins(1),
            output_max: 1024 * 1024,
        }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<T: Into<OsString>>(mut self, args: impl IntoIterator<Item = T>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets a variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.env.insert(name.to_owned(), Some(value.into()));
        self
    }

    /// The program's name for messages.
    fn name(&self) -> String {
        self.program.to_string_lossy().into_owned()
    }
}

/// How a helper ended, and its output.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessOutput {
    /// Its exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// The head of what it wrote to stdout.
    pub stdout: Vec<u8>,
    /// The head of what it wrote to stderr.
    pub stderr: Vec<u8>,
    /// Whether it wrote more than was kept.
    pub cut: bool,
}

impl ProcessOutput {
    /// Whether it ended with code 0.
    #[must_use]
    pub fn ok(&self) -> bool {
        self.code == Some(0)
    }

    /// Its stdout as text.
    #[must_use]
    pub fn stdout_text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Its stderr as text.
    #[must_use]
    pub fn stderr_text(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }
}

/// Why a helper could not be run.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// The program is not installed.
    #[error("`{program}` is not installed, or not in PATH")]
    NotFound { program: String },
    /// Its working directory does not exist.
    #[error("start `{program}` in `{}`, which is not a directory", directory.display())]
    NoDirectory { program: String, directory: PathBuf },
    /// It could not be started.
    #[error("start `{program}`")]
    Start { program: String, source: io::Error },
    /// It ran for too long and was killed. Its output so far may say why.
    #[error("`{program}` did not end within {} s and was killed", timeout.as_secs_f64())]
    TimedOut { program: String, timeout: Duration, output: ProcessOutput },
    /// Its output or exit status could not be read.
    #[error("follow `{program}`")]
    Follow { program: String, source: io::Error },
}

/// Runs a helper to its end. Its whole process group is killed at the time-out, and when the returned future
/// is dropped.
pub async fn run(spec: &ProcessSpec) -> Result<ProcessOutput, ProcessError> {
    let mut child = start(spec)?;
    let group = Group::of(&child);
    let mut output = ProcessOutput::default();
    let ended = tokio::time::timeout(spec.timeout, follow(&mut child, spec, &mut output)).await;
    drop(group);
    match ended {
        Ok(Ok(status)) => {
            output.code = status.code();
            output.signal = signal_of(status);
            Ok(output)
        }
        Ok(Err(source)) => Err(ProcessError::Follow { program: spec.name(), source }),
        Err(_elapsed) => {
            // Reaped here, so that no zombie stays; the kill cannot be refused.
            let _ = tokio::time::timeout(PIPES_AFTER_END, child.wait()).await;
            Err(ProcessError::TimedOut { program: spec.name(), timeout: spec.timeout, output })
        }
    }
}

/// Runs a program that goes on, and gives each line that it writes, without its end, to `each`. Its process group is killed
/// when the returned future is dropped. A line of more than `line_max` bytes is left out. The time-out of `spec` does not
/// count, and its input is empty.
pub async fn follow_lines(
    spec: &ProcessSpec,
    line_max: usize,
    mut each: impl FnMut(&[u8]),
) -> Result<ProcessOutput, ProcessError> {
    let mut child = start(spec)?;
    let _group = Group::of(&child);
    let failed = |source| ProcessError::Follow { program: spec.name(), source };
    drop(child.stdin.take());
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (mut output, mut cut) = (ProcessOutput::default(), false);
    let lines = split_lines(stdout, line_max, &mut each);
    let (read, said) = tokio::join!(lines, read(stderr, &mut output.stderr, &mut cut, spec.output_max));
    read.and(said).map_err(failed)?;
    let status = child.wait().await.map_err(failed)?;
    (output.code, output.signal, output.cut) = (status.code(), signal_of(status), cut);
    Ok(output)
}

/// Reads lines of a bounded length to the end of a pipe.
async fn split_lines(
    pipe: Option<impl AsyncRead + Unpin>,
    line_max: usize,
    each: &mut impl FnMut(&[u8]),
) -> io::Result<()> {
    let Some(mut pipe) = pipe else { return Ok(()) };
    let mut buffer = vec![0; READ_BYTES];
    let (mut line, mut is_long) = (Vec::new(), false);
    loop {
        let count = pipe.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        for piece in buffer[..count].split_inclusive(|byte| *byte == b'\n') {
            let (text, ends) = piece.strip_suffix(b"\n").map_or((piece, false), |text| (text, true));
            is_long |= line.len() + text.len() > line_max;
            if !is_long {
                line.extend_from_slice(text);
            }
            if ends {
                if !is_long {
                    each(&line);
                }
                line.clear();
                is_long = false;
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "this room starts processes")]
fn start(spec: &ProcessSpec) -> Result<Child, ProcessError> {
    if let Some(directory) = spec.cwd.as_ref().filter(|directory| !directory.is_dir()) {
        return Err(ProcessError::NoDirectory { program: spec.name(), directory: directory.clone() });
    }
    let mut command = Command::new(&spec.program);
    command.args(&spec.args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    #[cfg(unix)]
    command.process_group(0);
    if let Some(directory) = &spec.cwd {
        command.current_dir(directory);
    }
    for (name, value) in &spec.env {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.spawn().map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => ProcessError::NotFound { program: spec.name() },
        _ => ProcessError::Start { program: spec.name(), source },
    })
}

/// Feeds and reads the helper until it has ended and its pipes are closed, or have stayed open for too long.
async fn follow(child: &mut Child, spec: &ProcessSpec, output: &mut ProcessOutput) -> io::Result<ExitStatus> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let ProcessOutput { stdout: out_head, stderr: err_head, cut, .. } = output;
    let mut err_cut = false;
    let feed = async {
        if let Some(mut stdin) = stdin {
            // A program need not read what it is given.
            let _ = stdin.write_all(&spec.stdin).await;
        }
    };
    let pipes = async {
        let out = read(stdout, out_head, cut, spec.output_max);
        let err = read(stderr, err_head, &mut err_cut, spec.output_max);
        let ((), out, err) = tokio::join!(feed, out, err);
        out.and(err)
    };
    let mut pipes = Box::pin(pipes);
    let status = tokio::select! {
        read = &mut pipes => {
            read?;
            child.wait().await?
        }
        status = child.wait() => {
            let status = status?;
            if let Ok(read) = tokio::time::timeout(PIPES_AFTER_END, &mut pipes).await {
                read?;
            }
            status
        }
    };
    drop(pipes);
    output.cut |= err_cut;
    Ok(status)
}

/// Reads a pipe to its end and keeps its head.
async fn read(
    pipe: Option<impl AsyncRead + Unpin>,
    head: &mut Vec<u8>,
    cut: &mut bool,
    head_max: usize,
) -> io::Result<()> {
    let Some(mut pipe) = pipe else { return Ok(()) };
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let count = pipe.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        let kept = count.min(head_max - head.len());
        head.extend_from_slice(&buffer[..kept]);
        *cut |= kept < count;
    }
}

#[cfg(unix)]
fn signal_of(status: ExitStatus) -> Option<i32> {
    std::os::unix::process::ExitStatusExt::signal(&status)
}

#[cfg(not(unix))]
const fn signal_of(_status: ExitStatus) -> Option<i32> {
    None
}

/// Kills a process group when dropped.
struct Group {
    #[cfg(unix)]
    leader: Option<rustix::process::Pid>,
}

impl Group {
    #[cfg(unix)]
    fn of(child: &Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self { leader: id.and_then(rustix::process::Pid::from_raw) }
    }

    #[cfg(not(unix))]
    const fn of(_child: &Child) -> Self {
        Self {}
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        #[cfg(unix)]
        if let Some(leader) = self.leader {
            // Nobody may be left, which is the usual and good case.
            let _ = rustix::process::kill_process_group(leader, rustix::process::Signal::KILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(line: &str) -> ProcessSpec {
        ProcessSpec::new("sh").args(["-c", line])
    }

    #[tokio::test]
    async fn code_and_both_streams_come_back() {
        let output = run(&shell("echo out; echo err >&2; exit 3")).await.unwrap();
        assert_eq!((output.code, output.ok()), (Some(3), false));
        assert_eq!((output.stdout_text(), output.stderr_text()), ("out\n".to_owned(), "err\n".to_owned()));
    }

    #[tokio::test]
    async fn output_beyond_the_bound_is_thrown_away_and_said_so() {
        let mut spec = shell("head -c 1000000 /dev/zero");
        spec.output_max = 10;
        let output = run(&spec).await.unwrap();
        assert_eq!((output.stdout.len(), output.cut, output.ok()), (10, true, true));
    }

    #[tokio::test]
    async fn stdin_environment_and_directory_are_as_asked() {
        let directory = tempfile::tempdir().unwrap();
        let mut spec = shell("cat; echo \"$GREETING ${HOME-gone}\"; pwd");
        spec.cwd = Some(directory.path().to_owned());
        spec.env.insert("GREETING".to_owned(), Some("hello".into()));
        spec.env.insert("HOME".to_owned(), None);
        spec.stdin = b"typed ".to_vec();
        let output = run(&spec).await.unwrap();
        let real = directory.path().canonicalize().unwrap();
        assert_eq!(output.stdout_text(), format!("typed hello gone\n{}\n", real.display()));
    }

    #[tokio::test]
    async fn a_helper_that_hangs_is_killed_with_its_children() {
        let timeout = Duration::from_millis(300);
        let spec = ProcessSpec { timeout, ..shell("echo started; sleep 600 & echo $!; sleep 600") };
        let Err(ProcessError::TimedOut { output, .. }) = run(&spec).await else { panic!("it must time out") };
        let text = output.stdout_text();
        let child: i32 = text.lines().nth(1).unwrap().parse().unwrap();
        let child = rustix::process::Pid::from_raw(child).unwrap();
        // The child is init's now, or a zombie for a moment: wait for the kernel's word, not for time.
        while std::fs::read_to_string(format!("/proc/{child}/stat")).is_ok_and(|stat| !stat.contains(") Z ")) {
            std::thread::yield_now();
        }
    }

    #[tokio::test]
    async fn what_a_helper_leaves_behind_does_not_hold_us() {
        let output = run(&shell("sleep 600 & echo done")).await.unwrap();
        assert_eq!(output.stdout_text(), "done\n");
    }

    #[tokio::test]
    async fn lines_come_one_by_one_and_too_long_ones_not_at_all() {
        let mut lines = Vec::new();
        let spec = shell("echo a; head -c 100000 /dev/zero; echo; echo; printf 'b\\nc'; echo bye >&2; exit 4");
        let output =
            follow_lines(&spec, 10, |line| lines.push(String::from_utf8_lossy(line).into_owned())).await.unwrap();
        assert_eq!((lines, output.code), (vec!["a".to_owned(), String::new(), "b".to_owned()], Some(4)));
        assert_eq!(output.stderr_text(), "bye\n");
    }

    #[tokio::test]
    async fn missing_programs_and_directories_are_named() {
        let missing = run(&ProcessSpec::new("no-such-program")).await.unwrap_err();
        assert_eq!(missing.to_string(), "`no-such-program` is not installed, or not in PATH");
        let lost = run(&ProcessSpec { cwd: Some("/no/such/directory".into()), ..shell("true") }).await.unwrap_err();
        assert_eq!(lost.to_string(), "start `sh` in `/no/such/directory`, which is not a directory");
    }
}
