//! The store as others hold it: opening, committing, recovering, closing.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::backend::{Backend, MemoryBackend, Order};
use super::blocking::block_on;
use super::configs::Configs;
use super::folder::{Folder, FolderLock, Format, make_dir};
use super::keeper::Keeper;
use super::key::Table;
use super::opening;
use super::project::last_seq;
use super::retire::Retirement;
use super::room::{FREE_BYTES_MIN, Room};
use super::snapshot::Snapshots;
use super::txn::Records as _;
use super::writer::{Writer, WriterParts};
use super::{LogLimits, Logs, StoreError};
use crate::base::Timestamp;
use crate::model::{BuildId, ConfigDigest, Fact, RetentionPlan};

/// Which part of an ordered list to read.
#[derive(Clone, Copy, Debug)]
pub struct Scan {
    /// Start after this key (in the direction of reading); none: at the end the direction starts from.
    pub after: Option<u64>,
    /// Whether to read from the highest key down.
    pub descending: bool,
    /// How many to read at most.
    pub limit: usize,
}

/// What a restart needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// The newest whole snapshot of the engine: facts up to and including `.0` are in it.
    pub snapshot: Option<(u64, Vec<u8>)>,
    /// The facts after it, in order.
    pub facts: Vec<Fact>,
}

/// Settings that hardly anybody needs to change.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// Bounds of each log.
    pub logs: LogLimits,
    /// Nothing is written while the disk has less than this left.
    pub free_bytes_min: u64,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self { logs: LogLimits::default(), free_bytes_min: FREE_BYTES_MIN }
    }
}

/// A handle; cheap to clone. Reading methods block for microseconds and may be called anywhere;
/// `commit` is the only way to write facts.
#[derive(Clone, Debug)]
pub struct Store {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    installation: String,
    logs: Logs,
    /// None once closed.
    parts: RwLock<Option<Parts>>,
    retention: Mutex<Retention>,
}

/// Where [`Store::retire`] goes on.
#[derive(Debug, Default)]
struct Retention {
    /// With the first builder after this one.
    after_builder: Option<u64>,
    /// Builds whose logs are removed, but whose files are still to be unlinked.
    logs: Vec<BuildId>,
}

/// What a store is made of. Fields are dropped in this order: threads, database, lock.
#[derive(Clone, Debug)]
pub(crate) struct Parts {
    pub writer: Arc<Writer>,
    pub keeper: Arc<Keeper>,
    pub backend: Arc<dyn Backend>,
    pub snapshots: Arc<Snapshots>,
    pub configs: Arc<Configs>,
    pub folder: Folder,
    /// None for a store in memory.
    pub lock: Option<Arc<FolderLock>>,
}

