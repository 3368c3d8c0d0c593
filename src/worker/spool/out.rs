//! The output of a command: parts, each a frame of one file. Part number *n* never changes.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::frame::{HEAD_BYTES, head, seal, unseal};

/// Which stream of a command something came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::worker) enum Stream {
    /// Standard output, or a log file.
    Out,
    /// Standard error.
    Err,
    /// What we have to say ourselves.
    Header,
}

/// A number of consecutive lines that began at the same moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::worker) struct TimeRun {
    pub lines: u64,
    /// Milliseconds since the epoch.
    pub at: i64,
}

/// Lines of one stream, byte by byte.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::worker) struct Part {
    /// `stdio`, or the name of a log file.
    pub log: String,
    pub stream: Stream,
    pub times: Vec<TimeRun>,
    #[serde(with = "serde_bytes")]
    pub data: Vec<u8>,
}

/// Appends parts; only the runner has one.
#[derive(Debug)]
pub(in crate::worker) struct OutWriter {
    file: File,
    /// Parts written.
    pub parts: u64,
    /// Bytes written.
    pub bytes: u64,
}

impl OutWriter {
    /// Makes the file, which must not be there yet.
    pub fn create(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create_new(true).open(path)?;
        Ok(Self { file, parts: 0, bytes: 0 })
    }

    /// Appends a part in one piece.
    pub fn append(&mut self, part: &Part) -> io::Result<()> {
        let frame = seal(part);
        if let Err(error) = self.file.write_all(&frame) {
            // Half a frame would hide the later ones.
            let _ = self.file.set_len(self.bytes);
            return Err(error);
        }
        self.parts += 1;
        self.bytes += frame.len() as u64;
        Ok(())
    }
}

/// Reads parts in order while they are written.
#[derive(Debug)]
pub(in crate::worker) struct OutReader {
    file: File,
    /// Number of the next part.
    pub next: u64,
    /// Where it begins.
    pub offset: u64,
    /// What was read ahead; the next part begins at `at`.
    ahead: Vec<u8>,
    at: usize,
    /// Bytes to ask for.
    ask: usize,
}

/// Bytes asked for at first: all that most commands print.
const READ_BYTES_MIN: usize = 8 * 1024;
/// Bytes asked for at once when there is more: a few parts of the usual size, so that small ones cost no call each.
const READ_BYTES_MAX: usize = 512 * 1024;
/// A longer part is read in steps of this size, so that a damaged length costs no memory.
const READ_BYTES_STEP: usize = 4 * 1024 * 1024;

impl OutReader {
    /// Begins at part `first`, which begins at `offset`.
    pub fn open(path: &Path, first: u64, offset: u64) -> io::Result<Self> {
        Ok(Self { file: File::open(path)?, next: first, offset, ahead: Vec::new(), at: 0, ask: READ_BYTES_MIN })
    }

    /// The next part, if it is there as a whole. Reads at most what one part needs and a little ahead. A part that is
    /// damaged is an error, and the reader stays in front of it.
    pub fn read(&mut self) -> io::Result<Option<Part>> {
        loop {
            let ahead = &self.ahead[self.at..];
            if let Some((part, length)) = unseal(ahead) {
                self.at += length;
                self.pass(length);
                return Ok(Some(part));
            }
            let missing = match head(ahead) {
                Some((length, _)) if ahead.len() >= HEAD_BYTES + length => return self.read_again(length),
                Some((length, _)) => HEAD_BYTES + length - ahead.len(),
                None if ahead.len() >= HEAD_BYTES => return Err(self.damaged()),
                None => HEAD_BYTES,
            };
            if !self.read_ahead(missing.max(self.ask).min(READ_BYTES_STEP))? {
                return Ok(None);
            }
        }
    }

    /// The next part, whose content has this length, once more from the file: what was read ahead may be of a write that
    /// failed and was taken back. One that does not check although something follows it is damaged for good; the last one
    /// may not be in place yet.
    fn read_again(&mut self, length: usize) -> io::Result<Option<Part>> {
        self.ahead.clear();
        self.at = 0;
        let mut frame = vec![0; HEAD_BYTES + length];
        match self.file.read_exact_at(&mut frame, self.offset) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        }
        if let Some((part, length)) = unseal(&frame) {
            self.pass(length);
            return Ok(Some(part));
        }
        let is_last = self.file.metadata()?.len() <= self.offset + frame.len() as u64;
        if is_last { Ok(None) } else { Err(self.damaged()) }
    }

    const fn pass(&mut self, length: usize) {
        self.offset += length as u64;
        self.next += 1;
    }

    fn damaged(&self) -> io::Error {
        let text = format!("part {} at byte {} is damaged", self.next, self.offset);
        io::Error::new(io::ErrorKind::InvalidData, text)
    }

    /// Goes on to part `to`. Returns whether it got there; it cannot go back.
    pub fn skip_to(&mut self, to: u64) -> io::Result<bool> {
        while self.next < to {
            if self.read()?.is_none() {
                return Ok(false);
            }
        }
        Ok(self.next == to)
    }

    /// Skips the parts that are there, at most `most` of them, without reading their content.
    pub fn skip_some(&mut self, most: u64) -> io::Result<()> {
        self.ahead.clear();
        self.at = 0;
        let end = self.file.metadata()?.len();
        for _ in 0..most {
            let mut bytes = [0; HEAD_BYTES];
            let count = self.file.read_at(&mut bytes, self.offset)?;
            let Some((length, _)) = head(&bytes[..count]) else { break };
            let after = self.offset + (HEAD_BYTES + length) as u64;
            if after > end {
                break;
            }
            self.offset = after;
            self.next += 1;
        }
        Ok(())
    }

    /// Reads up to this many more bytes; false if there are none.
    fn read_ahead(&mut self, bytes: usize) -> io::Result<bool> {
        self.ahead.drain(..self.at);
        self.at = 0;
        let have = self.ahead.len();
        self.ahead.resize(have + bytes, 0);
        let read = self.file.read_at(&mut self.ahead[have..], self.offset + have as u64);
        let count = read.as_ref().map_or(0, |count| *count);
        self.ahead.truncate(have + count);
        if count == bytes {
            self.ask = (self.ask * 8).min(READ_BYTES_MAX);
        }
        read.map(|count| count > 0)
    }
}

