//! The task that owns the engine.
//!
//! ```text
//!              ┌────────────────────── engine task ───────────────────────┐
//!  inbox ────► │ engine.handle ─► batch ─► store.commit ─► publish facts, │ ──► effects
//!  timer ────► │       ▲            │          (one in flight)  answer    │
//!              │       └────────────┴── goes on while the disk is busy    │
//!              └──────────────────────────────────────────────────────────┘
//! ```
//! Turns that are taken while a commit is in flight share the next one. Effects and answers of a turn follow
//! only after its facts are durable, in order - but for evaluations: they are pure, so nobody can tell when they happen,
//! and they begin at once. What follows from one usually joins the commit of what led to it, which waits a moment for that.
//! If facts cannot be committed the engine task ends, and nobody hears of them. It waits for the store and for the log
//! writer only; neither ever waits for it.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::task::JoinError;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::configurations::Configurations;
use super::decisions::Decisions;
use super::disk_full::retry_while_disk_full;
use super::effects::Effects;
use super::inbox::Message;
use super::log_writes::LogWrites;
use super::plan_in_force::PlanInForce;
use super::{Alerts, MasterError};
use crate::base::{Clock, chain, memory};
use crate::engine::{Deadline, Effect, Engine, Input, Reply, Ticket};
use crate::evaluator::RetiredTemplates;
use crate::model::{AlertSubject, BuildId, Event, Fact};
use crate::store::{Journal, Lease, StoreError};

/// Facts that may wait for the disk; beyond that the engine task takes no more inputs until they are durable. A
/// commit of this many takes some milliseconds, so more would not share a flush better.
const BATCH_FACTS_MAX: usize = 4096;
/// A snapshot after so many facts: a restart replays at most twice as many, which takes some 10 ms.
const SNAPSHOT_FACTS: u64 = 5_000;
/// The timer never sleeps longer, so that a jump of the system's clock is noticed.
const TIMER_MAX: Duration = Duration::from_secs(10);
/// A commit waits at most this long for the evaluations that its turns began: usually they take less, and save a flush
/// of the disk, which takes longer.
const EVALUATIONS_MAX: Duration = Duration::from_millis(1);
/// Pause before the engine is woken a second time for the same deadline.
const WOKEN_AGAIN: Duration = Duration::from_secs(1);

/// What an engine task works with.
pub(super) struct Parts {
    pub engine: Engine,
    /// The last fact of the newest snapshot.
    pub snapshot: u64,
    pub clock: Arc<dyn Clock>,
    pub inbox: mpsc::Receiver<Message>,
    pub configurations: Arc<Configurations>,
    pub decisions: Decisions,
    pub journal: Arc<dyn Journal>,
    /// Asked before each commit: what a master that no longer is the master decides must not become durable.
    pub lease: Arc<dyn Lease>,
    pub plan: PlanInForce,
    pub facts: broadcast::Sender<Arc<Fact>>,
    pub effects: Effects,
    pub alerts: Alerts,
    /// Cancelled when the master ends without order: the engine task drops everything.
    pub stop: CancellationToken,
}

/// Owns the engine; everything else of the master is told by it or tells it.
pub(super) struct EngineTask {
    parts: Parts,
    asks: PendingReplies,
    snapshots: Snapshots,
    /// The deadline that the engine was last woken for.
    woken_for: Option<Deadline>,
}

/// Turns on their way to the disk, together.
#[derive(Default)]
struct Batch {
    facts: Vec<Arc<Fact>>,
    effects: Vec<Effect>,
    /// Who wants to know when this is durable.
    durable: Vec<oneshot::Sender<()>>,
    snapshot: Option<(u64, Vec<u8>)>,
    turns: usize,
    /// Builds whose scripts are being evaluated because of these turns.
    evaluated: BTreeSet<BuildId>,
    /// Until when it may wait for them.
    until: Option<Instant>,
}

type PendingCommit = Pin<Box<dyn Future<Output = Result<Batch, StoreError>> + Send>>;

impl Batch {
    fn wait_for(&mut self, build: BuildId) {
        self.evaluated.insert(build);
        self.until.get_or_insert_with(|| Instant::now() + EVALUATIONS_MAX);
    }

    /// Whether nothing is expected to join it, or it waited long enough.
    fn is_ripe(&self) -> bool {
        self.evaluated.is_empty() || self.until.is_none_or(|until| until <= Instant::now())
    }
}

