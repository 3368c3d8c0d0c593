//! File commands, which the worker performs itself: on a blocking thread, or as a transfer. They have no spool: if one is
//! lost with the worker, the master simply asks again, because doing it twice is the same as doing it once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::entry::{Status, TaskMessage};
use super::files::{FileOutcome, perform};
use super::link::{Acked, Acks, Dialect, Link};
use super::stock::elapsed_seconds;
use super::transfer::{self, Connection, Transfer, is_transfer, offset_of};
use crate::model::CommandId;
use crate::protocol::{CommandArgs, CommandReport, Lines, MsgPack, ReportedEnd, Seq, StdStream, Update, WorkerRequest};

/// What to do.
#[derive(Clone, Debug)]
pub(super) struct FileWork(pub CommandArgs);

/// The task of one command.
pub(super) struct FileTask {
    id: CommandId,
    work: FileWork,
    status: Arc<Status>,
    inbox: mpsc::Receiver<TaskMessage>,
    cancelled: Arc<AtomicBool>,
    why: Option<String>,
    outcome: Option<FileOutcome>,
    link: Option<(Link, Arc<Acks>)>,
    sent: bool,
    unwanted: bool,
    /// For a transfer, which uses connections itself.
    connections: watch::Sender<Option<Connection>>,
    attached: u64,
    stop: CancellationToken,
    /// An upload that was done has to be done again: the master that had it has lost it.
    again: bool,
}

impl FileTask {
    pub fn new(id: CommandId, work: FileWork, status: Arc<Status>, inbox: mpsc::Receiver<TaskMessage>) -> Self {
        Self {
            id,
            work,
            status,
            inbox,
            cancelled: Arc::default(),
            why: None,
            outcome: None,
            link: None,
            sent: false,
            unwanted: false,
            connections: watch::Sender::new(None),
            attached: 0,
            stop: CancellationToken::new(),
            again: false,
        }
    }

    /// Answers the request, does the work, and reports its end.
    pub async fn start(mut self, link: Link, seq: Seq) -> CommandId {
        let mut doing = self.begin();
        let _connection_is_gone = link.answer(seq, Ok(MsgPack::Nil)).await;
        let offset = offset_of(&self.work.0);
        self.attach(link, offset);
        while !self.is_done() {
            if std::mem::take(&mut self.again) {
                doing = self.begin();
            }
            self.tell().await;
            let acks = self.link.as_ref().map(|(_, acks)| Arc::clone(acks));
            let answers_come = acks.is_some();
            tokio::select! {
                biased;
                ask = self.inbox.recv() => match ask {
                    Some(ask) => self.asked(ask).await,
                    // The worker ends. The master will ask again for what is half done.
                    None => return self.end(doing),
                },
                () = async { acks.expect("asked below").changed().await }, if answers_come => self.note_answer(),
                outcome = &mut doing, if self.outcome.is_none() => {
                    let failed = |error: tokio::task::JoinError| FileOutcome::broken(error.to_string());
                    self.outcome = Some(outcome.unwrap_or_else(failed));
                    self.status.finish();
                }
            }
        }
        self.id
    }

    fn begin(&self) -> JoinHandle<FileOutcome> {
        let (id, args) = (self.id.clone(), self.work.0.clone());
        if is_transfer(&args) {
            let (connections, stop) = (self.connections.subscribe(), self.stop.clone());
            return tokio::spawn(transfer::run(Transfer { id, args, connections, stop }));
        }
        let cancelled = Arc::clone(&self.cancelled);
        tokio::task::spawn_blocking(move || perform(&args, &cancelled))
    }

    fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
        self.stop.cancel();
    }

    fn end(self, doing: JoinHandle<FileOutcome>) -> CommandId {
        // A transfer is not stopped: what it has received stays for the next worker.
        self.cancelled.store(true, Ordering::Relaxed);
        doing.abort();
        self.id
    }

    fn attach(&mut self, link: Link, next: u64) {
        let acks = Acks::from(0, link.dialect);
        self.attached += 1;
        self.connections.send_replace(Some(Connection { link: link.clone(), next, number: self.attached }));
        if self.outcome.as_ref().is_some_and(|outcome| outcome.sent > next) {
            self.outcome = None;
            self.again = true;
        }
        self.link = Some((link, acks));
        self.sent = false;
    }

    async fn asked(&mut self, ask: TaskMessage) {
        match ask {
            TaskMessage::Attach { link, next } => self.attach(link, next),
            TaskMessage::Hold => self.detach(),
            TaskMessage::Discard => {
                self.detach();
                // Nobody takes or gives its blocks any more.
                self.stop.cancel();
                self.unwanted = true;
            }
            TaskMessage::Stop { why, .. } => {
                if self.outcome.is_none() {
                    self.cancel();
                    self.why = Some(why);
                }
            }
            TaskMessage::StartedAgain { seq, link } => {
                let _connection_is_gone = link.answer(seq, Ok(MsgPack::Nil)).await;
            }
            TaskMessage::Forget => {
                self.cancel();
                self.detach();
                self.unwanted = true;
            }
        }
    }

    fn detach(&mut self) {
        self.link = None;
        self.connections.send_replace(None);
    }

    fn note_answer(&mut self) {
        if let Some((link, acks)) = &self.link
            && let Some(why) = acks.state().refused
        {
            link.refused(&self.id, &why);
            self.link = None;
        }
    }

    fn is_done(&self) -> bool {
        let told = self.sent && self.link.as_ref().is_some_and(|(_, acks)| acks.state().end);
        self.outcome.is_some() && (told || self.unwanted)
    }

    /// Sends the end once there is one, and a connection.
    async fn tell(&mut self) {
        let (Some(outcome), Some((link, acks)), false) = (&self.outcome, &self.link, self.sent) else { return };
        let messages = match link.dialect {
            Dialect::Ours => vec![self.complete(outcome)],
            Dialect::Stock { .. } => stock_messages(&self.id, outcome, self.why.is_some()),
        };
        let last = messages.len() - 1;
        for (at, message) in messages.into_iter().enumerate() {
            let Ok(permit) = link.clone().permit(0).await else { return };
            permit.send(message, acks, if at == last { Acked::End } else { Acked::Part(at as u64) });
        }
        self.sent = true;
    }

    fn complete(&self, outcome: &FileOutcome) -> WorkerRequest {
        let (end, why) = match &self.why {
            Some(why) if outcome.cancelled => (ReportedEnd::Interrupted, why.clone()),
            _ if outcome.broken => (ReportedEnd::Broken, outcome.message.clone()),
            _ => (ReportedEnd::Exited, outcome.message.clone()),
        };
        let report = CommandReport {
            code: Some(outcome.code),
            stderr: outcome.message.clone().into(),
            elapsed_ms: outcome.elapsed_ms,
            files: outcome.files.clone(),
            stat: outcome.stat.clone(),
            digest: outcome.digest.clone(),
            ..CommandReport::of(end, why)
        };
        let command = self.id.clone();
        WorkerRequest::Complete { command, n: Some(0), failure: None, report: Some(Box::new(report)) }
    }
}

/// The messages for a stock master (docs/reference/worker-protocol.md#file-commands).
fn stock_messages(id: &CommandId, outcome: &FileOutcome, interrupted: bool) -> Vec<WorkerRequest> {
    let mut updates = Vec::new();
    if outcome.code == 0 {
        updates.extend((!outcome.files.is_empty() || outcome.lists).then(|| Update::Files(outcome.files.clone())));
        updates.extend(outcome.stat.clone().map(Update::Stat));
    }
    updates.push(Update::Rc(outcome.code));
    if !interrupted {
        updates.push(Update::Elapsed(elapsed_seconds(outcome.elapsed_ms)));
    }
    if !outcome.message.is_empty() {
        let lines = Lines { text: format!("{}\n", outcome.message), times: Vec::new() };
        updates.push(Update::Stream { stream: StdStream::Header, lines });
    }
    vec![
        WorkerRequest::Update { command: id.clone(), n: None, updates },
        WorkerRequest::Complete { command: id.clone(), n: None, failure: None, report: None },
    ]
}
