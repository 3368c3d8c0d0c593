//! The packs of an open store: finding the text of a log, and forgetting those of removed builds.
//!
//! A pack is never changed. What is gone of it stands in a file beside it, and is read as if it were not there.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::index::{Index, read_log};
use super::{Trailer, packs, trailer_of};
use crate::store::StoreError;
use crate::store::frame::{self, Found, Magic, Scanner};
use crate::store::varint::{self, Input};

const GONE_MAGIC: Magic = *b"SwG1";

/// Indexes held in memory, in bytes: those of some hundred thousand logs.
const INDEX_BYTES_MAX: usize = 8 << 20;

/// The packs of a store.
#[derive(Debug)]
pub(crate) struct PackCache {
    dir: PathBuf,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// In the order of their numbers.
    packs: Vec<Pack>,
    used: u64,
}

#[derive(Debug)]
struct Pack {
    number: u64,
    path: PathBuf,
    trailer: Trailer,
    /// Builds whose logs were removed.
    gone: BTreeSet<u64>,
    /// Loaded when a log is looked for, and when that was last.
    loaded: Option<(Arc<Loaded>, u64)>,
}

#[derive(Debug)]
struct Loaded {
    file: File,
    index: Index,
}

impl PackCache {
    /// Looks at the packs of a directory.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        let mut known = Known::default();
        for (number, path) in packs(dir)? {
            known.packs.extend(Pack::open(number, path)?);
        }
        Ok(Self { dir: dir.to_owned(), known: Mutex::new(known) })
    }

    /// Takes a pack in that was written just now.
    pub fn add(&self, number: u64) -> Result<(), StoreError> {
        let found = packs(&self.dir)?.into_iter().find(|(found, _)| *found == number);
        let Some((_, path)) = found else { return Ok(()) };
        let added = Pack::open(number, path)?;
        let mut known = self.lock();
        known.packs.retain(|pack| pack.number != number);
        known.packs.extend(added);
        known.packs.sort_by_key(|pack| pack.number);
        Ok(())
    }

    /// The text of a log, as the logs encode it, from the newest pack that has it.
    pub fn log(&self, build: u64, log: u64) -> Result<Option<Vec<u8>>, StoreError> {
        for (loaded, path) in self.candidates(build)? {
            if let Some(at) = loaded.index.find(build, log) {
                let found = read_log(&loaded.file, at, build, log).map_err(StoreError::io("read", &path))?;
                if found.is_none() {
                    tracing::warn!(path = %path.display(), at, build, log, "the pack of a log is damaged");
                }
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// Forgets the logs of a build. After a crash it may have to be done again.
    pub fn remove(&self, build: u64) -> Result<(), StoreError> {
        let mut known = self.lock();
        for pack in known.packs.iter_mut().filter(|pack| pack.may_have(build)) {
            note_gone(&pack.path, build)?;
            pack.gone.insert(build);
        }
        Ok(())
    }

    /// Packs that may have logs of a build, the newest first.
    fn candidates(&self, build: u64) -> Result<Vec<(Arc<Loaded>, PathBuf)>, StoreError> {
        let mut known = self.lock();
        known.used += 1;
        let now = known.used;
        let mut found = Vec::new();
        for pack in known.packs.iter_mut().rev().filter(|pack| pack.may_have(build)) {
            found.push((pack.load(now)?, pack.path.clone()));
        }
        known.unload();
        Ok(found)
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// Lets go of the indexes used longest ago while there are too many.
    fn unload(&mut self) {
        loop {
            let loaded = || self.packs.iter().filter_map(|pack| pack.loaded.as_ref());
            if loaded().map(|(loaded, _)| loaded.index.size()).sum::<usize>() <= INDEX_BYTES_MAX {
                return;
            }
            let Some(oldest) = loaded().map(|(_, used)| *used).min() else { return };
            for pack in &mut self.packs {
                pack.loaded.take_if(|(_, used)| *used == oldest);
            }
        }
    }
}

impl Pack {
    /// A pack by its trailer; none if that is damaged (`store check` tells, the facts are read all the same).
    fn open(number: u64, path: PathBuf) -> Result<Option<Self>, StoreError> {
        let Some(trailer) = trailer_of(&path)? else {
            tracing::warn!(path = %path.display(), "the end of a pack is damaged; its logs cannot be shown");
            return Ok(None);
        };
        let gone = read_gone(&path)?;
        Ok(Some(Self { number, path, trailer, gone, loaded: None }))
    }

    fn may_have(&self, build: u64) -> bool {
        (self.trailer.build_min..=self.trailer.build_max).contains(&build) && !self.gone.contains(&build)
    }

    fn load(&mut self, now: u64) -> Result<Arc<Loaded>, StoreError> {
        if let Some((loaded, used)) = &mut self.loaded {
            *used = now;
            return Ok(Arc::clone(loaded));
        }
        let file = File::open(&self.path).map_err(StoreError::io("open", &self.path))?;
        let index = Index::load(&file, &self.trailer).map_err(StoreError::io("read", &self.path))?;
        let loaded = Arc::new(Loaded { file, index });
        self.loaded = Some((Arc::clone(&loaded), now));
        Ok(loaded)
    }
}

fn gone_path(pack: &Path) -> PathBuf {
    pack.with_extension("gone")
}

/// Not synced: the journal has the removal until the next segment, and the segment goes only after a sync.
fn note_gone(pack: &Path, build: u64) -> Result<(), StoreError> {
    let path = gone_path(pack);
    let (mut payload, mut bytes) = (Vec::new(), Vec::new());
    varint::push(&mut payload, build);
    frame::push(&mut bytes, GONE_MAGIC, &payload);
    let write = || {
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path)?;
        let end = file.metadata()?.len();
        frame::write_all_at(&file, &bytes, end)
    };
    write().map_err(StoreError::io("write", &path))
}

/// Makes durable what is gone of the packs in a directory.
pub(crate) fn sync_gone(dir: &Path) -> Result<(), StoreError> {
    for (_, path) in crate::store::directory::numbered_files(dir, "gone")? {
        File::open(&path).and_then(|file| file.sync_all()).map_err(StoreError::io("sync", &path))?;
    }
    Ok(())
}

fn read_gone(pack: &Path) -> Result<BTreeSet<u64>, StoreError> {
    let path = gone_path(pack);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        Err(error) => return Err(StoreError::io("open", &path)(error)),
    };
    let mut scanner = Scanner::new(&file, GONE_MAGIC, 0).map_err(StoreError::io("read", &path))?;
    let mut gone = BTreeSet::new();
    loop {
        match scanner.next().map_err(StoreError::io("read", &path))? {
            Found::Frame { .. } => gone.extend(Input(scanner.payload()).number()),
            Found::Damage { .. } => {}
            Found::End { .. } => return Ok(gone),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::packs::{PackWriter, Read, Wanted, read};
    use crate::store::removal::Removal;

    fn write(dir: &Path, number: u64, logs: &[(u64, u64, &[u8])]) {
        let mut writer = PackWriter::begin(dir, number).unwrap();
        for (build, log, text) in logs {
            writer.log(*build, *log, text).unwrap();
        }
        writer.finish().unwrap();
    }

    #[test]
    fn logs_are_found_in_the_newest_pack_that_has_them() {
        let dir = tempfile::tempdir().unwrap();
        let long = vec![7; 100_000];
        write(dir.path(), 1, &[(1, 10, b"one"), (3, 30, &long), (5, 50, b"old")]);
        let packs = PackCache::open(dir.path()).unwrap();
        assert_eq!(packs.log(3, 30).unwrap(), Some(long));
        write(dir.path(), 2, &[(5, 50, b"new"), (9, 90, b"nine")]);
        packs.add(2).unwrap();
        assert_eq!(packs.log(5, 50).unwrap(), Some(b"new".to_vec()));
        assert_eq!(packs.log(1, 10).unwrap(), Some(b"one".to_vec()));
        assert_eq!((packs.log(1, 11).unwrap(), packs.log(100, 1).unwrap()), (None, None));
    }

    #[test]
    fn removed_logs_stay_removed() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), 1, &[(1, 10, b"one"), (2, 20, b"two")]);
        PackCache::open(dir.path()).unwrap().remove(1).unwrap();
        let packs = PackCache::open(dir.path()).unwrap();
        assert_eq!((packs.log(1, 10).unwrap(), packs.log(2, 20).unwrap()), (None, Some(b"two".to_vec())));
        sync_gone(dir.path()).unwrap();
    }

    #[test]
    fn a_pack_without_content_keeps_its_number_and_its_segment() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = PackWriter::begin(dir.path(), 1).unwrap();
        writer.up_to_segment(7);
        writer.finish().unwrap();
        let (number, path) = super::packs(dir.path()).unwrap().remove(0);
        assert_eq!((number, trailer_of(&path).unwrap().unwrap().segment), (1, 7));
    }

    #[test]
    fn a_damaged_pack_tells_so_and_gives_the_rest() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = PackWriter::begin(dir.path(), 1).unwrap();
        let removed = vec![Removal::Build(crate::model::BuildId(4))];
        writer.removals(&removed).unwrap();
        writer.log(1, 10, b"text").unwrap();
        writer.finish().unwrap();
        let (_, path) = super::packs(dir.path()).unwrap().remove(0);
        let whole = std::fs::read(&path).unwrap();
        for at in [whole.len() - 1, whole.len() - 60] {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            std::fs::write(&path, bytes).unwrap();
            let (mut found, mut damage) = (Vec::new(), 0);
            read(&path, Wanted::Everything, &mut |read| {
                match read {
                    Read::Removals(entries) => found.extend(entries),
                    Read::Damage(_) => damage += 1,
                    Read::Facts(_) | Read::Log(..) | Read::Files(_) => {}
                }
                Ok(())
            })
            .unwrap();
            assert_eq!((found, damage), (removed.clone(), 1), "byte {at}");
        }
    }
}
