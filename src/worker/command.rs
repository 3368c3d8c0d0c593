//! A command as the worker sees it: one task that owns its files in the spool, and with them the truth.
//!
//! ```text
//!   requests of connections ─┐            ┌─► parts and end, to the connection
//!   answers of the master ───┼─ [ task ] ─┤
//!   news of the runner ──────┘            └─► acked, stop: to the runner
//! ```
//! Invariants: parts go out in order, each once per connection; the end goes out after all parts; the files go when
//! the master has the end, or nobody wants it.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::entry::{Status, TaskMessage};
use super::link::{Acked as AckedWhat, Acks, Closed, Dialect, Link, SendPermit};
use super::order::Order;
use super::runner::MARKER;
use super::runners::{Runner, RunnerEvent, Spares};
use super::spool::{Acked, Ending, OutReader, Part, Spooled, Stop, StoredEnd, StoredReport, Stream};
use super::stock::{self, StockText};
use crate::base::process::tree;
use crate::model::{CommandId, StopLevel};
use crate::protocol::{LogChunk, MsgPack, Seq, StdStream, Update, WorkerRequest};

/// How often a runner that died before it started its command is replaced.
const STARTS_MAX: u32 = 3;

/// How long a runner may take to kill its command when nobody wants it any more; then it is killed itself.
const FORGET_PATIENCE: Duration = Duration::from_secs(30);

/// Acknowledged output is noted in the spool in steps of this size: most commands print less and need no note. After a
/// restart at most this much is read again, and it is far below what a runner lets accumulate.
const NOTE_BYTES: u64 = 1024 * 1024;

/// Disk space of acknowledged output is reclaimed in pieces of this size.
const RELEASE_BYTES: u64 = 8 * 1024 * 1024;

/// Removing more output than this may take a while on some file systems, and is done beside everything else.
const REMOVE_BYTES: u64 = 16 * 1024 * 1024;

/// Parts that have no subscriber are skipped in steps of this many.
const SKIPPED_AT_ONCE: u64 = 10_000;

/// Rounds of looking for what a lost command left behind.
const KILL_ROUNDS: u32 = 1000;

/// What a command's task owns.
pub(super) struct CommandTask {
    id: CommandId,
    spooled: Spooled,
    /// As it was sent, with its secrets; only the stored one for a command of an earlier worker, and none if that one is
    /// damaged.
    order: Option<Order>,
    spares: Arc<Spares>,
    status: Arc<Status>,
    inbox: mpsc::Receiver<TaskMessage>,
    runner: Runner,
    starts: u32,
    ending: Option<Ending>,
    subscriber: Subscriber,
    /// What the master has for good.
    acked: Acked,
    /// The same as it is in the spool. What is before it may be gone.
    noted: Acked,
    released: u64,
    stops: u64,
    /// An earlier worker began it.
    is_adopted: bool,
    /// Why its output cannot be read any further. Then it ends where the master is.
    unreadable: Option<String>,
    /// Nobody wants it any more; when its runner is killed.
    forget: Option<Instant>,
    /// The answer to the request to start it, which waits for the disk.
    starting: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

/// Who gets the output and the end of the command.
enum Subscriber {
    /// None now; a master may come back.
    Held,
    /// None, for good: a stock master lost it.
    Nobody,
    /// A connection.
    Link(Box<Attached>),
}

/// A connection that gets the output and the end of the command.
struct Attached {
    link: Link,
    acks: Arc<Acks>,
    reader: Option<OutReader>,
    /// The first part that it gets.
    first: u64,
    /// The first part that the spool may still have.
    had: u64,
    /// Parts that were sent and not answered: number, and where the next begins.
    sent: VecDeque<(u64, u64)>,
    stock: Option<StockText>,
    /// A stock master has the exit code.
    numbers_sent: bool,
    /// The next message.
    next: Option<Next>,
    permit: Option<AwaitedPermit>,
    end_sent: bool,
}

type AwaitedPermit = Pin<Box<dyn Future<Output = Result<SendPermit, Closed>> + Send>>;

/// A message that waits for its permit.
enum Next {
    Part {
        n: u64,
        after: u64,
        request: WorkerRequest,
    },
    End(WorkerRequest),
    /// A stock master gets nothing of this part.
    Silent {
        n: u64,
        after: u64,
    },
}

/// What happened.
enum TaskEvent {
    Asked(Option<TaskMessage>),
    Answered,
    Runner(RunnerEvent),
    Permitted(Result<SendPermit, Closed>),
    StartAnswered,
    PatienceOver,
}

impl CommandTask {
    /// The task of a command that the spool does not have yet.
    pub fn new(
        id: CommandId,
        spooled: Spooled,
        order: Option<Order>,
        spares: Arc<Spares>,
        status: Arc<Status>,
        inbox: mpsc::Receiver<TaskMessage>,
    ) -> Self {
        Self {
            acked: Acked::default(),
            noted: Acked::default(),
            released: 0,
            stops: 0,
            is_adopted: false,
            id,
            spooled,
            order,
            spares,
            status,
            inbox,
            runner: Runner::Gone,
            starts: 0,
            ending: None,
            subscriber: Subscriber::Held,
            unreadable: None,
            forget: None,
            starting: None,
        }
    }