/// Reclaims the disk space of what was read and will not be asked for again. The file's length and offsets stay. Only Linux
/// can; elsewhere the file grows until the command ends.
pub(in crate::worker) fn release(path: &Path, from: u64, to: u64) {
    #[cfg(target_os = "linux")]
    if let Ok(file) = OpenOptions::new().write(true).open(path) {
        use rustix::fs::FallocateFlags;
        // A file system that cannot do it keeps the bytes; nothing is wrong with that.
        let how = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        let _ = rustix::fs::fallocate(&file, how, from, to.saturating_sub(from));
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (path, from, to);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(text: &str) -> Part {
        let times = vec![TimeRun { lines: 1, at: 12 }];
        Part { log: "stdio".to_owned(), stream: Stream::Out, times, data: text.as_bytes().to_vec() }
    }

    #[test]
    fn parts_are_read_while_they_are_written() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out");
        let mut writer = OutWriter::create(&path).unwrap();
        let mut reader = OutReader::open(&path, 0, 0).unwrap();
        assert_eq!(reader.read().unwrap(), None);
        let long = "x".repeat(2_000_000);
        for text in ["one\n", &long, "three\n"] {
            writer.append(&part(text)).unwrap();
        }
        for text in ["one\n", &long, "three\n"] {
            assert_eq!(reader.read().unwrap(), Some(part(text)));
        }
        assert_eq!((reader.next, reader.offset), (writer.parts, writer.bytes));
        assert_eq!(reader.read().unwrap(), None);
    }

    #[test]
    fn a_part_that_is_not_whole_is_not_there() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out");
        let frame = seal(&part("line\n"));
        for length in 0..frame.len() {
            std::fs::write(&path, &frame[..length]).unwrap();
            let mut reader = OutReader::open(&path, 0, 0).unwrap();
            assert_eq!(reader.read().unwrap(), None);
            std::fs::write(&path, &frame).unwrap();
            assert_eq!(reader.read().unwrap(), Some(part("line\n")), "after {length} bytes");
        }
    }

    #[test]
    fn a_damaged_part_is_told_once_it_is_certain() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out");
        let frames = ["one\n", "two\n", "three\n"].map(|text| seal(&part(text)));
        let second = frames[0].len();
        for (at, value) in [(second + HEAD_BYTES + 3, 0xff), (second + 3, 0xff), (second + 5, 0)] {
            let mut bytes = frames.concat();
            bytes[at] ^= value | 1;
            std::fs::write(&path, &bytes).unwrap();
            let mut reader = OutReader::open(&path, 0, 0).unwrap();
            assert_eq!(reader.read().unwrap(), Some(part("one\n")));
            for _ in 0..2 {
                assert_eq!(reader.read().unwrap_err().to_string(), format!("part 1 at byte {second} is damaged"));
            }
            // Until something follows, it may still be being written.
            if at > second + 4 {
                std::fs::write(&path, &bytes[..second + frames[1].len()]).unwrap();
                let mut reader = OutReader::open(&path, 1, second as u64).unwrap();
                assert_eq!(reader.read().unwrap(), None);
                std::fs::write(&path, frames.concat()).unwrap();
                assert_eq!(reader.read().unwrap(), Some(part("two\n")));
            }
        }
    }

    #[test]
    fn reading_goes_on_at_any_part() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out");
        let mut writer = OutWriter::create(&path).unwrap();
        (0..10).for_each(|n| writer.append(&part(&format!("line {n}\n"))).unwrap());
        let mut reader = OutReader::open(&path, 0, 0).unwrap();
        assert!(reader.skip_to(7).unwrap());
        assert_eq!(reader.read().unwrap(), Some(part("line 7\n")));
        release(&path, 0, reader.offset);
        let mut later = OutReader::open(&path, reader.next, reader.offset).unwrap();
        assert_eq!(later.read().unwrap(), Some(part("line 8\n")));
        later.skip_some(1).unwrap();
        assert_eq!(later.next, 10);
        later.skip_some(1).unwrap();
        assert_eq!((later.next, later.offset), (10, writer.bytes));
        assert!(!later.skip_to(3).unwrap(), "it does not go back");
        assert!(!later.skip_to(30).unwrap(), "nor past the end");
    }
}
