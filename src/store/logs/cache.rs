//! The logs that somebody reads or writes at the moment, loaded when asked for.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::handles::Handles;
use super::key::LogKey;
use super::log::Log;
use crate::model::BuildId;
use crate::store::StoreError;
use crate::store::directory::Directory;
use crate::store::packs::PackCache;

/// Logs kept loaded. Each costs a few hundred bytes and its index (32 bytes a block); those with unwritten lines stay
/// whatever the number.
const LOADED_MAX: usize = 1024;

/// Loaded logs.
#[derive(Debug)]
pub(super) struct LogCache {
    pub directory: Directory,
    pub handles: Handles,
    loaded: Mutex<Loaded>,
    pub packs: Arc<PackCache>,
    /// Lines of this and later segments of the journal are about to be written again; see `Segment::load`.
    live_journal: AtomicU64,
}

#[derive(Debug, Default)]
struct Loaded {
    logs: BTreeMap<LogKey, (Slot, u64)>,
    used: u64,
    /// How many of them the last eviction found in use or with unwritten lines. These may be far more than the bound, so it comes the
    /// later, the more they are: looking through all of them for each further log would cost more than the work itself.
    stuck: usize,
}

/// A log, once it is loaded.
type Slot = Arc<Mutex<Option<Log>>>;

impl LogCache {
    /// Nothing is loaded yet.
    pub fn new(directory: &Directory, packs: Arc<PackCache>) -> Self {
        Self {
            packs,
            directory: directory.clone(),
            handles: Handles::default(),
            loaded: Mutex::default(),
            live_journal: AtomicU64::new(u64::MAX),
        }
    }

    /// Tells from which segment of the journal on lines are about to be written again; none any more: `u64::MAX`.
    pub fn set_live_journal(&self, number: u64) {
        self.live_journal.store(number, Ordering::SeqCst);
    }

    /// Works with a log, loading it if need be. Others who want the same log wait.
    pub fn with<T>(&self, key: LogKey, work: impl FnOnce(&mut Log) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let slot = self.slot(key);
        let mut log = lock(&slot);
        if log.is_none() {
            let dir = self.directory.build(key.build);
            *log = Some(Log::load(key, &dir, (&self.handles, &self.packs), self.live_journal.load(Ordering::SeqCst))?);
        }
        work(log.as_mut().expect("it was loaded just now"))
    }

    /// Lets go of all logs of a build, whose files are about to be removed.
    pub fn forget(&self, build: BuildId) {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        loaded.logs.retain(|key, _| key.build != build);
        self.handles.forget(&self.directory.build(build));
    }

    fn slot(&self, key: LogKey) -> Slot {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        loaded.used += 1;
        let now = loaded.used;
        if let Some((slot, used)) = loaded.logs.get_mut(&key) {
            *used = now;
            return Arc::clone(slot);
        }
        if loaded.logs.len() >= LOADED_MAX + 2 * loaded.stuck {
            loaded.evict();
        }
        let slot = Slot::default();
        loaded.logs.insert(key, (Arc::clone(&slot), now));
        slot
    }
}

impl Loaded {
    /// Lets go of the least recently used quarter of the logs that are neither in use nor have unwritten lines. Slots are handed out
    /// under the same lock, so one that nobody else holds now will not be held by somebody a moment later.
    fn evict(&mut self) {
        let is_idle = |slot: &Slot| Arc::strong_count(slot) == 1 && lock(slot).as_ref().is_none_or(Log::is_flushed);
        let idle = self.logs.values().filter(|(slot, _)| is_idle(slot));
        let mut used: Vec<u64> = idle.map(|(_, used)| *used).collect();
        self.stuck = self.logs.len() - used.len();
        used.sort_unstable();
        let Some(old) = used.get(used.len() / 4).copied() else { return };
        self.logs.retain(|_, (slot, used)| *used > old || !is_idle(slot));
    }
}

fn lock(slot: &Slot) -> MutexGuard<'_, Option<Log>> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}
