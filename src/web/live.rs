//! Live events: facts as they become durable, as a stream of server-sent events. A page subscribes to what it shows,
//! and reloads what has changed.
//!
//! Invariants: there are at most [`STREAMS_MAX`](super::shared::STREAMS_MAX) streams. Each sends a heartbeat while nothing happens, and ends at
//! shutdown. A reader that is too slow is told that it has missed events (`lagged`), and never delays anybody else.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;
use warp::http::header::{self, HeaderValue};
use warp::http::{Method, StatusCode};
use warp::reply::Response;

use super::history::VisibleHistory;
use super::request::Request;
use super::respond::{self, set};
use super::shared::Shared;
use super::sync_stream::SyncStream;
use super::wire::LiveEvent;
use crate::model::{BuildId, BuilderId, ChangeId, Event, Fact, Identity, Object, Outcome, RequestId, WorkerId};
use crate::store::StoreError;

/// Of one address: the pages of everybody behind it.
const STREAMS_EACH_MAX: usize = 200;
/// After this long a stream ends, and a browser comes back by itself. Only those that do not read stay away: what they
/// have not read may be in the buffers of both systems, where nobody sees it.
const STREAM_AGE_MAX: Duration = Duration::from_hours(1);
/// Shorter than the usual patience of proxies (60 s).
const BEAT: Duration = Duration::from_secs(15);
/// Builds whose builder a stream remembers.
const REMEMBERED_MAX: usize = 1_000;

/// Which events are wanted: those that agree in every parameter that is given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct EventFilter {
    builders: Vec<u64>,
    builds: Vec<u64>,
    kinds: Vec<String>,
}

