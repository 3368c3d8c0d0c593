//! Numbers in as few bytes as they need, seven bits a byte.

/// Appends a number.
pub(super) fn push(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(low_byte(number) | 0x80);
        number >>= 7;
    }
    out.push(low_byte(number));
}

/// Appends a number of either sign, small ones in few bytes.
pub(super) fn push_signed(out: &mut Vec<u8>, number: i64) {
    push(out, ((number << 1) ^ (number >> 63)).cast_unsigned());
}

/// Appends bytes with their length before them.
pub(super) fn push_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    push(out, u64::try_from(bytes.len()).expect("sizes fit 64 bits"));
    out.extend_from_slice(bytes);
}

fn low_byte(number: u64) -> u8 {
    u8::try_from(number & 0x7f).expect("seven bits fit a byte")
}

/// Takes numbers and bytes off the front of a slice; none when it ends too early.
#[derive(Debug)]
pub(crate) struct Input<'a>(pub &'a [u8]);

impl<'a> Input<'a> {
    /// The next number.
    pub fn number(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    /// The next number of either sign.
    pub fn signed(&mut self) -> Option<i64> {
        let number = self.number()?;
        Some((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }

    /// The next bytes with their length before them.
    pub fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_come_back(unsigned: u64, signed: i64, bytes: Vec<u8>) {
            let mut out = Vec::new();
            push(&mut out, unsigned);
            push_signed(&mut out, signed);
            push_bytes(&mut out, &bytes);
            let mut input = Input(&out);
            prop_assert_eq!(input.number(), Some(unsigned));
            prop_assert_eq!(input.signed(), Some(signed));
            prop_assert_eq!(input.bytes(), Some(bytes.as_slice()));
            prop_assert!(input.0.is_empty());
        }

        #[test]
        fn rubbish_is_refused_quietly(bytes: Vec<u8>) {
            let mut input = Input(&bytes);
            while input.bytes().is_some() {}
        }
    }

    #[test]
    fn small_numbers_of_either_sign_take_one_byte() {
        for number in [0, 1, -1, 63, -64] {
            let mut out = Vec::new();
            push_signed(&mut out, number);
            assert_eq!(out.len(), 1, "{number}");
        }
    }
}
