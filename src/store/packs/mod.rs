//! Packs: what the journal held, made small and kept for good.
//!
//! ```text
//! facts … facts | removals | logs … logs | long logs | index of logs | trailer
//! ```
//!
//! A pack is written once, from one segment of the journal, and never changed. Facts and the text of short logs are compressed in
//! blocks of many. The trailer has a fixed size and says what is in the pack, so that an opening reads nothing else of it.

mod cache;
mod index;
mod writer;

pub(crate) use cache::{PackCache, sync_gone};
pub(crate) use writer::PackWriter;

use std::fs::File;
use std::path::{Path, PathBuf};

use super::StoreError;
use super::codec::decode;
use super::compression;
use super::directory::numbered_files;
use super::frame::{self, Found, Magic, Scanner};
use super::journal::FactGroup;
use super::removal::Removal;
use super::varint::{self, Input};

const MAGIC: Magic = *b"SwP1";

const KIND_FACTS: u8 = 1;
const KIND_REMOVALS: u8 = 2;
const KIND_LOGS: u8 = 3;
const KIND_INDEX: u8 = 4;
const KIND_TRAILER: u8 = 5;
const KIND_FILES: u8 = 6;

/// A trailer's frame: its kind and six numbers.
const TRAILER_BYTES: usize = frame::HEAD_BYTES + 1 + 6 * 8;

const SUFFIX: &str = "pack";

/// What a trailer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trailer {
    /// The first and the last fact; both 0 if there is none.
    pub first: u64,
    pub last: u64,
    /// The lowest and the highest build that has a log in it; if none has, the highest is the lower one.
    pub build_min: u64,
    pub build_max: u64,
    /// Where the index begins.
    pub index_at: u64,
    /// The last segment of the journal that is in it; 0 if it was made from something else.
    pub segment: u64,
}

impl Trailer {
    fn push(self, out: &mut Vec<u8>) {
        let mut payload = vec![KIND_TRAILER];
        let numbers = [self.first, self.last, self.build_min, self.build_max, self.index_at, self.segment];
        for number in numbers {
            payload.extend_from_slice(&number.to_le_bytes());
        }
        frame::push(out, MAGIC, &payload);
    }

    fn parse(payload: &[u8]) -> Option<Self> {
        let (&KIND_TRAILER, rest) = payload.split_first()? else { return None };
        let (numbers, _) = rest.as_chunks::<8>();
        let numbers = <[[u8; 8]; 6]>::try_from(numbers).ok()?.map(u64::from_le_bytes);
        let [first, last, build_min, build_max, index_at, segment] = numbers;
        Some(Self { first, last, build_min, build_max, index_at, segment })
    }

    /// The trailer of a file; none if it is damaged.
    fn of(file: &File) -> std::io::Result<Option<Self>> {
        let length = file.metadata()?.len();
        let Some(at) = length.checked_sub(u64::try_from(TRAILER_BYTES).expect("a small constant")) else {
            return Ok(None);
        };
        let mut bytes = [0; TRAILER_BYTES];
        frame::read_exact_at(file, &mut bytes, at)?;
        Ok(frame::payload(&bytes, MAGIC).and_then(Self::parse))
    }
}

/// The file of a long log, as it was when a segment of the journal was packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LogFile {
    pub build: u64,
    pub log: u64,
    /// Its number among the files of the log.
    pub number: u64,
    /// How long it was at least.
    pub bytes: u64,
}

/// The file of a pack.
pub(crate) fn path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:012}.{SUFFIX}"))
}

/// The packs there are, in order.
pub(crate) fn packs(dir: &Path) -> Result<Vec<(u64, PathBuf)>, StoreError> {
    numbered_files(dir, SUFFIX)
}

/// The number of the last fact in any pack; 0 if there is none. A damaged trailer counts for nothing.
pub(crate) fn last_packed(dir: &Path) -> Result<u64, StoreError> {
    let mut last = 0;
    for (_, path) in packs(dir)? {
        last = last.max(trailer_of(&path)?.map_or(0, |trailer| trailer.last));
    }
    Ok(last)
}

/// The last segment of the journal that packs have; none if a damaged trailer leaves that open.
pub(crate) fn last_segment(packs: &[(u64, PathBuf)]) -> Result<Option<u64>, StoreError> {
    let mut last = Some(0);
    for (_, path) in packs {
        last = last.zip(trailer_of(path)?).map(|(last, trailer): (u64, Trailer)| last.max(trailer.segment));
    }
    Ok(last)
}

/// The segments of the journal that are in no pack, and should be before or between those that are there.
pub(crate) fn missing_segments(
    packs: &[(u64, PathBuf)],
    there: impl Iterator<Item = u64>,
) -> Result<Vec<u64>, StoreError> {
    // With a damaged trailer it is not known where the journal begins; the damage is told of anyway.
    let mut expected = last_segment(packs)?.map(|packed| packed + 1);
    let mut missing = Vec::new();
    for number in there {
        missing.extend(expected.unwrap_or(number)..number);
        expected = Some(expected.unwrap_or(0).max(number + 1));
    }
    Ok(missing)
}

