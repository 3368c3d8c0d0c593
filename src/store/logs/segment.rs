//! A file of a log: frames of blocks, and at a log's end an index of them.
//!
//! ```text
//! head frame | block frame | block frame | … | index frame | trailer frame
//! ```
//!
//! The trailer has a fixed size and says where the index begins, so that a finished file is opened with two reads. A file
//! without a valid trailer is walked through. Frames may follow a trailer (the log went on); the last trailer counts.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::buffer::{Progress, Sources};
use crate::store::StoreError;
use crate::store::codec::{decode, encode};
use crate::store::compression::{compress, decompress};
use crate::store::frame::{self, Found, Magic, Scanner};
use crate::store::varint::{self, Input};

/// Frames of log files.
pub(super) const MAGIC: Magic = *b"SwL1";

const KIND_HEAD: u8 = 1;
const KIND_BLOCK: u8 = 2;
const KIND_INDEX: u8 = 3;
const KIND_TRAILER: u8 = 4;

/// A trailer's payload: its kind and where the index is.
const TRAILER_BYTES: usize = frame::HEAD_BYTES + 9;

/// The first frame of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SegmentHead {
    pub build: u64,
    pub log: u64,
    /// The number of its first line.
    pub first_line: u64,
    /// Bytes of text in all lines before.
    pub first_byte: u64,
    /// How far the sources had got.
    pub sources: Sources,
}

/// Where a block is, and which lines it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BlockPlace {
    /// Where its frame starts in the file.
    pub at: u64,
    /// Bytes of the frame.
    pub length: u64,
    pub first_line: u64,
    pub lines: u64,
    /// Bytes of text in all lines before.
    pub first_byte: u64,
    /// Bytes of text.
    pub bytes: u64,
}

impl BlockPlace {
    pub const fn end_line(&self) -> u64 {
        self.first_line + self.lines
    }
    pub const fn end_byte(&self) -> u64 {
        self.first_byte + self.bytes
    }
}

/// A file's content, except for the lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub first_line: u64,
    pub first_byte: u64,
    pub blocks: Vec<BlockPlace>,
    /// How far the sources got by it.
    pub sources: Sources,
    /// Whether the log was closed by it.
    pub closed: bool,
    /// Where the next frame goes.
    pub end: u64,
}

/// A block frame before its place is known.
#[derive(Debug)]
pub(super) struct BlockFrame<'a> {
    /// The segment of the journal that holds the same lines.
    pub journal: u64,
    pub first_line: u64,
    pub first_byte: u64,
    pub lines: u64,
    pub bytes: u64,
    /// How far sources got by it.
    pub reached: &'a Sources,
    /// The compressed block.
    pub body: &'a [u8],
}

impl Segment {
    /// A file that has nothing but its head.
    pub fn new(head: &SegmentHead, end: u64) -> Self {
        Self {
            first_line: head.first_line,
            first_byte: head.first_byte,
            blocks: Vec::new(),
            sources: head.sources.clone(),
            closed: false,
            end,
        }
    }

    /// The number of the line after its last.
    pub fn end_line(&self) -> u64 {
        self.blocks.last().map_or(self.first_line, BlockPlace::end_line)
    }

    /// Bytes of text up to its end.
    pub fn end_byte(&self) -> u64 {
        self.blocks.last().map_or(self.first_byte, BlockPlace::end_byte)
    }

    /// Notes a block frame of `length` bytes that was written at the end.
    pub fn pushed(&mut self, frame: &BlockFrame<'_>, length: u64) {
        self.blocks.push(BlockPlace {
            at: self.end,
            length,
            first_line: frame.first_line,
            lines: frame.lines,
            first_byte: frame.first_byte,
            bytes: frame.bytes,
        });
        self.sources.extend(frame.reached.iter().map(|(source, progress)| (Arc::clone(source), *progress)));
        self.end += length;
        self.closed = false;
    }

