//! A number of bytes, as users write it: `"64KiB"`, `"10MB"`, `"512"`.

/// Why a text is not a size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a size; write for example \"64KiB\", \"8MiB\" or \"1GB\"")]
pub struct ParseSizeError {
    text: String,
}

const UNITS: [(&str, u64); 8] = [
    ("", 1),
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
];

/// A size in bytes. Units are written as the standards have them, except that `KB` is taken for `kB`.
///
/// # Errors
/// When the text is not a whole number with a known unit, or too large.
pub fn parse_size(text: &str) -> Result<u64, ParseSizeError> {
    let refuse = || ParseSizeError { text: text.to_owned() };
    let trimmed = text.trim();
    let digits = trimmed.len() - trimmed.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = trimmed.split_at(digits);
    let unit = if unit.trim() == "KB" { "kB" } else { unit.trim() };
    let factor = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor).ok_or_else(refuse)?;
    number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor)).ok_or_else(refuse)
}

/// A size for people: the largest unit in which it is a whole number.
#[must_use]
pub fn size_text(bytes: u64) -> String {
    let fits = |(_, factor): &&(&str, u64)| *factor > 1 && bytes >= *factor && bytes.is_multiple_of(*factor);
    let largest = UNITS.iter().filter(fits).max_by_key(|(_, factor)| *factor);
    largest.map_or_else(|| format!("{bytes} bytes"), |(unit, factor)| format!("{} {unit}", bytes / factor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_their_units() {
        for (text, bytes) in [("0", 0), ("512", 512), ("64KiB", 65_536), ("10 MB", 10_000_000), ("3KB", 3_000)] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for wrong in ["", "MiB", "1.5MiB", "-1", "1 mib", "99999999999GiB"] {
            assert!(parse_size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_are_shown_in_the_unit_that_fits() {
        assert_eq!(size_text(8 << 20), "8 MiB");
        assert_eq!(size_text(3_000_000), "3 MB");
        assert_eq!(size_text(1_001), "1001 bytes");
    }
}