/// What the trailer of a pack says; none if it is damaged.
pub(crate) fn trailer_of(path: &Path) -> Result<Option<Trailer>, StoreError> {
    let file = File::open(path).map_err(StoreError::io("open", path))?;
    Trailer::of(&file).map_err(StoreError::io("read", path))
}

/// What is found in a pack.
#[derive(Debug)]
pub(crate) enum Read {
    Facts(FactGroup),
    Removals(Vec<Removal>),
    /// A log: its build, its number, its text as the logs encode it.
    Log(u64, u64, Vec<u8>),
    /// Files of long logs; what a later pack says of one counts.
    Files(Vec<LogFile>),
    /// Something that is not whole, in words.
    Damage(String),
}

/// Which frames of a pack are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Facts after this one, and removals.
    FactsAfter(u64),
    /// Short logs, and which files of long ones there are.
    Logs,
    Everything,
}

/// Hands what is wanted of a pack to `take`, in order; and all damage.
pub(crate) fn read(
    path: &Path,
    wanted: Wanted,
    take: &mut dyn FnMut(Read) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let io = |error| StoreError::io("read", path)(error);
    let file = File::open(path).map_err(StoreError::io("open", path))?;
    let mut scanner = Scanner::new(&file, MAGIC, 0).map_err(io)?;
    let mut has_trailer = false;
    loop {
        match scanner.next().map_err(io)? {
            Found::Frame { at } => {
                let Some((kind, content)) = scanner.payload().split_first() else { continue };
                let place = || format!("`{}` at byte {at}", path.display());
                has_trailer |= *kind == KIND_TRAILER;
                read_frame((*kind, content), wanted, &place, take)?;
            }
            Found::Damage { from, to } => {
                take(Read::Damage(format!("`{}`: bytes {from} to {to} are damaged", path.display())))?;
            }
            Found::End { torn_bytes, .. } => {
                if torn_bytes > 0 || !has_trailer {
                    take(Read::Damage(format!("`{}`: its end is missing or damaged", path.display())))?;
                }
                return Ok(());
            }
        }
    }
}

fn read_frame(
    (kind, content): (u8, &[u8]),
    wanted: Wanted,
    place: &dyn Fn() -> String,
    take: &mut dyn FnMut(Read) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let damage = || Read::Damage(format!("{}: it makes no sense", place()));
    match (kind, wanted) {
        (KIND_FACTS, Wanted::FactsAfter(_) | Wanted::Everything) => {
            let after = if let Wanted::FactsAfter(after) = wanted { after } else { 0 };
            match groups(content, after) {
                Some(groups) => groups.into_iter().try_for_each(|group| take(Read::Facts(group))),
                None => take(damage()),
            }
        }
        (KIND_REMOVALS, Wanted::FactsAfter(_) | Wanted::Everything) => match compression::pull(content) {
            Some(plain) => take(decode(&plain, &place()).map_or_else(|_| damage(), Read::Removals)),
            None => take(damage()),
        },
        (KIND_LOGS, Wanted::Logs | Wanted::Everything) => match logs(content) {
            Some(logs) => logs.into_iter().try_for_each(|(build, log, bytes)| take(Read::Log(build, log, bytes))),
            None => take(damage()),
        },
        (KIND_FILES, Wanted::Logs | Wanted::Everything) => match files(content) {
            Some(files) => take(Read::Files(files)),
            None => take(damage()),
        },
        (_, _) => Ok(()),
    }
}

/// The groups of a block of facts; none of a block that ends before they are wanted.
fn groups(content: &[u8], after: u64) -> Option<Vec<FactGroup>> {
    let mut head = Input(content);
    let last = head.number()?;
    if last <= after {
        return Some(Vec::new());
    }
    let plain = compression::decompress(head.0)?;
    let mut input = Input(&plain);
    let mut groups = Vec::new();
    while !input.0.is_empty() {
        groups.push(FactGroup::pull(&mut input)?);
    }
    Some(groups)
}

type PackedText = (u64, u64, Vec<u8>);

/// The logs of a block.
fn logs(content: &[u8]) -> Option<Vec<PackedText>> {
    let plain = compression::decompress(content)?;
    let mut input = Input(&plain);
    let mut logs = Vec::new();
    while !input.0.is_empty() {
        logs.push((input.number()?, input.number()?, input.bytes()?.to_vec()));
    }
    Some(logs)
}

/// The files of a list.
fn files(content: &[u8]) -> Option<Vec<LogFile>> {
    let plain = compression::pull(content)?;
    let mut input = Input(&plain);
    let mut files = Vec::new();
    while !input.0.is_empty() {
        let (build, log) = (input.number()?, input.number()?);
        files.push(LogFile { build, log, number: input.number()?, bytes: input.number()? });
    }
    Some(files)
}

fn push_file(out: &mut Vec<u8>, file: &LogFile) {
    for number in [file.build, file.log, file.number, file.bytes] {
        varint::push(out, number);
    }
}

fn push_log(out: &mut Vec<u8>, build: u64, log: u64, bytes: &[u8]) {
    varint::push(out, build);
    varint::push(out, log);
    varint::push_bytes(out, bytes);
}
