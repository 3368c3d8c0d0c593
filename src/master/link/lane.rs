//! One command's way to the disk: its parts in order, then its end; each acknowledged only once it is durable.
//!
//! ```text
//! link ── items ──▶ lane ── append … append ──▶ logs
//!   ▲                 └──── CommandEnded ─────▶ engine task
//!   └── notices ──────┘
//! ```
//!
//! Several parts are written at once. The store makes them durable in the order in which they took their place,
//! whatever their logs. So the durable parts of a command are always its first ones, and their number over all its logs
//! says where to continue (see [`super::command`]). For the same reason the engine learns of the end without waiting
//! for the disk: its facts become durable together with all output before them, by one sync.
//!
//! The queue of items has no bound of its own: the link stops reading its socket while too much is unsynced.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt as _, ready};
use futures_util::stream::{FuturesOrdered, StreamExt as _};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::host::{LinkHost, LogPlace};
use super::limits::APPENDS_MAX;
use super::logged_output::LoggedPlan;
use super::output::part_of_text;
use super::transfer::Transfer;
use crate::base::chain;
use crate::engine::{CommandEnded, Input};
use crate::model::{CommandId, CommandResult};
use crate::protocol::{Answer, Seq};
use crate::store::LogPart;

/// A message of the worker that wants an answer.
#[derive(Debug)]
pub(super) struct PendingAck {
    pub seq: Seq,
    /// Bytes that it counts as unsynced until then.
    pub bytes: usize,
}

/// What a lane carries.
#[derive(Debug)]
pub(super) enum Item {
    Part {
        place: LogPlace,
        source: Arc<str>,
        n: u64,
        part: LogPart,
    },
    /// The command's output begins here in a log. `source` is the one that tells so.
    FirstLine {
        place: LogPlace,
        source: Arc<str>,
    },
    /// A log keeps so much text.
    Limit {
        place: LogPlace,
        bytes_max: u64,
    },
    /// Everything before is to be durable before this message is answered.
    Answer(PendingAck),
    /// What the command moves. Comes before its blocks.
    Moves(Transfer),
    /// A block of a file that the worker sends.
    Block {
        at: Option<u64>,
        data: Bytes,
        receipt: PendingAck,
    },
    /// The worker wants a block.
    Read {
        at: Option<u64>,
        length: u64,
        receipt: PendingAck,
    },
    /// The last one.
    End {
        result: Box<CommandResult>,
        /// What the worker says of all that it sent.
        digest: Option<String>,
        receipt: Option<PendingAck>,
        logged: Option<LoggedPlan>,
    },
}

/// What a lane reports to its link.
#[derive(Debug)]
pub(super) enum Notice {
    /// The message can be answered.
    Durable(PendingAck),
    /// The message has this answer.
    Answered(PendingAck, Answer),
    /// Nothing more can be kept.
    Failed(String),
}

/// Whose lane it is, and where it leads.
pub(super) struct Lane {
    pub host: Arc<dyn LinkHost>,
    pub worker: String,
    pub epoch: u64,
    pub command: CommandId,
    /// The end waits for this: the engine must first learn that the command was resumed.
    pub announced: CancellationToken,
    pub notices: mpsc::UnboundedSender<Notice>,
}

type UnderWay = FuturesOrdered<BoxFuture<'static, Result<Option<PendingAck>, String>>>;

impl Lane {
    /// Carries items until the end, or until the link drops its side.
    pub async fn run(self, mut items: mpsc::UnboundedReceiver<Item>) {
        if let Err(why) = self.carry(&mut items).await {
            self.tell(Notice::Failed(why));
        }
    }

