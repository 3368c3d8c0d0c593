//! The engine's face: one input in, one turn out; state is a fold over facts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Deadline, Input, Turn};
use crate::base::Timestamp;
use crate::model::{ConfigDigest, Fact, Plan, Script};

/// The whole state of open work. See `docs/design/engine.md`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Engine {
    seq: u64,
    epoch: u64,
    plans: BTreeMap<ConfigDigest, Arc<Plan>>,
    current: Option<ConfigDigest>,
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
    /// The snapshot is damaged, or of a version that this one does not know.
    #[error("read the snapshot of the engine's state")]
    Snapshot(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A configuration that open work needs cannot be had.
    #[error("load configuration `{digest}`, which open work needs: {why}")]
    Plan {
        /// Its digest.
        digest: ConfigDigest,
        /// Why not.
        why: String,
    },
    /// The facts do not fit together.
    #[error("replay the facts after the snapshot")]
    Illegal(#[from] Illegal),
}

impl Engine {
    /// An engine that knows nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes one input; returns what became true and what to do about it. The facts are applied already: commit them,
    /// then carry out the effects. If they cannot be committed, drop this engine and restore another one.
    pub fn handle(&mut self, _now: Timestamp, _input: Input, _scripts: &dyn Script) -> Turn {
        Turn::default()
    }

    /// The next moment at which [`Input::Woke`] is due, and why.
    #[must_use]
    pub fn deadline(&self) -> Option<Deadline> {
        None
    }

    /// Makes one recorded fact part of the state. Its `seq` must be the next one.
    ///
    /// # Errors
    /// When the fact cannot have happened in this state.
    pub fn apply(&mut self, fact: &Fact) -> Result<(), Illegal> {
        if fact.seq != self.seq + 1 {
            return Err(Illegal { seq: fact.seq, why: format!("it should follow {}", self.seq) });
        }
        self.seq = fact.seq;
        Ok(())
    }

    /// The last fact that is part of the state.
    #[must_use]
    pub const fn last_seq(&self) -> u64 {
        self.seq
    }

    /// The highest epoch of any worker's connection so far; the owner draws higher ones.
    #[must_use]
    pub const fn last_epoch(&self) -> u64 {
        self.epoch
    }

    /// The configuration in force.
    #[must_use]
    pub fn plan(&self) -> Option<&Arc<Plan>> {
        self.current.as_ref().and_then(|digest| self.plans.get(digest))
    }

    /// Makes a configuration known, so that a fact which adopts it can be applied.
    pub fn learn_plan(&mut self, plan: Arc<Plan>) {
        self.plans.insert(plan.digest.clone(), plan);
    }

    /// The configurations that open work needs: the one in force, those that running builds pin, those of
    /// undelivered reports.
    #[must_use]
    pub fn plans_needed(&self) -> BTreeSet<ConfigDigest> {
        self.current.iter().cloned().collect()
    }

    /// The state as bytes, for [`Engine::restore`].
    #[must_use]
    pub fn snapshot(&self) -> Vec<u8> {
        Vec::new()
    }

    /// The state after a snapshot (none: nothing) and the facts that follow it. `plans` gives configurations by digest;
    /// it is asked only for those that the state still needs, or that a fact adopts.
    ///
    /// # Errors
    /// When something is damaged or missing; nothing is guessed.
    pub fn restore(
        _snapshot: Option<&[u8]>,
        facts: &[Fact],
        plans: &mut dyn FnMut(&ConfigDigest) -> Result<Arc<Plan>, String>,
    ) -> Result<Self, RestoreError> {
        let _ = plans;
        let mut engine = Self::new();
        for fact in facts {
            engine.apply(fact)?;
        }
        Ok(engine)
    }
}
