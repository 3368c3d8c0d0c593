//! From the master to the worker.
//!
//! One of our masters says what the file will be. It grows under a temporary name of the command's own, which a later process
//! finds again; then it is compared with its digest and renamed. For a stock master the file is written in its place, as a stock
//! worker does.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures_util::stream::{FuturesOrdered, StreamExt as _};
use tokio::sync::mpsc;

use super::{IN_FLIGHT_MAX, Interruption, Transfer, answer, ask, block_bytes, file_error};
use crate::base::Sha256;
use crate::base::process::{users_umask, with_umask};
use crate::model::CommandId;
use crate::protocol::{CommandArgs, ContentArg, MsgPack, WorkerRequest};
use crate::worker::files::FileOutcome;
use crate::worker::link::Link;

/// What is to be received.
#[derive(Clone, Debug)]
struct Target {
    path: PathBuf,
    block: usize,
    bytes_max: Option<u64>,
    mode: Option<u32>,
    content: Option<ContentArg>,
    /// Where it grows.
    growing: PathBuf,
}

/// The file while it grows.
struct Growing {
    file: File,
    size: u64,
    digest: Sha256,
}

impl Target {
    fn of(id: &CommandId, args: &CommandArgs) -> Option<Self> {
        let CommandArgs::DownloadFile { path, blocksize, maxsize, mode, content } = args else { return None };
        let path = PathBuf::from(path);
        let growing = if content.is_some() { temporary(id, &path) } else { path.clone() };
        Some(Self {
            block: block_bytes(*blocksize),
            bytes_max: *maxsize,
            mode: mode.and_then(|mode| u32::try_from(mode & 0o7777).ok()),
            content: content.clone(),
            growing,
            path,
        })
    }

    fn shown(&self) -> String {
        self.path.display().to_string()
    }
}

/// A name beside the file that only this command uses.
fn temporary(id: &CommandId, path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    // The whole name may be as long as names can be.
    name.push(format!("{}.download", &Sha256::of(format!("{id} {}", path.display()).as_bytes())[..24]));
    path.with_file_name(name)
}

/// Removes what was received of a file that nobody wants any more.
pub(super) fn discard(transfer: &Transfer) {
    if let Some(target) = Target::of(&transfer.id, &transfer.args).filter(|target| target.content.is_some()) {
        // There may be nothing yet.
        let _ = fs::remove_file(&target.growing);
    }
}

/// Receives everything over one connection.
pub(super) async fn attempt(transfer: &Transfer, link: &Link) -> Result<FileOutcome, Interruption> {
    let Some(target) = Target::of(&transfer.id, &transfer.args) else {
        return Err(Interruption::failed("this is no download"));
    };
    let failed = |error: &io::Error| file_error(&target.shown(), "written", error);
    let opening = target.clone();
    let opened = tokio::task::spawn_blocking(move || open(&opening)).await;
    let growing = opened.map_err(|error| Interruption::failed(error.to_string()))?.map_err(|error| failed(&error))?;
    let from = growing.size;
    let (blocks, received) = mpsc::channel(1);
    let writer = tokio::task::spawn_blocking(move || write(growing, received));
    let result = receive(transfer, link, &target, from, blocks).await;
    let written = writer.await.map_err(|error| Interruption::failed(error.to_string()))?;
    let growing = written.map_err(|error| failed(&error))?;
    let is_whole = result?;
    if target.content.is_none() {
        let command = transfer.id.clone();
        answer(ask(link, WorkerRequest::ReadFileClose { command }, 0).await?).await?;
    }
    if !is_whole {
        let bound = target.bytes_max.unwrap_or_default();
        return Err(Interruption::failed(format!("`{}` has more than {bound} bytes", target.shown())));
    }
    let finishing = target.clone();
    let finished = tokio::task::spawn_blocking(move || finish(&finishing, growing)).await;
    finished.map_err(|error| Interruption::failed(error.to_string()))??;
    Ok(FileOutcome::default())
}