    /// Starts a new command, answers the request for it, and follows it.
    pub async fn start(mut self, link: Link, seq: Seq) -> CommandId {
        let order = self.order.as_ref().expect("a new command comes with its order");
        let (public, sync) = (order.without_secrets(), order.boot.is_empty());
        if let Err(error) = self.spooled.create(&public) {
            let _connection_is_gone = link.answer(seq, Err(format!("failed to spool the command: {error}"))).await;
            let _nothing_to_remove = self.spooled.remove();
            return self.id;
        }
        self.attach(link.clone(), 0);
        self.start_runner().await;
        // While the runner starts the command, the answer may wait for the disk.
        self.starting = Some(Box::pin(answer_when_kept(self.id.clone(), self.spooled.clone(), sync, link, seq)));
        self.follow().await
    }

    /// Takes up a command of an earlier worker.
    pub async fn adopt(mut self) -> CommandId {
        self.is_adopted = true;
        self.noted = self.spooled.acked().unwrap_or_default();
        (self.acked, self.released) = (self.noted, self.noted.offset);
        self.stops = self.spooled.stop().map_or(0, |stop| stop.count);
        self.settle().await;
        self.follow().await
    }

    async fn follow(mut self) -> CommandId {
        loop {
            self.note_acks();
            if self.is_done() {
                break;
            }
            if let Err(error) = self.prepare() {
                self.give_up_output(&error).await;
                continue;
            }
            match self.next_event().await {
                // The worker ends; the runner goes on.
                TaskEvent::Asked(None) => return self.id,
                TaskEvent::Asked(Some(ask)) => self.asked(ask).await,
                TaskEvent::Answered => {}
                TaskEvent::StartAnswered => self.starting = None,
                TaskEvent::Permitted(Ok(permit)) => self.send(permit),
                TaskEvent::Permitted(Err(Closed)) => self.subscriber = Subscriber::Held,
                TaskEvent::Runner(RunnerEvent::Output) => {}
                TaskEvent::Runner(RunnerEvent::Gone) if self.ending.is_some() => self.runner = Runner::Gone,
                TaskEvent::Runner(RunnerEvent::End | RunnerEvent::Gone) => self.settle().await,
                TaskEvent::PatienceOver => self.kill_runner(),
            }
        }
        std::mem::replace(&mut self.runner, Runner::Gone).retire(&self.spares).await;
        let is_plain = !self.is_adopted && self.noted == Acked::default() && self.stops == 0;
        if let Err(error) = remove(self.spooled, self.acked.offset, is_plain).await {
            tracing::warn!(command = %self.id, %error, "the spool of a finished command stays behind");
        }
        self.id
    }

