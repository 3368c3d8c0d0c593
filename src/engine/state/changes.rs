//! Changes that somebody still needs, and what was seen lately.
//!
//! A change is held while a scheduler, an open buildset, an open request or nothing but its newness needs it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::announced::Announced;
use super::recent::{Fingerprint, Recent};
use crate::base::Timestamp;
use crate::model::{Change, ChangeId, ChangeSourceId, NewChange, SourceStamp, SourceStampId, StampSpec};

/// Changes and source stamps.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::engine) struct Changes {
    held: BTreeMap<ChangeId, Held>,
    newest: Option<ChangeId>,
    seen: Recent<ChangeId>,
    announced: Announced,
    deliveries: Recent<Option<ChangeId>>,
    lines: Recent<ChangeId>,
    stamps: Recent<(SourceStampId, Timestamp)>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Held {
    change: Arc<Change>,
    holders: u64,
}

/// One revision of one branch as a source sees it: two reports of it are one change. Changes without a revision, and
/// those that somebody sends without being a source, never are.
fn revision_print(source: Option<ChangeSourceId>, change: &NewChange) -> Option<Fingerprint> {
    let (source, revision) = (source?, change.revision.as_ref()?);
    Some(Fingerprint::of(&(source, &change.repository, &change.branch, revision)))
}

/// The line of history that a change continues.
fn line_print(change: &NewChange) -> Fingerprint {
    Fingerprint::of(&(&change.repository, &change.project, &change.codebase, &change.branch))
}

impl Changes {
    /// The change by which this source reported the same revision before, if that was lately.
    pub fn same(&self, source: Option<ChangeSourceId>, change: &NewChange) -> Option<ChangeId> {
        self.seen.get(revision_print(source, change)?).copied()
    }

    /// What a hook told of the change that a poller sees.
    pub fn announced(&self, change: &NewChange) -> Option<&NewChange> {
        self.announced.get(change)
    }

    /// A hook tells of a change that pollers will see.
    pub fn announce(&mut self, change: &NewChange, at: Timestamp) {
        self.announced.put(change, at);
    }

    /// The first change of a delivery that came before, if that was lately; the inner is none if it recorded none.
    #[expect(clippy::option_option, reason = "that it came, and what it recorded, are two things")]
    pub fn delivered(&self, delivery: &str) -> Option<Option<ChangeId>> {
        self.deliveries.get(Fingerprint::of(&delivery)).copied()
    }

    /// Remembers a delivery.
    pub fn take_delivery(&mut self, delivery: &str, change: Option<ChangeId>) {
        self.deliveries.put(Fingerprint::of(&delivery), change);
    }

    /// The previous change of the same repository, project, codebase and branch.
    pub fn previous(&self, change: &NewChange) -> Option<ChangeId> {
        self.lines.get(line_print(change)).copied()
    }

    /// The stamp of this content, if it was used lately.
    pub fn stamp(&self, spec: &StampSpec) -> Option<SourceStamp> {
        let (id, created) = *self.stamps.get(Fingerprint::of(spec))?;
        Some(SourceStamp { id, spec: spec.clone(), created })
    }

    /// A change that is still held.
    pub fn get(&self, id: ChangeId) -> Option<&Arc<Change>> {
        self.held.get(&id).map(|held| &held.change)
    }

    /// Those of the list that are still held.
    pub fn all(&self, ids: &[ChangeId]) -> Vec<Arc<Change>> {
        ids.iter().filter_map(|id| self.get(*id)).cloned().collect()
    }

    /// How many are held, for bounds in tests.
    #[cfg(test)]
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// Takes a new change in.
    pub fn arrived(&mut self, change: &Change) {
        if let Some(print) = revision_print(change.source, &change.data) {
            self.seen.put(print, change.id);
        }
        self.lines.put(line_print(&change.data), change.id);
        self.remember_stamp(&change.stamp);
        let before = self.newest.replace(change.id);
        self.held.insert(change.id, Held { change: Arc::new(change.clone()), holders: 0 });
        if let Some(before) = before {
            self.drop_if_unheld(before);
        }
    }

    /// Remembers a stamp's number.
    pub fn remember_stamp(&mut self, stamp: &SourceStamp) {
        self.stamps.put(Fingerprint::of(&stamp.spec), (stamp.id, stamp.created));
    }

    /// One more holder for each; unknown ones are left out.
    pub fn hold(&mut self, ids: &[ChangeId]) {
        for id in ids {
            if let Some(held) = self.held.get_mut(id) {
                held.holders += 1;
            }
        }
    }

    /// One holder less for each; what nobody holds leaves.
    pub fn release(&mut self, ids: &[ChangeId]) {
        for id in ids {
            if let Some(held) = self.held.get_mut(id) {
                held.holders = held.holders.saturating_sub(1);
                self.drop_if_unheld(*id);
            }
        }
    }

    fn drop_if_unheld(&mut self, id: ChangeId) {
        if self.newest != Some(id) && self.held.get(&id).is_some_and(|held| held.holders == 0) {
            self.held.remove(&id);
        }
    }
}
