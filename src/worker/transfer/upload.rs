//! From the worker to the master.
//!
//! A thread reads the file, or packs the directory, from its beginning, and digests all of it; what the master has already is
//! not sent again. If the file changed meanwhile, the digests differ and nothing is kept.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt;

use bytes::Bytes;
use futures_util::stream::{FuturesOrdered, StreamExt as _};
use tokio::sync::mpsc;

use super::archive::pack;
use super::{IN_FLIGHT_MAX, Interruption, Transfer, answer, ask, block_bytes, file_error};
use crate::base::Sha256;
use crate::model::CommandId;
use crate::protocol::{CommandArgs, WorkerRequest};
use crate::worker::files::FileOutcome;
use crate::worker::link::{Dialect, Link};

/// What is to be sent.
#[derive(Clone, Debug)]
struct Source {
    path: String,
    is_directory: bool,
    block: usize,
    bytes_max: Option<u64>,
    keepstamp: bool,
}

/// What was sent, all in all.
#[derive(Debug)]
pub(super) struct Sent {
    pub digest: String,
    pub size: u64,
    /// The bound was reached.
    pub is_cut: bool,
}

/// Blocks on their way from the thread that reads to the connection. When nobody takes them any more, the thread ends.
pub(super) struct Blocks {
    out: mpsc::Sender<(u64, Bytes)>,
    block: Vec<u8>,
    block_bytes: usize,
    /// The place of the block that is being filled.
    at: u64,
    /// What is before it is digested, but not sent.
    skip: u64,
    bytes_max: u64,
    digest: Sha256,
    is_cut: bool,
}

impl Source {
    fn of(args: &CommandArgs) -> Option<Self> {
        let block = |wanted: &u64| block_bytes(*wanted);
        match args {
            CommandArgs::UploadFile { path, blocksize, maxsize, keepstamp, .. } => Some(Self {
                path: path.clone(),
                is_directory: false,
                block: block(blocksize),
                bytes_max: *maxsize,
                keepstamp: *keepstamp,
            }),
            CommandArgs::UploadDirectory { path, blocksize, maxsize, .. } => Some(Self {
                path: path.clone(),
                is_directory: true,
                block: block(blocksize),
                bytes_max: *maxsize,
                keepstamp: false,
            }),
            _ => None,
        }
    }
}

/// Sends everything over one connection, from `next` on.
pub(super) async fn attempt(transfer: &Transfer, link: &Link, next: u64) -> Result<FileOutcome, Interruption> {
    let Some(source) = Source::of(&transfer.args) else { return Err(Interruption::failed("this is no upload")) };
    let is_ours = link.dialect == Dialect::Ours;
    let skip = if is_ours { next } else { 0 };
    let (out, mut blocks) = mpsc::channel(1);
    let reading = source.clone();
    let reader = tokio::task::spawn_blocking(move || read(&reading, out, skip));
    let sent = send(transfer, link, source.is_directory, &mut blocks).await;
    // The thread ends when nobody takes its blocks.
    drop(blocks);
    let read = reader.await.map_err(|error| Interruption::failed(error.to_string()))?;
    if !is_ours && !matches!(sent, Err(Interruption::ConnectionLost)) {
        let concluded = conclude(transfer, link, &source, read.is_ok()).await;
        sent?;
        concluded?;
    } else {
        sent?;
    }
    let read = read.map_err(|error| file_error(&source.path, "read", &error))?;
    if read.is_cut {
        let bound = source.bytes_max.unwrap_or_default();
        return Err(Interruption::failed(format!("`{}` has more than {bound} bytes", source.path)));
    }
    Ok(FileOutcome { digest: Some(read.digest), sent: read.size, ..FileOutcome::default() })
}

async fn send(
    transfer: &Transfer,
    link: &Link,
    is_directory: bool,
    blocks: &mut mpsc::Receiver<(u64, Bytes)>,
) -> Result<(), Interruption> {
    let is_ours = link.dialect == Dialect::Ours;
    let in_flight_max = if is_ours { IN_FLIGHT_MAX } else { 1 };
    let mut answers = FuturesOrdered::new();
    loop {
        tokio::select! {
            biased;
            Some(answered) = answers.next() => drop(answered?),
            block = blocks.recv(), if answers.len() < in_flight_max => {
                let Some((at, data)) = block else { break };
                let bytes = data.len();
                let request = write(&transfer.id, is_directory, is_ours.then_some(at), data);
                answers.push_back(answer(ask(link, request, bytes).await?));
            }
        }
    }
    while let Some(answered) = answers.next().await {
        answered?;
    }
    Ok(())
}

