//! The store as others hold it: opening, committing, recovering, closing.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::artifacts::Artifacts;
use super::backend::{Backend, MemoryBackend};
use super::background::BackgroundThread;
use super::blocking::block_on;
use super::configs::Configs;
use super::directory::{Directory, DirectoryLock, Format, make_dir};
use super::disk_space::{DiskSpace, FREE_BYTES_MIN};
use super::facts::read_facts;
use super::installation::new_installation;
use super::opening;
use super::packing::Packing;
use super::packs::PackCache;
use super::project::last_seq;
use super::recent::RecentFacts;
use super::recovered::Recovered;
use super::retention::Retirement;
use super::snapshot::Snapshots;
use super::write_queue::WriteQueue;
use super::writer::{Disk, Writer, WriterParts};
use super::{LogLimits, Logs, StoreError};
use crate::base::Timestamp;
use crate::model::{ConfigDigest, Fact, RetentionPlan};

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
    epoch: u64,
    logs: Logs,
    /// None once closed.
    parts: RwLock<Option<Parts>>,
    /// [`Store::retire`] goes on with the first builder after this one.
    retention: Mutex<Option<u64>>,
}

/// What a store is made of. Fields are dropped in this order: threads, database, lock.
#[derive(Clone, Debug)]
pub(crate) struct Parts {
    pub writer: Arc<Writer>,
    pub background: Arc<BackgroundThread>,
    pub backend: Arc<dyn Backend>,
    pub snapshots: Arc<Snapshots>,
    pub configs: Arc<Configs>,
    pub facts: Facts,
    pub artifacts: Artifacts,
}

/// Where facts are that the engine may ask for again.
#[derive(Clone, Debug)]
pub(crate) enum Facts {
    /// The directory is locked as long as somebody may read or write there.
    Files {
        directory: Directory,
        _lock: Arc<DirectoryLock>,
    },
    Memory(Arc<Mutex<Vec<Arc<Fact>>>>),
}

