//! From state and fact to state: buildsets and requests.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::illegal_fact::{IllegalFact, unknown};
use super::requests::newest;
use super::{Buildset, Request, RequestEnd, State};
use crate::base::Timestamp;
use crate::model::{
    Ask, BuildId, BuildsetId, BuildsetRecord, ChangeId, Key, MadeBy, Outcome, RequestId, RequestRecord,
};

impl State {
    pub(super) fn buildset_made(
        &mut self,
        set: &BuildsetRecord,
        requests: &[RequestRecord],
        at: Timestamp,
    ) -> Result<(), IllegalFact> {
        self.last.buildset = self.last.buildset.max(set.id.0);
        for stamp in &set.stamps {
            self.last.stamp = self.last.stamp.max(stamp.id.0);
            self.changes.remember_stamp(stamp);
        }
        self.changes.hold(&set.changes);
        if let MadeBy::Scheduler(id) = set.made_by {
            let scheduler = self.scheduler_mut(id)?;
            scheduler.last = Some(at);
            scheduler.retry = None;
            let mut taken = scheduler.take(&set.changes);
            let specs: Vec<_> = set.stamps.iter().map(|stamp| stamp.spec.clone()).collect();
            if scheduler.pay(&specs, &set.changes) {
                taken.extend(&set.changes);
            }
            self.changes.release(&taken);
        }
        for record in requests {
            self.last.request = self.last.request.max(record.id.0);
            let request = Request::new(record, set);
            self.changes.hold(&request.changes);
            self.index.wait(&request);
            self.requests.insert(request.id, request);
        }
        let buildset = Buildset {
            record: Arc::new(set.clone()),
            requests: requests.iter().map(|request| (request.id, None)).collect(),
            awaited_by: self.trigger_of(set),
            ended: None,
            changes: set.changes.clone(),
        };
        self.buildsets.insert(set.id, buildset);
        Ok(())
    }

    /// The ask that waits for a buildset which is being made: the trigger that its parent build asked for just now. A
    /// rebuild has the same parent, but nobody waits for it.
    fn trigger_of(&mut self, set: &BuildsetRecord) -> Option<(BuildId, Key)> {
        let parent = set.parent.filter(|_| set.rebuilt.is_none())?;
        let step = self.builds.get_mut(&parent)?.step.as_mut()?;
        let key = step.triggering.clone()?;
        let waits = matches!(step.ask(&key), Some(Ask::Trigger(ask)) if ask.wait);
        waits.then(|| {
            step.triggers.entry(key.clone()).or_default().push(set.id);
            (parent, key)
        })
    }

    pub(super) fn request_collapsed(&mut self, request: RequestId, into: RequestId) -> Result<(), IllegalFact> {
        let old = self.requests.get(&request).ok_or_else(|| unknown("request", &request))?.clone();
        if old.build.is_some() {
            return Err(format!("request `{request}` is being built"));
        }
        let new = self.requests.get_mut(&into).ok_or_else(|| unknown("request", &into))?;
        let set = self.buildsets.get_mut(&new.buildset).ok_or_else(|| unknown("buildset", &new.buildset))?;
        self.index.wait_no_more(new);
        new.order = new.order.min(old.order);
        new.priority = new.priority.max(old.priority);
        for known in [&mut new.changes, &mut set.changes] {
            let all = joined(known, &old.changes);
            self.changes.hold(&all);
            self.changes.release(&std::mem::replace(known, all));
        }
        self.index.wait(new);
        Ok(())
    }

    pub(super) fn request_priority(&mut self, request: RequestId, priority: i64) -> Result<(), IllegalFact> {
        let found = self.requests.get_mut(&request).ok_or_else(|| unknown("request", &request))?;
        let waits = found.build.is_none();
        if waits {
            self.index.wait_no_more(found);
        }
        found.priority = priority;
        if waits {
            self.index.wait(found);
        }
        Ok(())
    }

    pub(super) fn request_ended(&mut self, request: RequestId, outcome: Outcome) -> Result<(), IllegalFact> {
        let ended = self.requests.remove(&request).ok_or_else(|| unknown("request", &request))?;
        if ended.build.is_none() {
            self.index.wait_no_more(&ended);
        }
        self.changes.release(&ended.changes);
        let set = self.buildsets.get_mut(&ended.buildset).ok_or_else(|| unknown("buildset", &ended.buildset))?;
        let end = RequestEnd { builder: ended.builder, outcome, build: ended.last_build };
        set.requests.insert(request, Some(end));
        Ok(())
    }

    pub(super) fn request_waits(&mut self, request: RequestId, at: Timestamp) -> Result<(), IllegalFact> {
        let found = self.requests.get_mut(&request).ok_or_else(|| unknown("request", &request))?;
        if found.build.is_none() {
            return Err(format!("request `{request}` waits already"));
        }
        found.wait_again(at);
        self.index.wait(found);
        Ok(())
    }

    pub(super) fn buildset_ended(&mut self, id: BuildsetId, outcome: Outcome) -> Result<(), IllegalFact> {
        let set = self.buildsets.get_mut(&id).ok_or_else(|| unknown("buildset", &id))?;
        if set.requests.values().any(Option::is_none) {
            return Err(format!("buildset `{id}` has open requests"));
        }
        set.ended = Some(outcome);
        self.drop_buildset_if_done(id);
        Ok(())
    }

    /// Nobody waits for these any more.
    pub(super) fn await_no_more(&mut self, sets: &[BuildsetId]) {
        for id in sets {
            if let Some(set) = self.buildsets.get_mut(id) {
                set.awaited_by = None;
            }
            self.drop_buildset_if_done(*id);
        }
    }

    fn drop_buildset_if_done(&mut self, id: BuildsetId) {
        if self.buildsets.get(&id).is_some_and(|set| set.ended.is_some() && set.awaited_by.is_none())
            && let Some(set) = self.buildsets.remove(&id)
        {
            self.changes.release(&set.changes);
        }
    }
}

/// Two lists of changes as one: oldest first, each once, the newest of them.
fn joined(some: &[ChangeId], others: &[ChangeId]) -> Vec<ChangeId> {
    let all: BTreeSet<ChangeId> = some.iter().chain(others).copied().collect();
    newest(&all.into_iter().collect::<Vec<_>>()).to_vec()
}
