//! The engine's face: one input in, one turn out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::in_flight::InFlight;
use super::settle::{Core, Parts};
use super::state::State;
use super::turn::Turn;
use super::{Deadline, Decided, Effect, Input, StuckQueue, waiting};
use crate::base::Timestamp;
use crate::model::{Ask, Cause, ConfigDigest, Event, Fact, Plan, RequestId, Script};

/// The form of snapshots that this version writes. Earlier ones are read as long as they stand here: 1.
const SNAPSHOT_VERSION: u32 = 1;

/// The whole state of open work, and what is under way because of it. See `docs/design/engine.md`.
///
/// Two engines are equal if their states are: what follows from facts, not what this process has under way.
#[derive(Clone, Debug, Default)]
pub struct Engine {
    state: State,
    in_flight: InFlight,
    parts: Parts,
}

impl PartialEq for Engine {
    fn eq(&self, other: &Self) -> bool {
        self.state == other.state
    }
}

/// A fact that does not fit the state: a bug, or facts that were damaged or mixed up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("fact {seq} is illegal here: {why}")]
pub struct Illegal {
    /// The fact's place.
    pub seq: u64,
    /// What does not fit.
    pub why: String,
}

/// Why state cannot be restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The snapshot is damaged.
    #[error("read the snapshot of the engine's state")]
    Snapshot(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The snapshot is of a version that this one does not know.
    #[error("read the snapshot of the engine's state: it has form {found}, this version knows {SNAPSHOT_VERSION}")]
    Newer {
        /// The form it has.
        found: u32,
    },
    /// The facts do not fit together.
    #[error("replay the facts after the snapshot")]
    Illegal(#[from] Illegal),
}

#[derive(Deserialize)]
struct SnapshotHead {
    version: u32,
}

#[derive(Serialize)]
struct SnapshotOut<'a> {
    version: u32,
    state: &'a State,
}

#[derive(Deserialize)]
struct SnapshotIn {
    state: State,
}

impl Engine {
    /// An engine that knows nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes one input; returns what became true and what to do about it. The facts are applied already: commit them,
    /// then carry out the effects. If they cannot be committed, drop this engine and restore another one.
    pub fn handle(&mut self, now: Timestamp, input: Input, scripts: &dyn Script) -> Decided {
        let cause = super::cause::of(&input, &self.state);
        let turn = Turn::new(&mut self.state, &mut self.in_flight, (now, cause), scripts);
        let mut core = Core { turn, parts: &mut self.parts };
        core.take(input);
        core.finish()
    }

    /// The next moment at which [`Input::Woke`] is due, and why.
    #[must_use]
    pub fn deadline(&self) -> Option<Deadline> {
        self.in_flight.timers.first()
    }

    /// Why these requests wait, in words; those that do not wait are left out. Decides nothing.
    pub fn why_waits(
        &mut self,
        now: Timestamp,
        requests: &[RequestId],
        scripts: &dyn Script,
    ) -> BTreeMap<RequestId, Vec<String>> {
        let turn = Turn::new(&mut self.state, &mut self.in_flight, (now, Cause::Clock), scripts);
        let why = requests.iter().map(|id| (*id, waiting::why_waits(&turn, *id)));
        why.filter(|(_, why)| !why.is_empty()).collect()
    }

    /// Builders whose requests wait for what does not come by itself. Decides nothing.
    pub fn stuck_queues(&mut self, now: Timestamp, scripts: &dyn Script) -> Vec<StuckQueue> {
        waiting::stuck_queues(&Turn::new(&mut self.state, &mut self.in_flight, (now, Cause::Clock), scripts))
    }

    /// Makes one recorded fact part of the state. Its `seq` must be the next one.
    ///
    /// # Errors
    /// When the fact cannot have happened in this state.
    pub fn apply(&mut self, fact: &Fact) -> Result<(), Illegal> {
        self.state.apply(fact).map_err(|why| Illegal { seq: fact.seq, why })?;
        self.parts.log_writes.extend(self.order_again(fact));
        Ok(())
    }

    /// The last fact that is part of the state.
    #[must_use]
    pub const fn last_seq(&self) -> u64 {
        self.state.seq()
    }

    /// The highest epoch of any worker's connection so far; the owner draws higher ones.
    #[must_use]
    pub const fn last_epoch(&self) -> u64 {
        self.state.epoch()
    }

    /// The configuration in force.
    #[must_use]
    pub fn plan(&self) -> Option<&Arc<Plan>> {
        self.in_flight.plans.get(self.state.plan()?)
    }

    /// The configurations that open work needs: the one in force, those that running builds pin, those of
    /// undelivered reports.
    #[must_use]
    pub fn plans_needed(&self) -> BTreeSet<ConfigDigest> {
        self.state.plans_needed()
    }

    /// The state as bytes, for [`Engine::restore`]. Keep it only once the effects of all turns so far are carried out
    /// as far as they write to logs: a restored engine repeats those of later facts only.
    ///
    /// # Panics
    /// Never: plain data always serializes.
    #[must_use]
    pub fn snapshot(&self) -> Vec<u8> {
        rmp_serde::to_vec_named(&SnapshotOut { version: SNAPSHOT_VERSION, state: &self.state })
            .expect("plain data always serializes")
    }

    /// The state after a snapshot (none: nothing) and the facts that follow it. `plans` gives configurations by digest;
    /// it is asked for those that the state still needs. One that cannot be had costs the builds that pin it, and nobody
    /// else: they end as exceptions that say why. Tell the engine [`Input::Started`] next.
    ///
    /// # Errors
    /// When something is damaged or missing; nothing is guessed.
    pub fn restore(
        snapshot: Option<&[u8]>,
        facts: &[Fact],
        plans: &mut dyn FnMut(&ConfigDigest) -> Result<Arc<Plan>, String>,
    ) -> Result<Self, RestoreError> {
        let mut engine = Self::new();
        if let Some(bytes) = snapshot {
            engine.state = read_snapshot(bytes)?;
            engine.state.rebuild_index();
        }
        for fact in facts {
            engine.apply(fact)?;
        }
        for digest in engine.plans_needed() {
            match plans(&digest) {
                Ok(plan) => engine.in_flight.plans.put(&plan),
                Err(why) => engine.in_flight.plans.put_unloadable(digest, why),
            }
        }
        engine.in_flight.plans.prepare(&engine.state);
        Ok(engine)
    }

    /// The order to a log that goes with a fact which just became part of the state; the process that recorded it may
    /// have died before it was carried out.
    fn order_again(&self, fact: &Fact) -> Option<Effect> {
        match &fact.event {
            Event::Asked { build, step, key, ask: Ask::WriteLog { log, .. }, .. } => {
                super::journal::log_write(&self.state, *build, *step, key, log)
            }
            Event::StepNoted { build, step, log, text, .. } => {
                super::journal::engine_write(&self.state, *build, *step, *log, text)
            }
            Event::LogClosed { build, log, .. } => Some(Effect::CloseLog { build: *build, log: *log }),
            _ => None,
        }
    }

    #[cfg(test)]
    pub(super) const fn state(&self) -> &State {
        &self.state
    }
}

fn read_snapshot(bytes: &[u8]) -> Result<State, RestoreError> {
    let damaged = |error: rmp_serde::decode::Error| RestoreError::Snapshot(Box::new(error));
    let head: SnapshotHead = rmp_serde::from_slice(bytes).map_err(damaged)?;
    if head.version != SNAPSHOT_VERSION {
        return Err(RestoreError::Newer { found: head.version });
    }
    Ok(rmp_serde::from_slice::<SnapshotIn>(bytes).map_err(damaged)?.state)
}
