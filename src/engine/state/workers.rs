//! What is known of workers.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::base::{Span, Timestamp};
use crate::engine::timers::due;
use crate::model::{BuildId, CommandId, WorkerId};

/// At most so many leftover commands are remembered for a worker that is away, newest kept. More can only come from
/// a worker that was lost as often without ever coming back in between.
const LEFTOVERS_MAX: usize = 1_000;

/// A stock worker kills what it is told to forget within this time; it cannot say so
/// (docs/reference/worker-protocol.md#lost-connections).
const KILL_TIME: Span = Span::from_seconds(10);

/// A leftover is told to so many connections: the master may die before it has told the first.
const TOLD_MAX: u8 = 2;

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
    /// How many connections were told of it.
    pub told: u8,
    /// When it has ended for certain; none: nobody knows.
    pub over: Option<Timestamp>,
    /// That moment has passed: its directory is free until the worker comes back, and is told once more.
    pub ended: bool,
}

impl LeftoverCommand {
    /// Whether its directory is in use.
    pub fn in_use(&self, now: Timestamp) -> bool {
        !self.ended && self.over(now).is_none_or(|over| over > now)
    }

    /// When its directory becomes free, if that is known and still to come true.
    pub fn over(&self, now: Timestamp) -> Option<Timestamp> {
        self.over.filter(|_| !self.ended).map(|over| due(over, now, KILL_TIME))
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
    pub fn tell_leftovers(&mut self, resumes: bool, at: Timestamp) {
        self.leftovers.retain(|leftover| !resumes && leftover.told < TOLD_MAX);
        for leftover in &mut self.leftovers {
            leftover.told += 1;
            leftover.over = Some(at.plus(KILL_TIME));
            leftover.ended = false;
        }
    }

    /// When a stock worker that connects now has killed what it is told to forget.
    pub fn kills_by(resumes: bool, at: Timestamp) -> Option<Timestamp> {
        (!resumes).then(|| at.plus(KILL_TIME))
    }

    /// One of them has ended. One that only ought to have ended is kept: the order to kill it may have been lost.
    pub fn leftover_ended(&mut self, command: &CommandId, heard: bool) {
        if heard {
            return self.leftovers.retain(|leftover| leftover.command != *command);
        }
        for leftover in self.leftovers.iter_mut().filter(|leftover| leftover.command == *command) {
            leftover.ended = true;
        }
    }

    /// Remembers a command that may still run there.
    pub fn leave_behind(&mut self, command: CommandId, build: BuildId, dir: &str, over: Option<Timestamp>) {
        if self.leftovers.len() >= LEFTOVERS_MAX {
            self.leftovers.pop_front();
        }
        let told = u8::from(over.is_some());
        self.leftovers.push_back(LeftoverCommand { command, build, dir: dir.to_owned(), told, over, ended: false });
    }
}
