//! The backend on disk: one sled database, one tree.
//!
//! Only one thread applies batches, each followed by one `flush` and one sync of the file; the flushing future of sled
//! deadlocks under concurrent use and is never called. Reads may come from any thread. The cache is kept small:
//! sled's memory is four to five times its setting.

use std::cell::Cell;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Once};

use super::{Backend, Batch, Direction, KeyRange, Pair, values};
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
                Ok(log) => Ok(Self { db, log, dir: dir.to_owned() }),
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

    /// A value from its stored form.
    fn grown(&self, stored: &[u8]) -> Result<Vec<u8>, StoreError> {
        values::grow(stored).ok_or_else(|| {
            self.note_damage("a value does not decompress\n");
            damaged(&self.dir, "a value does not decompress")
        })
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
        sled::Error::Io(io) if is_no_space(&io) => {
            StoreError::Database { action, why: "the disk is full; free some space".to_owned() }
        }
        sled::Error::Io(io) => StoreError::Io { action, path: dir.to_owned(), source: Arc::new(io) },
        sled::Error::Corruption { .. } => damaged(dir, "sled reports corruption"),
        sled::Error::CollectionNotFound(_) | sled::Error::ReportableBug(_) | sled::Error::Unsupported(_) => {
            StoreError::Database { action, why: error.to_string() }
        }
    }
}

impl Backend for SledBackend {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let stored = self.ask("read", |db| db.get(key))?;
        stored.map(|stored| self.grown(&stored)).transpose()
    }

    fn scan(&self, range: &KeyRange, direction: Direction, limit: usize) -> Result<Vec<Pair>, StoreError> {
        if range.is_empty() {
            return Ok(Vec::new());
        }
        let found: Vec<(sled::IVec, sled::IVec)> = self.ask("read", |db| {
            let found = db.range(range.from.as_slice()..range.to.as_slice());
            match direction {
                Direction::Ascending => found.take(limit).collect(),
                Direction::Descending => found.rev().take(limit).collect(),
            }
        })?;
        found.into_iter().map(|(key, stored)| Ok((key.to_vec(), self.grown(&stored)?))).collect()
    }

    fn apply(&self, batch: Batch) -> Result<(), StoreError> {
        let mut writes = sled::Batch::default();
        for (key, value) in batch.writes {
            match value {
                Some(value) => writes.insert(key, values::shrink(&value)),
                None => writes.remove(key),
            }
        }
        self.ask("write", |db| db.apply_batch(writes))?;
        self.ask("flush", |db| db.flush())?;
        self.log.sync_data().map_err(StoreError::io("sync", &self.dir.join(LOG_FILE)))
    }
}
