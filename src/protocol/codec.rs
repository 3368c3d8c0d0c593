//! Converts bytes to MessagePack values and back, within bounds.
//!
//! A first pass over the bytes allocates nothing. It rejects what the protocol forbids (invalid UTF-8 in a string, map
//! keys that are not strings, bytes after the value) and what would cost too much (depth, number of values), so a short
//! message cannot become a large tree.

use rmpv::Value;

/// Largest message that is read. Output comes in pieces that are far smaller
/// (docs/reference/worker-protocol.md#buffering); a listing of a directory with 100,000 names has about 10 MiB.
pub const MESSAGE_BYTES_MAX: usize = 32 << 20;
/// Deepest nesting that is read; the protocol needs 5.
const DEPTH_MAX: usize = 32;
/// Most values in one message: each costs some 40 bytes once decoded.
const VALUES_MAX: usize = 1 << 20;

/// Why bytes are not a message. The connection cannot continue (docs/reference/worker-protocol.md#messagepack).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("message of {bytes} bytes is longer than {MESSAGE_BYTES_MAX}")]
    TooLong { bytes: usize },
    #[error("message ends in the middle of a value")]
    CutShort,
    #[error("message has {bytes} bytes after its value")]
    Trailing { bytes: usize },
    #[error("byte 0x{byte:02x} at {offset} is not MessagePack")]
    Unassigned { byte: u8, offset: usize },
    #[error("string at byte {offset} is not UTF-8")]
    NotUtf8 { offset: usize },
    #[error("map key at byte {offset} is not a string")]
    OddKey { offset: usize },
    #[error("message is nested deeper than {DEPTH_MAX}")]
    TooDeep,
    #[error("message holds more than {VALUES_MAX} values")]
    TooMany,
    #[error("message is not a map but {kind}")]
    NotAMap { kind: &'static str },
}

/// Reads exactly one value.
pub(super) fn decode(bytes: &[u8]) -> Result<Value, DecodeError> {
    if bytes.len() > MESSAGE_BYTES_MAX {
        return Err(DecodeError::TooLong { bytes: bytes.len() });
    }
    let mut walk = Walk { bytes, at: 0, values: 0 };
    walk.value(0)?;
    if walk.at < bytes.len() {
        return Err(DecodeError::Trailing { bytes: bytes.len() - walk.at });
    }
    // The walk has seen every byte. Only the decoder's own depth limit can still fail, and it is far above ours.
    rmpv::decode::read_value(&mut &bytes[..]).map_err(|_| DecodeError::CutShort)
}

/// Writes a value in its shortest form.
pub(super) fn encode(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256);
    rmpv::encode::write_value(&mut bytes, value).expect("writing to a vector does not fail");
    bytes
}

/// The kind of a value, for error messages.
pub(super) const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Nil => "nil",
        Value::Boolean(_) => "a bool",
        Value::Integer(_) => "an int",
        Value::F32(_) | Value::F64(_) => "a float",
        Value::String(_) => "a str",
        Value::Binary(_) => "a bin",
        Value::Array(_) => "an array",
        Value::Map(_) => "a map",
        Value::Ext(..) => "an extension",
    }
}

/// What follows the first byte of a value.
enum Head {
    /// This many bytes, whose content does not matter here.
    Skip(usize),
    Text(usize),
    Bytes(usize),
    Array(usize),
    Map(usize),
}

struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
    values: usize,
}

impl<'a> Walk<'a> {
    fn value(&mut self, depth: usize) -> Result<(), DecodeError> {
        match self.head()? {
            Head::Skip(length) | Head::Bytes(length) => self.take(length).map(drop),
            Head::Text(length) => self.text(length),
            Head::Array(length) => self.members(length, depth, Self::value),
            Head::Map(length) => self.members(length, depth, Self::entry),
        }
    }

    fn members(
        &mut self,
        length: usize,
        depth: usize,
        each: fn(&mut Self, usize) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        if depth >= DEPTH_MAX {
            return Err(DecodeError::TooDeep);
        }
        (0..length).try_for_each(|_| each(self, depth + 1))
    }

    fn entry(&mut self, depth: usize) -> Result<(), DecodeError> {
        let offset = self.at;
        match self.head()? {
            Head::Text(length) => self.text(length)?,
            Head::Bytes(length) => self.take(length).map(drop)?,
            Head::Skip(_) | Head::Array(_) | Head::Map(_) => return Err(DecodeError::OddKey { offset }),
        }
        self.value(depth)
    }