/// Answers `GET /events`.
pub fn answer(shared: &Arc<Shared>, request: &Request) -> Response {
    if request.method != Method::GET {
        return respond::bare(StatusCode::METHOD_NOT_ALLOWED);
    }
    let wanted = match EventFilter::read(&request.query_pairs()) {
        Ok(wanted) => wanted,
        Err(text) => return respond::body(StatusCode::BAD_REQUEST, respond::TEXT, text),
    };
    let (permit, share) = match (Arc::clone(&shared.streams).try_acquire_owned(), share(shared, request)) {
        (Ok(permit), Some(share)) => (permit, share),
        (Err(_), _) => {
            return respond::body(StatusCode::SERVICE_UNAVAILABLE, respond::TEXT, "too many open event streams");
        }
        (_, None) => {
            let text = "too many open event streams from this address";
            return respond::body(StatusCode::TOO_MANY_REQUESTS, respond::TEXT, text);
        }
    };
    let live = EventStream {
        facts: shared.control.subscribe(),
        identity: request.identity.clone(),
        // Whoever comes back missed what happened meanwhile.
        missed: request.headers.contains_key("last-event-id"),
        builder_of: BTreeMap::new(),
        shared: Arc::clone(shared),
        wanted,
        greeted: false,
        beat: Instant::now() + BEAT,
        ends: Instant::now() + STREAM_AGE_MAX,
        _permit: permit,
        _share: share,
    };
    let pieces = futures_util::stream::unfold(live, |mut live| async move {
        live.next().await.map(|piece| (Ok::<_, std::convert::Infallible>(piece), live))
    });
    let mut response = respond::stream("text/event-stream", SyncStream::new(pieces));
    set(&mut response, header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

impl EventFilter {
    fn read(pairs: &[(String, String)]) -> Result<Self, String> {
        let mut wanted = Self::default();
        for (name, value) in pairs {
            let number = || value.parse().map_err(|_| format!("`{name}` must be a number"));
            match name.as_str() {
                "builder" => wanted.builders.push(number()?),
                "build" => wanted.builds.push(number()?),
                "kind" => wanted.kinds.push(value.clone()),
                _ => return Err(format!("unknown parameter `{name}`; known are `builder`, `build` and `kind`")),
            }
        }
        Ok(wanted)
    }

    fn takes(&self, event: &LiveEvent) -> bool {
        let agrees = |wanted: &[u64], told: Option<u64>| wanted.is_empty() || told.is_some_and(|n| wanted.contains(&n));
        agrees(&self.builders, event.builder)
            && agrees(&self.builds, event.build)
            && (self.kinds.is_empty() || self.kinds.contains(&event.kind))
    }
}

struct EventStream {
    shared: Arc<Shared>,
    /// Whose stream it is.
    identity: Identity,
    facts: Receiver<Arc<Fact>>,
    wanted: EventFilter,
    missed: bool,
    greeted: bool,
    /// When to say something, whatever happens.
    beat: Instant,
    builder_of: BTreeMap<u64, Option<u64>>,
    /// When the reader has to come back.
    ends: Instant,
    _permit: OwnedSemaphorePermit,
    _share: StreamShare,
}

/// One of the streams of an address; none for trusted proxies, which bring those of many.
struct StreamShare(Option<(Arc<Shared>, IpAddr)>);

fn share(shared: &Arc<Shared>, request: &Request) -> Option<StreamShare> {
    let Some(address) = shared.share_of(request) else { return Some(StreamShare(None)) };
    let mut open = shared.streams_of();
    let streams = open.entry(address).or_default();
    if *streams >= STREAMS_EACH_MAX {
        return None;
    }
    *streams += 1;
    Some(StreamShare(Some((Arc::clone(shared), address))))
}

impl Drop for StreamShare {
    fn drop(&mut self) {
        let Some((shared, address)) = &self.0 else { return };
        let mut open = shared.streams_of();
        if let Some(streams) = open.get_mut(address) {
            *streams -= 1;
            if *streams == 0 {
                open.remove(address);
            }
        }
    }
}

impl EventStream {
    /// The next piece of the stream; none at its end.
    async fn next(&mut self) -> Option<Bytes> {
        let piece = self.wait().await;
        self.beat = Instant::now() + BEAT;
        piece
    }

    async fn wait(&mut self) -> Option<Bytes> {
        if !self.greeted {
            self.greeted = true;
            return Some("retry: 2000\n: hello\n\n".into());
        }
        if std::mem::take(&mut self.missed) {
            return Some(LAGGED.into());
        }
        loop {
            if Instant::now() >= self.ends {
                return None;
            }
            let fact = tokio::select! {
                () = self.shared.stop.cancelled() => return None,
                fact = tokio::time::timeout_at(self.beat, self.facts.recv()) => fact,
            };
            match fact {
                Err(_) => return Some(": beat\n\n".into()),
                Ok(Err(RecvError::Closed)) => return None,
                Ok(Err(RecvError::Lagged(_))) => return Some(LAGGED.into()),
                Ok(Ok(fact)) => {
                    if let Some(event) = self.event(&fact)
                        && self.sees(&event).await
                        && let Some(piece) = piece(&event)
                    {
                        return Some(piece);
                    }
                }
            }
        }
    }

    /// The event of a fact, if the reader asked for it.
    fn event(&mut self, fact: &Fact) -> Option<LiveEvent> {
        let store = self.shared.control.store();
        let name_of = |id: WorkerId| Some(store.worker(id).ok()??.name);
        let mut event = describe(fact, name_of)?;
        if event.builder.is_none() && !self.wanted.builders.is_empty() {
            event.builder = event.build.and_then(|build| self.builder(build));
        }
        self.wanted.takes(&event).then_some(event)
    }

    /// Whether the reader may know of it.
    async fn sees(&self, event: &LiveEvent) -> bool {
        if VisibleHistory::new(&*self.shared.control, &self.identity).is_whole() {
            return true;
        }
        let (shared, identity, event) = (Arc::clone(&self.shared), self.identity.clone(), event.clone());
        let seeing = tokio::task::spawn_blocking(move || {
            is_visible(&VisibleHistory::new(&*shared.control, &identity), &event).unwrap_or(false)
        });
        seeing.await.unwrap_or(false)
    }

    /// Facts of a build name the build only.
    fn builder(&mut self, build: u64) -> Option<u64> {
        if let Some(builder) = self.builder_of.get(&build) {
            return *builder;
        }
        let found = self.shared.control.store().build(BuildId(build)).ok()?.map(|build| build.builder.0);
        if self.builder_of.len() >= REMEMBERED_MAX {
            self.builder_of.clear();
        }
        self.builder_of.insert(build, found);
        found
    }
}

fn piece(event: &LiveEvent) -> Option<Bytes> {
    let json = serde_json::to_string(event).ok()?;
    Some(format!("id: {}\nevent: fact\ndata: {json}\n\n", event.seq).into())
}

/// Whether all that an event names is visible. One that names nothing tells how the installation runs.
fn is_visible(history: &VisibleHistory<'_>, event: &LiveEvent) -> Result<bool, StoreError> {
    if let Some(build) = event.build {
        return Ok(history.build(BuildId(build))?.is_some());
    }
    if let Some(builder) = event.builder {
        return history.sees_builder(BuilderId(builder));
    }
    if let Some(request) = event.request {
        return Ok(history.request(RequestId(request))?.is_some());
    }
    if let Some(worker) = &event.worker {
        return Ok(history.reads(&Object::worker(worker)));
    }
    if let Some(change) = event.change {
        return Ok(history.change(ChangeId(change))?.is_some());
    }
    Ok(PUBLIC.contains(&event.kind.as_str()) || history.reads_operation())
}

/// Kinds of events that pages need whatever they show: then they load again.
const PUBLIC: [&str; 3] = ["master_started", "master_stopped", "plan_adopted"];

const LAGGED: &str = "event: lagged\ndata: {}\n\n";

/// The live event of a fact; none for internal facts of the engine. `name_of` knows the names of workers.
#[expect(clippy::too_many_lines, reason = "a flat match that only dispatches")]
fn describe(fact: &Fact, name_of: impl Fn(WorkerId) -> Option<String>) -> Option<LiveEvent> {
    let mut event = LiveEvent {
        build: fact.event.build().map(|build| build.0),
        seq: fact.seq,
        at: fact.at.as_millis(),
        ..LiveEvent::default()
    };
    let word = |outcome: &Outcome| Some(outcome.word().to_owned());
    let kind = match &fact.event {
        Event::MasterStarted { .. } => "master_started",
        Event::MasterStopped => "master_stopped",
        Event::PlanAdopted { .. } => "plan_adopted",
        Event::PlanRefused { .. } => "plan_refused",
        Event::ChangeArrived { change } => {
            event.change = Some(change.id.0);
            "change_arrived"
        }
        Event::SourcePolled { .. } | Event::SourceFailed { .. } => "source_polled",
        Event::SchedulerEnabled { .. } => "scheduler_enabled",
        Event::BuildsetMade { requests, .. } => {
            event.request = requests.first().map(|request| request.id.0);
            event.builder = requests.first().filter(|_| requests.len() == 1).map(|request| request.builder.0);
            "buildset_made"
        }
        Event::RequestCollapsed { request, .. }
        | Event::RequestPriority { request, .. }
        | Event::RequestWaits { request, .. } => {
            event.request = Some(request.0);
            "request_changed"
        }
        Event::RequestEnded { request, outcome } => {
            event.request = Some(request.0);
            event.outcome = word(outcome);
            "request_ended"
        }
        Event::BuildsetEnded { outcome, .. } => {
            event.outcome = word(outcome);
            "buildset_ended"
        }
        Event::BuildStarted { builder, worker, requests, .. } => {
            event.builder = Some(builder.0);
            event.worker = name_of(*worker);
            event.request = requests.first().map(|request| request.0);
            "build_started"
        }
        Event::BuildState { .. }
        | Event::BuildStopping { .. }
        | Event::StopEscalated { .. }
        | Event::CommandGivenUp { .. } => "build_changed",
        Event::LocksAwaited { step, .. } | Event::LocksTaken { step, .. } | Event::LocksReleased { step, .. } => {
            event.step = step.map(|step| step.0);
            "build_changed"
        }
        Event::BuildEnded { outcome, .. } => {
            event.outcome = word(outcome);
            "build_ended"
        }
        Event::StepStarted { step, .. } => {
            event.step = Some(step.0);
            "step_started"
        }
        Event::StepEnded { step, outcome, .. } => {
            event.step = Some(step.0);
            event.outcome = word(outcome);
            "step_ended"
        }
        Event::StepRetried { step, .. }
        | Event::StepNoted { step, .. }
        | Event::StepLinked { step, .. }
        | Event::Asked { step, .. }
        | Event::LogClosed { step, .. } => {
            event.step = Some(step.0);
            "step_changed"
        }
        Event::Answered { .. } | Event::CommandRestarted { .. } => "step_changed",
        Event::WorkerConnected { worker, .. } => {
            event.worker = name_of(*worker);
            "worker_connected"
        }
        Event::WorkerLost { worker, .. } => {
            event.worker = name_of(*worker);
            "worker_lost"
        }
        Event::WorkerPaused { worker, .. } | Event::WorkerGraceful { worker, .. } => {
            event.worker = name_of(*worker);
            "worker_changed"
        }
        Event::ReportQueued { .. }
        | Event::ReportRemarked { .. }
        | Event::ReportSent { .. }
        | Event::ReportFailed { .. }
        | Event::ReportDropped { .. }
        | Event::ReportSuperseded { .. } => "outbox_changed",
        Event::ChangeAnnounced { .. }
        | Event::DeliveryTaken { .. }
        | Event::ChangeQueued { .. }
        | Event::SchedulerTimed { .. }
        | Event::ChangeUndecided { .. }
        | Event::ChangeDeclined { .. }
        | Event::BuildsetUndecided { .. }
        | Event::BuildsetOwed { .. }
        | Event::BuildsetForgone { .. }
        | Event::ScriptFailed { .. }
        | Event::ScriptSuspended { .. }
        | Event::ScriptRecovered { .. }
        | Event::EvaluationLost { .. }
        | Event::TriggerRefused { .. }
        | Event::TriggerUndecided { .. }
        | Event::StepDecided { .. }
        | Event::LeftoversInterrupted { .. }
        | Event::LeftoverEnded { .. }
        | Event::LocksWaited { .. } => return None,
    };
    kind.clone_into(&mut event.kind);
    Some(event)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        super::super::request::pairs(text.as_bytes())
    }

    #[test]
    fn parameters_of_one_name_are_alternatives_and_names_conditions() {
        let wanted = EventFilter::read(&pairs("builder=1&builder=2&kind=build_ended")).unwrap();
        let event = |builder, kind: &str| LiveEvent { builder, kind: kind.to_owned(), ..LiveEvent::default() };
        assert!(wanted.takes(&event(Some(2), "build_ended")));
        assert!(!wanted.takes(&event(Some(3), "build_ended")));
        assert!(!wanted.takes(&event(Some(1), "build_started")));
        assert!(!wanted.takes(&event(None, "build_ended")));
        assert!(EventFilter::default().takes(&event(None, "anything")));
    }

    #[test]
    fn an_unknown_parameter_is_named() {
        assert!(EventFilter::read(&pairs("bulid=1")).unwrap_err().contains("bulid"));
        assert!(EventFilter::read(&pairs("build=x")).unwrap_err().contains("build"));
    }
}
