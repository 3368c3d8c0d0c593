//! The backend on disk: one sled database, one tree.
//!
//! sled has at most 16 entries in a page, however small they are, and its memory and its start grow with the number of pages. So its
//! entries are blocks of many pairs (`block`).
//!
//! Only one thread applies batches, each followed by one `flush` and one sync of the file; the flushing future of sled
//! deadlocks under concurrent use and is never called. Reads may come from any thread. The cache is kept small:
//! sled's memory is four to five times its setting.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs::File;
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Once, PoisonError, RwLock};

use super::block::Block;
use super::block_cache::BlockCache;
use super::{Backend, Batch, Direction, KeyRange, Pair};
use crate::store::StoreError;
use crate::store::error::is_no_space;

/// Bytes of sled's page cache: enough that lists of recent builds never touch the disk, while the
/// process stays far below the memory that an idle master may use.
const CACHE_BYTES: u64 = 32 << 20;

/// A sled database.
#[derive(Debug)]
pub(crate) struct SledBackend {
    db: sled::Db,
    /// Sled's log. Its own flush (`sync_file_range` on Linux) survives the death of processes, but leaves where a file has
    /// grown, and what the disk itself keeps back, to a loss of power.
    log: File,
    dir: PathBuf,
    cache: BlockCache,
    /// Held for writing while blocks change, so that a reader sees a batch as a whole.
    changing: RwLock<()>,
}

/// The file of sled that holds everything but large values, which it syncs itself.
const LOG_FILE: &str = "db";

/// A file beside sled's own that says what damage showed while the database was in use. It goes with the database when that is
/// set aside.
const DOUBTED: &str = "damage-seen";

/// Why sled did not open.
#[derive(Debug)]
pub(crate) enum OpenFailure {
    /// Its files make no sense to it: to be repaired or rebuilt.
    Damaged(String),
    /// Anything else; trying again without a change is pointless.
    Other(StoreError),
}

/// Sled's threads end within milliseconds of the last handle; five seconds cover a busy machine.
const LOCK_TRIES: u32 = 250;
const LOCK_PAUSE: std::time::Duration = std::time::Duration::from_millis(20);

impl SledBackend {
    /// Opens or makes the database in `dir`.
    pub fn open(dir: &Path) -> Result<Self, OpenFailure> {
        if let Ok(why) = std::fs::read_to_string(dir.join(DOUBTED)) {
            return Err(OpenFailure::Damaged(why.trim().to_owned()));
        }
        // Every batch is flushed; sled's own thread for it would sync an idle disk for ever.
        let config = sled::Config::new().path(dir).cache_capacity(CACHE_BYTES).flush_every_ms(None);
        let mut opened = guarded(|| config.open());
        // Our own lock on the directory is held: who still has sled's is a database of this process that is about to end.
        for _ in 0..LOCK_TRIES {
            if !matches!(&opened, Ok(Err(error)) if is_locked(error)) {
                break;
            }
            std::thread::park_timeout(LOCK_PAUSE);
            opened = guarded(|| config.open());
        }
        match opened {
            Ok(Ok(db)) => match File::open(dir.join(LOG_FILE)) {
                Ok(log) => {
                    let (cache, changing) = (BlockCache::default(), RwLock::default());
                    Ok(Self { db, log, dir: dir.to_owned(), cache, changing })
                }
                Err(error) => Err(OpenFailure::Other(StoreError::io("open", &dir.join(LOG_FILE))(error))),
            },
            Ok(Err(error)) => Err(open_failure(dir, error)),
            Err(_) => Err(OpenFailure::Damaged("its recovery gave up".to_owned())),
        }
    }

    /// Does something with the database. Damage that only shows now is noted beside it, so that the next opening sets it aside;
    /// sled tells of some damage by a panic.
    fn ask<T>(&self, action: &'static str, what: impl FnOnce(&sled::Db) -> sled::Result<T>) -> Result<T, StoreError> {
        let error = match guarded(|| what(&self.db)) {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => translate(action, &self.dir, error),
            Err(_) => damaged(&self.dir, "sled gave up"),
        };
        if let StoreError::Corrupt { why, .. } = &error {
            self.note_damage(&format!("{why} while asked to {action}\n"));
        }
        Err(error)
    }

    fn note_damage(&self, words: &str) {
        // A disk that takes no note shows its damage again.
        let _ = std::fs::write(self.dir.join(DOUBTED), words);
    }

    /// The block of an entry of sled's.
    fn block(&self, first: &[u8], stored: &[u8]) -> Result<Arc<Block>, StoreError> {
        if let Some(block) = self.cache.get(first) {
            return Ok(block);
        }
        let Some(block) = Block::decode(stored) else {
            self.note_damage("a block does not decompress\n");
            return Err(damaged(&self.dir, "a block does not decompress"));
        };
        let block = Arc::new(block);
        self.cache.put(first, &block);
        Ok(block)
    }

    /// The block that a key is in, if it is anywhere: the last one of its table that does not begin after it.
    fn block_of(&self, key: &[u8]) -> Result<Option<(sled::IVec, Arc<Block>)>, StoreError> {
        let found = self.ask("read", |db| db.range::<&[u8], _>(..=key).next_back().transpose())?;
        match found.filter(|(first, _)| first.first() == key.first()) {
            Some((first, stored)) => {
                let block = self.block(&first, &stored)?;
                Ok(Some((first, block)))
            }
            None => Ok(None),
        }
    }

    /// Where the block after this key begins.
    fn next_block(&self, key: &[u8]) -> Result<Option<sled::IVec>, StoreError> {
        let after = (Bound::Excluded(key), Bound::Unbounded);
        let next = self.ask("read", |db| db.range::<&[u8], _>(after).next().transpose())?;
        Ok(next.map(|(first, _)| first))
    }