fn write(command: &CommandId, is_directory: bool, offset: Option<u64>, data: Bytes) -> WorkerRequest {
    let command = command.clone();
    if is_directory {
        WorkerRequest::UploadDirectoryWrite { command, offset, data }
    } else {
        WorkerRequest::UploadFileWrite { command, offset, data }
    }
}

/// What a stock master expects at the end (docs/reference/worker-protocol.md#transfers): a file is closed whatever happened to
/// it, a directory is unpacked if it could be packed.
async fn conclude(transfer: &Transfer, link: &Link, source: &Source, is_read: bool) -> Result<(), Interruption> {
    let command = transfer.id.clone();
    if source.is_directory {
        if is_read {
            answer(ask(link, WorkerRequest::UploadDirectoryUnpack { command }, 0).await?).await?;
        }
        return Ok(());
    }
    answer(ask(link, WorkerRequest::UploadFileClose { command: command.clone() }, 0).await?).await?;
    if source.keepstamp {
        let data = std::fs::metadata(&source.path).ok();
        #[expect(clippy::cast_precision_loss, reason = "times are far below 2^53 s")]
        let seconds = |time: Option<i64>| time.map(|time| time as f64);
        let (accessed, modified) = (data.as_ref().map(MetadataExt::atime), data.as_ref().map(MetadataExt::mtime));
        let (accessed, modified) = (seconds(accessed), seconds(modified));
        answer(ask(link, WorkerRequest::UploadFileTimes { command, accessed, modified }, 0).await?).await?;
    }
    Ok(())
}

/// Reads everything; an error of kind `BrokenPipe` means that nobody wants it any more.
fn read(source: &Source, out: mpsc::Sender<(u64, Bytes)>, skip: u64) -> io::Result<Sent> {
    let mut blocks = Blocks {
        out,
        block: Vec::with_capacity(source.block),
        block_bytes: source.block,
        at: 0,
        skip,
        bytes_max: source.bytes_max.unwrap_or(u64::MAX),
        digest: Sha256::default(),
        is_cut: false,
    };
    if source.is_directory {
        pack(source.path.as_ref(), &mut blocks)?;
    } else {
        let mut file = File::open(&source.path)?;
        if file.metadata()?.is_dir() {
            return Err(io::Error::from_raw_os_error(rustix::io::Errno::ISDIR.raw_os_error()));
        }
        let mut block = vec![0; source.block];
        loop {
            let count = file.read(&mut block)?;
            if count == 0 || blocks.is_cut {
                break;
            }
            io::Write::write_all(&mut blocks, &block[..count])?;
        }
    }
    blocks.finish()
}

impl Blocks {
    /// Sends the block, as far as the master does not have it.
    fn push(&mut self) -> io::Result<()> {
        let block = std::mem::replace(&mut self.block, Vec::with_capacity(self.block_bytes));
        let (from, to) = (self.at, self.at + block.len() as u64);
        self.at = to;
        if to <= self.skip {
            return Ok(());
        }
        let known = usize::try_from(self.skip.saturating_sub(from)).unwrap_or_default();
        let new = Bytes::from(block).slice(known..);
        let gone = || io::Error::from(io::ErrorKind::BrokenPipe);
        self.out.blocking_send((from + known as u64, new)).map_err(|_| gone())
    }

    fn finish(mut self) -> io::Result<Sent> {
        if !self.block.is_empty() {
            self.push()?;
        }
        Ok(Sent { digest: self.digest.finish(), size: self.at, is_cut: self.is_cut })
    }
}

impl io::Write for Blocks {
    /// Takes bytes; those beyond the bound are dropped, as a stock worker does.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let there = self.at + self.block.len() as u64;
        let room = usize::try_from(self.bytes_max - there.min(self.bytes_max)).unwrap_or(usize::MAX);
        if room == 0 && !bytes.is_empty() {
            self.is_cut = true;
            return Ok(bytes.len());
        }
        let count = bytes.len().min(self.block_bytes - self.block.len()).min(room);
        self.block.extend_from_slice(&bytes[..count]);
        self.digest.update(&bytes[..count]);
        if self.block.len() == self.block_bytes {
            self.push()?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
