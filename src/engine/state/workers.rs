//! What is known of workers.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::base::Timestamp;
use crate::model::{CommandId, WorkerId};

/// At most so many leftover commands are remembered for a worker that is away, newest kept. More can only come from
/// a worker that was lost as often without ever coming back in between.
const STALE_MAX: usize = 1_000;

/// A worker, configured now or earlier.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::engine) struct Worker {
    pub id: WorkerId,
    pub active: bool,
    /// There while it is connected.
    pub connection: Option<Connection>,
    /// The epoch of its last connection.
    pub epoch: u64,
    /// What it told when it last connected.
    pub info: BTreeMap<String, String>,
    pub paused: bool,
    pub graceful: bool,
    /// When its builds are given up, while it is away.
    pub give_up: Option<Timestamp>,
    /// The fact that last gave it a build: the smaller, the longer unused.
    pub used: u64,
    /// Commands that may still run there and that nobody waits for.
    pub stale: VecDeque<Stale>,
}

/// A leftover. It is told to two connections: the master may die before it has told the first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::engine) struct Stale {
    pub command: CommandId,
    pub told: bool,
}

/// A connection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::engine) struct Connection {
    pub epoch: u64,
    /// The worker's spool; empty for a stock worker.
    pub instance: String,
    pub resumes: bool,
}

impl Worker {
    /// A worker that was never there before.
    pub const fn new(id: WorkerId) -> Self {
        Self {
            id,
            active: true,
            connection: None,
            epoch: 0,
            info: BTreeMap::new(),
            paused: false,
            graceful: false,
            give_up: None,
            used: 0,
            stale: VecDeque::new(),
        }
    }

    /// Whether new builds may go to it, as far as it is concerned.
    pub fn takes_builds(&self) -> bool {
        sabotage!(PausedGetsBuilds => return self.active && self.connection.is_some() && !self.graceful);
        self.active && self.connection.is_some() && !self.paused && !self.graceful
    }

    /// It connects: leftovers are told.
    pub fn tell_stale(&mut self) {
        self.stale.retain(|stale| !stale.told);
        for stale in &mut self.stale {
            stale.told = true;
        }
    }

    /// Remembers a command that may still run there.
    pub fn leave_behind(&mut self, command: CommandId) {
        if self.stale.len() >= STALE_MAX {
            self.stale.pop_front();
        }
        self.stale.push_back(Stale { command, told: false });
    }
}
