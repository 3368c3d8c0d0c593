//! How to run a worker, and why one cannot run.

use std::io;
use std::path::PathBuf;

use super::address::AddressError;

/// How to run a worker.
#[derive(Clone)]
pub struct Options {
    /// `HOST:PORT`, or `wss://…`/`ws://…`.
    pub master: String,
    /// The worker's name in the master's configuration.
    pub name: String,
    /// What it is known by.
    pub password: String,
    /// Base folder: builders' folders and the spool.
    pub dir: PathBuf,
}

impl std::fmt::Debug for Options {
    /// Without the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("master", &self.master)
            .field("name", &self.name)
            .field("dir", &self.dir)
            .finish_non_exhaustive()
    }
}

/// Why a worker cannot run. A master that is away or refuses us is none of these: the worker tries again.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The name cannot be told to a master.
    #[error("a worker's name cannot be empty or hold a colon, as `{name}` does")]
    Name { name: String },
    /// The master's address is none.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The base folder cannot be used.
    #[error("use `{}` as the worker's folder", dir.display())]
    Folder { dir: PathBuf, source: io::Error },
    /// Another worker uses the folder.
    #[error("another worker ({holder}) uses the folder `{}`; each worker needs one of its own", dir.display())]
    InUse { dir: PathBuf, holder: String },
    /// Not on this system yet.
    #[error("our own worker does not run on this platform yet; connect a `buildbot-worker` instead")]
    Unsupported,
}
