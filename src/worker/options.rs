//! The options of a worker, and the reasons why it cannot run.

use std::io;
use std::path::PathBuf;

use super::address::AddressError;
use crate::base::{Explained, Fault};

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
    #[error("use the worker name `{name}`: a name cannot be empty or contain a colon")]
    Name { name: String },
    /// The address of the master is not valid.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The base directory cannot be used.
    #[error("use `{}` as the worker's directory", dir.display())]
    Directory { dir: PathBuf, source: io::Error },
    /// Another worker uses the directory.
    #[error("use `{}` as the worker's directory: another worker uses it ({holder})", dir.display())]
    InUse { dir: PathBuf, holder: String },
    /// This system is not supported yet.
    #[cfg_attr(all(unix, not(test)), expect(dead_code, reason = "only other systems are not supported"))]
    #[error("run a worker: ours does not run on this platform yet")]
    Unsupported,
}

impl Explained for WorkerError {
    fn fault(&self) -> Fault {
        match self {
            Self::Name { .. } | Self::Address(_) => Fault::User,
            Self::Directory { .. } | Self::InUse { .. } | Self::Unsupported => Fault::Environment,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Address(_) => "write HOST:PORT, or wss://HOST/ for a master behind TLS",
            Self::InUse { .. } => "give each worker a directory of its own with --dir",
            Self::Unsupported => "connect a `buildbot-worker` instead",
            Self::Name { .. } | Self::Directory { .. } => return None,
        };
        Some(hint.to_owned())
    }
}
