//! One log: its files or its place in a pack, its buffer, how far its sources got.
//!
//! Only the writer thread changes it; readers take a plan of what to read under the same lock, and read without it.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::block::Block;
use super::buffer::{Buffer, Progress, Sources};
use super::handles::Handles;
use super::key::LogKey;
use super::limits::LogLimits;
use super::line::{LeftOut, Lines, LogPart};
use super::packed::{PACKED_BYTES_MAX, PackedLog};
use super::segment::{BlockFrame, Segment, SegmentHead, block_frame, head_frame};
use crate::model::LogId;
use crate::store::StoreError;
use crate::store::directory::make_dir;
use crate::store::frame;
use crate::store::packs::PackCache;

/// The tail of a log that grew too large is kept in so many files; the oldest goes when a new one is full.
const TAIL_FILES: u64 = 4;

/// What a log needs to write: where, how much, and for which segment of the journal.
#[derive(Debug)]
pub(super) struct Context<'a> {
    pub handles: &'a Handles,
    pub packs: &'a PackCache,
    pub limits: &'a LogLimits,
    /// Bytes of text that this log keeps, if it has a limit of its own.
    pub text_max: Option<u64>,
    /// The number of the journal's segment in use.
    pub journal: u64,
}

/// The state of a log.
#[derive(Debug)]
pub(super) struct Log {
    key: LogKey,
    dir: PathBuf,
    /// Its beginning, if that is in a pack; then there are no files.
    packed: Option<InPack>,
    /// By number, in order; the first is the head if it still is number 0.
    segments: VecDeque<(u64, Segment)>,
    /// How far each source got, the buffer included.
    sources: Sources,
    buffer: Buffer,
    closed: bool,
    last_time: i64,
}

/// How much of a log is in a pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct InPack {
    lines: u64,
    bytes: u64,
}

impl Log {
    /// Reads what a pack or the build's directory holds of a log; one that is nowhere is empty.
    pub fn load(
        key: LogKey,
        dir: &Path,
        (handles, packs): (&Handles, &PackCache),
        live_journal: u64,
    ) -> Result<Self, StoreError> {
        let mut log = Self {
            key,
            dir: dir.to_owned(),
            packed: None,
            segments: VecDeque::new(),
            sources: Sources::new(),
            buffer: Buffer::default(),
            closed: false,
            last_time: 0,
        };
        for number in segment_numbers(dir, key.log)? {
            let path = log.path(number);
            let file = handles.get(&path)?;
            match Segment::load(&file, &path, live_journal)? {
                Some(segment) if segment.first_line >= log.end_line() => log.segments.push_back((number, segment)),
                Some(_) | None => {
                    tracing::warn!(path = %path.display(), "a log's file holds nothing whole; it is left out");
                }
            }
        }
        if let Some((_, last)) = log.segments.back() {
            log.sources.clone_from(&last.sources);
            log.closed = last.closed;
        }
        if log.end_byte() <= as_u64(PACKED_BYTES_MAX) {
            log.look_into_packs(packs)?;
        }
        Ok(log)
    }

    /// A log that was packed and went on afterwards is in its file as a whole, unless a crash kept it from getting there.
    fn look_into_packs(&mut self, packs: &PackCache) -> Result<(), StoreError> {
        let Some(packed) = packed_log(packs, self.key)? else { return Ok(()) };
        let lines = as_u64(packed.block.lines());
        if lines > self.end_line() || self.segments.is_empty() {
            self.segments.clear();
            self.packed = Some(InPack { lines, bytes: as_u64(packed.block.text.len()) });
            self.sources = packed.sources;
            self.closed = true;
        }
        Ok(())
    }

    /// Number of lines.
    pub fn lines(&self) -> u64 {
        self.end_line() + as_u64(self.buffer.lines())
    }

    /// The number of the next part of a source.
    pub fn next(&self, source: &str) -> u64 {
        self.sources.get(source).map_or(0, |progress| progress.next)
    }

    /// Whether this part is wholly there.
    pub fn has(&self, source: &str, n: u64) -> bool {
        n < self.next(source)
    }

    /// Bytes of text that wait to be written.
    pub fn buffered(&self) -> usize {
        self.buffer.bytes()
    }

    /// Whether everything is in the files.
    pub fn is_flushed(&self) -> bool {
        self.buffer.is_empty()
    }

