//! What goes through the pipes between worker and runner. The files of the spool tell the truth; the pipes only say
//! when to look.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::worker::order::Order;

/// What a runner is started for.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::worker) enum Job {
    /// Run the command of this folder of the spool. The order here has the secrets that the stored one lacks.
    Run { folder: PathBuf, order: Box<Order> },
    /// Make this terminal the one of our session, then give way to the program.
    Enter { terminal: PathBuf, program: Box<Program> },
}

/// A program, found and with its whole environment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::worker) struct Program {
    pub file: PathBuf,
    pub words: Vec<OsString>,
    pub folder: PathBuf,
    pub env: BTreeMap<OsString, OsString>,
}

/// Tells the worker, if it is there, that there is news in the spool.
#[derive(Debug)]
pub(in crate::worker) struct News {
    listened_to: bool,
}

impl News {
    /// There is more output.
    pub const OUTPUT: u8 = b'o';
    /// The end is written.
    pub const END: u8 = b'e';

    pub fn new() -> Self {
        // A worker that is slow to read must not hold the command up; it looks at all files when it reads at all.
        let flags = rustix::fs::fcntl_getfl(std::io::stdout()).unwrap_or(rustix::fs::OFlags::empty());
        let _stays_blocking = rustix::fs::fcntl_setfl(std::io::stdout(), flags | rustix::fs::OFlags::NONBLOCK);
        Self { listened_to: true }
    }

    pub fn output(&mut self) {
        self.tell(Self::OUTPUT);
    }

    pub fn ended(&mut self) {
        self.tell(Self::END);
    }

    fn tell(&mut self, what: u8) {
        // A full pipe says "look" already.
        if self.listened_to && rustix::io::write(std::io::stdout(), &[what]) == Err(rustix::io::Errno::PIPE) {
            self.listened_to = false;
        }
    }
}
