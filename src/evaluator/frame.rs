//! Messages as bytes: a length of four bytes, then MessagePack. Both ends are one version of one program, so the form is
//! compact and knows no history.

use std::io::{self, Read};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::limits::FRAME_BYTES_MAX;

/// Bytes that are made room for at once: a length alone allocates no more.
const CHUNK: usize = 1 << 20;

/// Why a message cannot be sent or understood.
#[derive(Debug, thiserror::Error)]
pub(super) enum FrameError {
    /// It is too large.
    #[error("a message of {0} MB is larger than {max} MB", max = FRAME_BYTES_MAX >> 20)]
    Large(usize),
    /// It cannot be written as bytes.
    #[error("write a message as bytes")]
    Encode(#[source] rmp_serde::encode::Error),
    /// It is something else.
    #[error("read a message")]
    Decode(#[source] rmp_serde::decode::Error),
}

/// A message with its length before it.
pub(super) fn encode<T: Serialize>(message: &T) -> Result<Vec<u8>, FrameError> {
    let mut bytes = vec![0; 4];
    message.serialize(&mut rmp_serde::Serializer::new(&mut bytes)).map_err(FrameError::Encode)?;
    let length = bytes.len() - 4;
    if length > FRAME_BYTES_MAX {
        return Err(FrameError::Large(length >> 20));
    }
    bytes[..4].copy_from_slice(&(length as u32).to_le_bytes());
    Ok(bytes)
}

/// The message in the bytes after the length.
pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, FrameError> {
    rmp_serde::from_slice(bytes).map_err(FrameError::Decode)
}

/// The length that four bytes say.
pub(super) fn length(head: [u8; 4]) -> Result<usize, FrameError> {
    let length = u32::from_le_bytes(head) as usize;
    if length > FRAME_BYTES_MAX { Err(FrameError::Large(length >> 20)) } else { Ok(length) }
}

/// Reads one message, and not a byte beyond it; none at the end of the stream.
pub(super) fn read<T: DeserializeOwned>(from: &mut impl Read) -> io::Result<Option<T>> {
    let mut head = [0; 4];
    match from.read_exact(&mut head) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let length = length(head).map_err(io::Error::other)?;
    let mut bytes = Vec::with_capacity(length.min(CHUNK));
    if from.take(length as u64).read_to_end(&mut bytes)? < length {
        return Ok(None);
    }
    decode(&bytes).map(Some).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_read_back_one_by_one() {
        let bytes = [encode(&"one").unwrap(), encode(&(2, "two")).unwrap()].concat();
        let mut from = bytes.as_slice();
        assert_eq!(read(&mut from).unwrap(), Some("one".to_owned()));
        assert_eq!(read(&mut from).unwrap(), Some((2, "two".to_owned())));
        assert_eq!(read::<u8>(&mut from).unwrap(), None);
    }

    #[test]
    fn a_torn_message_is_an_end_and_a_wrong_one_an_error() {
        let bytes = encode(&"text").unwrap();
        assert_eq!(read::<String>(&mut &bytes[..6]).unwrap(), None);
        assert!(read::<u64>(&mut bytes.as_slice()).is_err());
        assert!(read::<String>(&mut [255_u8; 8].as_slice()).is_err());
    }
}
