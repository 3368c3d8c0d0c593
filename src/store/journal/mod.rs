//! The journal: what is durable. Everything else in the store can be made from it, or from what it was packed into.
//!
//! A segment is a file of frames, one for each sync. A torn frame at the end never was: nobody was told of it. A full segment gives
//! way to the next one and goes once all it holds is somewhere else (`packs`, log files, the database).

mod entry;

pub(crate) use entry::{Entry, FactGroup, StoredEntry};

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};

use super::StoreError;
use super::directory::{make_dir, numbered_files, sync_dir};
use super::frame::{self, Found, Magic, Scanner};

const MAGIC: Magic = *b"SwJ1";

/// A segment is full at this size on disk, or with this much before compression: reading it at an opening takes some tenths of
/// a second, and it counts for the disk that a store needs at least.
const SEGMENT_BYTES_MAX: u64 = 8 << 20;
const SEGMENT_PLAIN_BYTES_MAX: u64 = 128 << 20;

/// A segment is full with so many facts, too, those of some thousand builds: with the short logs of these builds, they are what an
/// opening has to work for.
const SEGMENT_FACTS_MAX: u64 = 50_000;

const SUFFIX: &str = "journal";

/// The segment in use.
#[derive(Debug)]
pub(crate) struct SegmentWriter {
    dir: PathBuf,
    number: u64,
    file: File,
    end: u64,
    plain_bytes: u64,
    /// Facts appended since it was opened.
    facts: u64,
    /// A write failed, and what the disk holds of it is not known.
    is_broken: bool,
}

impl SegmentWriter {
    /// Goes on with the newest segment, or begins the one numbered `first`. What a crash left of a frame is cut off.
    pub fn open(dir: &Path, first: u64) -> Result<Self, StoreError> {
        make_dir(dir)?;
        match segments(dir)?.pop() {
            Some((number, path)) => Self::resume(dir, number, &path),
            None => Self::begin(dir, first),
        }
    }

    fn resume(dir: &Path, number: u64, path: &Path) -> Result<Self, StoreError> {
        let file = OpenOptions::new().read(true).write(true).open(path).map_err(StoreError::io("open", path))?;
        let mut scanner = Scanner::new(&file, MAGIC, 0).map_err(StoreError::io("read", path))?;
        let end = loop {
            if let Found::End { whole, torn_bytes } = scanner.next().map_err(StoreError::io("read", path))? {
                if torn_bytes > 0 {
                    file.set_len(whole).map_err(StoreError::io("cut", path))?;
                }
                break whole;
            }
        };
        Ok(Self { dir: dir.to_owned(), number, file, end, plain_bytes: end, facts: 0, is_broken: false })
    }

    fn begin(dir: &Path, number: u64) -> Result<Self, StoreError> {
        let path = path(dir, number);
        let file = OpenOptions::new()
            .create(true)
            .truncate(true)
            .read(true)
            .write(true)
            .open(&path)
            .map_err(StoreError::io("open", &path))?;
        sync_dir(dir)?;
        Ok(Self { dir: dir.to_owned(), number, file, end: 0, plain_bytes: 0, facts: 0, is_broken: false })
    }

    /// Begins the next segment.
    pub fn rotate(&mut self) -> Result<(), StoreError> {
        *self = Self::begin(&self.dir, self.number + 1)?;
        Ok(())
    }

    /// The number of the segment in use.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Whether the next segment should be begun.
    pub fn is_full(&self) -> bool {
        self.end >= SEGMENT_BYTES_MAX || self.plain_bytes >= SEGMENT_PLAIN_BYTES_MAX || self.facts >= SEGMENT_FACTS_MAX
    }

    /// Whether nothing was written to the segment.
    pub fn is_empty(&self) -> bool {
        self.end == 0
    }

    /// Appends an entry; durable when it returns.
    ///
    /// If the disk was full and the entry may be offered again, the journal goes on. After any other failure nothing is known of
    /// what the disk holds, so the journal takes no more: the next opening looks.
    pub fn append(&mut self, entry: &Entry) -> Result<(), StoreError> {
        if self.is_broken {
            return Err(self.broken());
        }
        let mut bytes = Vec::new();
        frame::push(&mut bytes, MAGIC, &entry.encode());
        let path = || path(&self.dir, self.number);
        if let Err(error) = frame::write_all_at(&self.file, &bytes, self.end) {
            let error = StoreError::io("write", &path())(error);
            // Log parts are not offered again: their sender may have gone on already.
            self.is_broken = self.file.set_len(self.end).is_err() || !error.is_full() || !entry.logs.is_empty();
            return Err(error);
        }
        if let Err(error) = self.file.sync_data() {
            let error = StoreError::io("sync", &path())(error);
            self.is_broken = true;
            return Err(error);
        }
        self.end += as_u64(bytes.len());
        self.plain_bytes += as_u64(entry.size());
        self.facts += entry.facts.as_ref().map_or(0, |group| group.last - group.first + 1);
        Ok(())
    }

