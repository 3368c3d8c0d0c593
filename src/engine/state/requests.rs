//! Open buildsets and requests, and the order in which requests wait.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::recent::Fingerprint;
use crate::base::{Span, Timestamp};
use crate::engine::timers::due;
use crate::model::{BuildId, BuilderId, BuildsetId, BuildsetRecord, ChangeId, Key, Outcome, RequestId, RequestRecord};

/// At most so many changes are told of one request, newest kept: a request that swallowed a year of others still fits.
pub(in crate::engine) const REQUEST_CHANGES_MAX: usize = 1_000;

/// The pause before a request whose build ended with `retry` for the second time may start again; it doubles. The
/// first retry starts at once.
const RETRY_PAUSE: Span = Span::from_seconds(10);
/// The longest such pause.
const RETRY_PAUSE_MAX: Span = Span::from_minutes(10);

/// A buildset that has open requests, or that a trigger waits for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::engine) struct Buildset {
    pub record: Arc<BuildsetRecord>,
    /// Its requests, and how they ended.
    pub requests: BTreeMap<RequestId, Option<RequestEnd>>,
    /// The build and ask that wait for it.
    pub awaited_by: Option<(BuildId, Key)>,
    pub ended: Option<Outcome>,
    /// Its changes and those of the requests that its own swallowed, oldest first.
    pub changes: Vec<ChangeId>,
}

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::engine) struct RequestEnd {
    pub builder: BuilderId,
    pub outcome: Outcome,
    /// Its last build and that build's number.
    pub build: Option<(BuildId, u64)>,
}

impl Buildset {
    /// The worst outcome, once all requests ended. Without requests: skipped.
    pub fn outcome(&self) -> Option<Outcome> {
        let ends: Option<Vec<Outcome>> =
            self.requests.values().map(|end| end.as_ref().map(|end| end.outcome)).collect();
        Some(ends?.into_iter().fold(Outcome::Skipped, Outcome::worse))
    }

    /// What was built for it: its changes and those of the requests that its own swallowed.
    pub fn all_changes(&self) -> Vec<ChangeId> {
        sabotage!(CollapsedForgottenByDependent => return self.record.changes.clone());
        self.changes.clone()
    }
}

/// A request that waits or is being built.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::engine) struct Request {
    pub id: RequestId,
    pub buildset: BuildsetId,
    pub builder: BuilderId,
    pub priority: i64,
    pub submitted: Timestamp,
    /// Its place among equals: when it, or the oldest request that it swallowed, was submitted.
    pub order: Timestamp,
    pub waited_for: bool,
    /// The build that has it.
    pub build: Option<BuildId>,
    /// Its changes and those of the requests that it swallowed, oldest first.
    pub changes: Vec<ChangeId>,
    /// What requests must agree in to be one build.
    #[serde(rename = "sameness")]
    pub fingerprint: Fingerprint,
    /// How often it waited again.
    pub retries: u32,
    /// It rests until then.
    pub rests_until: Option<Timestamp>,
    pub last_build: Option<(BuildId, u64)>,
}

/// Where a request stands in its builder's queue: higher priority first, then the longest waiting.
pub(in crate::engine) type Rank = (Reverse<i64>, Timestamp, RequestId);

impl Request {
    /// A request as its fact says.
    pub fn new(record: &RequestRecord, set: &BuildsetRecord) -> Self {
        Self {
            id: record.id,
            buildset: record.buildset,
            builder: record.builder,
            priority: record.priority,
            submitted: record.submitted,
            order: record.submitted,
            waited_for: record.waited_for,
            build: None,
            changes: newest(&set.changes).to_vec(),
            fingerprint: request_fingerprint(set),
            retries: 0,
            rests_until: None,
            last_build: None,
        }
    }

    /// Its place in the queue.
    pub fn rank(&self) -> Rank {
        sabotage!(PriorityIgnored => return (Reverse(0), self.order, self.id));
        (Reverse(self.priority), self.order, self.id)
    }

    /// It waits again after a build that ended with `retry`.
    pub fn wait_again(&mut self, at: Timestamp) {
        self.build = None;
        self.retries = self.retries.saturating_add(1);
        self.rests_until = (self.retries > 1).then(|| {
            let doubled = RETRY_PAUSE.as_millis().saturating_mul(1 << (self.retries - 2).min(16));
            at.plus(Span::from_millis(doubled.min(RETRY_PAUSE_MAX.as_millis())))
        });
    }

    /// Until when it still rests.
    pub fn rests(&self, now: Timestamp) -> Option<Timestamp> {
        self.rests_until.map(|until| due(until, now, RETRY_PAUSE_MAX)).filter(|until| *until > now)
    }
}

/// The newest of a list that is oldest first.
pub(in crate::engine) fn newest(changes: &[ChangeId]) -> &[ChangeId] {
    &changes[changes.len().saturating_sub(REQUEST_CHANGES_MAX)..]
}

/// What the default policy compares: all of the source stamps but their revisions, and the properties that a person,
/// a scheduler or a trigger gave (not who gave them and why).
fn request_fingerprint(set: &BuildsetRecord) -> Fingerprint {
    let stamps: Vec<_> = set
        .stamps
        .iter()
        .map(|stamp| (&stamp.spec.codebase, &stamp.spec.repository, &stamp.spec.project, &stamp.spec.branch))
        .collect();
    let given: Vec<_> = set
        .properties
        .0
        .iter()
        .filter(|(name, property)| {
            matches!(property.source.as_str(), "Scheduler" | "Force Build Form" | "Trigger")
                && !matches!(name.as_str(), "scheduler" | "reason" | "owner")
        })
        .collect();
    Fingerprint::of(&(stamps, given))
}