impl Store {
    /// Opens or makes the store in `dir`; refuses a directory that another process holds or that a newer version wrote.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        Self::open_with(dir, &StoreOptions::default())
    }

    /// The same with other settings.
    pub fn open_with(dir: &Path, options: &StoreOptions) -> Result<Self, StoreError> {
        let opened = opening::open(dir)?;
        let (directory, overlay) = (opened.directory, opened.overlay);
        let space = DiskSpace::new(dir, options.free_bytes_min);
        let packs = Arc::new(PackCache::open(&directory.packs())?);
        let (jobs, queue) = WriteQueue::new();
        let (logs, mut writing) =
            Logs::open(&directory, &options.logs, jobs.clone(), Arc::clone(&packs), Some(space.clone()));
        let journal = opening::take_up_journal(&directory, &*overlay, &mut writing)?;
        opened.snapshots.drop_beyond(last_seq(&*overlay)?)?;
        let background = Arc::new(BackgroundThread::start()?);
        let backend: Arc<dyn Backend> = Arc::clone(&overlay) as Arc<dyn Backend>;
        let recent = directory.recent();
        let artifacts = Artifacts::open(&directory, &backend, Some(space.clone()))?;
        let packing = Packing { directory: directory.clone(), overlay, packs };
        let parts = WriterParts {
            backend: Arc::clone(&backend),
            logs: writing,
            disk: Some(Disk { journal, packing, recent: Arc::new(RecentFacts::new(&recent)), space }),
            memory: None,
            background: Arc::clone(&background),
        };
        Ok(Self::of(
            (opened.format, opened.epoch),
            logs,
            Parts {
                writer: Arc::new(Writer::start(parts, jobs, queue)?),
                background,
                backend,
                snapshots: Arc::new(opened.snapshots),
                configs: Arc::new(Configs::Files(directory.configs())),
                facts: Facts::Files { directory, _lock: Arc::new(opened.lock) },
                artifacts,
            },
        ))
    }

    /// A store whose records live in memory; logs go to `dir`. For tests, the simulator and local runs.
    pub fn in_memory(dir: &Path) -> Result<Self, StoreError> {
        make_dir(dir)?;
        let directory = Directory::new(dir);
        let (jobs, queue) = WriteQueue::new();
        let packs = Arc::new(PackCache::open(&directory.packs())?);
        let (logs, writing) = Logs::open(&directory, &LogLimits::default(), jobs.clone(), packs, None);
        let background = Arc::new(BackgroundThread::start()?);
        let backend: Arc<dyn Backend> = Arc::new(MemoryBackend::default());
        let memory = Arc::new(Mutex::default());
        let artifacts = Artifacts::open(&directory, &backend, None)?;
        let parts = WriterParts {
            backend: Arc::clone(&backend),
            logs: writing,
            disk: None,
            memory: Some(Arc::clone(&memory)),
            background: Arc::clone(&background),
        };
        Ok(Self::of(
            (Format { installation: new_installation() }, 1),
            logs,
            Parts {
                writer: Arc::new(Writer::start(parts, jobs, queue)?),
                background,
                backend,
                snapshots: Arc::new(Snapshots::Memory(Mutex::default())),
                configs: Arc::new(Configs::Memory(Mutex::default())),
                facts: Facts::Memory(memory),
                artifacts,
            },
        ))
    }

    fn of((format, epoch): (Format, u64), logs: Logs, parts: Parts) -> Self {
        let shared = Shared {
            installation: format.installation,
            epoch,
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

    /// How many times the store was opened, this time included.
    pub(crate) fn epoch(&self) -> u64 {
        self.shared.epoch
    }

    /// Makes facts durable and visible in the records, all or none. Facts and log parts of several callers share one sync.
    ///
    /// When it returns `Ok`, the facts are in the journal, on disk. After an error none of them is in the records, and the same numbers
    /// can be committed again. Should the process die before that, the next opening may find them whole in the journal, and keep them.
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
        let after = snapshot.as_ref().map_or(0, |(seq, _)| *seq);
        let facts = match &parts.facts {
            Facts::Memory(facts) => {
                let facts = facts.lock().unwrap_or_else(PoisonError::into_inner);
                facts.iter().filter(|fact| fact.seq > after).map(|fact| Fact::clone(fact)).collect()
            }
            Facts::Files { directory, _lock } => {
                let mut facts = Vec::new();
                let findings = read_facts(directory, after, &mut |fact| {
                    facts.push(fact);
                    Ok(())
                })?;
                for words in findings.damage {
                    tracing::warn!(words, "a damaged place in packs or journal is left out");
                }
                let is_short = findings.last < last_seq(&*parts.backend)?;
                if let Some(fact) = findings.first_lost.or(is_short.then_some(findings.last + 1)) {
                    return Err(StoreError::Gap { dir: directory.dir().to_owned(), fact });
                }
                facts
            }
        };
        Ok(Recovered { snapshot, facts })
    }

    /// Keeps a snapshot; durable when it returns.
    pub async fn save_snapshot(&self, seq: u64, bytes: Vec<u8>) -> Result<(), StoreError> {
        let parts = self.parts()?;
        let snapshots = Arc::clone(&parts.snapshots);
        match parts.background.run(move || snapshots.save(seq, &bytes)).await? {
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

    /// Whether the disk is so full that nothing is written.
    pub fn disk_is_full(&self) -> bool {
        self.shared.logs.check_space().is_err()
    }

    /// Whether a store in `dir` would find the disk so full that it writes nothing.
    pub fn would_be_full(dir: &Path) -> bool {
        DiskSpace::new(dir, FREE_BYTES_MIN).check().is_err()
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

    /// One job of the writer, so that commits get their turn in between.
    fn retire_slice(&self, rules: &RetentionPlan, now: Timestamp) -> Result<Slice, StoreError> {
        let parts = self.parts()?;
        let mut after_builder = self.shared.retention.lock().unwrap_or_else(PoisonError::into_inner);
        let retirement = Retirement {
            rules: rules.clone(),
            now,
            snapshots: parts.snapshots.numbers()?,
            after_builder: *after_builder,
        };
        let retired = block_on(parts.writer.retire(retirement))?;
        *after_builder = retired.last_builder;
        Ok(Slice {
            builds: u64::try_from(retired.builds().count()).unwrap_or(u64::MAX),
            is_idle: retired.entries.is_empty() && retired.last_builder.is_none(),
        })
    }

    /// Brings everything from the journal to where it stays: records, packs, files of logs.
    pub(crate) fn settle(&self) -> Result<(), StoreError> {
        block_on(self.parts()?.writer.settle())
    }

    /// Ends the writer; everything committed is on disk when it returns. The directory can be opened again then.
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

impl Shared {
    fn close(&self) -> Result<(), StoreError> {
        let Some(parts) = self.parts.write().unwrap_or_else(PoisonError::into_inner).take() else { return Ok(()) };
        self.logs.close_all();
        block_on(parts.writer.close())
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::warn!(%error, "the store was not closed in job");
        }
    }
}