    /// Takes no more.
    pub fn give_up(&mut self) {
        self.is_broken = true;
    }

    fn broken(&self) -> StoreError {
        StoreError::Broken { path: path(&self.dir, self.number) }
    }
}

/// What is found in a segment.
#[derive(Debug)]
pub(crate) enum Read<'a> {
    /// An entry, and its place in words.
    Entry(StoredEntry<'a>, String),
    /// Bytes that are not whole, in words.
    Damage(String),
    /// The end, of which so many bytes are torn.
    Torn(String),
}

/// Hands everything in a segment to `take`, in order.
pub(crate) fn read(path: &Path, take: impl FnMut(Read<'_>) -> Result<(), StoreError>) -> Result<(), StoreError> {
    let file = File::open(path).map_err(StoreError::io("open", path))?;
    read_file(&file, path, take)
}

/// The same for a segment that is open already.
pub(crate) fn read_file(
    file: &File,
    path: &Path,
    mut take: impl FnMut(Read<'_>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let io = |error| StoreError::io("read", path)(error);
    let mut scanner = Scanner::new(file, MAGIC, 0).map_err(io)?;
    loop {
        match scanner.next().map_err(io)? {
            Found::Frame { at } => {
                let place = format!("`{}` at byte {at}", path.display());
                match StoredEntry::parse(scanner.payload()) {
                    Some(entry) => take(Read::Entry(entry, place))?,
                    None => take(Read::Damage(format!("{place}: an entry makes no sense")))?,
                }
            }
            Found::Damage { from, to } => {
                take(Read::Damage(format!("`{}`: bytes {from} to {to} are damaged", path.display())))?;
            }
            Found::End { torn_bytes: 0, .. } => return Ok(()),
            Found::End { torn_bytes, .. } => {
                return take(Read::Torn(format!("`{}`: its last {torn_bytes} bytes are torn", path.display())));
            }
        }
    }
}

/// The segments there are, in order.
pub(crate) fn segments(dir: &Path) -> Result<Vec<(u64, PathBuf)>, StoreError> {
    numbered_files(dir, SUFFIX)
}

/// The segments there are, in order, opened: they can be read even if they are packed and removed meanwhile.
pub(crate) fn open_segments(dir: &Path) -> Result<Vec<(u64, PathBuf, File)>, StoreError> {
    let mut opened = Vec::new();
    for (number, path) in segments(dir)? {
        match File::open(&path) {
            Ok(file) => opened.push((number, path, file)),
            // Packed since it was listed.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(StoreError::io("open", &path)(error)),
        }
    }
    Ok(opened)
}

/// Removes a segment, all of which is somewhere else.
pub(crate) fn remove(dir: &Path, number: u64) -> Result<(), StoreError> {
    let path = path(dir, number);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(StoreError::io("remove", &path)(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The file of a segment.
pub(crate) fn path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:012}.{SUFFIX}"))
}

fn as_u64(bytes: usize) -> u64 {
    u64::try_from(bytes).expect("sizes fit 64 bits")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(byte: u8) -> Entry {
        Entry { logs: vec![byte; 3], ..Entry::default() }
    }

    fn logs(dir: &Path) -> Vec<u8> {
        let mut found = Vec::new();
        for (_, path) in segments(dir).unwrap() {
            read(&path, |read| {
                if let Read::Entry(entry, place) = read {
                    found.push(entry.logs(&place)?[0]);
                }
                Ok(())
            })
            .unwrap();
        }
        found
    }

    #[test]
    fn entries_come_back_in_order_over_segments() {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = SegmentWriter::open(dir.path(), 1).unwrap();
        journal.append(&entry(1)).unwrap();
        journal.append(&entry(2)).unwrap();
        journal.rotate().unwrap();
        journal.append(&entry(3)).unwrap();
        drop(journal);
        let mut journal = SegmentWriter::open(dir.path(), 1).unwrap();
        assert_eq!(journal.number(), 2);
        journal.append(&entry(4)).unwrap();
        assert_eq!(logs(dir.path()), [1, 2, 3, 4]);
        remove(dir.path(), 1).unwrap();
        assert_eq!(logs(dir.path()), [3, 4]);
    }

    #[test]
    fn an_entry_torn_at_any_byte_never_was() {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = SegmentWriter::open(dir.path(), 1).unwrap();
        journal.append(&entry(1)).unwrap();
        let whole = journal.end;
        journal.append(&entry(2)).unwrap();
        let path = path(dir.path(), 1);
        let bytes = fs::read(&path).unwrap();
        for length in usize::try_from(whole).unwrap()..bytes.len() {
            fs::write(&path, &bytes[..length]).unwrap();
            let mut journal = SegmentWriter::open(dir.path(), 1).unwrap();
            journal.append(&entry(9)).unwrap();
            assert_eq!(logs(dir.path()), [1, 9]);
        }
    }
}
