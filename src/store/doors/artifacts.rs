//! The contents of artifacts, by digest. They go when nothing names them any more.

use std::fmt;

use crate::base::Timestamp;
use crate::model::{Artifact, ContentDigest};
use crate::store::StoreError;

/// Keeps contents. Uploads arrive in blocks, each at its place; an upload that was cut off goes on where it is, also after a
/// restart of the master. Everything blocks as long as the disk takes.
pub trait ArtifactStore: Send + Sync + fmt::Debug {
    /// How many bytes of an upload are there.
    fn received(&self, upload: &str) -> Result<u64, StoreError>;
    /// Adds a block that begins at `at`; what is there already is left out. Returns how many bytes are there now.
    fn append(&self, upload: &str, at: u64, bytes: &[u8]) -> Result<u64, StoreError>;
    /// Ends an upload: its contents are durable when this returns, and last until nothing names them. The upload is gone then,
    /// whatever came of it.
    fn finish(&self, upload: &str, form: &UploadForm) -> Result<Vec<Artifact>, UploadError>;
    /// Drops an upload.
    fn discard(&self, upload: &str) -> Result<(), StoreError>;
    /// The size of a content; none if it is not there.
    fn size(&self, digest: &ContentDigest) -> Result<Option<u64>, StoreError>;
    /// Up to `length` bytes of a content from `at`; fewer only at its end.
    fn read(&self, digest: &ContentDigest, at: u64, length: usize) -> Result<Vec<u8>, StoreError>;
    /// Removes contents that nothing names, and uploads that nobody goes on with: a bounded part of all at each call. Returns
    /// how many files it removed.
    fn sweep(&self, now: Timestamp) -> Result<u64, StoreError>;
}

/// What an upload consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadForm {
    /// What the sender says of all bytes.
    pub digest: Option<ContentDigest>,
    pub content: UploadContent,
}

/// The bytes of an upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UploadContent {
    /// One file, with what is known of it.
    File { name: String, mode: Option<u32>, modified: Option<u64> },
    /// A tar archive; the names of its files follow this one.
    Tar { below: String },
}

/// Why an upload came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// It is not what the sender has: it must be sent anew.
    #[error(
        "what arrived is not what was sent (SHA-256 {found} instead of {wanted}); the file changed meanwhile, or a disk failed"
    )]
    Differs { found: ContentDigest, wanted: ContentDigest },
    /// It cannot be kept as it is, for a reason in words.
    #[error("{0}")]
    Unfit(String),
    /// The store cannot keep it now.
    #[error(transparent)]
    Store(#[from] StoreError),
}
