//! What the journal says of logs.

use bytes::Bytes;

use super::key::LogKey;
use super::line::LogPart;
use crate::base::Timestamp;
use crate::model::{BuildId, LogId};
use crate::store::varint::{self, Input};

/// What happened to a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LogRecord {
    Part { key: LogKey, source: String, n: u64, part: LogPart },
    Closed(LogKey),
}

const PART: u64 = 0;
const CLOSED: u64 = 1;

impl LogRecord {
    /// Appends it to others.
    pub fn push(&self, out: &mut Vec<u8>) {
        match self {
            Self::Part { key, source, n, part } => push_part(out, *key, source, *n, part),
            Self::Closed(key) => {
                varint::push(out, CLOSED);
                push_key(out, *key);
            }
        }
    }

    fn pull(input: &mut Input<'_>) -> Option<Self> {
        let kind = input.number()?;
        let key = LogKey { build: BuildId(input.number()?), log: LogId(input.number()?) };
        match kind {
            PART => {
                let source = std::str::from_utf8(input.bytes()?).ok()?.to_owned();
                let n = input.number()?;
                let stream = char::from_u32(u32::try_from(input.number()?).ok()?)?;
                let mut times = Vec::new();
                let mut time = 0_i64;
                for _ in 0..input.number()? {
                    time = time.wrapping_add(input.signed()?);
                    times.push(Timestamp::from_millis(time));
                }
                let text = Bytes::copy_from_slice(input.bytes()?);
                Some(Self::Part { key, source, n, part: LogPart { stream, text, times } })
            }
            CLOSED => Some(Self::Closed(key)),
            _ => None,
        }
    }
}

/// Appends a part to other records.
pub(crate) fn push_part(out: &mut Vec<u8>, key: LogKey, source: &str, n: u64, part: &LogPart) {
    varint::push(out, PART);
    push_key(out, key);
    varint::push_bytes(out, source.as_bytes());
    varint::push(out, n);
    varint::push(out, u64::from(u32::from(part.stream)));
    varint::push(out, u64::try_from(part.times.len()).expect("sizes fit 64 bits"));
    let mut before = 0;
    for time in &part.times {
        varint::push_signed(out, time.as_millis().wrapping_sub(before));
        before = time.as_millis();
    }
    varint::push_bytes(out, &part.text);
}

fn push_key(out: &mut Vec<u8>, key: LogKey) {
    varint::push(out, key.build.0);
    varint::push(out, key.log.0);
}

/// All records of an entry; none if they make no sense.
pub(crate) fn records(plain: &[u8]) -> Option<Vec<LogRecord>> {
    let mut input = Input(plain);
    let mut records = Vec::new();
    while !input.0.is_empty() {
        records.push(LogRecord::pull(&mut input)?);
    }
    Some(records)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back_in_order() {
        let key = LogKey { build: BuildId(1), log: LogId(2) };
        let part = LogPart {
            stream: 'e',
            text: Bytes::from_static(b"\xff\x00\n"),
            times: vec![Timestamp::from_millis(5), Timestamp::from_millis(3)],
        };
        let expected = [LogRecord::Part { key, source: "cmd".to_owned(), n: 300, part }, LogRecord::Closed(key)];
        let mut bytes = Vec::new();
        expected.iter().for_each(|record| record.push(&mut bytes));
        assert_eq!(records(&bytes).unwrap(), expected);
        assert_eq!(records(&bytes[..bytes.len() - 1]), None);
    }
}
