//! Check-summed frames, the unit of everything that is appended to a file.
//!
//! ```text
//! magic (4) | length of the payload (4, little-endian) | CRC-32 over length and payload (4) | payload
//! ```
//!
//! A frame is whole or it is not there: a torn one at the end of a file is cut off, a damaged one in the middle is
//! skipped by looking for the next whole one.

use std::fs::File;
use std::io;

/// Names the kind of a frame, and its version.
pub(crate) type Magic = [u8; 4];

/// Bytes before the payload.
pub(crate) const HEAD_BYTES: usize = 12;

/// Longest payload that is believed: longer lengths are damage. Facts of one flush stay far below.
pub(crate) const PAYLOAD_BYTES_MAX: usize = 512 << 20;

/// Appends a frame to a buffer.
pub(crate) fn push(out: &mut Vec<u8>, magic: Magic, payload: &[u8]) {
    let length = u32::try_from(payload.len()).expect("payloads are bounded far below 4 GiB").to_le_bytes();
    out.extend_from_slice(&magic);
    out.extend_from_slice(&length);
    out.extend_from_slice(&checksum(length, payload).to_le_bytes());
    out.extend_from_slice(payload);
}

fn checksum(length: [u8; 4], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&length);
    hasher.update(payload);
    hasher.finalize()
}

/// The head of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Head {
    length: [u8; 4],
    checksum: u32,
}

impl Head {
    fn parse(bytes: &[u8; HEAD_BYTES], magic: Magic) -> Option<Self> {
        let [m0, m1, m2, m3, l0, l1, l2, l3, c0, c1, c2, c3] = *bytes;
        let head = Self { length: [l0, l1, l2, l3], checksum: u32::from_le_bytes([c0, c1, c2, c3]) };
        ([m0, m1, m2, m3] == magic && head.payload_bytes() <= PAYLOAD_BYTES_MAX).then_some(head)
    }

    fn payload_bytes(self) -> usize {
        usize::try_from(u32::from_le_bytes(self.length)).unwrap_or(usize::MAX)
    }
}

/// The payload of the frame that is all of `bytes`, if it is whole.
pub(crate) fn payload(bytes: &[u8], magic: Magic) -> Option<&[u8]> {
    let (head, rest) = bytes.split_first_chunk::<HEAD_BYTES>()?;
    let head = Head::parse(head, magic)?;
    let payload = rest.get(..head.payload_bytes())?;
    (checksum(head.length, payload) == head.checksum).then_some(payload)
}

/// Bytes of the payload that follows a head; none if it is no head.
pub(crate) fn payload_bytes(head: &[u8], magic: Magic) -> Option<usize> {
    Head::parse(head.first_chunk::<HEAD_BYTES>()?, magic).map(Head::payload_bytes)
}

/// What [`Scanner::next`] finds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A whole frame, which starts at `at`; its payload is in the scanner's buffer.
    Frame { at: u64 },
    /// Bytes from `from` to `to` are no frame, but a whole one follows.
    Damage { from: u64, to: u64 },
    /// Nothing follows. The last whole frame ends at `whole`; if that is before the file's end, the rest is torn.
    End { whole: u64, torn_bytes: u64 },
}

/// Walks over the frames of a file without holding more than one.
#[derive(Debug)]
pub(crate) struct Scanner<'a> {
    file: &'a File,
    magic: Magic,
    at: u64,
    end: u64,
    buffer: Vec<u8>,
}

impl<'a> Scanner<'a> {
    /// Starts at `at` (0, or the start of a frame).
    pub fn new(file: &'a File, magic: Magic, at: u64) -> io::Result<Self> {
        Ok(Self { file, magic, at, end: file.metadata()?.len(), buffer: Vec::new() })
    }

    /// The payload of the frame found last.
    pub fn payload(&self) -> &[u8] {
        &self.buffer
    }

    /// Where the next frame is looked for.
    pub fn position(&self) -> u64 {
        self.at
    }

    /// The next frame, damage, or the end.
    pub fn next(&mut self) -> io::Result<Found> {
        let at = self.at;
        if self.load(at)? {
            self.at = at + as_u64(HEAD_BYTES + self.buffer.len());
            return Ok(Found::Frame { at });
        }
        match self.resynchronise(at)? {
            Some(to) => {
                self.at = to;
                Ok(Found::Damage { from: at, to })
            }
            None => Ok(Found::End { whole: at, torn_bytes: self.end - at }),
        }
    }

    /// Reads the frame at `at`; false if there is no whole one.
    fn load(&mut self, at: u64) -> io::Result<bool> {
        let mut head = [0; HEAD_BYTES];
        if self.end.saturating_sub(at) < as_u64(HEAD_BYTES) {
            return Ok(false);
        }
        read_exact_at(self.file, &mut head, at)?;
        let Some(head) = Head::parse(&head, self.magic) else { return Ok(false) };
        let start = at + as_u64(HEAD_BYTES);
        if self.end - start < as_u64(head.payload_bytes()) {
            return Ok(false);
        }
        self.buffer.resize(head.payload_bytes(), 0);
        read_exact_at(self.file, &mut self.buffer, start)?;
        Ok(checksum(head.length, &self.buffer) == head.checksum)
    }

