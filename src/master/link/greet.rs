//! Opens a connection: asks the worker who it is (docs/reference/worker-protocol.md#opening).
//!
//! Nothing of this is known to the engine yet, so a newcomer can still be refused.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::time::{Instant, timeout, timeout_at};

use super::identity::Identity;
use super::limits::Limits;
use super::outcome::first_line;
use crate::master::{Frame, Socket};
use crate::protocol::{Caps, MasterMessage, MasterRequest, Message, Seq, WorkerInfo, WorkerMessage};

/// The number of our first request.
const INFO_SEQ: u64 = 0;
/// The number of the one that follows, for those that are sent away.
const REFUSE_SEQ: u64 = 1;
/// What a worker reports about itself is stored and shown on pages. Enough for every sensible `info` file.
const FACT_BYTES_MAX: usize = 4096;
/// Facts are named after files; a longer name is not kept.
const FACT_NAME_BYTES_MAX: usize = 256;
/// More facts than this are not kept.
const FACTS_MAX: usize = 100;

/// A connected worker that has sent its info, or failed to in time.
pub struct Newcomer {
    pub(super) socket: Socket,
    pub(super) info: WorkerInfo,
    /// Why there is no info.
    pub(super) warning: Option<String>,
    pub(super) limits: Limits,
}

impl fmt::Debug for Newcomer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Newcomer").field("identity", &self.identity()).finish_non_exhaustive()
    }
}

/// Asks a new connection for its info. An error says why the connection ended before it arrived.
pub async fn greet(mut socket: Socket, limits: Limits) -> Result<Newcomer, String> {
    let ask = MasterMessage::Request {
        seq: Seq::from(INFO_SEQ),
        request: MasterRequest::GetWorkerInfo { offer: Caps::OURS },
    };
    let deadline = Instant::now() + limits.info;
    let sent = timeout_at(deadline, socket.outgoing.send(Frame::Binary(ask.encode().into()))).await;
    sent.map_err(|_| "it takes no messages".to_owned())??;
    let (info, warning) = match timeout_at(deadline, read_info(&mut socket)).await {
        Ok(Ok(Ok(info))) => (info, None),
        Ok(Ok(Err(failure))) => {
            (WorkerInfo::default(), Some(format!("it could not send its worker info: {}", first_line(&failure))))
        }
        Ok(Err(ended)) => return Err(ended),
        Err(_) => (WorkerInfo::default(), Some(untold(limits))),
    };
    Ok(Newcomer { socket, info, warning, limits })
}

fn untold(limits: Limits) -> String {
    format!(
        "it did not send its worker info within {:?}; buildbot-worker never does if an environment variable is not UTF-8",
        limits.info
    )
}

/// Reads until the answer comes. What else arrives is answered with a failure: nothing is known of it yet.
async fn read_info(socket: &mut Socket) -> Result<Result<WorkerInfo, String>, String> {
    while let Some(frame) = socket.incoming.next().await {
        let reply = match frame? {
            Frame::Binary(bytes) => match WorkerMessage::decode(&bytes).map_err(|error| error.to_string())? {
                Message::Response { seq, answer } if seq.number() == Some(INFO_SEQ) => {
                    return Ok(answer.map(|answer| WorkerInfo::read(&answer)));
                }
                Message::Request { seq, .. } => {
                    let answer = Err("no command is known here".to_owned());
                    Frame::Binary(MasterMessage::Response { seq, answer }.encode().into())
                }
                Message::Response { .. } | Message::Ignored { .. } => continue,
            },
            Frame::Ping(content) => Frame::Pong(content),
            Frame::Text(_) | Frame::Pong(_) => continue,
            Frame::Close => break,
        };
        socket.outgoing.send(reply).await?;
    }
    Err("it closed the connection".to_owned())
}

impl Newcomer {
    /// Who is at the other end.
    #[must_use]
    pub fn identity(&self) -> Identity {
        Identity {
            instance: self.info.instance.clone(),
            basedir: bounded(&self.info.basedir),
            address: self.socket.peer.map(|peer| peer.ip()),
        }
    }

    /// Why the worker's facts are missing, if they are.
    #[must_use]
    pub fn warning(&self) -> Option<&str> {
        self.warning.as_deref()
    }

    /// Why it cannot be served by this version of the master, if so.
    #[must_use]
    pub fn incompatibility(&self) -> Option<String> {
        self.info.caps.incompatibility("worker")
    }

    /// Sends it away, with the reason for its own log; a stock worker is back in two seconds.
    pub async fn refuse(mut self, why: &str) {
        let message = format!("this worker is refused: {why}");
        let print = MasterMessage::Request { seq: Seq::from(REFUSE_SEQ), request: MasterRequest::Print { message } };
        let goodbye = async {
            self.socket.outgoing.send(Frame::Binary(print.encode().into())).await?;
            self.socket.outgoing.send(Frame::Close).await?;
            self.socket.outgoing.close().await
        };
        // It is sent away whether or not it hears it.
        let _: Result<Result<(), String>, _> = timeout(self.limits.goodbye, goodbye).await;
    }

    /// The facts for pages and matching. Without the environment, which may hold secrets.
    pub(super) fn facts(&self) -> BTreeMap<String, String> {
        let info = &self.info;
        let known = info.facts.iter().filter(|(key, _)| key.len() <= FACT_NAME_BYTES_MAX);
        let mut facts: BTreeMap<String, String> =
            known.take(FACTS_MAX).map(|(key, value)| (key.clone(), bounded(value))).collect();
        for (key, value) in [("system", &info.system), ("basedir", &info.basedir), ("version", &info.version)] {
            if !value.is_empty() {
                facts.insert(key.to_owned(), bounded(value));
            }
        }
        if info.numcpus > 0 {
            facts.insert("numcpus".to_owned(), info.numcpus.to_string());
        }
        if let Some(peer) = self.socket.peer {
            facts.insert("address".to_owned(), peer.ip().to_string());
        }
        if let Some(warning) = &self.warning {
            facts.insert("warning".to_owned(), warning.clone());
        }
        facts
    }
}

fn bounded(value: &str) -> String {
    value[..value.floor_char_boundary(FACT_BYTES_MAX)].to_owned()
}

/// A ping's content; empty, as nobody looks at it.
pub(super) const fn ping() -> Frame {
    Frame::Ping(Bytes::new())
}
