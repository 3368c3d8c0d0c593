//! Values as the database has them: each compressed by itself, with a dictionary of what records look like.
//!
//! Records are small maps whose names and typical values repeat from one to the next. The dictionary is part of the stored form:
//! with another one, `DATABASE_FORMAT` has to change, and each database is made again at its next opening. It was trained (`zstd
//! --train`) on the records of some thousand made-up builds; what it does not know costs a few bytes more.

use std::cell::RefCell;
use std::sync::OnceLock;

use zstd::bulk::{Compressor, Decompressor};
use zstd::dict::{DecoderDictionary, EncoderDictionary};

use crate::store::varint::{self, Input};

static DICTIONARY: &[u8] = include_bytes!("records.dict");

/// Values are read far more often than written, and written in the background.
const LEVEL: i32 = 6;

/// Shorter values are left as they are.
const PLAIN_BYTES_MAX: usize = 32;

/// Longer values than this are damage.
const VALUE_BYTES_MAX: u64 = 1 << 30;

const PLAIN: u8 = 0;
const COMPRESSED: u8 = 1;

thread_local! {
    static COMPRESSOR: RefCell<Compressor<'static>> = RefCell::new({
        static PREPARED: OnceLock<EncoderDictionary<'static>> = OnceLock::new();
        let dictionary = PREPARED.get_or_init(|| EncoderDictionary::copy(DICTIONARY, LEVEL));
        Compressor::with_prepared_dictionary(dictionary).expect("the dictionary is one of zstd's")
    });
    static DECOMPRESSOR: RefCell<Decompressor<'static>> = RefCell::new({
        static PREPARED: OnceLock<DecoderDictionary<'static>> = OnceLock::new();
        let dictionary = PREPARED.get_or_init(|| DecoderDictionary::copy(DICTIONARY));
        Decompressor::with_prepared_dictionary(dictionary).expect("the dictionary is one of zstd's")
    });
}

/// The stored form of a value.
pub(super) fn shrink(value: &[u8]) -> Vec<u8> {
    if value.len() > PLAIN_BYTES_MAX {
        let compressed = COMPRESSOR.with_borrow_mut(|compressor| compressor.compress(value));
        let compressed = compressed.expect("compressing in memory cannot fail");
        let mut stored = Vec::with_capacity(compressed.len() + 4);
        stored.push(COMPRESSED);
        varint::push(&mut stored, u64::try_from(value.len()).expect("sizes fit 64 bits"));
        stored.extend_from_slice(&compressed);
        if stored.len() <= value.len() {
            return stored;
        }
    }
    let mut stored = Vec::with_capacity(value.len() + 1);
    stored.push(PLAIN);
    stored.extend_from_slice(value);
    stored
}

/// A value from its stored form; none if that is damaged.
pub(super) fn grow(stored: &[u8]) -> Option<Vec<u8>> {
    match stored.split_first()? {
        (&PLAIN, value) => Some(value.to_vec()),
        (&COMPRESSED, rest) => {
            let mut input = Input(rest);
            let length = usize::try_from(input.number().filter(|length| *length <= VALUE_BYTES_MAX)?).ok()?;
            DECOMPRESSOR.with_borrow_mut(|decompressor| decompressor.decompress(input.0, length)).ok()
        }
        (_, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_dictionary_is_another_format_of_the_database() {
        assert_eq!(crc32fast::hash(DICTIONARY), 0xe29a_d5bc, "see the head of this file");
    }

    #[test]
    fn even_a_small_record_takes_less_than_two_thirds() {
        let log = crate::model::LogRecord {
            id: crate::model::LogId(812),
            step: crate::model::StepId(700),
            build: crate::model::BuildId(650),
            name: "stdio".to_owned(),
            slug: "stdio".to_owned(),
            kind: crate::model::LogKind::Stdio,
            complete: true,
            lines: 0,
        };
        let value = crate::store::codec::encode(&log);
        let stored = shrink(&value);
        assert!(stored.len() * 3 < value.len() * 2, "{} of {}", stored.len(), value.len());
        assert_eq!(grow(&stored), Some(value));
    }

    #[test]
    fn values_come_back_whatever_their_length() {
        for length in [0, 1, PLAIN_BYTES_MAX, PLAIN_BYTES_MAX + 1, 100_000] {
            let value: Vec<u8> = (0..length).map(|at| u8::try_from(at % 7).unwrap()).collect();
            let stored = shrink(&value);
            assert!(stored.len() <= value.len() + 1);
            assert_eq!(grow(&stored), Some(value));
        }
        assert_eq!((grow(&[]), grow(&[7]), grow(&[COMPRESSED, 5, 1, 2, 3])), (None, None, None));
    }
}
