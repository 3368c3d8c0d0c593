//! One connection: reads the master's requests, answers them, and hands its answers to the commands.
//!
//! ```text
//!  socket ──► [ session ] ──► table of commands
//!                 │  ▲              │
//!                 ▼  │ answers      ▼ parts, ends
//!             [ writer ] ◄──── queue of the link
//! ```
//! Invariant: the session ends within a bound when the peer is silent, or takes nothing.

use std::path::Path;
use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Error as SocketError, Message as Frame};
use tokio_util::sync::CancellationToken;

use super::filetask::FileWork;
use super::info;
use super::link::{Dialect, Link, Outgoing, Unanswered};
use super::order::Order;
use super::table::Table;
use crate::model::{CommandId, StopLevel};
use crate::protocol::{
    Answer, Args, Caps, CommandArgs, MasterMessage, MasterRequest, Message, MsgPack, Seq, Settings, WorkerMessage,
};

/// How often we ask whether the peer lives.
const PING_EVERY: Duration = Duration::from_secs(30);

/// How long a peer may be silent. A busy one answers late, so this is generous.
const SILENCE_MAX: Duration = Duration::from_mins(3);

/// The longest line for a stock master that has not sent settings yet (docs/reference/worker-protocol.md#settings).
const LINE_MAX: usize = 4096;

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SessionEnd {
    /// The worker ends.
    Stopped,
    /// The master ordered the end of the worker.
    Shutdown,
    /// It broke; why. `served` says whether the master had taken us in: one that refuses us asks who we are first.
    Lost { why: String, served: bool },
    /// We cannot work for this master, and told it why.
    Refused { why: String },
}

/// One connection.
struct Session<'a> {
    dir: &'a Path,
    instance: &'a str,
    table: &'a mut Table,
    link: Link,
    unanswered: Unanswered,
    served: bool,
    /// A master that confirms none of our additions, or starts commands before it could have, is a stock one.
    settled: bool,
}

/// Serves a connection to its end.
pub(super) async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    socket: WebSocketStream<S>,
    dir: &Path,
    instance: &str,
    table: &mut Table,
    stop: &CancellationToken,
) -> SessionEnd {
    let (sink, stream) = socket.split();
    let (link, queue) = Link::new(Dialect::Stock { line_max: LINE_MAX });
    let unanswered = Unanswered::default();
    let writer = tokio::spawn(write(sink, queue, unanswered.clone()));
    table.connected();
    let mut session = Session { dir, instance, table, link, unanswered, served: false, settled: false };
    let end = session.read(stream, stop).await;
    // Until the master told who it is, no command had to do with this connection: all stay as they were.
    if session.settled {
        session.table.detach(session.link.dialect).await;
    }
    // Dropping the link lets the writer send what it has and end; one that cannot is not waited for.
    drop(session.link);
    finish_writer(writer, !matches!(end, SessionEnd::Lost { .. })).await;
    end
}

/// The answer to `shutdown` and the last messages may still be on their way.
async fn finish_writer(mut writer: tokio::task::JoinHandle<()>, graceful: bool) {
    const LAST_WORDS: Duration = Duration::from_secs(1);
    if !graceful || tokio::time::timeout(LAST_WORDS, &mut writer).await.is_err() {
        writer.abort();
        let _aborted = writer.await;
    }
}