/// Asks for blocks and passes them on, in order. False if the bound was reached.
async fn receive(
    transfer: &Transfer,
    link: &Link,
    target: &Target,
    from: u64,
    blocks: mpsc::Sender<Bytes>,
) -> Result<bool, Interruption> {
    let size = target.content.as_ref().map(|content| content.size);
    let in_flight_max = if size.is_some() { IN_FLIGHT_MAX } else { 1 };
    let bound = target.bytes_max.unwrap_or(u64::MAX);
    let mut answers = FuturesOrdered::new();
    let (mut asked, mut got) = (from, from);
    loop {
        let wants_more = size.map_or(answers.is_empty(), |size| asked < size);
        if wants_more && answers.len() < in_flight_max {
            let left = size.unwrap_or(u64::MAX) - asked;
            let length = left.min(target.block as u64);
            let (command, offset) = (transfer.id.clone(), size.is_some().then_some(asked));
            answers.push_back(answer(ask(link, WorkerRequest::ReadFile { command, offset, length }, 0).await?));
            asked += length;
            continue;
        }
        let Some(answered) = answers.next().await else { return Ok(true) };
        let MsgPack::Binary(block) = answered? else {
            return Err(Interruption::failed("the master sent no bytes"));
        };
        if block.is_empty() {
            if size.is_some_and(|size| got < size) {
                return Err(Interruption::failed("the file at the master is shorter than it said"));
            }
            return Ok(true);
        }
        // A short block in the middle would leave a hole.
        let is_short = size.is_some_and(|size| block.len() < target.block && got + (block.len() as u64) < size);
        if is_short {
            return Err(Interruption::failed("the master sent a part of a block"));
        }
        if got.saturating_add(block.len() as u64) > bound {
            return Ok(false);
        }
        got += block.len() as u64;
        if blocks.send(block.into()).await.is_err() {
            // The thread that writes says why it ended.
            return Ok(true);
        }
    }
}

/// Opens the file, with what an earlier attempt wrote of it.
fn open(target: &Target) -> io::Result<Growing> {
    let make = || {
        target.path.parent().map_or(Ok(()), fs::create_dir_all)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(target.content.is_none()).mode(0o666);
        options.open(&target.growing)
    };
    let mut file = with_umask(users_umask(), make)?;
    let (mut digest, mut size) = (Sha256::default(), 0);
    let mut block = vec![0; target.block];
    loop {
        let count = file.read(&mut block)?;
        if count == 0 {
            break;
        }
        digest.update(&block[..count]);
        size += count as u64;
    }
    // More than the file will have is of no use.
    if target.content.as_ref().is_some_and(|content| size > content.size) {
        file.set_len(0)?;
        io::Seek::rewind(&mut file)?;
        (digest, size) = (Sha256::default(), 0);
    }
    Ok(Growing { file, size, digest })
}

fn write(mut growing: Growing, mut blocks: mpsc::Receiver<Bytes>) -> io::Result<Growing> {
    while let Some(block) = blocks.blocking_recv() {
        growing.file.write_all(&block)?;
        growing.digest.update(&block);
        growing.size += block.len() as u64;
    }
    Ok(growing)
}

/// Compares the file with its digest and gives it its name.
fn finish(target: &Target, growing: Growing) -> Result<(), Interruption> {
    let failed = |error: io::Error| file_error(&target.shown(), "written", &error);
    if let Some(mode) = target.mode {
        growing.file.set_permissions(fs::Permissions::from_mode(mode)).map_err(failed)?;
    }
    let Some(content) = &target.content else { return Ok(()) };
    let digest = growing.digest.finish();
    if growing.size != content.size || digest != content.digest {
        // The next attempt begins anew.
        let _ = fs::remove_file(&target.growing);
        let text = format!("`{}`: what arrived is not what was sent (SHA-256 {digest})", target.shown());
        return Err(Interruption::failed(text));
    }
    fs::rename(&target.growing, &target.path).map_err(failed)
}
