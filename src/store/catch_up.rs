//! Bringing what the journal has beyond the database into the records.

use std::path::PathBuf;

use super::StoreError;
use super::backend::Backend;
use super::directory::Directory;
use super::journal::{FactGroup, StoredEntry};
use super::packs::last_packed;
use super::project::{last_seq, project};
use super::recent;
use super::removal::Removal;
use super::retention::repeat_all;
use super::txn::Txn;

/// Facts brought into the records together.
const BATCH_FACTS: usize = 1000;

/// Brings what the journal has into the records, in order.
pub(crate) struct CatchUp<'a> {
    backend: &'a dyn Backend,
    /// Where the second copy of the newest facts is.
    recent: PathBuf,
    /// The last fact in the records.
    last: u64,
    /// The last fact that is known to be in a pack or in the journal.
    told: u64,
    /// What retention removed; it is taken out when all facts are in.
    removals: Vec<Removal>,
}

impl<'a> CatchUp<'a> {
    pub fn new(directory: &Directory, backend: &'a dyn Backend) -> Result<Self, StoreError> {
        let (last, told) = (last_seq(backend)?, last_packed(&directory.packs())?);
        Ok(Self { backend, recent: directory.recent(), last, told, removals: Vec::new() })
    }

    /// Takes the facts and removals of an entry. What is damaged is passed over: `store check` tells.
    pub fn take(&mut self, entry: &StoredEntry<'_>, place: &str) -> Result<(), StoreError> {
        match (entry.facts(place), entry.removals(place)) {
            (Ok(group), Ok(removals)) => {
                self.removals.extend(removals);
                let Some(group) = group else { return Ok(()) };
                if group.first > self.told + 1 {
                    for group in recent::between(&self.recent, self.told, group.first)? {
                        self.apply(&group, "the second copy of the newest facts")?;
                    }
                }
                self.apply(&group, place)?;
            }
            (Err(error), _) | (_, Err(error)) => tracing::warn!(%error, "a part of the journal is left out"),
        }
        Ok(())
    }

    fn apply(&mut self, group: &FactGroup, place: &str) -> Result<(), StoreError> {
        self.told = self.told.max(group.last);
        if group.last <= self.last {
            return Ok(());
        }
        let facts = group.facts(place)?;
        for facts in facts.chunks(BATCH_FACTS) {
            let mut txn = Txn::new(self.backend);
            for fact in facts.iter().filter(|fact| fact.seq > self.last) {
                project(&mut txn, fact)?;
            }
            self.backend.apply(txn.into_batch())?;
        }
        self.last = group.last;
        Ok(())
    }

    /// Takes out what was removed; what is out already stays out. Returns that, and facts that the journal lacks at its end.
    pub fn finish(mut self) -> Result<(Vec<Removal>, Vec<FactGroup>), StoreError> {
        let lacking = recent::between(&self.recent, self.told, u64::MAX)?;
        for group in &lacking {
            self.apply(group, "the second copy of the newest facts")?;
        }
        repeat_all(self.backend, &self.removals)?;
        Ok((self.removals, lacking))
    }
}
