//! Bytes made smaller for the disk, with zstd.

use std::cell::RefCell;

/// For what is written while somebody waits: repetitive text at the speed of a network.
const QUICK_LEVEL: i32 = 1;

/// For what is written once in the background and kept for years.
const THOROUGH_LEVEL: i32 = 9;

/// Shorter bytes are left as they are: there is nothing to gain.
const PLAIN_BYTES_MAX: usize = 512;

const PLAIN: u8 = 0;
const COMPRESSED: u8 = 1;

thread_local! {
    /// Making a compressor costs more than a small piece of work with it.
    static QUICK: RefCell<Option<zstd::bulk::Compressor<'static>>> = const { RefCell::new(None) };
}

/// Compresses bytes; the result holds their length.
pub(super) fn compress(bytes: &[u8]) -> Vec<u8> {
    QUICK.with_borrow_mut(|compressor| {
        let compressor = compressor
            .get_or_insert_with(|| zstd::bulk::Compressor::new(QUICK_LEVEL).expect("the level is one of zstd's"));
        compressor.compress(bytes).expect("compressing in memory cannot fail")
    })
}

/// The same with more effort, for what is kept for years.
pub(super) fn compress_thoroughly(bytes: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(bytes, THOROUGH_LEVEL).expect("compressing in memory cannot fail")
}

/// Bytes from their compressed form; none if that is damaged.
pub(super) fn decompress(stored: &[u8]) -> Option<Vec<u8>> {
    zstd::stream::decode_all(stored).ok()
}

/// Appends bytes in their shorter form, after a byte that says which that is.
pub(super) fn push(out: &mut Vec<u8>, bytes: &[u8]) {
    if bytes.len() <= PLAIN_BYTES_MAX {
        out.push(PLAIN);
        out.extend_from_slice(bytes);
    } else {
        out.push(COMPRESSED);
        out.extend_from_slice(&compress(bytes));
    }
}

/// Bytes from what [`push`] made of them; none if that is damaged.
pub(super) fn pull(stored: &[u8]) -> Option<Vec<u8>> {
    match stored.split_first()? {
        (&PLAIN, content) => Some(content.to_vec()),
        (&COMPRESSED, content) => decompress(content),
        (_, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back_whatever_their_length() {
        for length in [0, 1, PLAIN_BYTES_MAX, PLAIN_BYTES_MAX + 1, 100_000] {
            let bytes = vec![7; length];
            let mut stored = Vec::new();
            push(&mut stored, &bytes);
            assert_eq!(pull(&stored), Some(bytes));
            assert!(stored.len() < PLAIN_BYTES_MAX + 100);
        }
        assert_eq!(decompress(&compress_thoroughly(b"abc")), Some(b"abc".to_vec()));
    }

    #[test]
    fn damaged_bytes_give_nothing() {
        assert_eq!(pull(&[]), None);
        assert_eq!(pull(&[9, 9]), None);
        assert_eq!(pull(&[COMPRESSED, 1, 2, 3]), None);
    }
}
