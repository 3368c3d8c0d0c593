//! The write-ahead files: parts of all logs in order of arrival, one sync for many of them.
//!
//! The order is the order of acknowledgement, so what a crash leaves is always a beginning of it: if a part is
//! there, every part that was appended before it is there, whatever its log.

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::block::{compress, decompress};
use super::line::LogPart;
use super::log::LogKey;
use super::varint::{self, Input};
use crate::base::Timestamp;
use crate::model::{BuildId, LogId};
use crate::store::StoreError;
use crate::store::folder::{make_dir, sync_dir};
use crate::store::frame::{self, Found, Magic, Scanner};

const MAGIC: Magic = *b"SwW1";

/// A write-ahead file is full at this size on disk, or with this much text: reading it at an opening takes some tenths
/// of a second.
const FILE_BYTES_MAX: u64 = 32 << 20;
const FILE_TEXT_BYTES_MAX: u64 = 128 << 20;

/// Shorter batches are not compressed: there is nothing to gain.
const PLAIN_BYTES_MAX: usize = 512;

const PLAIN: u8 = 0;
const COMPRESSED: u8 = 1;

/// What is written ahead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Record {
    Part {
        key: LogKey,
        source: String,
        n: u64,
        part: LogPart,
    },
    /// The logs of a build were removed; what came before counts no more.
    LogsRemoved(BuildId),
    /// The same for all of a build.
    BuildRemoved(BuildId),
}

/// The write-ahead file in use.
#[derive(Debug)]
pub(super) struct Wal {
    dir: PathBuf,
    number: u64,
    file: File,
    end: u64,
    text_bytes: u64,
}

impl Wal {
    /// Begins a file.
    pub fn begin(dir: &Path, number: u64) -> Result<Self, StoreError> {
        make_dir(dir)?;
        let path = path(dir, number);
        let file = OpenOptions::new()
            .create(true)
            .truncate(true)
            .read(true)
            .write(true)
            .open(&path)
            .map_err(StoreError::io("open", &path))?;
        sync_dir(dir)?;
        Ok(Self { dir: dir.to_owned(), number, file, end: 0, text_bytes: 0 })
    }

    /// Its number.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Whether the next one should be begun.
    pub fn is_full(&self) -> bool {
        self.end >= FILE_BYTES_MAX || self.text_bytes >= FILE_TEXT_BYTES_MAX
    }

    /// Appends records, all or none; durable when it returns.
    pub fn append(&mut self, records: &[Record]) -> Result<(), StoreError> {
        let mut plain = Vec::new();
        records.iter().for_each(|record| record.encode(&mut plain));
        self.text_bytes += as_u64(plain.len());
        let mut payload = Vec::new();
        if plain.len() <= PLAIN_BYTES_MAX {
            payload.push(PLAIN);
            payload.append(&mut plain);
        } else {
            payload.push(COMPRESSED);
            payload.append(&mut compress(&plain));
        }
        let mut bytes = Vec::with_capacity(payload.len() + frame::HEAD_BYTES);
        frame::push(&mut bytes, MAGIC, &payload);
        let written = frame::write_all_at(&self.file, &bytes, self.end).and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            // A part of it may be there; nobody was told that it is, and the next batch is written over it.
            let _ = self.file.set_len(self.end);
            return Err(StoreError::io("write", &path(&self.dir, self.number))(error));
        }
        self.end += as_u64(bytes.len());
        Ok(())
    }
}

impl Record {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Part { key, source, n, part } => {
                out.push(0);
                varint::push(out, key.build.0);
                varint::push(out, key.log.0);
                varint::push_bytes(out, source.as_bytes());
                varint::push(out, *n);
                varint::push(out, u64::from(u32::from(part.stream)));
                varint::push(out, as_u64(part.times.len()));
                let mut before = 0;
                for time in &part.times {
                    varint::push_signed(out, time.as_millis().wrapping_sub(before));
                    before = time.as_millis();
                }
                varint::push_bytes(out, &part.text);
            }
            Self::LogsRemoved(build) => {
                out.push(1);
                varint::push(out, build.0);
            }
            Self::BuildRemoved(build) => {
                out.push(2);
                varint::push(out, build.0);
            }
        }
    }

    fn decode(input: &mut Input<'_>) -> Option<Self> {
        match input.number()? {
            0 => {
                let key = LogKey { build: BuildId(input.number()?), log: LogId(input.number()?) };
                let source = std::str::from_utf8(input.bytes()?).ok()?.to_owned();
                let n = input.number()?;
                let stream = char::from_u32(u32::try_from(input.number()?).ok()?)?;
                let mut times = Vec::new();
                let mut time = 0_i64;
                for _ in 0..input.number()? {
                    time = time.wrapping_add(input.signed()?);
                    times.push(Timestamp::from_millis(time));
                }
                let text = Bytes::copy_from_slice(input.bytes()?);
                Some(Self::Part { key, source, n, part: LogPart { stream, text, times } })
            }
            1 => Some(Self::LogsRemoved(BuildId(input.number()?))),
            2 => Some(Self::BuildRemoved(BuildId(input.number()?))),
            _ => None,
        }
    }
}

