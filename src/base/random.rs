//! The one place that draws from the system's source of randomness.

use uuid::Uuid;

/// A name that is never used again: 32 hexadecimal digits.
#[must_use]
pub fn unique_id() -> String {
    Uuid::new_v4().simple().to_string()
}

/// Random bytes that nobody can guess.
#[must_use]
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut out = [0; N];
    for chunk in out.chunks_mut(8) {
        chunk.copy_from_slice(&random_u64().to_le_bytes()[..chunk.len()]);
    }
    out
}

/// A number that nobody can guess.
#[must_use]
pub fn random_u64() -> u64 {
    // A version 4 UUID has fixed bits in its bytes 6 and 8; the others are drawn.
    let drawn = Uuid::new_v4().into_bytes();
    u64::from_le_bytes([drawn[0], drawn[1], drawn[2], drawn[3], drawn[9], drawn[10], drawn[11], drawn[12]])
}

/// A number from 0 up to, not including, 1: for jitter.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "the number is cut to the 53 bits that a double holds")]
pub fn random_fraction() -> f64 {
    (random_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drawn_bytes_fill_the_whole_array_and_differ() {
        let (one, two) = (random_bytes::<37>(), random_bytes::<37>());
        assert_ne!(one, two);
        assert_ne!(one[32..], [0; 5]);
    }

    #[test]
    fn a_fraction_lies_between_nought_and_one() {
        assert!((0..1000).map(|_| random_fraction()).all(|fraction| (0.0..1.0).contains(&fraction)));
    }
}