    /// Whether it was closed and nothing came since.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// How many of its lines are in a pack.
    pub fn packed_lines(&self) -> u64 {
        self.packed.map_or(0, |packed| packed.lines)
    }

    /// Which log it is.
    pub fn key(&self) -> LogKey {
        self.key
    }

    /// The log as a pack is to have it, and its number of lines; none if it is too long for that, or may go on.
    pub fn to_pack(&self) -> Option<(u64, Vec<u8>)> {
        if !self.closed || !self.fits_a_pack() || self.buffer.is_empty() {
            return None;
        }
        let (block, _) = self.buffer.front();
        let lines = as_u64(block.lines());
        Some((lines, PackedLog { sources: self.sources.clone(), block }.encode()))
    }

    /// Notes that a pack has it, if it did not go on meanwhile.
    pub fn was_packed(&mut self, lines: u64) {
        if self.fits_a_pack() && as_u64(self.buffer.lines()) == lines {
            self.packed = Some(InPack { lines, bytes: as_u64(self.buffer.bytes()) });
            self.buffer = Buffer::default();
        }
    }

    fn fits_a_pack(&self) -> bool {
        self.segments.is_empty() && self.packed.is_none() && self.buffer.bytes() <= PACKED_BYTES_MAX
    }

    /// The lines in the buffer.
    pub fn buffer(&self) -> &Buffer {
        &self.buffer
    }

    /// Adds a part to the buffer, unless it is there; tells whether it was not.
    pub fn push(&mut self, source: &str, n: u64, part: &LogPart) -> bool {
        let (name, known) = match self.sources.get_key_value(source) {
            Some((name, progress)) => (Arc::clone(name), *progress),
            None => (Arc::from(source), Progress::default()),
        };
        if n < known.next {
            return false;
        }
        let mut lines = Lines::of(part, self.last_time);
        let before = if n == known.next { known.lines } else { 0 };
        lines.skip(usize::try_from(before).unwrap_or(usize::MAX));
        self.last_time = lines.times.last().copied().unwrap_or(self.last_time);
        self.buffer.push(Arc::clone(&name), n, before, part.stream, &lines);
        self.sources.insert(name, Progress { next: n + 1, lines: 0 });
        self.closed = false;
        true
    }

    /// Writes full blocks; the rest stays in the buffer.
    pub fn flush_full(&mut self, context: &Context<'_>) -> Result<Vec<PathBuf>, StoreError> {
        self.flush_while(context, |log| log.buffer.has_full_block())
    }

    /// Writes everything, and an index if it is closed.
    pub fn flush(&mut self, context: &Context<'_>) -> Result<Vec<PathBuf>, StoreError> {
        let mut written = self.flush_while(context, |log| !log.buffer.is_empty())?;
        if self.closed && self.segments.back().is_some_and(|(_, last)| !last.closed) {
            written.push(self.write_index(context, true)?);
        }
        Ok(written)
    }

    fn flush_while(
        &mut self,
        context: &Context<'_>,
        wanted: impl Fn(&Self) -> bool,
    ) -> Result<Vec<PathBuf>, StoreError> {
        let mut written = Vec::new();
        while wanted(self) {
            written.push(self.prepare(context)?);
            self.write_block(context)?;
        }
        Ok(written)
    }

    /// No more lines follow. Unless it is so short that it can wait for a pack, everything is written. Again: nothing happens.
    pub fn close(&mut self, context: &Context<'_>) -> Result<Vec<PathBuf>, StoreError> {
        self.closed = true;
        if self.fits_a_pack() { Ok(Vec::new()) } else { self.flush(context) }
    }

    /// The file that the next block goes to, made or changed if need be.
    fn prepare(&mut self, context: &Context<'_>) -> Result<PathBuf, StoreError> {
        match self.segments.back() {
            None => {
                self.begin_segment(context, 0)?;
                self.unpack(context)?;
            }
            Some((number, segment)) if context.is_full(*number, segment) => {
                let (number, path) = (*number, self.write_index(context, false)?);
                // Only the newest file may have a torn end; see `Segment::load`.
                sync(context.handles, &path)?;
                self.begin_segment(context, number + 1)?;
                self.drop_middle(context)?;
            }
            Some(_) => {}
        }
        let (number, _) = self.segments.back().expect("one was begun if there was none");
        Ok(self.path(*number))
    }

