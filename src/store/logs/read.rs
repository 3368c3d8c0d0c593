//! Reading lines: a plan under the log's lock, the work without it.

use std::path::PathBuf;

use bytes::Bytes;

use super::block::Block;
use super::handles::Handles;
use super::key::LogKey;
use super::line::LogLine;
use super::log::{Log, packed_log};
use super::segment::body_of_frame;
use crate::base::Timestamp;
use crate::store::StoreError;
use crate::store::frame;
use crate::store::packs::PackCache;

/// Consecutive lines that are read in one go.
#[derive(Debug)]
pub(super) enum Piece {
    /// A block in a file.
    Stored { path: PathBuf, at: u64, length: u64, first_line: u64, skip: u64, count: u64 },
    /// Lines in a pack.
    Packed { key: LogKey, skip: u64, count: u64 },
    /// Lines still in memory.
    Buffered(Vec<LogLine>),
    /// Lines that are not there: the first tells why, unless it lies before the piece.
    Missing { why: Missing, is_first: bool, count: u64 },
}

/// Why lines are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    LeftOut { lines: u64, bytes: u64 },
    Damaged { lines: u64 },
}

/// What to read for `count` lines from `first`.
pub(super) fn plan(log: &Log, first: u64, count: u64) -> Vec<Piece> {
    let end = first.saturating_add(count).min(log.lines());
    let mut planner = Planner { at: first, end, pieces: Vec::new() };
    let left_out = log.left_out();
    planner.packed(log);
    let mut stored_end = (log.packed_lines(), 0);
    for (path, segment) in log.files() {
        let from = segment.blocks.partition_point(|block| block.end_line() <= planner.at);
        if let Some(before) = from.checked_sub(1) {
            let before = segment.blocks[before];
            stored_end = (before.end_line(), before.end_byte());
        }
        for block in &segment.blocks[from..] {
            if planner.at >= planner.end {
                return planner.pieces;
            }
            if block.first_line > stored_end.0 {
                let lines = block.first_line - stored_end.0;
                let bytes = block.first_byte.saturating_sub(stored_end.1);
                let is_left_out = left_out.is_some_and(|gap| gap.first == stored_end.0);
                let why = if is_left_out { Missing::LeftOut { lines, bytes } } else { Missing::Damaged { lines } };
                planner.missing(why, stored_end.0, block.first_line);
            }
            planner.stored(&path, block);
            stored_end = (block.end_line(), block.end_byte());
        }
    }
    let lines = log.end_line().saturating_sub(stored_end.0);
    planner.missing(Missing::Damaged { lines }, stored_end.0, log.end_line());
    planner.buffered(log);
    planner.pieces
}

struct Planner {
    at: u64,
    end: u64,
    pieces: Vec<Piece>,
}

impl Planner {
    fn missing(&mut self, why: Missing, first: u64, gap_end: u64) {
        let stop = gap_end.min(self.end);
        if self.at < stop {
            self.pieces.push(Piece::Missing { why, is_first: self.at == first, count: stop - self.at });
            self.at = stop;
        }
    }

    fn stored(&mut self, path: &std::path::Path, block: &super::segment::BlockPlace) {
        let stop = block.end_line().min(self.end);
        if self.at < stop {
            self.pieces.push(Piece::Stored {
                path: path.to_owned(),
                at: block.at,
                length: block.length,
                first_line: block.first_line,
                skip: self.at - block.first_line,
                count: stop - self.at,
            });
            self.at = stop;
        }
    }

    fn packed(&mut self, log: &Log) {
        let stop = log.packed_lines().min(self.end);
        if self.at < stop {
            self.pieces.push(Piece::Packed { key: log.key(), skip: self.at, count: stop - self.at });
            self.at = stop;
        }
    }

    fn buffered(&mut self, log: &Log) {
        let mut first_line = log.end_line();
        for block in log.buffer().blocks() {
            let end_line = first_line + u64::try_from(block.lines()).expect("line counts fit 64 bits");
            let stop = end_line.min(self.end);
            if self.at < stop {
                let (skip, count) = (as_usize(self.at - first_line), as_usize(stop - self.at));
                self.pieces.push(Piece::Buffered(block.clone().into_lines(skip, count)));
                self.at = stop;
            }
            first_line = end_line;
        }
    }
}

/// Carries a plan out.
pub(super) fn carry_out(pieces: Vec<Piece>, handles: &Handles, packs: &PackCache) -> Result<Vec<LogLine>, StoreError> {
    let mut lines = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Buffered(found) => lines.extend(found),
            Piece::Missing { why, is_first, count } => push_missing(&mut lines, why, is_first, count),
            Piece::Packed { key, skip, count } => match packed_log(packs, key)? {
                Some(packed) => lines.extend(packed.block.into_lines(as_usize(skip), as_usize(count))),
                None => push_missing(&mut lines, Missing::Damaged { lines: count }, true, count),
            },
            Piece::Stored { path, at, length, first_line, skip, count } => match load(handles, &path, at, length)? {
                Some(block) => lines.extend(block.into_lines(as_usize(skip), as_usize(count))),
                None => {
                    tracing::warn!(path = %path.display(), at, first_line, "a block of a log is damaged");
                    push_missing(&mut lines, Missing::Damaged { lines: count }, true, count);
                }
            },
        }
    }
    Ok(lines)
}

/// A block; none if it is damaged, or was removed a moment ago.
fn load(handles: &Handles, path: &std::path::Path, at: u64, length: u64) -> Result<Option<Block>, StoreError> {
    let file = match handles.get(path) {
        Ok(file) => file,
        Err(StoreError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = vec![0; as_usize(length)];
    match frame::read_exact_at(&file, &mut bytes, at) {
        Ok(()) => Ok(body_of_frame(&bytes).and_then(Block::decompress)),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(StoreError::io("read", path)(error)),
    }
}

fn push_missing(lines: &mut Vec<LogLine>, why: Missing, is_first: bool, count: u64) {
    let at = lines.last().map_or_else(Timestamp::default, |line| line.at);
    let line = |text: String| LogLine { stream: 'h', at, text: Bytes::from(text) };
    let told = u64::from(is_first).min(count);
    if told > 0 {
        lines.push(line(why.text()));
    }
    lines.extend((told..count).map(|_| line(String::new())));
}

impl Missing {
    fn text(self) -> String {
        match self {
            Self::LeftOut { lines, bytes } => format!("… {lines} lines, {} left out …", megabytes(bytes)),
            Self::Damaged { lines } => format!("… {lines} lines are damaged on disk and cannot be shown …"),
        }
    }
}

/// Megabytes with one digit: `45.6 MB`.
fn megabytes(bytes: u64) -> String {
    let tenths = bytes.saturating_add(50_000) / 100_000;
    format!("{}.{} MB", tenths / 10, tenths % 10)
}

fn as_usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