    fn text(&mut self, length: usize) -> Result<(), DecodeError> {
        let offset = self.at;
        std::str::from_utf8(self.take(length)?).map(drop).map_err(|_| DecodeError::NotUtf8 { offset })
    }

    fn head(&mut self) -> Result<Head, DecodeError> {
        self.values += 1;
        if self.values > VALUES_MAX {
            return Err(DecodeError::TooMany);
        }
        let offset = self.at;
        let byte = self.take(1)?[0];
        Ok(match byte {
            0x00..=0x7f | 0xc0 | 0xc2 | 0xc3 | 0xe0..=0xff => Head::Skip(0),
            0x80..=0x8f => Head::Map(usize::from(byte & 0x0f)),
            0x90..=0x9f => Head::Array(usize::from(byte & 0x0f)),
            0xa0..=0xbf => Head::Text(usize::from(byte & 0x1f)),
            0xc1 => return Err(DecodeError::Unassigned { byte, offset }),
            0xc4..=0xc6 => Head::Bytes(self.length(1 << (byte - 0xc4))?),
            0xc7..=0xc9 => Head::Skip(self.length(1 << (byte - 0xc7))?.saturating_add(1)),
            0xca | 0xce | 0xd2 => Head::Skip(4),
            0xcb | 0xcf | 0xd3 => Head::Skip(8),
            0xcc | 0xd0 => Head::Skip(1),
            0xcd | 0xd1 => Head::Skip(2),
            0xd4..=0xd8 => Head::Skip((1 << (byte - 0xd4)) + 1),
            0xd9..=0xdb => Head::Text(self.length(1 << (byte - 0xd9))?),
            0xdc | 0xdd => Head::Array(self.length(2 << (byte - 0xdc))?),
            0xde | 0xdf => Head::Map(self.length(2 << (byte - 0xde))?),
        })
    }

    /// A length in `width` bytes, big-endian.
    fn length(&mut self, width: usize) -> Result<usize, DecodeError> {
        Ok(self.take(width)?.iter().fold(0, |length, byte| (length << 8) | usize::from(*byte)))
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let end = self.at.checked_add(length).ok_or(DecodeError::CutShort)?;
        let taken = self.bytes.get(self.at..end).ok_or(DecodeError::CutShort)?;
        self.at = end;
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_the_protocol_forbids_is_refused_with_its_place() {
        let refused: [(&[u8], DecodeError); 8] = [
            (b"", DecodeError::CutShort),
            (b"\xc1", DecodeError::Unassigned { byte: 0xc1, offset: 0 }),
            (b"\x81\xa1a\xa2\xff\xfe", DecodeError::NotUtf8 { offset: 4 }),
            (b"\x81\x01\x02", DecodeError::OddKey { offset: 1 }),
            (b"\x80\x80", DecodeError::Trailing { bytes: 1 }),
            (b"\xdd\xff\xff\xff\xff", DecodeError::CutShort),
            (b"\xdb\xff\xff\xff\xff", DecodeError::CutShort),
            (&[0x91; 100], DecodeError::TooDeep),
        ];
        for (bytes, error) in refused {
            assert_eq!(decode(bytes), Err(error), "{bytes:x?}");
        }
    }

    #[test]
    fn a_short_message_with_very_many_values_is_refused() {
        let mut bytes = vec![0xdd, 0x00, 0x20, 0x00, 0x00];
        bytes.resize(5 + (0x20 << 16), 0xc0);
        assert_eq!(decode(&bytes), Err(DecodeError::TooMany));
    }

    #[test]
    fn byte_keys_and_extensions_are_tolerated() {
        assert!(decode(b"\x81\xc4\x01a\xd4\x05\x00").is_ok());
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Nil),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            (-1e9..1e9f64).prop_map(Value::from),
            ".*".prop_map(Value::from),
            any::<Vec<u8>>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 64, 8, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..8).prop_map(Value::Array),
                prop::collection::vec((".*".prop_map(Value::from), inner), 0..8).prop_map(Value::Map),
            ]
        })
    }

    proptest! {
        #[test]
        fn every_value_survives_the_wire(value in any_value()) {
            prop_assert_eq!(decode(&encode(&value)), Ok(value));
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = decode(&bytes);
        }

        #[test]
        fn a_damaged_message_does_not_panic(value in any_value(), at: prop::sample::Index, byte: u8) {
            let mut bytes = encode(&value);
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let _ = decode(&bytes);
        }
    }
}
