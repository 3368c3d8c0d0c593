//! Upkeep of an open store: records into the database, full segments of the journal into packs, old notes away.

use std::sync::{Arc, PoisonError};

use super::WriterThread;
use crate::store::StoreError;
use crate::store::backend::Direction;
use crate::store::blocking::block_on;
use crate::store::journal::{Entry, FactGroup};
use crate::store::key::Table;
use crate::store::logs::LogsToKeep;
use crate::store::packing::Packing;
use crate::store::recent::RecentFacts;
use crate::store::scan::Scan;
use crate::store::txn::{Records as _, Txn};
use crate::store::write_queue::Packed;

/// Records reach the database when there is so much of them, if not earlier.
const FOLD_BYTES: usize = 4 << 20;

/// Ends of builds forgotten in one go.
const TRIMMED_MAX: usize = 1000;

impl WriterThread {
    /// Brings changed records into the database, on the background's thread. Without room they wait: a database that hits the end of a
    /// disk refuses everything from then on.
    pub(super) fn fold(&mut self) {
        let Some(disk) = &self.parts.disk else { return };
        self.fold_due = None;
        if disk.space.check().is_err() {
            self.note_change();
            return;
        }
        let (overlay, failed) = (Arc::clone(&disk.packing.overlay), Arc::clone(&self.fold_failed));
        let (recent, uncopied) = (Arc::clone(&disk.recent), std::mem::take(&mut self.uncopied));
        self.parts.background.push(move || {
            copy(&recent, &uncopied);
            let folded = overlay.fold();
            if let Err(error) = &folded {
                tracing::warn!(%error, "records did not reach the database; they are in the journal");
            }
            *failed.lock().unwrap_or_else(PoisonError::into_inner) = folded.err();
        });
    }

    /// Work that keeps memory and journal small.
    pub(super) fn keep_small(&mut self) {
        let Some(disk) = &self.parts.disk else { return };
        let (overlay_bytes, is_full) = (disk.packing.overlay.bytes(), disk.journal.is_full());
        if overlay_bytes >= FOLD_BYTES && self.fold_due.is_some() {
            self.fold();
        }
        if is_full && !self.is_packing {
            self.rotate();
        }
    }

    /// Begins the next segment of the journal, and has the ones before packed.
    fn rotate(&mut self) {
        let Some(disk) = &mut self.parts.disk else { return };
        if let Err(error) = disk.space.check().and_then(|()| disk.journal.rotate()) {
            tracing::warn!(%error, "no new segment of the journal; the full one goes on");
            return;
        }
        // Whose files are still there, is said again where it stays.
        let removals = std::mem::take(&mut self.unremoved);
        if !removals.is_empty() {
            let noted = self.append(&Entry { removals: removals.clone(), ..Entry::default() });
            self.unremoved = removals;
            if let Err(error) = noted {
                tracing::warn!(%error, "the journal stays as it is for now");
                return;
            }
        }
        self.pack();
    }

    pub(super) fn pack(&mut self) {
        let Some((live, packing, logs)) = self.hand_over() else { return };
        self.is_packing = true;
        let jobs = self.jobs.clone();
        self.parts.background.push(move || {
            let logs = match packing.pack(live, &logs) {
                Ok(packed) => Ok(packed),
                Err(error) => {
                    tracing::warn!(%error, "segments of the journal stay for now");
                    Err(logs)
                }
            };
            jobs.tell(Packed { logs });
        });
    }

    /// What packing needs; none if lines cannot be written.
    fn hand_over(&mut self) -> Option<(u64, Packing, LogsToKeep)> {
        let disk = self.parts.disk.as_ref()?;
        let (live, packing) = (disk.journal.number(), disk.packing.clone());
        self.parts.logs.set_journal(live);
        match self.parts.logs.hand_over() {
            Ok(logs) => Some((live, packing, logs)),
            Err(error) => {
                tracing::warn!(%error, "lines of logs stay in memory and in the journal for now");
                None
            }
        }
    }

    pub(super) fn packed(&mut self, packed: Packed) {
        self.is_packing = false;
        match packed.logs {
            Ok(logs) => self.parts.logs.were_packed(logs.into_iter()),
            Err(undone) => self.parts.logs.take_back(undone),
        }
        for build in std::mem::take(&mut self.removed_meanwhile) {
            if let Err(error) = self.parts.logs.remove_logs(build) {
                tracing::warn!(%error, "logs of a removed build stay in a pack");
            }
        }
    }

    /// The same work, done here and now.
    pub(super) fn settle(&mut self) -> Result<(), StoreError> {
        let Some(disk) = &mut self.parts.disk else { return Ok(()) };
        if !disk.journal.is_empty() {
            disk.journal.rotate()?;
        }
        let (live, packing) = (disk.journal.number(), disk.packing.clone());
        self.parts.logs.set_journal(live);
        let logs = self.parts.logs.hand_over()?;
        let packed = block_on(self.parts.background.run(move || packing.pack(live, &logs)))?;
        self.parts.logs.were_packed(packed.into_iter());
        Ok(())
    }

    /// Forgets ends of builds up to a fact: the kept snapshots are newer.
    pub(super) fn trim(&mut self, seq: u64) {
        if let Some(memory) = &self.parts.memory {
            memory.lock().unwrap_or_else(PoisonError::into_inner).retain(|fact| fact.seq > seq);
        }
        if let Some(disk) = &self.parts.disk {
            let recent = Arc::clone(&disk.recent);
            self.parts.background.push(move || {
                if let Err(error) = recent.trim(seq) {
                    tracing::warn!(%error, "the second copy of older facts stays for now");
                }
            });
        }
        let backend = Arc::clone(&self.parts.backend);
        loop {
            let scan = Scan { after: None, descending: false, limit: TRIMMED_MAX };
            let mut txn = Txn::new(&*backend);
            match backend.ids(&Table::Ended.part(&scan), Direction::Ascending, TRIMMED_MAX) {
                Ok(ids) => ids.into_iter().take_while(|id| *id <= seq).for_each(|id| txn.remove(Table::Ended.id(id))),
                Err(error) => return tracing::warn!(%error, "the ends of old builds could not be looked for"),
            }
            let trimmed = txn.len();
            if trimmed > 0 {
                if let Err(error) = backend.apply(txn.into_batch()) {
                    return tracing::warn!(%error, "the ends of old builds could not be forgotten");
                }
                self.note_change();
            }
            if trimmed < TRIMMED_MAX {
                return;
            }
        }
    }
}

/// Gives facts their second copy. Without it they are as durable as before.
pub(super) fn copy(recent: &RecentFacts, groups: &[FactGroup]) {
    if let Err(error) = recent.add(groups) {
        tracing::warn!(%error, "the newest facts have no second copy");
    }
}