    /// The index and trailer frames to write at the end.
    pub fn index(&self, closed: bool) -> Vec<u8> {
        let mut packed = Vec::new();
        let mut before = BlockPlace {
            at: 0,
            length: 0,
            first_line: self.first_line,
            lines: 0,
            first_byte: self.first_byte,
            bytes: 0,
        };
        for block in &self.blocks {
            let deltas = [
                block.at - (before.at + before.length),
                block.length,
                block.first_line - before.end_line(),
                block.lines,
                block.first_byte - before.end_byte(),
                block.bytes,
            ];
            deltas.into_iter().for_each(|delta| varint::push(&mut packed, delta));
            before = *block;
        }
        let index = StoredIndex {
            first_line: self.first_line,
            first_byte: self.first_byte,
            closed,
            sources: self.sources.clone(),
            blocks: serde_bytes::ByteBuf::from(compress(&packed)),
        };
        let mut out = Vec::new();
        push(&mut out, KIND_INDEX, &encode(&index));
        push(&mut out, KIND_TRAILER, &self.end.to_le_bytes());
        out
    }

    /// Opens a file by its trailer, else by walking through it. Damage in blocks that the journal from segment
    /// `live_journal` on hold again is cut off, other damage is passed over. None if nothing in the file is whole.
    pub fn load(file: &File, path: &Path, live_journal: u64) -> Result<Option<Self>, StoreError> {
        match by_trailer(file).map_err(StoreError::io("read", path))? {
            Some(segment) => Ok(Some(segment)),
            None => walk(file, path, live_journal),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct StoredIndex {
    first_line: u64,
    first_byte: u64,
    closed: bool,
    sources: Sources,
    blocks: serde_bytes::ByteBuf,
}

fn push(out: &mut Vec<u8>, kind: u8, content: &[u8]) {
    let mut payload = Vec::with_capacity(1 + content.len());
    payload.push(kind);
    payload.extend_from_slice(content);
    frame::push(out, MAGIC, &payload);
}

/// The bytes of a head frame.
pub(super) fn head_frame(head: &SegmentHead) -> Vec<u8> {
    let mut out = Vec::new();
    push(&mut out, KIND_HEAD, &encode(head));
    out
}

/// The bytes of a block frame.
pub(super) fn block_frame(block: &BlockFrame<'_>) -> Vec<u8> {
    let mut content = Vec::with_capacity(block.body.len() + 64);
    for number in [block.journal, block.first_line, block.first_byte, block.lines, block.bytes] {
        varint::push(&mut content, number);
    }
    varint::push(&mut content, u64::try_from(block.reached.len()).expect("sizes fit 64 bits"));
    for (source, progress) in block.reached {
        varint::push_bytes(&mut content, source.as_bytes());
        varint::push(&mut content, progress.next);
        varint::push(&mut content, progress.lines);
    }
    content.extend_from_slice(block.body);
    let mut out = Vec::new();
    push(&mut out, KIND_BLOCK, &content);
    out
}

struct ParsedBlock<'a> {
    journal: u64,
    first_line: u64,
    first_byte: u64,
    lines: u64,
    bytes: u64,
    reached: Sources,
    body: &'a [u8],
}

fn parse_block(content: &[u8]) -> Option<ParsedBlock<'_>> {
    let mut input = Input(content);
    let (journal, first_line, first_byte) = (input.number()?, input.number()?, input.number()?);
    let (lines, bytes) = (input.number()?, input.number()?);
    let mut reached = Sources::new();
    for _ in 0..input.number()? {
        let source = std::str::from_utf8(input.bytes()?).ok()?;
        reached.insert(source.into(), Progress { next: input.number()?, lines: input.number()? });
    }
    Some(ParsedBlock { journal, first_line, first_byte, lines, bytes, reached, body: input.0 })
}

/// The compressed block of a frame; none if the frame is damaged.
pub(super) fn body_of_frame(bytes: &[u8]) -> Option<&[u8]> {
    let (kind, content) = frame::payload(bytes, MAGIC)?.split_first()?;
    (*kind == KIND_BLOCK).then(|| parse_block(content).map(|block| block.body))?
}

fn by_trailer(file: &File) -> std::io::Result<Option<Segment>> {
    let length = file.metadata()?.len();
    let trailer_bytes = u64::try_from(TRAILER_BYTES).expect("a small constant");
    let Some(trailer_at) = length.checked_sub(trailer_bytes) else { return Ok(None) };
    let mut trailer = [0; TRAILER_BYTES];
    frame::read_exact_at(file, &mut trailer, trailer_at)?;
    let Some(index_at) = frame::payload(&trailer, MAGIC).and_then(parse_trailer) else { return Ok(None) };
    let Some(index_bytes) = trailer_at.checked_sub(index_at) else { return Ok(None) };
    let mut index = vec![0; usize::try_from(index_bytes).unwrap_or(0)];
    frame::read_exact_at(file, &mut index, index_at)?;
    Ok(frame::payload(&index, MAGIC).and_then(|payload| parse_index(payload, length)))
}

fn parse_trailer(payload: &[u8]) -> Option<u64> {
    let (kind, at) = payload.split_first()?;
    (*kind == KIND_TRAILER).then(|| at.try_into().ok().map(u64::from_le_bytes))?
}

fn parse_index(payload: &[u8], end: u64) -> Option<Segment> {
    let (kind, content) = payload.split_first()?;
    if *kind != KIND_INDEX {
        return None;
    }
    let index: StoredIndex = decode(content, "an index").ok()?;
    let packed = decompress(&index.blocks)?;
    let mut input = Input(&packed);
    let mut blocks = Vec::new();
    let mut before =
        BlockPlace { at: 0, length: 0, first_line: index.first_line, lines: 0, first_byte: index.first_byte, bytes: 0 };
    while !input.0.is_empty() {
        let at = before.at + before.length + input.number()?;
        let length = input.number()?;
        let first_line = before.end_line() + input.number()?;
        let lines = input.number()?;
        let first_byte = before.end_byte() + input.number()?;
        before = BlockPlace { at, length, first_line, lines, first_byte, bytes: input.number()? };
        blocks.push(before);
    }
    Some(Segment {
        first_line: index.first_line,
        first_byte: index.first_byte,
        blocks,
        sources: index.sources,
        closed: index.closed,
        end,
    })
}

fn walk(file: &File, path: &Path, live_journal: u64) -> Result<Option<Segment>, StoreError> {
    let io = |error| StoreError::io("read", path)(error);
    let mut scanner = Scanner::new(file, MAGIC, 0).map_err(io)?;
    let mut segment: Option<Segment> = None;
    let mut damage = None;
    loop {
        match scanner.next().map_err(io)? {
            Found::Frame { at } => {
                let Some((kind, content)) = scanner.payload().split_first() else { continue };
                match (*kind, &mut segment) {
                    (KIND_HEAD, None) => {
                        let head: SegmentHead = decode(content, &path.display().to_string())?;
                        segment = Some(Segment::new(&head, 0));
                    }
                    (KIND_BLOCK, found) => {
                        let Some(block) = parse_block(content) else { continue };
                        if let Some(from) = damage.filter(|_| block.journal >= live_journal) {
                            // All from here on comes again out of the journal.
                            return Ok(finish(segment, from));
                        }
                        take_block(found, &block, at, scanner.position() - at);
                    }
                    (KIND_INDEX, Some(segment)) => {
                        if let Ok(index) = decode::<StoredIndex>(content, "an index") {
                            segment.closed = index.closed;
                        }
                    }
                    _ => {}
                }
            }
            Found::Damage { from, to } => {
                tracing::warn!(path = %path.display(), from, to, "a part of a log is damaged");
                damage.get_or_insert(from);
            }
            Found::End { whole, torn_bytes } => {
                if torn_bytes > 0 {
                    tracing::debug!(path = %path.display(), torn_bytes, "the torn end of a log is cut off");
                }
                return Ok(finish(segment, whole));
            }
        }
    }
}

/// Notes a block found on the walk; the first one stands in for a head that is damaged.
fn take_block(segment: &mut Option<Segment>, block: &ParsedBlock<'_>, at: u64, length: u64) {
    let segment = segment.get_or_insert_with(|| Segment {
        first_line: block.first_line,
        first_byte: block.first_byte,
        blocks: Vec::new(),
        sources: Sources::new(),
        closed: false,
        end: 0,
    });
    if block.first_line < segment.end_line() {
        return;
    }
    segment.end = at;
    let frame = BlockFrame {
        journal: block.journal,
        first_line: block.first_line,
        first_byte: block.first_byte,
        lines: block.lines,
        bytes: block.bytes,
        reached: &block.reached,
        body: block.body,
    };
    segment.pushed(&frame, length);
}

fn finish(segment: Option<Segment>, end: u64) -> Option<Segment> {
    segment.map(|segment| Segment { end, ..segment })
}
