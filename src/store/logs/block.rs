//! A block: some hundred consecutive lines, compressed together; what reading a line costs.

use bytes::Bytes;

use super::line::{LogLine, line_bytes};
use crate::base::Timestamp;
use crate::store::compression::{compress, decompress};
use crate::store::varint::{self, Input};

/// Lines of possibly several streams, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Block {
    /// Each line ends with a newline.
    pub text: Vec<u8>,
    /// One per line.
    pub times: Vec<i64>,
    /// How many consecutive lines have which stream; covers all lines.
    pub runs: Vec<(char, usize)>,
}

impl Block {
    /// Number of lines.
    pub fn lines(&self) -> usize {
        self.times.len()
    }

    /// Adds lines of one stream at the end.
    pub fn extend(&mut self, stream: char, text: &[u8], times: &[i64]) {
        self.text.extend_from_slice(text);
        self.times.extend_from_slice(times);
        match self.runs.last_mut() {
            Some((last, lines)) if *last == stream => *lines += times.len(),
            Some(_) | None => self.runs.push((stream, times.len())),
        }
    }

    /// The stored form.
    pub fn compress(&self) -> Vec<u8> {
        compress(&self.encode())
    }

    /// The stored form before compression.
    pub fn encode(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(self.text.len() + self.times.len() + 16);
        varint::push(&mut body, as_u64(self.runs.len()));
        for (stream, lines) in &self.runs {
            varint::push(&mut body, u64::from(u32::from(*stream)));
            varint::push(&mut body, as_u64(*lines));
        }
        let mut before = 0;
        for time in &self.times {
            varint::push_signed(&mut body, time.wrapping_sub(before));
            before = *time;
        }
        body.extend_from_slice(&self.text);
        body
    }

    /// A block from its stored form; none if that is damaged.
    pub fn decompress(stored: &[u8]) -> Option<Self> {
        Self::decode(&decompress(stored)?)
    }

    /// The same without compression.
    pub fn decode(body: &[u8]) -> Option<Self> {
        let mut input = Input(body);
        let mut block = Self::default();
        for _ in 0..input.number()? {
            let stream = char::from_u32(u32::try_from(input.number()?).ok()?)?;
            block.runs.push((stream, usize::try_from(input.number()?).ok()?));
        }
        let mut time = 0_i64;
        let lines = block.runs.iter().try_fold(0_usize, |sum, (_, lines)| sum.checked_add(*lines))?;
        for _ in 0..lines {
            time = time.wrapping_add(input.signed()?);
            block.times.push(time);
        }
        block.text = input.0.to_vec();
        Some(block)
    }

    /// Its lines from `skip` on, at most `count`.
    pub fn into_lines(self, skip: usize, count: usize) -> Vec<LogLine> {
        let text = Bytes::from(self.text);
        let streams = self.runs.iter().flat_map(|(stream, lines)| std::iter::repeat_n(*stream, *lines));
        let mut at = 0;
        let mut lines = Vec::with_capacity(count.min(self.times.len().saturating_sub(skip)));
        for (number, (stream, time)) in streams.zip(&self.times).enumerate() {
            if lines.len() == count {
                break;
            }
            let end = at + line_bytes(&text[at..]);
            if number >= skip && end > at {
                lines.push(LogLine { stream, at: Timestamp::from_millis(*time), text: text.slice(at..end - 1) });
            }
            at = end;
        }
        lines
    }
}

fn as_u64(number: usize) -> u64 {
    u64::try_from(number).expect("sizes fit 64 bits")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn block(parts: &[(char, &[(&str, i64)])]) -> Block {
        let mut block = Block::default();
        for (stream, lines) in parts {
            let text: String = lines.iter().map(|(text, _)| format!("{text}\n")).collect();
            let times: Vec<i64> = lines.iter().map(|(_, time)| *time).collect();
            block.extend(*stream, text.as_bytes(), &times);
        }
        block
    }

    #[test]
    fn a_block_comes_back_from_its_stored_form() {
        let block = block(&[('o', &[("a", 5), ("", 5)]), ('o', &[("b", 9)]), ('e', &[("c", -3)])]);
        assert_eq!(block.runs, [('o', 3), ('e', 1)]);
        assert_eq!(Block::decompress(&block.compress()), Some(block));
    }

    #[test]
    fn lines_are_cut_out_of_the_middle() {
        let lines = block(&[('o', &[("a", 1), ("b", 2)]), ('e', &[("c", 3)])]).into_lines(1, 5);
        let shown: Vec<_> = lines.iter().map(|line| (line.stream, line.at.as_millis(), &line.text[..])).collect();
        assert_eq!(shown, [('o', 2, &b"b"[..]), ('e', 3, &b"c"[..])]);
    }

    proptest! {
        #[test]
        fn damaged_bytes_give_no_block_and_no_panic(bytes: Vec<u8>) {
            let _ = Block::decompress(&bytes);
            let _ = Block::decompress(&compress(&bytes));
        }
    }
}
