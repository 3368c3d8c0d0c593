//! The configurations at hand, by digest: the plans of the one in force and of those that open work still needs, and the
//! processes that run their functions.
//!
//! The plans stay as long as they are needed. The processes come and go; one that is gone is made again from the sources
//! that the store keeps.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::evaluator::{Launcher, Loaded, RetiredTemplates, Sources, TemplateOrigin, Templates};
use crate::model::{ConfigDigest, Plan};
use crate::store::Journal;

/// The table.
#[derive(Debug)]
pub(super) struct Configurations {
    templates: Arc<Templates>,
    plans: Mutex<BTreeMap<ConfigDigest, Arc<Plan>>>,
}

impl Configurations {
    pub fn new(journal: Arc<dyn Journal>, launcher: Launcher) -> Self {
        Self { templates: Arc::new(Templates::new(launcher, StoredSources(journal))), plans: Mutex::default() }
    }

    /// The processes.
    pub fn templates(&self) -> &Arc<Templates> {
        &self.templates
    }

    /// The plan, if it is at hand.
    pub fn get(&self, digest: &ConfigDigest) -> Option<Arc<Plan>> {
        self.plans().get(digest).cloned()
    }

    /// The plan, made again from its kept sources if need be. Blocks. The text says why it cannot be had.
    pub fn obtain(&self, digest: &ConfigDigest) -> Result<Arc<Plan>, String> {
        if let Some(plan) = self.get(digest) {
            return Ok(plan);
        }
        let template = self.templates.obtain_now(digest)?;
        self.plans().insert(digest.clone(), Arc::clone(template.plan()));
        Ok(Arc::clone(template.plan()))
    }

    /// Puts a configuration at hand.
    pub fn insert(&self, loaded: &Loaded) -> Arc<Plan> {
        self.templates.insert(Arc::clone(&loaded.template));
        self.plans().insert(loaded.plan.digest.clone(), Arc::clone(&loaded.plan));
        Arc::clone(&loaded.plan)
    }

    /// Lets go of all but these. What is given back ends processes, which takes a moment: drop it where that disturbs
    /// nobody.
    pub fn retain(&self, needed: &BTreeSet<ConfigDigest>) -> RetiredTemplates {
        self.plans().retain(|digest, _| needed.contains(digest));
        self.templates.retain(needed)
    }

    /// How many are at hand.
    pub fn len(&self) -> usize {
        self.plans().len()
    }

    fn plans(&self) -> MutexGuard<'_, BTreeMap<ConfigDigest, Arc<Plan>>> {
        self.plans.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The journal, as the place of sources.
struct StoredSources(Arc<dyn Journal>);

impl TemplateOrigin for StoredSources {
    fn sources(&self, digest: &ConfigDigest) -> Result<Sources, String> {
        let bytes = self.0.configuration(digest).map_err(|error| format!("its sources cannot be read: {error}"))?;
        Sources::from_bytes(&bytes.ok_or("its sources are not in the store")?)
    }
}