/// Waits for a moment, if there is one.
async fn moment(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

impl EngineTask {
    pub fn new(parts: Parts) -> Self {
        let snapshots = Snapshots { seq: parts.snapshot, saving: None };
        Self { parts, asks: PendingReplies::default(), snapshots, woken_for: None }
    }

    /// Runs until it is told to stop: everything is durable then, and a snapshot kept.
    pub async fn run(mut self) -> Result<(), MasterError> {
        let mut batch = Batch::default();
        let mut flight: Option<PendingCommit> = None;
        let mut stopping = false;
        let stop = self.parts.stop.clone();
        let mut lanes = self.parts.effects.evaluators.start_lanes();
        loop {
            if flight.is_none() && batch.turns > 0 && (stopping || batch.is_ripe()) {
                flight = Some(self.take_off(std::mem::take(&mut batch)));
            }
            if flight.is_none() && batch.turns == 0 && stopping {
                return self.finish().await;
            }
            let open = !stopping && batch.facts.len() < BATCH_FACTS_MAX;
            let timer = self.timer();
            let ripe = batch.until.filter(|_| flight.is_none() && !batch.evaluated.is_empty());
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                landed = landing(&mut flight), if flight.is_some() => {
                    flight = None;
                    self.carry_out(landed.map_err(MasterError::Commit)?).await;
                }
                message = self.parts.inbox.recv(), if open => match message {
                    Some(message) => stopping = self.receive(message, &mut batch),
                    None => stopping = true,
                },
                Some(ended) = lanes.join_next() => self.lane_ended(ended)?,
                () = moment(ripe), if ripe.is_some() => batch.evaluated.clear(),
                () = tokio::time::sleep(timer), if open => self.wake(&mut batch),
            }
        }
    }

    /// A lane of evaluators ends when the master does, and never before.
    fn lane_ended(&self, ended: Result<(), JoinError>) -> Result<(), MasterError> {
        match ended {
            Ok(()) if self.parts.effects.evaluators.is_closed() => Ok(()),
            Ok(()) => Err(MasterError::Task { name: "evaluator", why: "it returned".to_owned() }),
            Err(error) => Err(MasterError::Task { name: "evaluator", why: error.to_string() }),
        }
    }

    /// Gives one message to the engine; true if it was the last.
    fn receive(&mut self, message: Message, batch: &mut Batch) -> bool {
        match message {
            Message::Tell { input, durable } => {
                batch.durable.extend(durable);
                self.turn(input, batch);
                false
            }
            Message::Ask { ask, reply } => {
                let ticket = self.asks.open(reply);
                self.turn(ask(ticket), batch);
                false
            }
            Message::Why { requests, reply } => {
                let Parts { engine, clock, decisions, .. } = &mut self.parts;
                decisions.begin_pass();
                // An asker that went away needs no answer.
                let _ = reply.send(engine.why_waits(clock.now(), &requests, &*decisions));
                false
            }
            Message::Stuck { reply } => {
                let Parts { engine, clock, decisions, .. } = &mut self.parts;
                decisions.begin_pass();
                // An asker that went away needs no answer.
                let _ = reply.send(engine.stuck_queues(clock.now(), &*decisions));
                false
            }
            Message::Stop => {
                self.turn(Input::Stopping, batch);
                self.parts.inbox.close();
                true
            }
        }
    }

    fn turn(&mut self, input: Input, batch: &mut Batch) {
        if let Input::Evaluated { build, .. } = &input {
            batch.evaluated.remove(build);
        }
        self.parts.decisions.begin_pass();
        let turn = self.parts.engine.handle(self.parts.clock.now(), input, &self.parts.decisions);
        batch.facts.extend(turn.facts);
        for effect in turn.effects {
            match effect {
                Effect::Evaluate { build, job } => {
                    self.parts.effects.evaluators.evaluate(build, job);
                    batch.wait_for(build);
                }
                effect => batch.effects.push(effect),
            }
        }
        batch.turns += 1;
    }

    /// How long to wait for the engine's deadline.
    fn timer(&self) -> Duration {
        let Some(deadline) = self.parts.engine.deadline() else { return TIMER_MAX };
        let wait = deadline.0.since(self.parts.clock.now()).as_duration();
        let again = self.woken_for.as_ref() == Some(&deadline);
        wait.clamp(if again { WOKEN_AGAIN } else { Duration::ZERO }, TIMER_MAX)
    }

    fn wake(&mut self, batch: &mut Batch) {
        if let Some(deadline) = self.parts.engine.deadline().filter(|deadline| deadline.0 <= self.parts.clock.now()) {
            if self.woken_for.as_ref() == Some(&deadline) {
                tracing::error!(?deadline, "the engine ignored a deadline that it was woken for, which is a bug");
            }
            self.woken_for = Some(deadline);
            self.turn(Input::Woke, batch);
        }
    }

    /// Starts to make a batch durable.
    fn take_off(&mut self, mut batch: Batch) -> PendingCommit {
        batch.snapshot = self.snapshots.due(&self.parts.engine);
        let (journal, alerts) = (Arc::clone(&self.parts.journal), self.parts.alerts.clone());
        let held = self.parts.lease.check();
        Box::pin(async move {
            held?;
            if !batch.facts.is_empty() {
                retry_while_disk_full(&alerts, "facts", || journal.append(batch.facts.clone())).await?;
            }
            Ok(batch)
        })
    }

    /// The batch is durable: now the world may know.
    async fn carry_out(&mut self, batch: Batch) {
        for fact in batch.facts {
            self.note(&fact);
            // Nobody may be listening.
            let _ = self.parts.facts.send(fact);
        }
        for durable in batch.durable {
            // The teller may be gone.
            let _ = durable.send(());
        }
        for effect in batch.effects {
            match effect {
                Effect::Reply { ticket, reply } => self.asks.close(ticket, reply),
                effect => self.parts.effects.carry_out(effect).await,
            }
        }
        if let Some((seq, bytes)) = batch.snapshot {
            let (journal, log_writes) = (Arc::clone(&self.parts.journal), Arc::clone(&self.parts.effects.log_writes));
            let alerts = self.parts.alerts.clone();
            self.snapshots.saving = Some(tokio::spawn(keep_snapshot(journal, log_writes, alerts, (seq, bytes))));
        }
    }

    /// What the shell itself has to know of a fact.
    fn note(&mut self, fact: &Fact) {
        match &fact.event {
            Event::PlanAdopted { digest, .. } => {
                if let Some(plan) = self.parts.configurations.get(digest) {
                    self.parts.plan.set(plan);
                }
                self.parts.configurations.templates().keep(digest);
                self.let_go();
            }
            Event::BuildEnded { .. }
            | Event::ReportSent { .. }
            | Event::ReportDropped { .. }
            | Event::ReportSuperseded { .. }
                if self.parts.configurations.len() > 1 =>
            {
                self.let_go();
            }
            _ => {}
        }
    }

    /// Lets go of configurations that nothing needs any more. Processes end beside us.
    fn let_go(&self) {
        let gone = self.parts.configurations.retain(&self.parts.engine.plans_needed());
        if gone.is_empty() {
            return;
        }
        if let Err(error) = std::thread::Builder::new().name("let go".to_owned()).spawn(move || end_of(gone)) {
            tracing::debug!(%error, "failed to start a thread that frees old configurations");
        }
    }

    async fn finish(self) -> Result<(), MasterError> {
        let (seq, bytes) = (self.parts.engine.last_seq(), self.parts.engine.snapshot());
        self.snapshots.settled().await;
        keep_snapshot(self.parts.journal, self.parts.effects.log_writes, self.parts.alerts, (seq, bytes)).await;
        Ok(())
    }
}

