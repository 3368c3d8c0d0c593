//! A duration, as users write it: `"90s"`, `"5m"`, `"1h30m"`, `"2d"`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A duration in whole milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Span(u64);

/// Why a text is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a length of time; write for example \"90s\", \"5m\", \"1h30m\" or \"2d\"")]
pub struct ParseSpanError {
    text: String,
}

const UNITS: [(&str, u64); 6] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000), ("w", 604_800_000)];

impl Span {
    /// Zero.
    pub const ZERO: Self = Self(0);

    /// A duration in milliseconds.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// A duration in seconds.
    #[must_use]
    pub const fn from_seconds(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// A duration in minutes.
    #[must_use]
    pub const fn from_minutes(minutes: u64) -> Self {
        Self::from_seconds(minutes.saturating_mul(60))
    }

    /// Milliseconds.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Seconds, with fraction.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "spans are far below 2^53 ms")]
    pub fn as_seconds_f64(self) -> f64 {
        self.0 as f64 / 1000.0
    }

    /// As a `Duration`, for timers.
    #[must_use]
    pub const fn as_duration(self) -> Duration {
        Duration::from_millis(self.0)
    }
}

impl From<Duration> for Span {
    fn from(duration: Duration) -> Self {
        Self(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    }
}

impl FromStr for Span {
    type Err = ParseSpanError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = || ParseSpanError { text: text.to_owned() };
        let mut rest = text.trim();
        if rest.is_empty() {
            return Err(refuse());
        }
        let mut total: u64 = 0;
        while !rest.is_empty() {
            let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let number: u64 = rest[..digits].parse().map_err(|_| refuse())?;
            rest = rest[digits..].trim_start();
            let letters = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_alphabetic()).len();
            let unit = &rest[..letters];
            let millis = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(refuse)?.1;
            total = number.checked_mul(millis).and_then(|part| total.checked_add(part)).ok_or_else(refuse)?;
            rest = rest[letters..].trim_start();
        }
        Ok(Self(total))
    }
}

impl fmt::Display for Span {
    /// The largest two units: `1h 30m`, `5m`, `1.5s`, `20ms`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0;
        let parts = |first: u64, second: u64| (millis / first, (millis % first) / second);
        match millis {
            0..1_000 => write!(f, "{millis}ms"),
            1_000..60_000 if millis.is_multiple_of(1_000) => write!(f, "{}s", millis / 1_000),
            1_000..60_000 => write!(f, "{:.1}s", self.as_seconds_f64()),
            60_000..3_600_000 => write_pair(f, parts(60_000, 1_000), "m", "s"),
            3_600_000..86_400_000 => write_pair(f, parts(3_600_000, 60_000), "h", "m"),
            _ => write_pair(f, parts(86_400_000, 3_600_000), "d", "h"),
        }
    }
}

fn write_pair(f: &mut fmt::Formatter<'_>, (big, small): (u64, u64), one: &str, two: &str) -> fmt::Result {
    if small == 0 { write!(f, "{big}{one}") } else { write!(f, "{big}{one} {small}{two}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_read_as_people_write_them() {
        let millis = |text: &str| text.parse::<Span>().map(Span::as_millis);
        assert_eq!(millis("90s"), Ok(90_000));
        assert_eq!(millis("1h30m"), Ok(5_400_000));
        assert_eq!(millis(" 2d "), Ok(172_800_000));
        assert_eq!(millis("250ms"), Ok(250));
    }

    #[test]
    fn what_is_no_length_is_refused_with_an_example() {
        for text in ["", "5", "m", "5 minutes", "-1s", "1h-", "99999999999999999999s", "300000000000000w"] {
            let error = text.parse::<Span>().unwrap_err().to_string();
            assert!(error.contains("1h30m"), "{text}: {error}");
        }
    }

    #[test]
    fn shown_in_the_two_largest_units() {
        for (millis, text) in
            [(20, "20ms"), (1_500, "1.5s"), (300_000, "5m"), (5_400_000, "1h 30m"), (90_000_000, "1d 1h")]
        {
            assert_eq!(Span::from_millis(millis).to_string(), text);
        }
    }
}
