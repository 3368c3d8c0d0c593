//! How children are started.

use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use super::super::limits::Limits;
use super::link::{Errors, Link};
use super::process::{Body, Process};
use crate::base::process::HelperSpec;

/// How evaluators of one configuration come to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A template loads the configuration once, and forks them.
    Fork,
    /// Each one loads it by itself.
    Plain,
}

impl Default for Mode {
    /// Forking where it is safe.
    fn default() -> Self {
        if cfg!(target_os = "linux") { Self::Fork } else { Self::Plain }
    }
}

/// How children are started, and how much they may do.
#[derive(Clone, Debug, Default)]
pub struct Launcher {
    /// The program with the subcommand `evaluator`; none: our own.
    pub program: Option<PathBuf>,
    /// Whether they are forked.
    pub mode: Mode,
    /// Processor time of each kind of work.
    pub limits: Limits,
}

impl Launcher {
    /// A process that serves over plain pipes.
    pub(super) fn plain(&self) -> io::Result<Process> {
        let spec = HelperSpec {
            file: self.program.as_deref(),
            args: &["evaluator"],
            stdin: Stdio::piped(),
            stdout: Stdio::piped(),
            stderr: Stdio::piped(),
        };
        let mut child = spec.spawn()?;
        let (to, from, errors) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let lacks = || io::Error::other("a pipe is missing");
        let link = Link::new(to.ok_or_else(lacks)?.into(), from.ok_or_else(lacks)?.into())?;
        let errors = Errors::new(errors.ok_or_else(lacks)?.into())?;
        Ok(Process { link, errors, body: Body::Own(Arc::new(Mutex::new(child))) })
    }

    /// A template, and the socket that pipes are passed over.
    #[cfg(target_os = "linux")]
    pub(super) fn template(&self) -> io::Result<(Process, std::os::unix::net::UnixStream)> {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        let spec = HelperSpec {
            file: self.program.as_deref(),
            args: &["evaluator", "--template"],
            stdin: Stdio::from(std::os::fd::OwnedFd::from(theirs)),
            stdout: Stdio::null(),
            stderr: Stdio::piped(),
        };
        let mut child = spec.spawn()?;
        let errors = child.stderr.take().ok_or_else(|| io::Error::other("a pipe is missing"))?;
        let link = Link::new(ours.try_clone()?.into(), ours.try_clone()?.into())?;
        Ok((Process { link, errors: Errors::new(errors.into())?, body: Body::Own(Arc::new(Mutex::new(child))) }, ours))
    }
}
