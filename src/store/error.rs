//! What can go wrong with a store, in words that say what would do.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why the store could not do what was asked. Cheap to clone: one failed flush answers many callers.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has the directory open.
    #[error("open the store in `{}`: another process holds it; stop that master, or use another directory", dir.display())]
    Locked {
        /// The store's directory.
        dir: PathBuf,
    },
    /// A newer version wrote the directory.
    #[error(
        "open the store in `{}`: it has format {found}, and this version reads formats up to {known}; use the newer \
         version that wrote it",
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
        "open the store in `{}`: it has format {found}, and this version reads format {known} only; export it with the \
         version that wrote it (`starwright store export`) and import the dump with this one, or use a new directory",
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
    #[error("write to `{}`: an earlier write failed; restart the master, which looks what the disk holds", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
    },
    /// The file that describes the directory is damaged.
    #[error("read `{}`: it names no format and installation; `starwright store rebuild` makes it again", path.display())]
    NoFormat {
        /// The file.
        path: PathBuf,
    },
    /// Something that was written is no longer readable.
    #[error("read {what}: it is damaged ({why}); stop the master and see what `starwright store check` says")]
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
    #[error("write to the store in `{}`: the disk is full ({free_mib} MiB left); free some space", dir.display())]
    Full {
        /// The store's directory.
        dir: PathBuf,
        /// What the file system still has, in MiB.
        free_mib: u64,
    },
    /// The database refused something for a reason of its own.
    #[error("{action} in the database: {why}; restart the master, or run `starwright store check`")]
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
    #[error("read the dump: {why}; export it again")]
    Dump {
        /// What is wrong with it, and where.
        why: String,
    },
    /// A newer version wrote the dump.
    #[error(
        "read the dump: it has version {found}, and this program reads versions up to {known}; use the newer program"
    )]
    NewerDump {
        /// The version found.
        found: u64,
        /// The newest version that this program reads.
        known: u64,
    },
    /// PackCache and journal tell less than the database that they would replace.
    #[error(
        "make the database in `{}` again: it holds {} builds and facts up to {}, packs and journal tell only of {} \
         builds and facts up to {}; nothing was changed (`starwright store check` shows what is damaged, \
         `starwright store rebuild --force` gives up what they lack)",
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
        "restore open work in `{}`: fact {fact} is damaged or missing; restore a backup, or run `starwright store export` \
         and `starwright store import` into a new directory, which leaves out everything after that fact",
        dir.display()
    )]
    Gap {
        /// The store's directory.
        dir: PathBuf,
        /// The first fact that is missing.
        fact: u64,
    },
    /// The target of an import is in use already.
    #[error("import into `{}`: the directory is not empty; import into a new one", dir.display())]
    Occupied {
        /// The directory.
        dir: PathBuf,
    },
    /// There is no store here.
    #[error("open the store in `{}`: there is none; check the path", dir.display())]
    Missing {
        /// The directory.
        dir: PathBuf,
    },
    /// The store was closed, or its writer ended.
    #[error("use the store: it is closed; restart the master")]
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
        match self {
            Self::Full { .. } => true,
            Self::Io { source, .. } => is_no_space(source),
            Self::Locked { .. }
            | Self::NewerFormat { .. }
            | Self::OlderFormat { .. }
            | Self::Broken { .. }
            | Self::NoFormat { .. }
            | Self::Corrupt { .. }
            | Self::Database { .. }
            | Self::OutOfOrder { .. }
            | Self::Dump { .. }
            | Self::NewerDump { .. }
            | Self::Poorer { .. }
            | Self::Gap { .. }
            | Self::Occupied { .. }
            | Self::Missing { .. }
            | Self::Closed => false,
        }
    }
}

/// Whether the system said that there is no space, quota included.
pub(crate) fn is_no_space(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge)
}
