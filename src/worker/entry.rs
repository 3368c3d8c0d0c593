//! How the owner of all commands speaks to the task of one.

use std::sync::atomic::{AtomicBool, Ordering};

use super::link::Link;
use crate::model::StopLevel;
use crate::protocol::Seq;

/// What a task is asked.
#[derive(Debug)]
pub(super) enum TaskMessage {
    /// Tell this connection everything from part `next` on.
    Attach { link: Link, next: u64 },
    /// The connection is gone; wait for the next.
    Hold,
    /// The connection is gone, and no other will want to hear of it.
    Discard,
    /// Stop.
    Stop { level: StopLevel, why: String },
    /// The master asked for the start of what is started.
    StartedAgain { seq: Seq, link: Link },
    /// Nobody waits for it: stop it, and leave nothing.
    Forget,
}

/// What can be seen of a task from outside.
#[derive(Debug, Default)]
pub(super) struct Status {
    finished: AtomicBool,
}

impl Status {
    /// The command ended.
    pub fn finish(&self) {
        self.finished.store(true, Ordering::Release);
    }

    pub fn is_finished(&self) -> bool {
        self.finished.load(Ordering::Acquire)
    }
}