    /// The changes of entries that a batch comes to.
    fn changed_blocks(&self, batch: Batch) -> Result<BTreeMap<Vec<u8>, Option<Vec<u8>>>, StoreError> {
        let mut entries = BTreeMap::new();
        let mut writes = batch.writes.into_iter().peekable();
        while let Some((key, _)) = writes.peek() {
            let (mut pairs, end) = match self.block_of(key)? {
                Some((first, block)) => {
                    entries.insert(first.to_vec(), None);
                    (block.pairs.iter().cloned().collect(), self.next_block(&first)?)
                }
                None => (BTreeMap::new(), self.next_block(key)?),
            };
            let table = key.first().copied();
            let is_in = |key: &Vec<u8>| {
                key.first().copied() == table && end.as_ref().is_none_or(|end| key.as_slice() < end.as_ref())
            };
            while let Some((key, value)) = writes.next_if(|(key, _)| is_in(key)) {
                match value {
                    Some(value) => pairs.insert(key, value),
                    None => pairs.remove(&key),
                };
            }
            for block in Block::cut(pairs) {
                entries.insert(block.pairs[0].0.clone(), Some(block.encode()));
            }
        }
        Ok(entries)
    }
}

fn damaged(dir: &Path, why: &str) -> StoreError {
    StoreError::corrupt(format!("the database in `{}`", dir.display()), why)
}

thread_local! {
    /// Whether a panic of this thread is sled's, and expected.
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Does something that may panic over damaged files. The panic is an answer like others, so people are not shown it as a fault
/// of the program.
fn guarded<T>(work: impl FnOnce() -> T) -> std::thread::Result<T> {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if GUARDED.get() {
                tracing::debug!("sled panicked: {info}");
            } else {
                usual(info);
            }
        }));
    });
    let before = GUARDED.replace(true);
    let done = catch_unwind(AssertUnwindSafe(work));
    GUARDED.set(before);
    done
}

/// Sled tells of its lock in words only.
fn is_locked(error: &sled::Error) -> bool {
    matches!(error, sled::Error::Io(io) if io.to_string().contains("could not acquire lock"))
}

fn open_failure(dir: &Path, error: sled::Error) -> OpenFailure {
    match error {
        sled::Error::Corruption { .. } | sled::Error::ReportableBug(_) | sled::Error::Unsupported(_) => {
            OpenFailure::Damaged(error.to_string())
        }
        // A file that ends too early reads as an input/output error of these kinds.
        sled::Error::Io(ref io)
            if matches!(io.kind(), std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::InvalidData) =>
        {
            OpenFailure::Damaged(error.to_string())
        }
        sled::Error::Io(_) | sled::Error::CollectionNotFound(_) => OpenFailure::Other(translate("open", dir, error)),
    }
}

fn translate(action: &'static str, dir: &Path, error: sled::Error) -> StoreError {
    match error {
        // Sled refuses everything from here on, so this is no matter of waiting for room.
        sled::Error::Io(io) if is_no_space(&io) => StoreError::Database { action, why: "the disk is full".to_owned() },
        sled::Error::Io(io) => StoreError::Io { action, path: dir.to_owned(), source: Arc::new(io) },
        sled::Error::Corruption { .. } => damaged(dir, "sled reports corruption"),
        sled::Error::CollectionNotFound(_) | sled::Error::ReportableBug(_) | sled::Error::Unsupported(_) => {
            StoreError::Database { action, why: error.to_string() }
        }
    }
}

impl Backend for SledBackend {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let _unchanged = self.changing.read().unwrap_or_else(PoisonError::into_inner);
        Ok(self.block_of(key)?.and_then(|(_, block)| block.get(key).cloned()))
    }

    fn scan(&self, range: &KeyRange, direction: Direction, limit: usize) -> Result<Vec<Pair>, StoreError> {
        if range.is_empty() || limit == 0 {
            return Ok(Vec::new());
        }
        let _unchanged = self.changing.read().unwrap_or_else(PoisonError::into_inner);
        let first = self.block_of(&range.from)?.map_or_else(|| range.from.clone(), |(first, _)| first.to_vec());
        let mut entries = self.ask("read", |db| Ok(db.range(first.as_slice()..range.to.as_slice())))?;
        let mut found = Vec::new();
        loop {
            let next = self.ask("read", |_| match direction {
                Direction::Ascending => entries.next().transpose(),
                Direction::Descending => entries.next_back().transpose(),
            })?;
            let Some((first, stored)) = next else { return Ok(found) };
            let block = self.block(&first, &stored)?;
            let inside = block.pairs.iter().filter(|(key, _)| (&range.from..&range.to).contains(&key));
            let left = limit - found.len();
            match direction {
                Direction::Ascending => found.extend(inside.take(left).cloned()),
                Direction::Descending => found.extend(inside.rev().take(left).cloned()),
            }
            if found.len() == limit {
                return Ok(found);
            }
        }
    }

    fn apply(&self, batch: Batch) -> Result<(), StoreError> {
        let entries = self.changed_blocks(batch)?;
        {
            let _changing = self.changing.write().unwrap_or_else(PoisonError::into_inner);
            let mut writes = sled::Batch::default();
            for (first, stored) in &entries {
                match stored {
                    Some(stored) => writes.insert(first.as_slice(), stored.as_slice()),
                    None => writes.remove(first.as_slice()),
                }
            }
            self.cache.forget(entries.keys());
            self.ask("write", |db| db.apply_batch(writes))?;
        }
        self.ask("flush", |db| db.flush())?;
        self.log.sync_data().map_err(StoreError::io("sync", &self.dir.join(LOG_FILE)))
    }
}