/// Hands every record of a file to `take`, in order. A torn end is left out: nobody was told that it is there.
pub(super) fn replay(
    dir: &Path,
    number: u64,
    mut take: impl FnMut(Record) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let path = path(dir, number);
    let file = File::open(&path).map_err(StoreError::io("open", &path))?;
    let mut scanner = Scanner::new(&file, MAGIC, 0).map_err(StoreError::io("read", &path))?;
    loop {
        match scanner.next().map_err(StoreError::io("read", &path))? {
            Found::Frame { at } => match records(scanner.payload()) {
                Some(records) => records.into_iter().try_for_each(&mut take)?,
                None => tracing::warn!(path = %path.display(), at, "a batch of log parts makes no sense; left out"),
            },
            Found::Damage { from, to } => {
                tracing::warn!(path = %path.display(), from, to, "a part of a write-ahead file is damaged; left out");
            }
            Found::End { .. } => return Ok(()),
        }
    }
}

fn records(payload: &[u8]) -> Option<Vec<Record>> {
    let (kind, content) = payload.split_first()?;
    let unpacked;
    let plain = match *kind {
        PLAIN => content,
        COMPRESSED => {
            unpacked = decompress(content)?;
            &unpacked
        }
        _ => return None,
    };
    let mut input = Input(plain);
    let mut records = Vec::new();
    while !input.0.is_empty() {
        records.push(Record::decode(&mut input)?);
    }
    Some(records)
}

/// The numbers of the files there are, in order.
pub(super) fn numbers(dir: &Path) -> Result<Vec<u64>, StoreError> {
    let mut numbers: Vec<u64> =
        super::log::file_names(dir)?.iter().filter_map(|name| name.strip_suffix(".wal")?.parse().ok()).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// Removes a file whose parts are all in their logs' files.
pub(super) fn remove(dir: &Path, number: u64) -> Result<(), StoreError> {
    let path = path(dir, number);
    fs::remove_file(&path).map_err(StoreError::io("remove", &path))
}

fn path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:012}.wal"))
}

fn as_u64(number: usize) -> u64 {
    u64::try_from(number).expect("sizes fit 64 bits")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(n: u64, text: &[u8]) -> Record {
        let part = LogPart {
            stream: 'e',
            text: Bytes::copy_from_slice(text),
            times: vec![Timestamp::from_millis(5), Timestamp::from_millis(3)],
        };
        Record::Part { key: LogKey { build: BuildId(1), log: LogId(2) }, source: "cmd".to_owned(), n, part }
    }

    fn read(dir: &Path) -> Vec<Record> {
        let mut records = Vec::new();
        for number in numbers(dir).unwrap() {
            replay(dir, number, |record| {
                records.push(record);
                Ok(())
            })
            .unwrap();
        }
        records
    }

    #[test]
    fn records_come_back_in_order_over_files() {
        let dir = tempfile::tempdir().unwrap();
        let mut wal = Wal::begin(dir.path(), 1).unwrap();
        let long = part(1, &b"the same line again\n".repeat(100));
        wal.append(&[part(0, b"\xff\x00\n"), long.clone()]).unwrap();
        wal.append(&[Record::LogsRemoved(BuildId(7))]).unwrap();
        let mut wal = Wal::begin(dir.path(), 2).unwrap();
        wal.append(&[Record::BuildRemoved(BuildId(8)), part(2, b"")]).unwrap();
        let expected = [
            part(0, b"\xff\x00\n"),
            long,
            Record::LogsRemoved(BuildId(7)),
            Record::BuildRemoved(BuildId(8)),
            part(2, b""),
        ];
        assert_eq!(read(dir.path()), expected);
        remove(dir.path(), 1).unwrap();
        assert_eq!(numbers(dir.path()).unwrap(), [2]);
    }

    #[test]
    fn a_batch_torn_at_any_byte_is_left_out_as_a_whole() {
        let dir = tempfile::tempdir().unwrap();
        let mut wal = Wal::begin(dir.path(), 1).unwrap();
        wal.append(&[part(0, b"a\n")]).unwrap();
        let whole = wal.end;
        wal.append(&[part(1, b"b\n"), part(2, b"c\n")]).unwrap();
        let bytes = fs::read(path(dir.path(), 1)).unwrap();
        for length in usize::try_from(whole).unwrap()..bytes.len() {
            fs::write(path(dir.path(), 1), &bytes[..length]).unwrap();
            assert_eq!(read(dir.path()), [part(0, b"a\n")]);
        }
    }
}