    async fn next_event(&mut self) -> TaskEvent {
        let patience = self.forget;
        let starting = self.starting.as_mut();
        let starting_waits = starting.is_some();
        let (acks, permit) = match &mut self.subscriber {
            Subscriber::Link(attached) => (Some(Arc::clone(&attached.acks)), attached.permit.as_mut()),
            Subscriber::Held | Subscriber::Nobody => (None, None),
        };
        let (answers_come, permit_comes) = (acks.is_some(), permit.is_some());
        tokio::select! {
            biased;
            ask = self.inbox.recv() => TaskEvent::Asked(ask),
            () = async { acks.expect("asked below").changed().await }, if answers_come => TaskEvent::Answered,
            permit = async { permit.expect("asked below").await }, if permit_comes => TaskEvent::Permitted(permit),
            () = async { starting.expect("asked below").await }, if starting_waits => TaskEvent::StartAnswered,
            event = self.runner.event(&self.spooled) => TaskEvent::Runner(event),
            () = tokio::time::sleep_until(patience.unwrap_or_else(Instant::now)), if patience.is_some() => {
                TaskEvent::PatienceOver
            }
        }
    }

    async fn asked(&mut self, ask: TaskMessage) {
        match ask {
            TaskMessage::Attach { link, next } => self.attach(link, next),
            TaskMessage::Hold => self.subscriber = Subscriber::Held,
            TaskMessage::Discard => self.subscriber = Subscriber::Nobody,
            TaskMessage::Stop { level, why } => self.stop(level, why).await,
            TaskMessage::StartedAgain { seq, link } => {
                let _connection_is_gone = link.answer(seq, Ok(MsgPack::Nil)).await;
            }
            TaskMessage::Forget => {
                self.subscriber = Subscriber::Nobody;
                if self.ending.is_none() {
                    self.forget = Some(Instant::now() + FORGET_PATIENCE);
                    self.stop(StopLevel::Kill, "the master does not wait for it any more".to_owned()).await;
                }
            }
        }
    }

    fn attach(&mut self, link: Link, next: u64) {
        let stock = match link.dialect {
            Dialect::Ours => None,
            Dialect::Stock { line_max } => Some(StockText::new(line_max)),
        };
        self.subscriber = Subscriber::Link(Box::new(Attached {
            acks: Acks::from(next, link.dialect),
            link,
            reader: None,
            first: next,
            had: self.noted.parts,
            sent: VecDeque::new(),
            stock,
            numbers_sent: false,
            next: None,
            permit: None,
            end_sent: false,
        }));
    }

    /// Tells the runner to stop its command.
    async fn stop(&mut self, level: StopLevel, why: String) {
        if self.ending.is_some() {
            return;
        }
        self.stops += 1;
        if let Err(error) = self.spooled.write_stop(&Stop { level, why, count: self.stops }) {
            tracing::error!(command = %self.id, %error, "a command cannot be told to stop");
        }
        self.runner.poke().await;
    }

    /// Looks at the spool when the runner ended or told that the end is there.
    async fn settle(&mut self) {
        if let Some(ending) = self.spooled.end() {
            self.ending = Some(ending);
            self.status.finish();
            return;
        }
        let Some(order) = &self.order else { return self.lose("its order in the worker's spool is damaged").await };
        if self.spooled.runner().is_some() {
            self.runner = Runner::Adopted;
        } else if self.spooled.end().is_some() {
            // It ended between the two looks; the next one finds the end.
            self.runner = Runner::Adopted;
        } else if self.spooled.is_started() {
            self.lose("its runner was killed").await;
        } else if order.boot != super::runners::boot() {
            self.lose("the machine was restarted before the command started").await;
        } else {
            self.start_runner().await;
        }
    }