    fn begin_segment(&mut self, context: &Context<'_>, number: u64) -> Result<(), StoreError> {
        make_dir(&self.dir)?;
        let (first_line, first_byte, sources) = match self.segments.back() {
            Some((_, last)) => (last.end_line(), last.end_byte(), last.sources.clone()),
            None => (0, 0, Sources::new()),
        };
        let head = SegmentHead { build: self.key.build.0, log: self.key.log.0, first_line, first_byte, sources };
        let path = self.path(number);
        let file = context.handles.get_or_create(&path)?;
        let bytes = head_frame(&head);
        // A file that begins with nothing whole is written over.
        file.set_len(0).map_err(StoreError::io("write", &path))?;
        frame::write_all_at(&file, &bytes, 0).map_err(StoreError::io("write", &path))?;
        self.segments.push_back((number, Segment::new(&head, as_u64(bytes.len()))));
        Ok(())
    }

    /// Writes the lines that a pack has into the first file: the log goes on after all.
    fn unpack(&mut self, context: &Context<'_>) -> Result<(), StoreError> {
        let Some(InPack { lines, bytes }) = self.packed else { return Ok(()) };
        let (_, segment) = self.segments.back_mut().expect("a file was begun just now");
        let written = match packed_log(context.packs, self.key)? {
            Some(packed) => {
                write_frame(context, &self.dir, (self.key.log, 0), segment, (&packed.block, &packed.sources))
            }
            None => {
                // The pack is damaged; the lines after those keep their numbers.
                (segment.first_line, segment.first_byte) = (lines, bytes);
                Ok(())
            }
        };
        match written {
            Ok(()) => self.packed = None,
            Err(_) => self.segments.clear(),
        }
        written
    }

    /// Removes the oldest files of the tail while it is too large.
    fn drop_middle(&mut self, context: &Context<'_>) -> Result<(), StoreError> {
        loop {
            let tail: Vec<&(u64, Segment)> = self.segments.iter().filter(|(number, _)| *number > 0).collect();
            // The newest has nothing in it yet: one full file stays at least.
            if context.holds_tail(&tail) || tail.len() <= 2 {
                return Ok(());
            }
            let oldest = tail[0].0;
            let path = self.path(oldest);
            context.handles.forget(&path);
            fs::remove_file(&path).map_err(StoreError::io("remove", &path))?;
            self.segments.retain(|(number, _)| *number != oldest);
        }
    }

    fn write_block(&mut self, context: &Context<'_>) -> Result<(), StoreError> {
        let (block, reached) = self.buffer.front();
        let (number, segment) = self.segments.back_mut().expect("a file was prepared");
        write_frame(context, &self.dir, (self.key.log, *number), segment, (&block, &reached))?;
        self.buffer.drop_front();
        Ok(())
    }

    fn write_index(&mut self, context: &Context<'_>, closed: bool) -> Result<PathBuf, StoreError> {
        let (number, segment) = self.segments.back_mut().expect("only a log with files has an index");
        let path = self.dir.join(segment_name(self.key.log, *number));
        let bytes = segment.index(closed);
        append(context.handles, &path, segment.end, &bytes)?;
        segment.end += as_u64(bytes.len());
        segment.closed = closed;
        Ok(path)
    }

    /// The files in order, each with its path.
    pub fn files(&self) -> impl Iterator<Item = (PathBuf, &Segment)> {
        self.segments.iter().map(|(number, segment)| (self.path(*number), segment))
    }

    /// The number of the first line in the buffer.
    pub fn end_line(&self) -> u64 {
        self.segments.back().map_or(self.packed_lines(), |(_, segment)| segment.end_line())
    }

    /// Bytes of text before the buffer.
    fn end_byte(&self) -> u64 {
        let packed = self.packed.map_or(0, |packed| packed.bytes);
        self.segments.back().map_or(packed, |(_, segment)| segment.end_byte())
    }

    /// The gap that the bounds made, if any.
    pub fn left_out(&self) -> Option<LeftOut> {
        let mut files = self.segments.iter();
        let (_, head) = files.next().filter(|(number, _)| *number == 0)?;
        let (_, next) = files.next().filter(|(number, _)| *number > 1)?;
        let lines = next.first_line.checked_sub(head.end_line()).filter(|lines| *lines > 0)?;
        Some(LeftOut { first: head.end_line(), lines, bytes: next.first_byte.saturating_sub(head.end_byte()) })
    }

