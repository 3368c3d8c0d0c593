//! Files on their way between worker and master.
//!
//! A transfer goes on over connections and masters. An upload begins where the master is, which the master says when it takes
//! up its commands; a download begins where its temporary file is. So neither needs a spool, and a worker that is killed and
//! started again goes on as well: the master orders the same command anew, with the bytes that it has.
//!
//! Memory is bounded: a thread reads or writes one block at a time, and a few are on their way.

mod archive;
mod download;
mod upload;

use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::files::FileOutcome;
use super::link::{Closed, Link};
use crate::model::CommandId;
use crate::protocol::{Answer, CommandArgs, WorkerRequest};

/// Blocks on their way to one of our masters, or asked of it. A stock master gets one at a time.
const IN_FLIGHT_MAX: usize = 8;

/// The largest block, whatever the master wants.
const BLOCK_BYTES_MAX: u64 = 1 << 20;

/// A connection to use.
#[derive(Clone, Debug)]
pub(super) struct Connection {
    pub link: Link,
    /// The place at which an upload goes on.
    pub next: u64,
    /// Tells it from earlier ones.
    pub number: u64,
}

/// What a transfer needs of its command.
#[derive(Clone, Debug)]
pub(super) struct Transfer {
    pub id: CommandId,
    pub args: CommandArgs,
    pub connections: watch::Receiver<Option<Connection>>,
    pub stop: CancellationToken,
}

/// Why one attempt ended.
#[derive(Debug)]
enum Interruption {
    /// Its connection is gone, or another one took its place.
    ConnectionLost,
    Stopped,
    /// The transfer came to nothing.
    Failed {
        code: i64,
        message: String,
    },
}

impl From<Closed> for Interruption {
    fn from(_: Closed) -> Self {
        Self::ConnectionLost
    }
}

impl Interruption {
    fn failed(message: impl Into<String>) -> Self {
        Self::Failed { code: 1, message: message.into() }
    }
}

/// Whether a command moves a file.
pub(super) const fn is_transfer(args: &CommandArgs) -> bool {
    matches!(
        args,
        CommandArgs::UploadFile { .. } | CommandArgs::UploadDirectory { .. } | CommandArgs::DownloadFile { .. }
    )
}

/// What the master had of an upload when it ordered it.
pub(super) const fn offset_of(args: &CommandArgs) -> u64 {
    match args {
        CommandArgs::UploadFile { offset, .. } | CommandArgs::UploadDirectory { offset, .. } => *offset,
        _ => 0,
    }
}

/// Moves the file, over as many connections as it takes.
pub(super) async fn run(mut transfer: Transfer) -> FileOutcome {
    let start = tokio::time::Instant::now();
    let elapsed = |outcome: FileOutcome| FileOutcome {
        elapsed_ms: u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX),
        ..outcome
    };
    loop {
        let Some(Connection { link, next, number }) = connection(&mut transfer).await else {
            return elapsed(stopped(&transfer));
        };
        let stop = transfer.stop.clone();
        let mut changes = transfer.connections.clone();
        let attempt = async {
            match &transfer.args {
                CommandArgs::DownloadFile { .. } => download::attempt(&transfer, &link).await,
                _ => upload::attempt(&transfer, &link, next).await,
            }
        };
        let ended = tokio::select! {
            biased;
            () = stop.cancelled() => Err(Interruption::Stopped),
            _ = changes.changed() => Err(Interruption::ConnectionLost),
            ended = attempt => ended,
        };
        match ended {
            Ok(outcome) => return elapsed(outcome),
            Err(Interruption::Stopped) => return elapsed(stopped(&transfer)),
            Err(Interruption::Failed { code, message }) => {
                return elapsed(FileOutcome { code, message, ..FileOutcome::default() });
            }
            // This connection is of no use any more; the next one comes as a change.
            Err(Interruption::ConnectionLost) => {
                if !is_another_there(&mut transfer, number).await {
                    return elapsed(stopped(&transfer));
                }
            }
        }
    }
}

/// The connection to use, once there is one; none when the transfer is to stop.
async fn connection(transfer: &mut Transfer) -> Option<Connection> {
    tokio::select! {
        biased;
        () = transfer.stop.cancelled() => None,
        found = transfer.connections.wait_for(Option::is_some) => found.ok().and_then(|found| found.clone()),
    }
}

/// Waits until the connection is another one than that which failed. False when the transfer is to stop.
async fn is_another_there(transfer: &mut Transfer, failed: u64) -> bool {
    let other = |found: &Option<Connection>| found.as_ref().is_none_or(|found| found.number != failed);
    tokio::select! {
        biased;
        () = transfer.stop.cancelled() => false,
        found = transfer.connections.wait_for(other) => found.is_ok(),
    }
}

/// The end of a transfer that nobody goes on with.
fn stopped(transfer: &Transfer) -> FileOutcome {
    download::discard(transfer);
    FileOutcome { code: 1, message: "stopped".to_owned(), cancelled: true, ..FileOutcome::default() }
}

/// Sends a request that wants an answer. `bytes` count against the window of the connection.
async fn ask(link: &Link, request: WorkerRequest, bytes: usize) -> Result<oneshot::Receiver<Answer>, Interruption> {
    Ok(link.clone().permit(bytes).await?.ask(request))
}

/// The answer; a refusal ends the transfer.
async fn answer(asked: oneshot::Receiver<Answer>) -> Result<crate::protocol::MsgPack, Interruption> {
    match asked.await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(why)) => Err(Interruption::failed(why)),
        Err(_) => Err(Interruption::ConnectionLost),
    }
}

/// The error of a file, with its number; `action` says what cannot be done with it.
fn file_error(path: &str, action: &str, error: &std::io::Error) -> Interruption {
    let text = error.to_string();
    let text = text.split(" (os error ").next().unwrap_or_default();
    let code = error.raw_os_error().map_or(1, i64::from);
    Interruption::Failed { code, message: format!("`{path}` cannot be {action}: {text}") }
}

/// The bytes of a block, of what the master wants.
fn block_bytes(wanted: u64) -> usize {
    usize::try_from(wanted.clamp(1, BLOCK_BYTES_MAX)).unwrap_or(1)
}
