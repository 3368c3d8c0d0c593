//! A file on its way to or from a worker: what its lane needs to keep blocks, or to hand them out.
//!
//! Blocks are written and read on threads that may wait, one at a time for each command. Whatever the worker says, at most
//! [`READ_BYTES_MAX`] are read at once, and an upload never grows beyond its room.

use std::sync::Arc;

use bytes::Bytes;

use super::host::{ArtifactRoom, LinkHost};
use crate::base::{Sha256, chain};
use crate::engine::CommandOrder;
use crate::model::{
    Artifact, CommandEnd, CommandId, CommandResult, ContentDigest, DownloadSpec, Moved, Outcome, UploadSpec,
};
use crate::protocol::{Answer, ContentArg, MsgPack};
use crate::store::{ArtifactStore, StoreError, UploadContent, UploadError, UploadForm};

/// Bytes of a block. Each costs a stock worker one round trip; ours sends several ahead.
pub(super) const BLOCK_BYTES: u64 = 256 << 10;

/// Bytes handed out at once, however many the worker wants.
const READ_BYTES_MAX: u64 = 1 << 20;

/// One transfer.
#[derive(Debug)]
pub(super) enum Transfer {
    Upload(Upload),
    Download(Download),
}

/// From the worker into the store.
#[derive(Debug)]
pub(super) struct Upload {
    store: Arc<dyn ArtifactStore>,
    id: CommandId,
    spec: UploadSpec,
    room: ArtifactRoom,
    /// A stock worker begins anew on each connection, and says no places.
    ours: bool,
    received: u64,
    /// Why nothing more is taken, in words for the step.
    refusal: Option<String>,
}

/// From the master to the worker.
#[derive(Debug)]
pub(super) struct Download {
    content: Content,
    /// Of an artifact.
    artifact: Option<Artifact>,
    /// Where a stock worker is, which says no places.
    at: u64,
}

#[derive(Clone, Debug)]
enum Content {
    Text(Bytes),
    Stored(Arc<dyn ArtifactStore>, ContentDigest),
}

impl Transfer {
    /// Ends it, together with its command. The error ends the connection: the end is told again on the next one.
    pub async fn end(self, result: CommandResult, digest: Option<String>) -> Result<CommandResult, String> {
        match self {
            Self::Upload(upload) => upload.end(result, digest).await,
            Self::Download(download) => {
                let moved = download.artifact.filter(|_| result.outcome.is_ok()).map(Moved::Downloaded).map(Box::new);
                Ok(CommandResult { moved, ..result })
            }
        }
    }

    /// The connection ended before the command did.
    pub async fn cut_off(self) {
        // One of our workers goes on with it.
        if let Self::Upload(upload) = self
            && !upload.ours
        {
            upload.discard().await;
        }
    }
}

impl Upload {
    /// The error is the reason why the command cannot run.
    pub fn new(order: &CommandOrder, spec: &UploadSpec, host: &dyn LinkHost, ours: bool) -> Result<Self, String> {
        let room = host.artifact_room(order.build, &order.builder)?;
        let room = match spec.bytes_max {
            Some(bytes) if bytes < room.bytes => {
                ArtifactRoom { bytes, limit: format!("the step allows {bytes} bytes (`max_size`)") }
            }
            _ => room,
        };
        let store = host.artifacts()?;
        let id = order.command.clone();
        let received = if ours { store.received(&id.0).map_err(|error| chain(&error))? } else { 0 };
        Ok(Self { store, id, spec: spec.clone(), room, ours, received, refusal: None })
    }

    /// How many bytes are there.
    pub const fn received(&self) -> u64 {
        self.received
    }

    /// Takes a block. An answer that is an error ends the transfer, an error the connection.
    pub async fn block(&mut self, at: Option<u64>, data: Bytes) -> Result<Answer, String> {
        let at = at.unwrap_or(self.received);
        // Others that were on their way behind a refused one.
        if let Some(why) = &self.refusal {
            return Ok(Err(why.clone()));
        }
        if at > self.received {
            return Err(format!("it sent block {at} of command {}, where {} was expected", self.id, self.received));
        }
        if at.saturating_add(data.len() as u64) > self.room.bytes {
            let why = format!("`{}` is too large: {}", self.spec.path, self.room.limit);
            self.refusal = Some(why.clone());
            return Ok(Err(why));
        }
        let id = self.id.clone();
        match self.blocking(move |store| store.append(&id.0, at, &data)).await? {
            Ok(received) => self.received = received,
            // What arrived is dropped, so that the room is there for all others.
            Err(error) if error.is_full() => {
                let why = format!("`{}` cannot be kept: {}", self.spec.path, chain(&error));
                self.refusal = Some(why.clone());
                return Ok(Err(why));
            }
            Err(error) => return Err(chain(&error)),
        }
        Ok(Ok(MsgPack::Nil))
    }