    async fn carry(&self, items: &mut mpsc::UnboundedReceiver<Item>) -> Result<(), String> {
        let mut under_way = UnderWay::new();
        let mut transfer: Option<Transfer> = None;
        loop {
            let item = tokio::select! {
                biased;
                Some(done) = under_way.next() => {
                    self.settle(done)?;
                    continue;
                }
                item = items.recv(), if under_way.len() < APPENDS_MAX => item,
            };
            match item {
                Some(Item::Part { place, source, n, part }) => {
                    let durable = self.host.append(place, &source, n, part).await;
                    let durable = durable.map_err(|why| self.not_kept(&why))?;
                    under_way.push_back(durable.map(|done| done.map(|()| None)).boxed());
                }
                Some(Item::FirstLine { place, source }) => {
                    let logs = self.host.logs();
                    let lines = logs.lines(place.build, place.log);
                    let n = lines.map_err(|error| self.not_kept(&chain(&error)))?;
                    let nothing = part_of_text('h', String::new(), self.host.now());
                    let durable = self.host.append(place, &source, n, nothing).await;
                    let durable = durable.map_err(|why| self.not_kept(&why))?;
                    under_way.push_back(durable.map(|done| done.map(|()| None)).boxed());
                }
                Some(Item::Limit { place, bytes_max }) => {
                    let logs = self.host.logs();
                    logs.limit(place.build, place.log, bytes_max)
                        .await
                        .map_err(|error| self.not_kept(&chain(&error)))?;
                }
                Some(Item::Answer(receipt)) => under_way.push_back(ready(Ok(Some(receipt))).boxed()),
                Some(Item::Moves(found)) => transfer = Some(found),
                Some(Item::Block { at, data, receipt }) => {
                    let answer = match &mut transfer {
                        Some(Transfer::Upload(upload)) => {
                            upload.block(at, data).await.map_err(|why| self.not_kept(&why))?
                        }
                        _ => Err(format!("command {} sends nothing", self.command)),
                    };
                    self.tell(Notice::Answered(receipt, answer));
                }
                Some(Item::Read { at, length, receipt }) => {
                    let answer = match &mut transfer {
                        Some(Transfer::Download(download)) => download.read(at, length).await,
                        _ => Err(format!("command {} reads nothing", self.command)),
                    };
                    self.tell(Notice::Answered(receipt, answer));
                }
                Some(Item::End { mut result, digest, receipt, logged }) => {
                    if let Some(transfer) = transfer.take() {
                        *result = transfer.end(*result, digest).await.map_err(|why| self.not_kept(&why))?;
                    }
                    if let Some(logged) = logged.filter(|logged| logged.concerns(&result)) {
                        self.drain(&mut under_way).await?;
                        result = self.refer(logged, result).await?;
                    }
                    let (ended, drained) = futures_util::join!(self.end(*result), self.drain(&mut under_way));
                    drained.and(ended)?;
                    if let Some(receipt) = receipt {
                        self.tell(Notice::Durable(receipt));
                    }
                    return Ok(());
                }
                None => {
                    if let Some(transfer) = transfer {
                        transfer.cut_off().await;
                    }
                    return self.drain(&mut under_way).await;
                }
            }
        }
    }

    async fn drain(&self, under_way: &mut UnderWay) -> Result<(), String> {
        while let Some(done) = under_way.next().await {
            self.settle(done)?;
        }
        Ok(())
    }

    fn settle(&self, done: Result<Option<PendingAck>, String>) -> Result<(), String> {
        if let Some(receipt) = done.map_err(|why| self.not_kept(&why))? {
            self.tell(Notice::Durable(receipt));
        }
        Ok(())
    }

    /// Reads some megabytes at most, so a thread does it.
    async fn refer(&self, logged: LoggedPlan, mut result: Box<CommandResult>) -> Result<Box<CommandResult>, String> {
        let logs = self.host.logs();
        let referred = tokio::task::spawn_blocking(move || logged.refer(&*logs, &mut result).map(|()| result));
        let referred = referred.await.map_err(|error| self.not_kept(&error.to_string()))?;
        referred.map_err(|why| self.not_kept(&why))
    }

    fn not_kept(&self, why: &str) -> String {
        format!("output of command {} cannot be kept: {why}", self.command)
    }

    async fn end(&self, result: CommandResult) -> Result<(), String> {
        self.announced.cancelled().await;
        let ended =
            CommandEnded { worker: self.worker.clone(), epoch: self.epoch, command: self.command.clone(), result };
        self.host.input(Input::CommandEnded(ended)).await.map_err(|gone| gone.to_string())
    }

    fn tell(&self, notice: Notice) {
        // A link that has ended wants to hear nothing.
        let _: Result<(), _> = self.notices.send(notice);
    }
}
