//! What can go wrong with a store.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::base::{Explained, Fault};

/// Why the store could not do what was asked. Cheap to clone: one failed flush answers many callers.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has the directory open.
    #[error("open the store in `{}`: another process holds it", dir.display())]
    Locked {
        /// The store's directory.
        dir: PathBuf,
    },
    /// A newer version wrote the directory.
    #[error(
        "open the store in `{}`: it has format {found}, and this version reads formats up to {known}",
        dir.display()
    )]
    NewerFormat {
        /// The store's directory.
        dir: PathBuf,
        /// The format found.
        found: u64,
        /// The newest format that this version reads.
        known: u64,
    },
    /// An older version wrote the directory, and this one cannot read it.
    #[error(
        "open the store in `{}`: it has format {found}, and this version reads format {known} only",
        dir.display()
    )]
    OlderFormat {
        /// The store's directory.
        dir: PathBuf,
        /// The format found.
        found: u64,
        /// The format that this version reads.
        known: u64,
    },
    /// A write to the journal failed, so that nobody knows what the disk holds of it.
    #[error("write to `{}`: an earlier write failed", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
    },
    /// The file that describes the directory is damaged.
    #[error("read `{}`: it is damaged", path.display())]
    NoFormat {
        /// The file.
        path: PathBuf,
    },
    /// Something that was written is no longer readable.
    #[error("read {what}: it is damaged ({why})")]
    Corrupt {
        /// The damaged thing and where it is.
        what: String,
        /// How it shows.
        why: String,
    },
    /// The operating system refused something.
    #[error("{action} `{}`", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// The system's word.
        #[source]
        source: Arc<io::Error>,
    },
    /// No room is left on the disk. Nothing of the request was kept; the store goes on once there is room.
    #[error("write to the store in `{}`: the disk is full ({free_mib} MiB left)", dir.display())]
    Full {
        /// The store's directory.
        dir: PathBuf,
        /// What the file system still has, in MiB.
        free_mib: u64,
    },
    /// The database refused something for a reason of its own.
    #[error("{action} in the database: {why}")]
    Database {
        /// What was tried, as a verb.
        action: &'static str,
        /// The database's word.
        why: String,
    },
    /// A fact does not follow the last one that is stored.
    #[error("commit fact {found}: the next one is number {expected}")]
    OutOfOrder {
        /// Its number.
        found: u64,
        /// The number that would do.
        expected: u64,
    },
    /// A dump cannot be read.
    #[error("read the dump: {why}")]
    Dump {
        /// What is wrong with it, and where.
        why: String,
    },
    /// A newer version wrote the dump.
    #[error("read the dump: it has version {found}, and this program reads versions up to {known}")]
    NewerDump {
        /// The version found.
        found: u64,
        /// The newest version that this program reads.
        known: u64,
    },
    /// Packs and journal tell less than the database that they would replace.
    #[error(
        "make the database in `{}` again: it holds {} builds and facts up to {}, packs and journal tell only of {} \
         builds and facts up to {}; nothing was changed",
        dir.display(), builds.0, facts.0, builds.1, facts.1
    )]
    Poorer {
        /// The store's directory.
        dir: PathBuf,
        /// The last fact of the database, and of packs and journal.
        facts: (u64, u64),
        /// The number of builds in the database, and that packs and journal tell of.
        builds: (u64, u64),
    },
    /// A fact after the newest snapshot is damaged or gone, so nobody knows the state of the open work.
    #[error(
        "restore open work in `{}`: fact {fact} is damaged or missing",
        dir.display()
    )]
    Gap {
        /// The store's directory.
        dir: PathBuf,
        /// The first fact that is missing.
        fact: u64,
    },
    /// The target of an import is in use already.
    #[error("import into `{}`: the directory is not empty", dir.display())]
    Occupied {
        /// The directory.
        dir: PathBuf,
    },
    /// There is no store here.
    #[error("open the store in `{}`: there is none", dir.display())]
    Missing {
        /// The directory.
        dir: PathBuf,
    },
    /// The store was closed, or its writer ended.
    #[error("use the store: it is closed")]
    Closed,
}

impl StoreError {
    /// Names the action and path of a failed system call.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source: Arc::new(source) }
    }

    /// Something unreadable.
    pub(crate) fn corrupt(what: impl Into<String>, why: impl ToString) -> Self {
        Self::Corrupt { what: what.into(), why: why.to_string() }
    }

    /// Whether the disk had no room.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Full { .. }) || matches!(self, Self::Io { source, .. } if is_no_space(source))
    }
}

impl Explained for StoreError {
    fn fault(&self) -> Fault {
        if matches!(self, Self::OutOfOrder { .. }) { Fault::Bug } else { Fault::Environment }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Locked { .. } => {
                "a running master has its directory to itself; stop it first, or use another directory"
            }
            Self::NewerFormat { .. } => "use the newer version that wrote it",
            Self::OlderFormat { .. } => {
                "export it with the version that wrote it (`starwright store export`) and import the dump with this one, or use \
                 a new directory"
            }
            Self::Broken { .. } => "restart the master: it then reads what the disk really holds",
            Self::NoFormat { .. } => "`starwright store rebuild` writes it again",
            Self::Corrupt { .. } => "stop the master and see what `starwright store check` says",
            Self::Full { .. } => "free some space",
            Self::Database { .. } => "restart the master, or stop it and see what `starwright store check` says",
            Self::Dump { .. } => "export it again",
            Self::NewerDump { .. } => "use the newer program",
            Self::Poorer { .. } => {
                "`starwright store check` shows what is damaged; `starwright store rebuild --force` gives up what packs and \
                 journal lack"
            }
            Self::Gap { .. } => {
                "restore a backup, or run `starwright store export` and `starwright store import` into a new directory, which \
                 leaves out everything after that fact"
            }
            Self::Occupied { .. } => "import into a new directory",
            Self::Missing { .. } => {
                "give the directory that the master uses, with --data DIR; by default it is `.starwright` in the directory \
                 where the master was started"
            }
            Self::Closed => "restart the master",
            Self::Io { .. } | Self::OutOfOrder { .. } => return None,
        };
        Some(hint.to_owned())
    }
}

/// Whether the system said that there is no space, quota included.
pub(crate) fn is_no_space(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge)
}