    async fn end(self, result: CommandResult, digest: Option<String>) -> Result<CommandResult, String> {
        if let Some(why) = &self.refusal {
            let failed = failed(result, why.clone());
            self.discard().await;
            return Ok(failed);
        }
        if !result.outcome.is_ok() {
            self.discard().await;
            return Ok(result);
        }
        let UploadSpec { name, is_directory, mode, modified, .. } = self.spec.clone();
        let content = if is_directory {
            UploadContent::Tar { below: name }
        } else {
            UploadContent::File { name, mode, modified }
        };
        let form = UploadForm { digest: digest.map(ContentDigest), content };
        let id = self.id.clone();
        match self.blocking(move |store| store.finish(&id.0, &form)).await? {
            Ok(artifacts) => Ok(CommandResult { moved: Some(Box::new(Moved::Kept(artifacts))), ..result }),
            Err(UploadError::Store(error)) => Err(chain(&error)),
            Err(error @ (UploadError::Differs { .. } | UploadError::Unfit(_))) => {
                Ok(failed(result, format!("`{}` was not kept: {error}", self.spec.path)))
            }
        }
    }

    async fn discard(&self) {
        let id = self.id.clone();
        if let Ok(Err(error)) = self.blocking(move |store| store.discard(&id.0)).await {
            tracing::warn!(command = %self.id, error = %chain(&error), "an upload that came to nothing stays for a while");
        }
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn ArtifactStore) -> T + Send + 'static,
    ) -> Result<T, String> {
        let store = Arc::clone(&self.store);
        let done = tokio::task::spawn_blocking(move || work(&*store)).await;
        done.map_err(|error| format!("the store failed: {error}"))
    }
}

impl Download {
    /// Of a text.
    pub fn text(text: String) -> Self {
        Self { content: Content::Text(text.into()), artifact: None, at: 0 }
    }

    /// Of an artifact; the error is the reason why the command cannot run.
    pub fn artifact(order: &CommandOrder, spec: &DownloadSpec, host: &dyn LinkHost) -> Result<Self, String> {
        let artifact = host.find_artifact(order.build, spec)?;
        let content = Content::Stored(host.artifacts()?, artifact.digest.clone());
        Ok(Self { content, artifact: Some(artifact), at: 0 })
    }

    /// The permission bits that the file had.
    pub fn mode(&self) -> Option<u32> {
        self.artifact.as_ref().and_then(|artifact| artifact.mode)
    }

    /// What one of our workers is told of the content.
    pub fn content_arg(&self) -> ContentArg {
        match (&self.content, &self.artifact) {
            (_, Some(artifact)) => ContentArg { digest: artifact.digest.0.clone(), size: artifact.size },
            (Content::Text(text), None) => ContentArg { digest: Sha256::of(text), size: text.len() as u64 },
            (Content::Stored(_, digest), None) => ContentArg { digest: digest.0.clone(), size: 0 },
        }
    }

    /// The next block. An answer that is an error ends the transfer.
    pub async fn read(&mut self, at: Option<u64>, length: u64) -> Answer {
        let at = at.unwrap_or(self.at);
        let length = usize::try_from(length.min(READ_BYTES_MAX)).unwrap_or_default();
        let bytes = match self.content.clone() {
            Content::Text(text) => {
                let from = usize::try_from(at).unwrap_or(usize::MAX).min(text.len());
                Ok(text[from..text.len().min(from.saturating_add(length))].to_vec())
            }
            Content::Stored(store, digest) => {
                let read = tokio::task::spawn_blocking(move || store.read(&digest, at, length)).await;
                read.map_err(|error| error.to_string()).and_then(|read| read.map_err(|error: StoreError| chain(&error)))
            }
        };
        self.at = at + bytes.as_ref().map_or(0, Vec::len) as u64;
        bytes.map(MsgPack::Binary)
    }
}

/// The result of a command that came to nothing although the worker did its part, or that we ended ourselves.
fn failed(result: CommandResult, why: String) -> CommandResult {
    let end = match result.end {
        end @ (CommandEnd::Interrupted(_) | CommandEnd::Lost(_)) => return CommandResult { end, ..result },
        _ => CommandEnd::Exited(1),
    };
    CommandResult { end, outcome: Outcome::Failure, stderr: Some(why), ..result }
}
