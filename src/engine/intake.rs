//! Changes arrive: each gets a number, once, and is shown to the schedulers.

use super::pass::Pass;
use super::{Reply, Ticket};
use crate::model::{Change, ChangeId, Event, NewChange, SourceStamp, SourceStampId, StampSpec};

impl Pass<'_> {
    /// Changes from outside.
    pub fn changes_seen(&mut self, changes: Vec<NewChange>, ticket: Option<Ticket>) {
        let ids = changes.into_iter().map(|change| self.change_seen(change, None)).collect();
        self.reply(ticket, Reply::Changes(ids));
    }

    /// One change. A revision that was reported before, by a hook and a poll for example, keeps its number.
    pub fn change_seen(&mut self, mut data: NewChange, source: Option<String>) -> ChangeId {
        if let Some(known) = self.state.changes.same(&data) {
            return known;
        }
        sabotage!(PolledChangeLost => if source.is_some() && !self.facts.is_empty() { return ChangeId(0) });
        data.when.get_or_insert(self.now);
        let id = ChangeId(self.state.last.change + 1);
        let spec = StampSpec {
            codebase: data.codebase.clone(),
            repository: data.repository.clone(),
            project: data.project.clone(),
            branch: data.branch.clone(),
            revision: data.revision.clone(),
        };
        let change = Change {
            id,
            parent: self.state.changes.previous(&data),
            stamp: self.stamp(spec, 0),
            arrived: self.now,
            source,
            data,
        };
        self.record(Event::ChangeArrived { change });
        self.offer_change(id);
        id
    }

    /// The stamp of this content: the known one, or the `fresh`th new one of those that are being made.
    pub fn stamp(&self, spec: StampSpec, fresh: u64) -> SourceStamp {
        self.state.changes.stamp(&spec).unwrap_or_else(|| SourceStamp {
            id: SourceStampId(self.state.last.stamp + 1 + fresh),
            spec,
            created: self.now,
        })
    }
}
