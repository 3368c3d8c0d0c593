//! What is known of workers.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::base::{Span, Timestamp};
use crate::engine::timers::due;
use crate::model::{BuildId, CommandId, WorkerId};

/// At most so many leftover commands are remembered for a worker that is away, newest kept. More can only come from
/// a worker that was lost as often without ever coming back in between.
const LEFTOVERS_MAX: usize = 1_000;

/// What a stock worker has confirmed to kill ends within this time; it cannot say so
/// (docs/reference/worker-protocol.md#lost-connections).
const KILL_TIME: Span = Span::from_seconds(10);

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
    /// Commands that may still run there and that nobody waits for. Their directories are in use.
    #[serde(rename = "stale")]
    pub leftovers: VecDeque<LeftoverCommand>,
}

/// A leftover.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::engine) struct LeftoverCommand {
    pub command: CommandId,
    pub build: BuildId,
    pub dir: String,
    /// A stock worker has confirmed the order to kill it, and it has ended by then; none: nobody knows.
    pub over: Option<Timestamp>,
}

impl LeftoverCommand {
    /// When its directory becomes free, if that is known.
    pub fn over(&self, now: Timestamp) -> Option<Timestamp> {
        self.over.map(|over| due(over, now, KILL_TIME))
    }
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
            leftovers: VecDeque::new(),
        }
    }

    /// Whether new builds may go to it, as far as it is concerned.
    pub fn takes_builds(&self) -> bool {
        sabotage!(PausedGetsBuilds => return self.active && self.connection.is_some() && !self.graceful);
        self.active && self.connection.is_some() && !self.paused && !self.graceful
    }

    /// It connects: one of ours stops all that is not wanted before it takes a command, a stock worker is told to.
    pub fn tell_leftovers(&mut self, resumes: bool) {
        self.leftovers.retain(|_| !resumes);
        for leftover in &mut self.leftovers {
            leftover.over = None;
        }
    }

    /// It confirmed that it kills these.
    pub fn leftovers_interrupted(&mut self, commands: &[CommandId], at: Timestamp) {
        for leftover in self.leftovers.iter_mut().filter(|leftover| commands.contains(&leftover.command)) {
            leftover.over = Some(at.plus(KILL_TIME));
            sabotage!(KillTimeIgnored => leftover.over = Some(at));
        }
    }

    /// One of them has ended.
    pub fn leftover_ended(&mut self, command: &CommandId) {
        self.leftovers.retain(|leftover| leftover.command != *command);
    }

    /// Remembers a command that may still run there.
    pub fn leave_behind(&mut self, command: CommandId, build: BuildId, dir: &str) {
        if self.leftovers.len() >= LEFTOVERS_MAX {
            self.leftovers.pop_front();
        }
        self.leftovers.push_back(LeftoverCommand { command, build, dir: dir.to_owned(), over: None });
    }
}