impl Session<'_> {
    async fn read<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        mut stream: SplitStream<WebSocketStream<S>>,
        stop: &CancellationToken,
    ) -> SessionEnd {
        let mut heard = Instant::now();
        let link = self.link.clone();
        let refusal = link.refusal();
        tokio::pin!(refusal);
        loop {
            let frame = tokio::select! {
                frame = stream.next() => frame,
                () = self.table.command_over() => continue,
                () = stop.cancelled() => return SessionEnd::Stopped,
                why = &mut refusal => return self.lost(why),
                () = tokio::time::sleep_until(heard + SILENCE_MAX) => {
                    return self.lost(format!("nothing was heard for {} s", SILENCE_MAX.as_secs()));
                }
            };
            heard = Instant::now();
            let bytes = match frame {
                Some(Ok(Frame::Binary(bytes))) => bytes,
                Some(Ok(Frame::Close(_))) | None => return self.lost("the master closed the connection".to_owned()),
                Some(Ok(_)) => continue,
                Some(Err(error)) => return self.lost(format!("the connection broke: {error}")),
            };
            let message = match MasterMessage::decode(&bytes) {
                Ok(message) => message,
                Err(error) => return self.lost(format!("the master sent a malformed message: {error}")),
            };
            match tokio::time::timeout(SILENCE_MAX, self.take(message)).await {
                Ok(None) => {}
                Ok(Some(end)) => return end,
                Err(_) => return self.lost(format!("the master takes no message for {} s", SILENCE_MAX.as_secs())),
            }
        }
    }

    const fn lost(&self, why: String) -> SessionEnd {
        SessionEnd::Lost { why, served: self.served }
    }

    async fn take(&mut self, message: MasterMessage) -> Option<SessionEnd> {
        match message {
            Message::Request { seq, request } => {
                self.served |= !matches!(request, MasterRequest::Print { .. } | MasterRequest::GetWorkerInfo { .. });
                self.asked(seq, request).await
            }
            Message::Response { seq, answer } => {
                let known = self.unanswered.answer(seq.number(), answer);
                (!known).then(|| self.lost("the master answered what was not asked".to_owned()))
            }
            Message::Ignored { why } => {
                tracing::debug!(why, "a message was ignored");
                None
            }
        }
    }

    async fn asked(&mut self, seq: Seq, request: MasterRequest) -> Option<SessionEnd> {
        let nil: Answer = Ok(MsgPack::Nil);
        let answer = match request {
            MasterRequest::Print { message } => {
                tracing::info!(message, "the master says");
                nil
            }
            MasterRequest::Keepalive => nil,
            MasterRequest::GetWorkerInfo { offer } => {
                if let Some(why) = offer.incompatibility("master") {
                    let _connection_is_gone = self.link.answer(seq, Err(why.clone())).await;
                    return Some(SessionEnd::Refused { why });
                }
                Ok(info::gather(self.dir, self.instance, offer.both(Caps::OURS)).write())
            }
            MasterRequest::SetWorkerSettings(settings) => {
                self.settle(&settings).await;
                nil
            }
            MasterRequest::StartCommand { command, name, args, .. } => {
                return self.start(command, &name, &args, seq).await;
            }
            MasterRequest::InterruptCommand { command, why, level, .. } => {
                tracing::info!(%command, why, "the master stops a command");
                self.table.stop(&command, level.unwrap_or(StopLevel::Interrupt), why).await;
                nil
            }
            MasterRequest::Shutdown => {
                tracing::info!("the master ends this worker");
                let _last_word = self.link.answer(seq, nil).await;
                return Some(SessionEnd::Shutdown);
            }
            MasterRequest::Resume { commands } if self.link.dialect == Dialect::Ours => {
                self.table.resume(commands, &self.link, seq).await;
                return None;
            }
            MasterRequest::Resume { .. } => {
                Err("`x_resume` needs the capability `resume`, which is not confirmed".to_owned())
            }
            MasterRequest::Unknown { op } => Err(format!("Command {op} does not exist.")),
            MasterRequest::Malformed { op, why } => Err(format!("`{op}`: {why}")),
        };
        self.link.answer(seq, answer).await.err().map(|_| self.lost("the connection broke".to_owned()))
    }

    /// Which master this is, and how it wants to hear of commands.
    async fn settle(&mut self, settings: &Settings) {
        let dialect = if settings.caps.resume {
            Dialect::Ours
        } else {
            Dialect::Stock { line_max: usize::try_from(settings.max_line_length).unwrap_or(usize::MAX) }
        };
        self.link = self.link.with_dialect(dialect);
        self.settle_earlier().await;
    }

    /// Commands of earlier connections mean nothing to a stock master; they run to their end unheard.
    async fn settle_earlier(&mut self) {
        if !self.settled && self.link.dialect != Dialect::Ours {
            self.table.detach(self.link.dialect).await;
        }
        self.settled = true;
    }

    async fn start(&mut self, id: CommandId, name: &str, args: &Args, seq: Seq) -> Option<SessionEnd> {
        self.settle_earlier().await;
        let link = self.link.clone();
        let refused = match CommandArgs::read(name, args) {
            Ok(CommandArgs::Run(_)) if self.link.dialect != Dialect::Ours => {
                format!("({id}): `{name}` needs the capability `resume`, which is not confirmed")
            }
            Ok(CommandArgs::Run(run)) => {
                let order = Order::new(&id.0, *run, self.table.boot());
                self.table.start(id, order, link, seq).await;
                return None;
            }
            Ok(CommandArgs::Shell(shell)) => {
                let order = Order::of_stock(&id.0, &shell, self.table.boot());
                self.table.start(id, order, link, seq).await;
                return None;
            }
            Ok(args) => {
                self.table.start_files(id, FileWork(args), link, seq).await;
                return None;
            }
            Err(why) => format!("({id}): {why}"),
        };
        tracing::warn!(why = refused, "a command was refused");
        let _connection_is_gone = link.answer(seq, Err(refused)).await;
        None
    }
}

/// Numbers our requests and writes all messages; pings when there is nothing else to say.
async fn write<S: AsyncRead + AsyncWrite + Unpin>(
    mut sink: SplitSink<WebSocketStream<S>, Frame>,
    mut queue: mpsc::Receiver<Outgoing>,
    unanswered: Unanswered,
) {
    let mut number = 0_u64;
    let mut ping = tokio::time::interval_at(Instant::now() + PING_EVERY, PING_EVERY);
    loop {
        let outgoing = tokio::select! {
            outgoing = queue.recv() => outgoing,
            _ = ping.tick() => {
                if sink.send(Frame::Ping(bytes::Bytes::new())).await.is_err() {
                    return;
                }
                continue;
            }
        };
        let Some(outgoing) = outgoing else {
            let _gone = sink.close().await;
            return;
        };
        if feed(&mut sink, outgoing, &mut number, &unanswered).await.is_err() {
            return;
        }
        // What is ready goes out together.
        while let Ok(outgoing) = queue.try_recv() {
            if feed(&mut sink, outgoing, &mut number, &unanswered).await.is_err() {
                return;
            }
        }
        if sink.flush().await.is_err() {
            return;
        }
    }
}

async fn feed<S: AsyncRead + AsyncWrite + Unpin>(
    sink: &mut SplitSink<WebSocketStream<S>, Frame>,
    outgoing: Outgoing,
    number: &mut u64,
    unanswered: &Unanswered,
) -> Result<(), SocketError> {
    let message = match outgoing {
        Outgoing::Response { seq, answer } => WorkerMessage::Response { seq, answer },
        Outgoing::Request { request, receipt } => {
            let seq = Seq::from(*number);
            unanswered.insert(*number, receipt);
            *number += 1;
            WorkerMessage::Request { seq, request }
        }
    };
    sink.feed(Frame::binary(message.encode())).await
}