impl Store {
    /// Opens or makes the store in `dir`; refuses a folder that another process holds or that a newer version wrote.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        Self::open_with(dir, &StoreOptions::default())
    }

    /// The same with other settings.
    pub fn open_with(dir: &Path, options: &StoreOptions) -> Result<Self, StoreError> {
        let opened = opening::open(dir)?;
        let room = Room::new(dir, options.free_bytes_min);
        let logs = Logs::open(&opened.folder, &options.logs, Some(room.clone()))?;
        let keeper = Arc::new(Keeper::start()?);
        let parts = WriterParts {
            backend: Arc::clone(&opened.backend),
            files: Some(opened.files),
            room: Some(room),
            keeper: Arc::clone(&keeper),
        };
        let writer = Arc::new(Writer::start(parts)?);
        if opened.unsettled.found {
            for build in opened.unsettled.logs {
                block_on(logs.remove_logs(build))?;
            }
            block_on(writer.unlinked(Vec::new()))?;
        }
        Ok(Self::of(
            opened.format,
            logs,
            Parts {
                writer,
                keeper,
                backend: opened.backend,
                snapshots: Arc::new(opened.snapshots),
                configs: Arc::new(Configs::Files(opened.folder.configs())),
                folder: opened.folder,
                lock: Some(Arc::new(opened.lock)),
            },
        ))
    }

    /// A store whose records live in memory; logs go to `dir`. For tests, the simulator and local runs.
    pub fn in_memory(dir: &Path) -> Result<Self, StoreError> {
        make_dir(dir)?;
        let folder = Folder::new(dir);
        let logs = Logs::open(&folder, &LogLimits::default(), None)?;
        let keeper = Arc::new(Keeper::start()?);
        let backend: Arc<dyn Backend> = Arc::new(MemoryBackend::default());
        let parts = WriterParts { backend: Arc::clone(&backend), files: None, room: None, keeper: Arc::clone(&keeper) };
        Ok(Self::of(
            Format { installation: opening::new_installation() },
            logs,
            Parts {
                writer: Arc::new(Writer::start(parts)?),
                keeper,
                backend,
                snapshots: Arc::new(Snapshots::Memory(Mutex::default())),
                configs: Arc::new(Configs::Memory(Mutex::default())),
                folder,
                lock: None,
            },
        ))
    }

    fn of(format: Format, logs: Logs, parts: Parts) -> Self {
        let shared = Shared {
            installation: format.installation,
            logs,
            parts: RwLock::new(Some(parts)),
            retention: Mutex::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// A random id, drawn when the store was made.
    pub fn installation(&self) -> String {
        self.shared.installation.clone()
    }

    /// Makes facts durable and visible in the records, all or none. Facts of several callers are merged into one flush.
    ///
    /// When it returns `Ok`, the facts are on disk, in the database and (as far as the system's cache) in the fact files.
    /// After an error none of them is in the records, and the same numbers can be committed again. Should the process die before that,
    /// the next opening may find them whole in the fact files, and keep them.
    pub async fn commit(&self, facts: Vec<Arc<Fact>>) -> Result<(), StoreError> {
        let writer = self.parts()?.writer;
        writer.commit(facts).await
    }

    /// The same for callers outside the runtime.
    pub fn commit_blocking(&self, facts: Vec<Arc<Fact>>) -> Result<(), StoreError> {
        block_on(self.commit(facts))
    }

    /// The number of the last fact; 0 if there is none.
    pub fn last_fact(&self) -> Result<u64, StoreError> {
        last_seq(&*self.backend()?)
    }

    /// What a restart begins with.
    pub fn recover(&self) -> Result<Recovered, StoreError> {
        let parts = self.parts()?;
        let snapshot = parts.snapshots.newest()?;
        let after = snapshot.as_ref().map(|(seq, _)| *seq);
        let scan = Scan { after, descending: false, limit: usize::MAX };
        let facts: Vec<Fact> = parts.backend.records(&Table::Tail.part(&scan), Order::Ascending, usize::MAX)?;
        let begins = after.unwrap_or(0) + 1;
        let is_whole = facts.first().map_or(begins > last_seq(&*parts.backend)?, |first| first.seq == begins);
        if is_whole {
            return Ok(Recovered { snapshot, facts });
        }
        opening::recover_from_files(&parts, snapshot)
    }

    /// Keeps a snapshot; facts that it covers are dropped from the tail (they stay in the fact files).
    ///
    /// The snapshot is durable when it returns; the facts up to the older one kept go a little later.
    pub async fn save_snapshot(&self, seq: u64, bytes: Vec<u8>) -> Result<(), StoreError> {
        let parts = self.parts()?;
        let snapshots = Arc::clone(&parts.snapshots);
        match parts.keeper.run(move || snapshots.save(seq, &bytes)).await? {
            Some(covered) => parts.writer.trim(covered).await,
            None => Ok(()),
        }
    }

    /// Keeps a configuration; durable when it returns.
    pub fn put_config(&self, digest: &ConfigDigest, bytes: &[u8]) -> Result<(), StoreError> {
        self.parts()?.configs.put(digest, bytes)
    }

    /// A configuration that was kept.
    pub fn config(&self, digest: &ConfigDigest) -> Result<Option<Vec<u8>>, StoreError> {
        self.parts()?.configs.get(digest)
    }

    /// The bodies of logs.
    pub fn logs(&self) -> Logs {
        self.shared.logs.clone()
    }

    /// Removes what the rules no longer keep; returns the number of builds removed. Bounded work per call: call it again
    /// while it removes something.
    ///
    /// What is removed is gone from records and disk when it returns, and does not come back.
    pub fn retire(&self, rules: &RetentionPlan, now: Timestamp) -> Result<u64, StoreError> {
        let mut removed = 0;
        for _ in 0..RETIRED_SLICES_MAX {
            let slice = self.retire_slice(rules, now)?;
            removed += slice.builds;
            if slice.is_idle {
                break;
            }
        }
        Ok(removed)
    }

    /// One order of the writer, so that commits get their turn in between.
    fn retire_slice(&self, rules: &RetentionPlan, now: Timestamp) -> Result<Slice, StoreError> {
        let parts = self.parts()?;
        let mut retention = self.shared.retention.lock().unwrap_or_else(PoisonError::into_inner);
        let retirement = Retirement {
            rules: rules.clone(),
            now,
            snapshots: parts.snapshots.numbers()?,
            after_builder: retention.after_builder,
        };
        let retired = block_on(parts.writer.retire(retirement))?;
        retention.after_builder = retired.last_builder;
        retention.logs.extend(retired.logs());
        while let Some(build) = retention.logs.last() {
            block_on(self.shared.logs.remove_logs(*build))?;
            retention.logs.pop();
        }
        let doomed = parts.backend.ids(&Table::Doomed.all(), Order::Ascending, DOOMED_MAX)?;
        for build in &doomed {
            block_on(self.shared.logs.remove_build(BuildId(*build)))?;
        }
        if !doomed.is_empty() || !retired.entries.is_empty() {
            block_on(parts.writer.unlinked(doomed))?;
        }
        Ok(Slice {
            builds: u64::try_from(retired.builds().count()).unwrap_or(u64::MAX),
            is_idle: retired.entries.is_empty() && retired.last_builder.is_none(),
        })
    }

    /// Ends the writer; everything committed is on disk when it returns. The folder can be opened again then.
    pub fn close(&self) -> Result<(), StoreError> {
        self.shared.close()
    }

    pub(crate) fn backend(&self) -> Result<Arc<dyn Backend>, StoreError> {
        let parts = self.shared.parts.read().unwrap_or_else(PoisonError::into_inner);
        parts.as_ref().map(|parts| Arc::clone(&parts.backend)).ok_or(StoreError::Closed)
    }

    pub(crate) fn parts(&self) -> Result<Parts, StoreError> {
        let parts = self.shared.parts.read().unwrap_or_else(PoisonError::into_inner);
        parts.clone().ok_or(StoreError::Closed)
    }
}

/// Slices of retention in one call: some hundred builds, some thousand builders.
const RETIRED_SLICES_MAX: usize = 10;

/// What a slice of retention came to.
struct Slice {
    builds: u64,
    /// There was nothing to do, and all builders were looked at.
    is_idle: bool,
}

/// Folders of removed builds unlinked in one slice.
const DOOMED_MAX: usize = 100;

impl Shared {
    fn close(&self) -> Result<(), StoreError> {
        let Some(parts) = self.parts.write().unwrap_or_else(PoisonError::into_inner).take() else { return Ok(()) };
        let written = block_on(parts.writer.close());
        let logged = self.logs.shut_down();
        written.and(logged)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::warn!(%error, "the store was not closed in order");
        }
    }
}