    async fn start_runner(&mut self) {
        let Some(order) = &self.order else { return };
        self.starts += 1;
        if self.starts > STARTS_MAX {
            return self.lose("its runners died before they could start it").await;
        }
        match self.spares.start(&self.spooled, order).await {
            Ok(runner) => self.runner = runner,
            Err(error) => self.lose(&format!("its runner could not be started: {error}")).await,
        }
    }

    /// Writes the end that the runner did not live to write, and kills what is left of the command.
    async fn lose(&mut self, why: &str) {
        self.runner = Runner::Gone;
        let (spooled, marker) = (self.spooled.clone(), format!("{MARKER}={}", self.spooled.path().display()));
        let why = why.to_owned();
        let lost = tokio::task::spawn_blocking(move || lose(&spooled, &marker, &why)).await;
        // If the task was cancelled, the worker ends, and the next one finds what is to be done.
        let Ok((ending, kept)) = lost else { return };
        if let Err(error) = kept {
            tracing::error!(command = %self.id, %error, "the end of a lost command cannot be spooled; it is told from memory");
        }
        self.ending = Some(ending);
        self.status.finish();
    }

    /// Gives up output that cannot be read any more: otherwise the master would wait for it without end.
    async fn give_up_output(&mut self, error: &io::Error) {
        let path = self.spooled.path().display();
        tracing::error!(command = %self.id, %path, %error, "the output of a command cannot be read; the command counts as failed");
        let why = format!("the worker cannot read the command's output any more: {error}");
        self.unreadable = Some(why.clone());
        self.stop(StopLevel::Kill, why).await;
    }

    fn kill_runner(&mut self) {
        self.forget = None;
        if let Some(runner) = self.spooled.runner().filter(|process| *process > 0) {
            tracing::warn!(command = %self.id, runner, "a runner does not stop; it is killed");
            tree::kill_process(runner);
        }
    }

    /// Takes the master's answers over into the spool.
    fn note_acks(&mut self) {
        let Subscriber::Link(attached) = &mut self.subscriber else { return };
        let state = attached.acks.state();
        if let Some(why) = state.refused {
            attached.link.refused(&self.id, &why);
            self.subscriber = Subscriber::Held;
            return;
        }
        let mut progress = false;
        while attached.sent.front().is_some_and(|(n, _)| *n < state.parts) {
            if let Some((n, after)) = attached.sent.pop_front() {
                self.acked = Acked { parts: n + 1, offset: after };
                progress = true;
            }
        }
        if progress {
            self.note_progress();
        }
    }

    /// Notes what the master has in the spool, if it is much more than was noted.
    fn note_progress(&mut self) {
        if self.acked.offset - self.noted.offset < NOTE_BYTES {
            return;
        }
        if let Err(error) = self.spooled.write_acked(self.acked) {
            tracing::warn!(command = %self.id, %error, "acknowledged output cannot be noted; more is sent again after a restart");
            return;
        }
        self.noted = self.acked;
        if self.noted.offset - self.released >= RELEASE_BYTES {
            self.spooled.release_out(self.released, self.noted.offset);
            self.released = self.noted.offset;
        }
    }

    /// Whether nobody wants anything of the command any more.
    fn is_done(&self) -> bool {
        self.ending.is_some()
            && self.starting.is_none()
            && match &self.subscriber {
                Subscriber::Held => false,
                Subscriber::Nobody => true,
                Subscriber::Link(attached) => attached.acks.state().end,
            }
    }

    /// Makes the next message ready and asks for a permit to send it. An error says that the output cannot be read.
    fn prepare(&mut self) -> io::Result<()> {
        match &mut self.subscriber {
            Subscriber::Held => {}
            Subscriber::Nobody => self.throw_away(),
            Subscriber::Link(attached) => {
                if attached.next.is_none() && !attached.end_sent {
                    let unreadable = self.unreadable.as_deref();
                    let ending = self.ending.as_ref();
                    attached.next = attached.find_next(&self.id, (&self.spooled, self.noted), ending, unreadable)?;
                }
                if attached.permit.is_none()
                    && let Some(next) = &attached.next
                {
                    let permit = attached.link.clone().permit(next.bytes());
                    attached.permit = Some(Box::pin(permit));
                }
            }
        }
        Ok(())
    }

