//! One child: its streams, and the way to end it.

use std::fmt;
use std::process::Child;
use std::sync::{Arc, Mutex, PoisonError};

use super::abnormal_exit::{AbnormalExit, Bounds, Exit};
use super::link::{Errors, Link, LinkError};

/// Whose child it is.
#[derive(Debug)]
pub(super) enum Body {
    /// Ours.
    Own(Arc<Mutex<Child>>),
    /// A template's.
    Forked { parent: Arc<dyn ForkParent>, pid: i32 },
    /// It ended, and was asked how.
    Ended,
}

/// The parent of children that we cannot end ourselves.
pub(super) trait ForkParent: fmt::Debug + Send + Sync {
    /// Ends it, and its children with it.
    fn kill_handle(&self) -> Option<KillHandle>;
    /// Ends one child, and asks how it ended.
    fn end(&self, pid: i32) -> Exit;
}

/// A child.
#[derive(Debug)]
pub(super) struct Process {
    pub link: Link,
    pub errors: Errors,
    pub body: Body,
}

impl Process {
    /// Its number, for people who look; 0 once it ended.
    pub fn pid(&self) -> u32 {
        match &self.body {
            Body::Own(child) => child.lock().unwrap_or_else(PoisonError::into_inner).id(),
            Body::Forked { pid, .. } => pid.unsigned_abs(),
            Body::Ended => 0,
        }
    }

    /// Ends it from another thread; a forked one goes with its template.
    pub fn kill_handle(&self) -> Option<KillHandle> {
        match &self.body {
            Body::Own(child) => Some(KillHandle(Arc::clone(child))),
            Body::Forked { parent, .. } => parent.kill_handle(),
            Body::Ended => None,
        }
    }

    /// Ends it; why it did not finish what was under way.
    pub fn reap(&mut self, broken: &LinkError, bounds: Bounds) -> AbnormalExit {
        let exit = self.end();
        AbnormalExit::of(broken, exit, &self.errors.read(), bounds)
    }

    /// Kills it, unless it is dead, and asks how it ended.
    pub fn end(&mut self) -> Exit {
        match std::mem::replace(&mut self.body, Body::Ended) {
            Body::Own(child) => end_child(&child),
            Body::Forked { parent, pid } => parent.end(pid),
            Body::Ended => Exit::default(),
        }
    }
}

/// Ends a process that another thread waits for.
#[derive(Clone, Debug)]
pub struct KillHandle(Arc<Mutex<Child>>);

impl KillHandle {
    /// Ends it.
    pub fn kill(&self) {
        end_child(&self.0);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

/// Kills a child of ours, unless it is dead, and asks how it ended.
pub(super) fn end_child(child: &Mutex<Child>) -> Exit {
    let mut child = child.lock().unwrap_or_else(PoisonError::into_inner);
    // It may be dead.
    let _ = child.kill();
    let Ok(status) = child.wait() else { return Exit::default() };
    #[cfg(unix)]
    let signal = std::os::unix::process::ExitStatusExt::signal(&status);
    #[cfg(not(unix))]
    let signal = None;
    Exit { code: status.code(), signal }
}
