//! Lines that are durable in the journal but not yet in their log's file.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::block::Block;
use super::line::{Lines, line_bytes};

/// How far a source got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Progress {
    /// The first part that is not wholly there.
    pub next: u64,
    /// Lines of that part that are there already.
    pub lines: u64,
}

/// Sources by name.
pub(super) type Sources = BTreeMap<Arc<str>, Progress>;

/// A block is full once it has so much text: large enough to compress well, small enough that reading a line
/// out of it takes a fraction of a millisecond.
pub(super) const BLOCK_BYTES: usize = 128 << 10;

/// The lines of a log that wait to be written, cut into blocks, and the parts that they came in.
#[derive(Debug, Default)]
pub(super) struct Buffer {
    /// All but the last are full.
    blocks: VecDeque<Block>,
    parts: VecDeque<BufferedPart>,
    bytes: usize,
}

#[derive(Debug)]
struct BufferedPart {
    source: Arc<str>,
    n: u64,
    /// Lines of it that were there before those in the buffer.
    before: u64,
    /// Lines of it that are in the buffer.
    lines: usize,
}

impl Buffer {
    /// Adds the lines of a part; `before` of its lines are in the file already.
    pub fn push(&mut self, source: Arc<str>, n: u64, before: u64, stream: char, lines: &Lines) {
        self.parts.push_back(BufferedPart { source, n, before, lines: lines.times.len() });
        self.bytes += lines.text.len();
        let (mut text, mut times) = (&lines.text[..], &lines.times[..]);
        while !times.is_empty() {
            let last = match self.blocks.back_mut() {
                Some(last) if last.text.len() < BLOCK_BYTES => last,
                Some(_) | None => {
                    self.blocks.push_back(Block::default());
                    self.blocks.back_mut().expect("one was pushed just now")
                }
            };
            let (taken, bytes) = lines_to_fill(text, BLOCK_BYTES - last.text.len());
            last.extend(stream, &text[..bytes], &times[..taken]);
            (text, times) = (&text[bytes..], &times[taken..]);
        }
    }

    /// Bytes of text.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Number of lines.
    pub fn lines(&self) -> usize {
        self.blocks.iter().map(Block::lines).sum()
    }

    /// Whether there is nothing to write, not even that a source sent an empty part.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Whether a block can be written that will not grow any more.
    pub fn has_full_block(&self) -> bool {
        self.blocks.front().is_some_and(|block| block.text.len() >= BLOCK_BYTES)
    }

    /// The lines, for readers.
    pub fn blocks(&self) -> impl Iterator<Item = &Block> {
        self.blocks.iter()
    }

    /// The first block, and how far each source got by it. It may be empty: an empty part counts, too.
    pub fn front(&self) -> (Block, Sources) {
        let block = self.blocks.front().cloned().unwrap_or_default();
        let mut lines = block.lines();
        let mut reached = Sources::new();
        for part in &self.parts {
            let progress = part.after(lines);
            lines = lines.saturating_sub(part.lines);
            let Some(progress) = progress else { break };
            reached.insert(Arc::clone(&part.source), progress);
        }
        (block, reached)
    }

    /// Removes the first block, which was written.
    pub fn drop_front(&mut self) {
        let block = self.blocks.pop_front().unwrap_or_default();
        self.bytes -= block.text.len();
        let mut lines = block.lines();
        while let Some(part) = self.parts.front_mut() {
            if part.lines > lines {
                part.lines -= lines;
                part.before += u64::try_from(lines).expect("line counts fit 64 bits");
                return;
            }
            lines -= part.lines;
            self.parts.pop_front();
        }
    }
}

impl BufferedPart {
    /// How far its source is once `lines` lines from its start on are written; none if that is no step.
    fn after(&self, lines: usize) -> Option<Progress> {
        if self.lines <= lines {
            return Some(Progress { next: self.n + 1, lines: 0 });
        }
        let more = u64::try_from(lines).expect("line counts fit 64 bits");
        (lines > 0).then(|| Progress { next: self.n, lines: self.before + more })
    }
}

/// How many lines, and bytes, it takes to have at least `wanted` bytes, or all.
fn lines_to_fill(text: &[u8], wanted: usize) -> (usize, usize) {
    let (mut lines, mut bytes) = (0, 0);
    while bytes < wanted && bytes < text.len() {
        bytes += line_bytes(&text[bytes..]);
        lines += 1;
    }
    (lines, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(texts: &[&[u8]]) -> Lines {
        let text = texts.iter().flat_map(|text| [text, &b"\n"[..]].concat()).collect();
        Lines { text, times: vec![0; texts.len()] }
    }

    fn reached(entries: &[(&str, u64, u64)]) -> Sources {
        entries
            .iter()
            .map(|(source, next, lines)| (Arc::from(*source), Progress { next: *next, lines: *lines }))
            .collect()
    }

    #[test]
    fn a_block_tells_how_far_its_sources_got() {
        let half = vec![b'x'; BLOCK_BYTES / 2];
        let mut buffer = Buffer::default();
        buffer.push("one".into(), 3, 1, 'o', &lines(&[b"short", &half]));
        assert!(!buffer.has_full_block());
        buffer.push("two".into(), 0, 0, 'o', &lines(&[&half, b"rest", &half, &half, b"end"]));
        buffer.push("one".into(), 4, 0, 'e', &lines(&[b"last"]));
        assert_eq!((buffer.lines(), buffer.has_full_block()), (8, true));

        let (block, sources) = buffer.front();
        assert_eq!((block.lines(), sources), (3, reached(&[("one", 4, 0), ("two", 0, 1)])));
        buffer.drop_front();
        let (block, sources) = buffer.front();
        assert_eq!((block.lines(), sources), (3, reached(&[("two", 0, 4)])));
        buffer.drop_front();
        assert!(!buffer.has_full_block() && !buffer.is_empty());
        let (block, sources) = buffer.front();
        assert_eq!((block.runs, sources), (vec![('o', 1), ('e', 1)], reached(&[("one", 5, 0), ("two", 1, 0)])));
        buffer.drop_front();
        assert!(buffer.is_empty());
        assert_eq!(buffer.bytes(), 0);
    }

    #[test]
    fn an_empty_part_counts() {
        let mut buffer = Buffer::default();
        buffer.push("s".into(), 0, 0, 'o', &Lines::default());
        assert!(!buffer.is_empty());
        let (block, sources) = buffer.front();
        assert_eq!((block.lines(), sources), (0, reached(&[("s", 1, 0)])));
        buffer.drop_front();
        assert!(buffer.is_empty());
    }
}
