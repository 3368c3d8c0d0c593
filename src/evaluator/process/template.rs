//! The template: loads once, then forks an evaluator whenever it is told to.
//!
//! Single-threaded whenever it forks: the thread that loads is joined before. Its children stay zombies until it is told to
//! end them, so that their numbers mean nobody else.

use std::collections::BTreeSet;
use std::io::{self, BufReader, IoSliceMut, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::process::{Pid, Signal, WaitOptions};

use super::super::limits::{LOAD_STACK, WORK_STACK};
use super::super::message::{ChildReply, ChildRequest};
use super::load::{load, lock};
use super::{Pipes, confine, on_stack, serve, sys};
use crate::base::memory;
use crate::config::Scripts;

/// The three pipes of an evaluator, in the order in which they are sent.
const PIPES: usize = 3;

/// Serves until the other end is closed.
pub(super) fn run() -> ExitCode {
    let Ok(socket) = io::stdin().as_fd().try_clone_to_owned().map(UnixStream::from) else { return ExitCode::FAILURE };
    let (Ok(from), Ok(to)) = (socket.try_clone(), socket.try_clone()) else { return ExitCode::FAILURE };
    let pipes = Arc::new(Mutex::new(Pipes { from: Box::new(from), to: Box::new(to) }));
    let theirs = Arc::clone(&pipes);
    let Some(loaded) = on_stack(LOAD_STACK, move || load(&theirs)) else { return ExitCode::FAILURE };
    // Only the functions stay: texts and remarks were handed over.
    let Some(scripts) = loaded.map(|loaded| loaded.scripts) else { return ExitCode::SUCCESS };
    memory::give_back();
    let mut template = Template { scripts, pipes, socket: Some(socket), children: BTreeSet::new() };
    while let Some(order) = { lock(&template.pipes).hear() } {
        let reply = match order {
            ChildRequest::Fork => template.fork(),
            ChildRequest::End { pid } => template.end(pid),
            _ => return ExitCode::FAILURE,
        };
        if !lock(&template.pipes).say(&reply) {
            break;
        }
    }
    ExitCode::SUCCESS
}

struct Template {
    scripts: Arc<Scripts>,
    pipes: Arc<Mutex<Pipes>>,
    /// None in a forked evaluator.
    socket: Option<UnixStream>,
    children: BTreeSet<i32>,
}

impl Template {
    fn fork(&mut self) -> ChildReply {
        let pipes = match self.pipes() {
            Ok(pipes) => pipes,
            Err(error) => return ChildReply::Failed(format!("failed to receive pipes: {error}")),
        };
        let us = rustix::process::getpid();
        match sys::fork() {
            Ok(None) => self.become_evaluator(us, pipes),
            Ok(Some(pid)) => {
                self.children.insert(pid);
                ChildReply::Forked { pid }
            }
            Err(error) => ChildReply::Failed(format!("failed to fork: {error}")),
        }
    }

    /// The pipes that come beside the next byte.
    fn pipes(&self) -> io::Result<[OwnedFd; PIPES]> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(PIPES))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut byte = [0];
        let socket = self.socket.as_ref().ok_or_else(|| io::Error::other("only the template has a socket"))?;
        recvmsg(socket, &mut [IoSliceMut::new(&mut byte)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
        let mut pipes = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(received) = message {
                pipes.extend(received);
            }
        }
        pipes.try_into().map_err(|_| io::Error::other("three were expected"))
    }

    /// In the forked process: serves, and ends it.
    fn become_evaluator(&mut self, parent: Pid, [input, output, errors]: [OwnedFd; PIPES]) -> ! {
        let streams = rustix::stdio::dup2_stdin(&input)
            .and_then(|()| rustix::stdio::dup2_stdout(&output))
            .and_then(|()| rustix::stdio::dup2_stderr(&errors));
        drop((input, output, errors));
        // The template's socket is not ours: what it gets to hear is not for us.
        let silent = Pipes { from: Box::new(io::empty()), to: Box::new(io::sink()) };
        *lock(&self.pipes) = silent;
        self.socket = None;
        confine::end_with_parent(parent);
        confine::to_work();
        let scripts = Arc::clone(&self.scripts);
        let served = streams.is_ok()
            && on_stack(WORK_STACK, move || {
                let to = Box::new(io::stdout());
                serve::serve(&scripts, &mut Pipes { from: Box::new(BufReader::new(io::stdin())), to });
            })
            .is_some();
        // Whatever is buffered was said.
        let _ = io::stdout().flush();
        std::process::exit(if served { 0 } else { 101 });
    }

    /// Kills an evaluator, and asks how it ended.
    fn end(&mut self, pid: i32) -> ChildReply {
        let known = self.children.remove(&pid).then(|| Pid::from_raw(pid)).flatten();
        let Some(child) = known else { return ChildReply::Failed(format!("there is no evaluator {pid}")) };
        // One that is dead already keeps its own end.
        let _ = rustix::process::kill_process(child, Signal::KILL);
        match rustix::process::waitpid(Some(child), WaitOptions::empty()) {
            Ok(Some((_, status))) => {
                ChildReply::Ended { code: status.exit_status(), signal: status.terminating_signal() }
            }
            Ok(None) | Err(_) => ChildReply::Ended { code: None, signal: None },
        }
    }
}
