//! The configurations at hand, by digest: the one in force, and those that open work still needs.
//!
//! A configuration that is not at hand is made again from the sources that the store keeps. The owner asks
//! user functions through this table.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::config::{self, Loaded, Sources};
use crate::model::{ConfigDigest, Decision, FnId, Question, Script, Undecided};
use crate::store::Store;

/// The table.
#[derive(Debug)]
pub(super) struct Programs {
    store: Store,
    table: Mutex<BTreeMap<ConfigDigest, Arc<Loaded>>>,
}

impl Programs {
    pub fn new(store: Store) -> Self {
        Self { store, table: Mutex::default() }
    }

    /// The configuration, if it is at hand.
    pub fn get(&self, digest: &ConfigDigest) -> Option<Arc<Loaded>> {
        self.table().get(digest).cloned()
    }

    /// The configuration, made again from its kept sources if need be. Blocks; call it on a thread with
    /// [`config::STACK_BYTES`] of stack. The text says why it cannot be had.
    pub fn obtain(&self, digest: &ConfigDigest) -> Result<Arc<Loaded>, String> {
        if let Some(loaded) = self.get(digest) {
            return Ok(loaded);
        }
        let bytes = self.store.config(digest).map_err(|error| format!("its sources cannot be read: {error}"))?;
        let bytes = bytes.ok_or("its sources are not in the store")?;
        let loaded = config::load_sources(Sources::from_bytes(&bytes)?)
            .map_err(|refused| format!("this version of Starwright refuses it:\n{refused}"))?;
        Ok(self.insert(loaded))
    }

    /// Puts a configuration at hand.
    pub fn insert(&self, loaded: Loaded) -> Arc<Loaded> {
        let loaded = Arc::new(loaded);
        self.table().insert(loaded.plan.digest.clone(), Arc::clone(&loaded));
        loaded
    }

    /// Lets go of all but these.
    pub fn retain(&self, needed: &BTreeSet<ConfigDigest>) {
        self.table().retain(|digest, _| needed.contains(digest));
    }

    /// How many are at hand.
    pub fn len(&self) -> usize {
        self.table().len()
    }

    fn table(&self) -> MutexGuard<'_, BTreeMap<ConfigDigest, Arc<Loaded>>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Script for Programs {
    fn decide(&self, plan: &ConfigDigest, function: FnId, question: &Question) -> Decision {
        match self.obtain(plan) {
            Ok(loaded) => Ok(loaded.scripts.decide(function, question)?),
            Err(why) => Err(Undecided::Failed { message: format!("configuration `{plan}` cannot be had: {why}") }),
        }
    }
}