    /// Sends the message that waits for its permit.
    fn send(&mut self, permit: SendPermit) {
        let Subscriber::Link(attached) = &mut self.subscriber else { return };
        attached.permit = None;
        match attached.next.take() {
            Some(Next::Part { n, after, request }) => {
                attached.sent.push_back((n, after));
                permit.send(request, &attached.acks, AckedWhat::Part(n));
            }
            Some(Next::End(request)) => {
                attached.end_sent = true;
                permit.send(request, &attached.acks, AckedWhat::End);
            }
            Some(Next::Silent { n, after }) => {
                attached.sent.push_back((n, after));
                attached.acks.take(AckedWhat::Part(n), Ok(MsgPack::Nil));
            }
            None => {}
        }
    }

    /// Nobody gets the output: it counts as read, so that the command is not held up.
    fn throw_away(&mut self) {
        let reader = self.spooled.open_out(self.acked);
        let Ok(Some(mut reader)) = reader else { return };
        // The rest is skipped at the next event of the runner.
        let _nothing_there = reader.skip_some(SKIPPED_AT_ONCE);
        if reader.next > self.acked.parts {
            self.acked = Acked { parts: reader.next, offset: reader.offset };
            self.note_progress();
        }
    }
}

/// Answers the request to start a command as soon as its order is kept: it is in the spool, which outlives every
/// process of ours. A crash of the machine is noticed by the number of its start (see [`Spool::instance`]); where there
/// is no such number, the order must survive it.
///
/// [`Spool::instance`]: super::spool::Spool::instance
async fn answer_when_kept(id: CommandId, spooled: Spooled, sync: bool, link: Link, seq: Seq) {
    if sync && let Ok(Err(error)) = tokio::task::spawn_blocking(move || spooled.sync()).await {
        tracing::warn!(command = %id, %error, "the order of a command may not survive a crash of this machine");
    }
    let _connection_is_gone = link.answer(seq, Ok(MsgPack::Nil)).await;
}

/// Removes a command from the spool. `bytes` is the size of its output; a plain one has only an order and output.
async fn remove(spooled: Spooled, bytes: u64, is_plain: bool) -> io::Result<()> {
    if bytes < REMOVE_BYTES {
        return if is_plain { spooled.remove_plain() } else { spooled.remove() };
    }
    // If the runtime ends, the next worker removes it.
    tokio::task::spawn_blocking(move || spooled.remove()).await.unwrap_or(Ok(()))
}

/// A part as our own master wants it.
fn chunk(part: Part) -> LogChunk {
    let stream = match part.stream {
        Stream::Out => StdStream::Stdout,
        Stream::Err => StdStream::Stderr,
        Stream::Header => StdStream::Header,
    };
    let times = part.times.iter().flat_map(|run| (0..run.lines).map(|_| run.at)).collect();
    LogChunk { log: part.log, stream, data: part.data.into(), times }
}

/// Ends a command whose runner is gone, or cannot be followed; and whether the end is in the spool.
fn lose(spooled: &Spooled, marker: &str, why: &str) -> (Ending, io::Result<()>) {
    let claim = spooled.seize();
    if !tree::kill_marked(marker, KILL_ROUNDS) {
        tracing::warn!(marker, "processes of a lost command cannot be killed");
    }
    let ending = Ending { parts: readable_parts(spooled), report: StoredReport::of(StoredEnd::Lost, why) };
    let kept = claim.and_then(|claim| claim.end(&ending));
    (ending, kept)
}

/// The number of parts of output up to the first that cannot be read.
fn readable_parts(spooled: &Spooled) -> u64 {
    let acked = spooled.acked().unwrap_or_default();
    let Ok(Some(mut reader)) = spooled.open_out(acked) else { return acked.parts };
    while matches!(reader.read(), Ok(Some(_))) {}
    reader.next
}

impl Attached {
    /// The next part that is there, or the end after the last one. An error says that the output cannot be read;
    /// `unreadable` that it was so before.
    fn find_next(
        &mut self,
        id: &CommandId,
        (spooled, noted): (&Spooled, Acked),
        ending: Option<&Ending>,
        unreadable: Option<&str>,
    ) -> io::Result<Option<Next>> {
        if self.first < self.had {
            let why = format!(
                "the master asks for output from part {} on again, but had said that it has all up to part {}",
                self.first, self.had
            );
            let ending = Ending { parts: self.first, report: StoredReport::of(StoredEnd::Lost, why) };
            return Ok(Some(self.end(id, &ending)));
        }
        let next = self.reader.as_ref().map_or(0, |reader| reader.next).max(self.first);
        if let Some(why) = unreadable {
            let report = || StoredReport::of(StoredEnd::Broken, why);
            return Ok(ending.map(|_| self.end(id, &Ending { parts: next, report: report() })));
        }
        if let Some(ending) = ending.filter(|ending| next >= ending.parts) {
            return Ok(Some(self.end(id, ending)));
        }
        if self.reader.is_none() {
            self.reader = spooled.open_out(noted)?;
        }
        if let Some(reader) = &mut self.reader {
            let is_behind = reader.next < self.first;
            if is_behind && reader.skip_to(self.first)? {
                // The master has more than we had heard of.
                self.sent.push_back((reader.next - 1, reader.offset));
                self.acks.poke();
            }
            if let Some(part) = if reader.next < self.first { None } else { reader.read()? } {
                return Ok(Some(self.part(id, next, part)));
            }
        }
        // The end was written after all output.
        let missing = |ending: &Ending| format!("part {next} of {} is missing", ending.parts);
        ending.map_or(Ok(None), |ending| Err(io::Error::new(io::ErrorKind::UnexpectedEof, missing(ending))))
    }

