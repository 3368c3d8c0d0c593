//! A frame: length, check sum, content. Tells whole content from what a crash left in the middle.

use std::io::{self, Read};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Length and CRC-32, four bytes each, little end first.
pub(in crate::worker) const HEAD_BYTES: usize = 8;

/// Longest content taken. An order with a long standard input is the longest that we write; frames of output are far
/// shorter.
const CONTENT_BYTES_MAX: usize = 256 << 20;

/// A value as one frame.
pub(in crate::worker) fn seal<T: Serialize>(value: &T) -> Vec<u8> {
    let mut frame = vec![0; HEAD_BYTES];
    rmp_serde::encode::write_named(&mut frame, value).expect("plain data in memory can be encoded");
    let sum = crc32fast::hash(&frame[HEAD_BYTES..]);
    let length = u32::try_from(frame.len() - HEAD_BYTES).expect("bounded by the size of a message");
    frame[..4].copy_from_slice(&length.to_le_bytes());
    frame[4..HEAD_BYTES].copy_from_slice(&sum.to_le_bytes());
    frame
}

/// The value of a frame at the head of `bytes`, and the frame's length. None when it is not whole, or not ours.
pub(in crate::worker) fn unseal<T: DeserializeOwned>(bytes: &[u8]) -> Option<(T, usize)> {
    let (length, sum) = head(bytes.get(..HEAD_BYTES)?)?;
    let content = bytes.get(HEAD_BYTES..HEAD_BYTES + length)?;
    let value = (crc32fast::hash(content) == sum).then(|| rmp_serde::from_slice(content).ok())??;
    Some((value, HEAD_BYTES + length))
}

/// Reads one frame from a stream; none at its end.
pub(in crate::worker) fn read_frame<T: DeserializeOwned>(mut from: impl Read) -> io::Result<Option<T>> {
    let mut bytes = vec![0; HEAD_BYTES];
    if let Err(error) = from.read_exact(&mut bytes) {
        return if error.kind() == io::ErrorKind::UnexpectedEof { Ok(None) } else { Err(error) };
    }
    let (length, _) = head(&bytes).ok_or(io::ErrorKind::InvalidData)?;
    bytes.resize(HEAD_BYTES + length, 0);
    from.read_exact(&mut bytes[HEAD_BYTES..])?;
    let (value, _) = unseal(&bytes).ok_or(io::ErrorKind::InvalidData)?;
    Ok(Some(value))
}

/// Length and check sum.
pub(super) fn head(bytes: &[u8]) -> Option<(usize, u32)> {
    let length = u32::from_le_bytes(bytes.get(..4)?.try_into().ok()?) as usize;
    let sum = u32::from_le_bytes(bytes.get(4..HEAD_BYTES)?.try_into().ok()?);
    (length <= CONTENT_BYTES_MAX).then_some((length, sum))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sealed_comes_back_and_what_is_cut_or_changed_does_not() {
        let frame = seal(&("text", 7_u64));
        assert_eq!(unseal(&frame), Some((("text".to_owned(), 7_u64), frame.len())));
        for length in 0..frame.len() {
            assert_eq!(unseal::<(String, u64)>(&frame[..length]), None);
        }
        for at in 0..frame.len() {
            let mut changed = frame.clone();
            changed[at] ^= 1;
            assert_eq!(unseal::<(String, u64)>(&changed), None, "byte {at}");
        }
    }

    #[test]
    fn a_stream_gives_frames_until_its_end() {
        let frames = [seal(&1_u8), seal(&2_u8)].concat();
        let mut stream = &frames[..];
        assert_eq!(read_frame::<u8>(&mut stream).unwrap(), Some(1));
        assert_eq!(read_frame::<u8>(&mut stream).unwrap(), Some(2));
        assert_eq!(read_frame::<u8>(&mut stream).unwrap(), None);
        assert!(read_frame::<u8>(&frames[..9]).is_ok());
        assert!(read_frame::<u8>(&frames[..8]).is_err());
    }
}
