//! The options of a worker, and the reasons why it cannot run.

use std::io;
use std::path::PathBuf;

use super::address::AddressError;

/// The options of a worker.
#[derive(Clone)]
pub struct Options {
    /// `HOST:PORT`, or `wss://…`/`ws://…`.
    pub master: String,
    /// The worker's name in the master's configuration.
    pub name: String,
    /// Its password.
    pub password: String,
    /// The base directory, with the directories of builders and the spool.
    pub dir: PathBuf,
}

impl std::fmt::Debug for Options {
    /// Leaves out the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("master", &self.master)
            .field("name", &self.name)
            .field("dir", &self.dir)
            .finish_non_exhaustive()
    }
}

/// Why a worker cannot run. A master that is unreachable or refuses us is not among the reasons: the worker tries
/// again.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The name cannot be sent to a master.
    #[error("a worker's name cannot be empty or hold a colon, as `{name}` does")]
    Name { name: String },
    /// The address of the master is not valid.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The base directory cannot be used.
    #[error("use `{}` as the worker's folder", dir.display())]
    Folder { dir: PathBuf, source: io::Error },
    /// Another worker uses the directory.
    #[error("another worker ({holder}) uses the folder `{}`; each worker needs one of its own", dir.display())]
    InUse { dir: PathBuf, holder: String },
    /// This system is not supported yet.
    #[error("our own worker does not run on this platform yet; connect a `buildbot-worker` instead")]
    Unsupported,
}
