//! The source of evaluators of one configuration.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::abnormal_exit::Exit;
use super::attempt::prepare;
use super::launcher::Launcher;
use super::process::{ForkParent, KillHandle, Process};
use crate::config::LoadRequest;
use crate::model::{ConfigDigest, Plan};

/// The source of evaluators of one configuration. Ends with its last user.
#[derive(Debug)]
pub struct Template {
    plan: Arc<Plan>,
    launcher: Launcher,
    kind: Kind,
    kill_handle: Option<KillHandle>,
}

#[derive(Debug)]
enum Kind {
    /// A process that forks them.
    #[cfg(target_os = "linux")]
    Forking(Box<Mutex<forking::Forking>>),
    /// Each loads by itself; the first one is there already.
    Plain { first: Mutex<Option<Box<Process>>>, request: Box<LoadRequest> },
}

impl Template {
    #[cfg(target_os = "linux")]
    pub(super) fn forking(
        plan: Arc<Plan>,
        launcher: &Launcher,
        process: Process,
        socket: std::os::unix::net::UnixStream,
    ) -> Self {
        let kill_handle = process.kill_handle();
        let kind = Kind::Forking(Box::new(Mutex::new(forking::Forking { process, socket })));
        Self { plan, launcher: launcher.clone(), kind, kill_handle }
    }

    pub(super) fn plain(plan: Arc<Plan>, launcher: &Launcher, first: Process, request: LoadRequest) -> Self {
        let kind = Kind::Plain { first: Mutex::new(Some(Box::new(first))), request: Box::new(request) };
        Self { plan, launcher: launcher.clone(), kind, kill_handle: None }
    }

    /// What the configuration says.
    #[must_use]
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// Its digest.
    #[must_use]
    pub fn digest(&self) -> &ConfigDigest {
        &self.plan.digest
    }

    /// How its evaluators are started, and how much they may do.
    #[must_use]
    pub fn launcher(&self) -> &Launcher {
        &self.launcher
    }

    /// Whether it can still make evaluators, as far as it is known.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        match &self.kind {
            #[cfg(target_os = "linux")]
            Kind::Forking(forking) => !lock(forking).process.link.is_closed(),
            Kind::Plain { .. } => true,
        }
    }

    /// The process of a fresh evaluator.
    pub(super) fn process(self: &Arc<Self>) -> Result<Process, String> {
        match &self.kind {
            #[cfg(target_os = "linux")]
            Kind::Forking(forking) => lock(forking).fork(self),
            Kind::Plain { first, request } => match lock(first).take() {
                Some(first) if !first.link.is_closed() => Ok(*first),
                _ => prepare(&self.launcher, request),
            },
        }
    }
}

impl ForkParent for Template {
    fn kill_handle(&self) -> Option<KillHandle> {
        match &self.kind {
            #[cfg(target_os = "linux")]
            Kind::Forking(_) => self.kill_handle.clone(),
            Kind::Plain { .. } => None,
        }
    }

    fn end(&self, pid: i32) -> Exit {
        match &self.kind {
            #[cfg(target_os = "linux")]
            Kind::Forking(forking) => lock(forking).end(pid),
            Kind::Plain { .. } => {
                let _ = pid;
                Exit::default()
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(target_os = "linux")]
mod forking {
    //! The template's process.

    use std::io::IoSlice;
    use std::mem::MaybeUninit;
    use std::os::fd::{AsFd as _, OwnedFd};
    use std::os::unix::net::UnixStream;
    use std::sync::Arc;

    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
    use rustix::pipe::{PipeFlags, pipe_with};

    use super::super::super::limits::CONTROL_WALL;
    use super::super::super::message::{ChildReply, ChildRequest};
    use super::super::abnormal_exit::Exit;
    use super::super::link::{Errors, Link, LinkError, within};
    use super::super::process::{Body, Process};
    use super::Template;

    /// It, and the socket that pipes are passed over.
    #[derive(Debug)]
    pub(super) struct Forking {
        pub process: Process,
        pub socket: UnixStream,
    }

    impl Forking {
        /// A fresh evaluator.
        pub fn fork(&mut self, template: &Arc<Template>) -> Result<Process, String> {
            let pipe = || pipe_with(PipeFlags::CLOEXEC).map_err(|error| format!("failed to make a pipe: {error}"));
            let ((their_from, to), (from, their_to), (errors, their_errors)) = (pipe()?, pipe()?, pipe()?);
            // A child that complains a lot must not wait for us to read it.
            let _ = rustix::io::ioctl_fionbio(&their_errors, true);
            let pid = self.order_fork(&[their_from, their_to, their_errors])?;
            let body = Body::Forked { parent: Arc::<Template>::clone(template), pid };
            let told = |error: std::io::Error| format!("failed to use a pipe: {error}");
            Ok(Process { link: Link::new(to, from).map_err(told)?, errors: Errors::new(errors).map_err(told)?, body })
        }

        fn order_fork(&mut self, pipes: &[OwnedFd; 3]) -> Result<i32, String> {
            let ended = |_: LinkError| "the template process ended".to_owned();
            let until = within(CONTROL_WALL);
            self.process.link.send(&ChildRequest::Fork, until).map_err(ended)?;
            let pipes = pipes.each_ref().map(OwnedFd::as_fd);
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            control.push(SendAncillaryMessage::ScmRights(&pipes));
            sendmsg(&self.socket, &[IoSlice::new(&[0])], &mut control, SendFlags::NOSIGNAL)
                .map_err(|error| format!("failed to pass pipes: {error}"))?;
            match self.process.link.receive(until).map_err(ended)? {
                ChildReply::Forked { pid } => Ok(pid),
                ChildReply::Failed(why) => Err(why),
                other => Err(format!("the template process said {other:?}")),
            }
        }

        /// Ends an evaluator.
        pub fn end(&mut self, pid: i32) -> Exit {
            let until = within(CONTROL_WALL);
            let mut exchange = || {
                self.process.link.send(&ChildRequest::End { pid }, until)?;
                self.process.link.receive(until)
            };
            match exchange() {
                Ok(ChildReply::Ended { code, signal }) => Exit { code, signal },
                Ok(_) => Exit::default(),
                Err(_) => {
                    // A template that does not answer goes, and its evaluators with it.
                    self.process.end();
                    Exit::default()
                }
            }
        }
    }
}