/// Ends what is let go, and returns its memory.
fn end_of(gone: RetiredTemplates) {
    drop(gone);
    memory::give_back();
}

/// Keeps a snapshot whose facts are durable, once the log lines that follow from them are, too: after a restart only the
/// lines of later facts are written again.
async fn keep_snapshot(
    journal: Arc<dyn Journal>,
    log_writes: Arc<LogWrites>,
    alerts: Alerts,
    (seq, bytes): (u64, Vec<u8>),
) {
    if !log_writes.drained().await {
        return;
    }
    match journal.keep_snapshot(seq, bytes).await {
        Ok(()) => alerts.clear(&AlertSubject::Master, "snapshot"),
        Err(error) => {
            let text = format!("failed to write a snapshot: {}", chain(&error));
            let hint = "nothing is lost, but the next start takes longer; check the disk".to_owned();
            alerts.raise(AlertSubject::Master, "snapshot", text, Some(hint));
        }
    }
}

async fn landing(flight: &mut Option<PendingCommit>) -> Result<Batch, StoreError> {
    match flight {
        Some(flight) => flight.await,
        None => std::future::pending().await,
    }
}

/// Who waits for which answer.
#[derive(Default)]
struct PendingReplies {
    last: u64,
    open: BTreeMap<Ticket, oneshot::Sender<Reply>>,
}

impl PendingReplies {
    fn open(&mut self, reply: oneshot::Sender<Reply>) -> Ticket {
        self.last += 1;
        let ticket = Ticket(self.last);
        self.open.insert(ticket, reply);
        ticket
    }

    fn close(&mut self, ticket: Ticket, reply: Reply) {
        if let Some(asker) = self.open.remove(&ticket) {
            // An asker that went away needs no answer.
            let _ = asker.send(reply);
        }
    }
}

/// When to keep a snapshot of the engine, and the one that is being kept.
struct Snapshots {
    /// The last fact of the newest one.
    seq: u64,
    saving: Option<tokio::task::JoinHandle<()>>,
}

impl Snapshots {
    /// A snapshot of the present state, if it is time for one.
    fn due(&mut self, engine: &Engine) -> Option<(u64, Vec<u8>)> {
        let seq = engine.last_seq();
        let busy = self.saving.as_ref().is_some_and(|saving| !saving.is_finished());
        if busy || seq < self.seq + SNAPSHOT_FACTS {
            return None;
        }
        self.seq = seq;
        Some((seq, engine.snapshot()))
    }

    async fn settled(self) {
        if let Some(saving) = self.saving {
            // A panic in it was printed, and the snapshot that follows does not need it.
            let _ = saving.await;
        }
    }
}
