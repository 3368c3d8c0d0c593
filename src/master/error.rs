//! Why a master does not start, or ends.

use std::path::PathBuf;
use std::sync::Arc;

use super::disk_full::NoRoom;
use crate::base::{Explained, Fault};
use crate::engine::RestoreError;
use crate::store::StoreError;

/// The master has ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the master is shutting down")]
pub struct ShuttingDown;

/// Why an order has no reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// The master has ended.
    #[error(transparent)]
    ShuttingDown(#[from] ShuttingDown),
    /// It cannot be recorded, so it was not begun.
    #[error("the disk of the master is full, so nothing was done: free some space and try again")]
    DiskFull,
    /// It was begun, but cannot be recorded for now.
    #[error(
        "the disk of the master is full: what was ordered takes effect once there is space again, unless the master stops \
         before that"
    )]
    Unrecorded,
}

impl From<NoRoom> for OrderError {
    fn from(no_room: NoRoom) -> Self {
        match no_room {
            NoRoom::NotBegun => Self::DiskFull,
            NoRoom::Waiting => Self::Unrecorded,
        }
    }
}

/// Why a master did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The state directory cannot be made.
    #[error("create the state directory `{}`", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The store cannot be opened or read.
    #[error(transparent)]
    Store(StoreError),
    /// The state of open work cannot be restored.
    #[error("restore open work")]
    Restore(#[from] RestoreError),
    /// The first configuration is wrong; `report` is for people, ready to print.
    #[error("load `{}`\n{report}", path.display())]
    Refused {
        /// The configuration file.
        path: PathBuf,
        /// All problems, with their places.
        report: String,
    },
    /// A thread cannot be had.
    #[error("start the tasks")]
    Task(#[from] MasterError),
    /// The master ended while starting.
    #[error("start the master")]
    Ended(#[source] Arc<MasterError>),
    /// Something panicked.
    #[error("{what}: {why}")]
    Bug {
        /// What was being done.
        what: &'static str,
        /// What it said when it died.
        why: String,
    },
}

impl StartError {
    /// The report for people, when the configuration was refused.
    pub fn report(&self) -> Option<&str> {
        match self {
            Self::Refused { report, .. } => Some(report),
            Self::Directory { .. }
            | Self::Store { .. }
            | Self::Restore(_)
            | Self::Task(_)
            | Self::Ended(_)
            | Self::Bug { .. } => None,
        }
    }
}

impl Explained for StartError {
    fn fault(&self) -> Fault {
        match self {
            Self::Directory { .. } => Fault::Environment,
            Self::Store(error) => error.fault(),
            // The state is ours, and so is what cannot be made of it.
            Self::Restore(_) | Self::Bug { .. } => Fault::Bug,
            Self::Refused { .. } => Fault::User,
            Self::Task(error) => error.fault(),
            Self::Ended(error) => error.fault(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Store(error) => error.hint(),
            Self::Task(error) => error.hint(),
            Self::Ended(error) => error.hint(),
            Self::Directory { .. } | Self::Restore(_) | Self::Refused { .. } | Self::Bug { .. } => None,
        }
    }
}

/// Why a running master ended by itself. Nothing that it could not make durable was acknowledged.
#[derive(Debug, thiserror::Error)]
pub enum MasterError {
    /// Facts cannot be made durable, for example because the disk is full.
    #[error("write facts to the store")]
    Commit(#[source] StoreError),
    /// Lines of a log cannot be made durable.
    #[error("write to log {log} of build {build}")]
    Log {
        /// The build.
        build: crate::model::BuildId,
        /// The log.
        log: crate::model::LogId,
        /// Why not.
        #[source]
        source: StoreError,
    },
    /// A thread cannot be had.
    #[error("start thread `{name}`")]
    Thread {
        /// Its name.
        name: &'static str,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// A task ended that should have lasted: a bug.
    #[error("keep task `{name}` running: {why}")]
    Task {
        /// Its name, as in `docs/design/tasks.md`.
        name: &'static str,
        /// What it said when it died.
        why: String,
    },
}

impl Explained for MasterError {
    fn fault(&self) -> Fault {
        match self {
            Self::Commit(source) | Self::Log { source, .. } => source.fault(),
            Self::Thread { .. } => Fault::Environment,
            Self::Task { .. } => Fault::Bug,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Commit(source) | Self::Log { source, .. } => source.hint().or_else(|| {
                Some("nothing that was not written was acknowledged; the next start continues from there".to_owned())
            }),
            Self::Thread { .. } | Self::Task { .. } => None,
        }
    }
}
