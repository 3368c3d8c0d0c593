//! Keys that we hand out: of sessions, of tokens, of the machine. Only their hashes are kept.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use crate::base::random_bytes;

/// 256 bits from the system's source of randomness, as 43 letters, digits, `-` and `_`.
pub(super) fn draw() -> String {
    BASE64_URL_SAFE_NO_PAD.encode(random_bytes::<32>())
}

/// What is kept of a key, in hexadecimal digits. It has no salt and is quick, because nobody can guess a key.
pub(super) fn digest(key: &str) -> String {
    Sha256::digest(key).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether two texts are one, in a time that does not depend on them.
pub(super) fn same(left: &str, right: &str) -> bool {
    let (left, right) = (Sha256::digest(left), Sha256::digest(right));
    left.iter().zip(right.iter()).fold(0, |differ, (l, r)| differ | (l ^ r)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_differ_and_are_kept_as_digests() {
        let key = draw();
        assert!(key.len() == 43 && key != draw() && digest(&key) == digest(&key) && digest(&key) != key);
        assert!(same(&key, &key) && !same(&key, "") && !same("", &key));
    }
}