    /// The start of the next whole frame beyond `at`.
    fn resynchronise(&mut self, at: u64) -> io::Result<Option<u64>> {
        let mut window = vec![0; SEARCH_BYTES];
        let mut from = at + 1;
        while from + as_u64(HEAD_BYTES) <= self.end {
            let length = usize::try_from((self.end - from).min(as_u64(SEARCH_BYTES))).unwrap_or(SEARCH_BYTES);
            read_exact_at(self.file, &mut window[..length], from)?;
            for offset in positions(&window[..length], self.magic) {
                let candidate = from + as_u64(offset);
                if self.load(candidate)? {
                    return Ok(Some(candidate));
                }
            }
            // The windows overlap, so that a magic on the border is seen.
            from += as_u64(length.saturating_sub(self.magic.len() - 1).max(1));
        }
        Ok(None)
    }
}

/// How much is looked through at a time for the next whole frame.
const SEARCH_BYTES: usize = 64 << 10;

fn positions(window: &[u8], magic: Magic) -> Vec<usize> {
    window.windows(magic.len()).enumerate().filter(|(_, found)| *found == magic).map(|(offset, _)| offset).collect()
}

fn as_u64(bytes: usize) -> u64 {
    u64::try_from(bytes).expect("sizes fit 64 bits")
}

/// Reads at a place, whatever others read at the same time.
#[cfg(unix)]
pub(crate) fn read_exact_at(file: &File, buffer: &mut [u8], at: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, at)
}

/// Writes at a place.
#[cfg(unix)]
pub(crate) fn write_all_at(file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, at)
}

/// Reads at a place, whatever others read at the same time.
#[cfg(windows)]
pub(crate) fn read_exact_at(file: &File, mut buffer: &mut [u8], mut at: u64) -> io::Result<()> {
    while !buffer.is_empty() {
        let read = std::os::windows::fs::FileExt::seek_read(file, buffer, at)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        buffer = &mut buffer[read..];
        at += as_u64(read);
    }
    Ok(())
}

/// Writes at a place.
#[cfg(windows)]
pub(crate) fn write_all_at(file: &File, mut bytes: &[u8], mut at: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        let written = std::os::windows::fs::FileExt::seek_write(file, bytes, at)?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        bytes = &bytes[written..];
        at += as_u64(written);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAGIC: Magic = *b"Test";

    fn file_of(bytes: &[u8]) -> File {
        let file = tempfile::tempfile().unwrap();
        write_all_at(&file, bytes, 0).unwrap();
        file
    }

    fn scan(bytes: &[u8]) -> (Vec<Vec<u8>>, Vec<Found>) {
        let file = file_of(bytes);
        let mut scanner = Scanner::new(&file, MAGIC, 0).unwrap();
        let (mut payloads, mut rest) = (Vec::new(), Vec::new());
        loop {
            match scanner.next().unwrap() {
                Found::Frame { .. } => payloads.push(scanner.payload().to_vec()),
                found @ Found::Damage { .. } => rest.push(found),
                found @ Found::End { .. } => {
                    rest.push(found);
                    return (payloads, rest);
                }
            }
        }
    }

    #[test]
    fn a_frame_torn_at_any_byte_is_cut_off() {
        let mut bytes = Vec::new();
        push(&mut bytes, MAGIC, b"first");
        let whole = bytes.len();
        push(&mut bytes, MAGIC, b"second");
        for length in whole..bytes.len() {
            let (payloads, rest) = scan(&bytes[..length]);
            assert_eq!(payloads, [b"first".to_vec()]);
            assert_eq!(rest, [Found::End { whole: whole as u64, torn_bytes: (length - whole) as u64 }]);
        }
        assert_eq!(scan(&bytes).0.len(), 2);
    }

    #[test]
    fn a_flipped_bit_costs_one_frame() {
        let mut bytes = Vec::new();
        push(&mut bytes, MAGIC, b"first");
        let start = bytes.len();
        push(&mut bytes, MAGIC, b"second");
        let end = bytes.len();
        push(&mut bytes, MAGIC, b"third");
        for place in start..end {
            let mut damaged = bytes.clone();
            damaged[place] ^= 0x10;
            let (payloads, rest) = scan(&damaged);
            assert_eq!(payloads, [b"first".to_vec(), b"third".to_vec()], "byte {place}");
            assert_eq!(rest[0], Found::Damage { from: start as u64, to: end as u64 });
        }
    }

    #[test]
    fn the_next_frame_is_found_beyond_a_long_hole() {
        let mut bytes = vec![b'T'; SEARCH_BYTES * 2 + 1];
        let start = bytes.len();
        push(&mut bytes, MAGIC, b"after");
        let (payloads, rest) = scan(&bytes);
        assert_eq!(payloads, [b"after".to_vec()]);
        assert_eq!(rest[0], Found::Damage { from: 0, to: start as u64 });
    }

    #[test]
    fn one_whole_frame_gives_its_payload() {
        let mut bytes = Vec::new();
        push(&mut bytes, MAGIC, b"x");
        assert_eq!(payload(&bytes, MAGIC), Some(b"x".as_slice()));
        assert_eq!(payload(&bytes, *b"Else"), None);
        assert_eq!(payload(&bytes[..bytes.len() - 1], MAGIC), None);
    }
}
