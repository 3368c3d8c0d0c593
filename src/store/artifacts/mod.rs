//! The contents of artifacts: files by digest, and uploads on their way there.
//!
//! ```text
//! artifacts/incoming/<upload>     grows block by block
//! artifacts/ab/ab12…              a content: written, synced, renamed; never changed
//! ```
//! A content is there before a fact names it, and goes when no record does: the sweep asks the records. It spares what is
//! younger than [`sweep::GRACE`], because a fact may be on its way. Whoever keeps a content that is there already makes it young
//! again, under the same lock.

mod contents;
mod incoming;
mod sweep;
mod unpack;

use std::sync::{Arc, Weak};

pub(crate) use self::contents::path_of as content_path;
pub(crate) use self::sweep::is_named;

use self::contents::Contents;
use self::incoming::Incoming;
use super::StoreError;
use super::backend::Backend;
use super::directory::Directory;
use super::disk_space::DiskSpace;
use super::doors::{ArtifactStore, UploadContent, UploadError, UploadForm};
use crate::base::Timestamp;
use crate::model::{Artifact, ContentDigest};

/// A handle; cheap to clone.
#[derive(Clone, Debug)]
pub struct Artifacts {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    contents: Contents,
    incoming: Incoming,
    sweep: sweep::Sweep,
    /// Ends with the store, whoever still holds this.
    backend: Weak<dyn Backend>,
    space: Option<DiskSpace>,
}

impl Artifacts {
    /// Those of a store. Uploads that an earlier start of the machine left are dropped: nobody knows what the disk has of them.
    pub(crate) fn open(
        directory: &Directory,
        backend: &Arc<dyn Backend>,
        space: Option<DiskSpace>,
    ) -> Result<Self, StoreError> {
        let dir = directory.artifacts();
        let incoming = Incoming::open(&dir)?;
        let (contents, sweep, backend) = (Contents::new(dir), sweep::Sweep::default(), Arc::downgrade(backend));
        Ok(Self { shared: Arc::new(Shared { contents, incoming, sweep, backend, space }) })
    }
}

impl ArtifactStore for Artifacts {
    fn received(&self, upload: &str) -> Result<u64, StoreError> {
        self.shared.incoming.received(upload)
    }

    fn append(&self, upload: &str, at: u64, bytes: &[u8]) -> Result<u64, StoreError> {
        let space = self.shared.space.as_ref();
        // One build's upload must not stop all others.
        space.map_or(Ok(()), DiskSpace::check_for_bulk)?;
        let appended = self.shared.incoming.append(upload, at, bytes);
        appended.map_err(|error| space.map_or_else(|| error.clone(), |space| space.explain(error.clone())))
    }

    fn finish(&self, upload: &str, form: &UploadForm) -> Result<Vec<Artifact>, UploadError> {
        let Shared { incoming, contents, .. } = &*self.shared;
        let done = incoming.take(upload)?;
        if let Some(wanted) = &form.digest
            && *wanted != done.digest
        {
            incoming.discard(upload)?;
            return Err(UploadError::Differs { found: done.digest, wanted: wanted.clone() });
        }
        match &form.content {
            UploadContent::File { name, mode, modified } => {
                contents.keep(&done.path, &done.digest)?;
                let (mode, modified) = (*mode, *modified);
                Ok(vec![Artifact { name: name.clone(), size: done.size, digest: done.digest, mode, modified }])
            }
            UploadContent::Tar { below } => {
                let kept = unpack::unpack(&done.path, below, contents);
                incoming.discard(upload)?;
                kept
            }
        }
    }

    fn discard(&self, upload: &str) -> Result<(), StoreError> {
        self.shared.incoming.discard(upload)
    }

    fn size(&self, digest: &ContentDigest) -> Result<Option<u64>, StoreError> {
        self.shared.contents.size(digest)
    }

    fn read(&self, digest: &ContentDigest, at: u64, length: usize) -> Result<Vec<u8>, StoreError> {
        self.shared.contents.read(digest, at, length)
    }

    fn sweep(&self, now: Timestamp) -> Result<u64, StoreError> {
        let Shared { incoming, contents, sweep, backend, .. } = &*self.shared;
        let backend = backend.upgrade().ok_or(StoreError::Closed)?;
        Ok(incoming.drop_stale(now)? + sweep.next(contents, &*backend, now)?)
    }
}

#[cfg(test)]
mod tests;
