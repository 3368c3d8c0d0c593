//! Lines as callers see them, and how a part is split into them.

use std::io::BufRead as _;

use bytes::Bytes;

use crate::base::Timestamp;

/// Longer lines are cut into lines of this size: a reader holds whole lines in memory.
pub(super) const LINE_BYTES_MAX: usize = 1 << 20;

/// A line of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// `o` stdout, `e` stderr, `h` header; `t` for logs of text.
    pub stream: char,
    /// When it was printed, as its source says.
    pub at: Timestamp,
    /// Without the line end; any bytes.
    pub text: Bytes,
}

/// Lines of one stream as they come from a worker, not yet split: `text` holds whole lines, each ended by
/// a newline (the last may lack it); `times` one per line, padded with the last one known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogPart {
    /// The letter of the stream.
    pub stream: char,
    /// The lines.
    pub text: Bytes,
    /// When each was printed.
    pub times: Vec<Timestamp>,
}

/// Lines that a log does not have: the middle of one that grew too large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// The number of the first line left out; reading it gives a line that tells about the gap. The others
    /// read as empty, so that line numbers stay true.
    pub first: u64,
    /// How many lines.
    pub lines: u64,
    /// How many bytes they had.
    pub bytes: u64,
}

/// Lines of one stream: each ends with a newline, none is too long, each has its time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Lines {
    pub text: Vec<u8>,
    pub times: Vec<i64>,
}

impl Lines {
    /// Splits a part; `earlier` is the time for lines that have none.
    pub fn of(part: &LogPart, earlier: i64) -> Self {
        let mut lines = Self { text: Vec::with_capacity(part.text.len() + 1), times: Vec::new() };
        let mut rest = &part.text[..];
        let mut times = part.times.iter().map(|time| time.as_millis());
        let mut time = earlier;
        while !rest.is_empty() {
            let (line, after) = rest.split_at(line_bytes(rest));
            rest = after;
            time = times.next().unwrap_or(time);
            for piece in line.strip_suffix(b"\n").unwrap_or(line).chunks(LINE_BYTES_MAX) {
                lines.push(piece, time);
            }
            if line == b"\n" {
                lines.push(b"", time);
            }
        }
        lines
    }

    fn push(&mut self, line: &[u8], time: i64) {
        self.text.extend_from_slice(line);
        self.text.push(b'\n');
        self.times.push(time);
    }

    /// Removes the first lines.
    pub fn skip(&mut self, lines: usize) {
        let lines = lines.min(self.times.len());
        self.text.drain(..bytes_of_lines(&self.text, lines));
        self.times.drain(..lines);
    }
}

/// Bytes of the first line, its end included.
pub(super) fn line_bytes(text: &[u8]) -> usize {
    let mut rest = text;
    rest.skip_until(b'\n').expect("a slice in memory can be read")
}

/// Bytes of the first `lines` lines.
pub(super) fn bytes_of_lines(text: &[u8], lines: usize) -> usize {
    (0..lines).fold(0, |at, _| at + line_bytes(&text[at..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(text: &[u8], times: &[i64]) -> LogPart {
        LogPart {
            stream: 'o',
            text: Bytes::copy_from_slice(text),
            times: times.iter().map(|ms| Timestamp::from_millis(*ms)).collect(),
        }
    }

    #[test]
    fn a_part_is_split_at_newlines_and_its_times_are_padded() {
        let lines = Lines::of(&part(b"one\n\n\xfftwo\nlast", &[5, 6]), 1);
        assert_eq!(lines.text, b"one\n\n\xfftwo\nlast\n");
        assert_eq!(lines.times, [5, 6, 6, 6]);
        assert_eq!(Lines::of(&part(b"x\n", &[]), 9).times, [9]);
        assert_eq!(Lines::of(&part(b"", &[3]), 9), Lines::default());
    }

    #[test]
    fn a_line_that_is_too_long_becomes_several() {
        let long = vec![b'x'; LINE_BYTES_MAX * 2 + 1];
        let lines = Lines::of(&part(&long, &[7, 8]), 0);
        assert_eq!(lines.times, [7, 7, 7]);
        assert_eq!(lines.text.len(), long.len() + 3);
        let exact = vec![b'x'; LINE_BYTES_MAX];
        assert_eq!(Lines::of(&part(&[exact, b"\n".to_vec()].concat(), &[7]), 0).times, [7]);
    }

    #[test]
    fn skipped_lines_are_gone_with_their_times() {
        let mut lines = Lines::of(&part(b"a\nbb\nccc\n", &[1, 2, 3]), 0);
        lines.skip(2);
        assert_eq!(lines, Lines { text: b"ccc\n".to_vec(), times: vec![3] });
        lines.skip(9);
        assert_eq!(lines, Lines::default());
    }
}