    fn path(&self, number: u64) -> PathBuf {
        self.dir.join(segment_name(self.key.log, number))
    }
}

/// The tail of a log with a limit of its own is this part of it.
const TAIL_PART: u64 = 4;

impl Context<'_> {
    /// Whether a file is as large as it may be.
    fn is_full(&self, number: u64, segment: &Segment) -> bool {
        let text = segment.end_byte().saturating_sub(segment.first_byte);
        let share = |max: u64| if number == 0 { max - max / TAIL_PART } else { max / TAIL_PART / TAIL_FILES };
        segment.end >= self.limits.file_bytes(number) || self.text_max.is_some_and(|max| text >= share(max))
    }

    /// Whether the files of the tail are not too large together.
    fn holds_tail(&self, tail: &[&(u64, Segment)]) -> bool {
        let bytes: u64 = tail.iter().map(|(_, segment)| segment.end).sum();
        let text: u64 = tail.iter().map(|(_, segment)| segment.end_byte().saturating_sub(segment.first_byte)).sum();
        bytes <= self.limits.tail_bytes && self.text_max.is_none_or(|max| text <= max / TAIL_PART)
    }
}

impl LogLimits {
    /// How large a file of this number may grow.
    fn file_bytes(&self, number: u64) -> u64 {
        if number == 0 { self.head_bytes } else { (self.tail_bytes / TAIL_FILES).max(1) }
    }
}

/// Writes a block at the end of a file.
fn write_frame(
    context: &Context<'_>,
    dir: &Path,
    (log, number): (LogId, u64),
    segment: &mut Segment,
    (block, reached): (&Block, &Sources),
) -> Result<(), StoreError> {
    let body = block.compress();
    let frame = BlockFrame {
        journal: context.journal,
        first_line: segment.end_line(),
        first_byte: segment.end_byte(),
        lines: as_u64(block.lines()),
        bytes: as_u64(block.text.len()),
        reached,
        body: &body,
    };
    let bytes = block_frame(&frame);
    append(context.handles, &dir.join(segment_name(log, number)), segment.end, &bytes)?;
    segment.pushed(&frame, as_u64(bytes.len()));
    Ok(())
}

/// A log that a pack has; none if no pack has it, or that is damaged.
pub(super) fn packed_log(packs: &PackCache, key: LogKey) -> Result<Option<PackedLog>, StoreError> {
    let stored = packs.log(key.build.0, key.log.0)?;
    Ok(stored.and_then(|bytes| PackedLog::decode(&bytes)))
}

fn append(handles: &Handles, path: &Path, at: u64, bytes: &[u8]) -> Result<(), StoreError> {
    let file = handles.get_or_create(path)?;
    let write = || {
        if file.metadata()?.len() > at {
            // What a crash or a failed write left beyond the last whole frame.
            file.set_len(at)?;
        }
        frame::write_all_at(&file, bytes, at)
    };
    write().map_err(StoreError::io("write", path))
}

fn sync(handles: &Handles, path: &Path) -> Result<(), StoreError> {
    handles.get(path)?.sync_data().map_err(StoreError::io("sync", path))
}

/// The prefix of the names of all files of logs.
pub(super) const FILE_PREFIX: &str = "log-";

fn segment_name(log: LogId, number: u64) -> String {
    format!("{FILE_PREFIX}{log}.{number}")
}

fn segment_numbers(dir: &Path, log: LogId) -> Result<Vec<u64>, StoreError> {
    let prefix = format!("{FILE_PREFIX}{log}.");
    let mut numbers: Vec<u64> =
        file_names(dir)?.iter().filter_map(|name| name.strip_prefix(&prefix)?.parse().ok()).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// The names in a directory; none if there is no such directory.
pub(super) fn file_names(dir: &Path) -> Result<Vec<String>, StoreError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(StoreError::io("list", dir)(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(StoreError::io("list", dir))?.file_name();
        names.extend(name.into_string().ok());
    }
    Ok(names)
}

fn as_u64(number: usize) -> u64 {
    u64::try_from(number).expect("sizes fit 64 bits")
}