    fn part(&mut self, id: &CommandId, n: u64, part: Part) -> Next {
        let after = self.reader.as_ref().map_or(0, |reader| reader.offset);
        let command = id.clone();
        let request = match &mut self.stock {
            None => WorkerRequest::Update { command, n: Some(n), updates: vec![Update::Chunk(chunk(part))] },
            Some(stock) => match stock.take(&part) {
                updates if updates.is_empty() => return Next::Silent { n, after },
                updates => WorkerRequest::Update { command, n: None, updates },
            },
        };
        Next::Part { n, after, request }
    }

    fn end(&mut self, id: &CommandId, ending: &Ending) -> Next {
        let command = id.clone();
        let Some(stock) = &mut self.stock else {
            let report = Some(Box::new(ending.report.clone().for_wire()));
            return Next::End(WorkerRequest::Complete { command, n: Some(ending.parts), failure: None, report });
        };
        let mut updates = stock.finish();
        let (numbers, failure) = stock::ending(&ending.report);
        updates.extend(numbers);
        if updates.is_empty() || self.numbers_sent {
            return Next::End(WorkerRequest::Complete { command, n: None, failure, report: None });
        }
        self.numbers_sent = true;
        let after = self.reader.as_ref().map_or(0, |reader| reader.offset);
        Next::Part { n: ending.parts, after, request: WorkerRequest::Update { command, n: None, updates } }
    }
}

impl Next {
    /// Its share of the window.
    fn bytes(&self) -> usize {
        let Self::Part { request: WorkerRequest::Update { updates, .. }, .. } = self else { return 0 };
        let bytes = |update: &Update| match update {
            Update::Chunk(chunk) => chunk.data.len(),
            Update::Stream { lines, .. } | Update::Log { lines, .. } => lines.text.len(),
            _ => 0,
        };
        updates.iter().map(bytes).sum()
    }
}
