//! When a cron expression is next due in a time zone.
//!
//! Zones come from the data compiled in, so that the answer does not depend on the machine. A moment that the clocks skip
//! is taken when they have skipped it; one that comes twice is taken once, unless the expression means every hour.

use std::str::FromStr as _;

use croner::Cron;
use jiff::tz::{TimeZone, TimeZoneDatabase};

use crate::base::Timestamp;

/// Why there is no next moment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum CronError {
    #[error("`{0}` is no time zone; write an IANA name such as \"Europe/Berlin\" or \"UTC\"")]
    Zone(String),
    #[error("`{expression}` is no cron expression: {why}")]
    Expression { expression: String, why: String },
    #[error("`{0}` is never due")]
    Never(String),
}

/// The first moment after `after` that the expression names.
pub(super) fn next_after(expression: &str, zone: &str, after: Timestamp) -> Result<Timestamp, CronError> {
    let zone = find_zone(zone)?;
    let wrong = |why: croner::errors::CronError| CronError::Expression {
        expression: expression.to_owned(),
        why: why.to_string(),
    };
    let never = || CronError::Never(expression.to_owned());
    let cron = Cron::from_str(expression).map_err(wrong)?;
    let start = jiff::Timestamp::from_second(after.as_seconds()).map_err(|_| never())?.to_zoned(zone);
    let next = cron.find_next_occurrence(&start, false).map_err(|_| never())?;
    let next = Timestamp::from_millis(next.timestamp().as_millisecond());
    if next > after { Ok(next) } else { Err(never()) }
}

fn find_zone(name: &str) -> Result<TimeZone, CronError> {
    if name.is_empty() || name == "UTC" {
        return Ok(TimeZone::UTC);
    }
    TimeZoneDatabase::bundled().get(name).map_err(|_| CronError::Zone(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::from_millis(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
    }

    fn next(expression: &str, after: &str) -> Timestamp {
        next_after(expression, "Europe/Berlin", at(after)).unwrap()
    }

    #[test]
    fn a_moment_that_the_clocks_skip_is_taken_when_they_have_skipped_it() {
        assert_eq!(next("30 2 * * *", "2026-03-28T12:00:00Z"), at("2026-03-29T01:00:00Z"));
        assert_eq!(next("30 2 * * *", "2026-03-29T01:00:00Z"), at("2026-03-30T00:30:00Z"));
    }

    #[test]
    fn the_first_of_the_moments_that_the_clocks_skip_is_taken_when_they_have_skipped_it() {
        assert_eq!(next("0 2 * * *", "2026-03-28T12:00:00Z"), at("2026-03-29T01:00:00Z"));
        assert_eq!(next("0 2 * * *", "2026-03-29T00:50:00Z"), at("2026-03-29T01:00:00Z"));
        assert_eq!(next("0 2 * * *", "2026-03-29T01:00:00Z"), at("2026-03-30T00:00:00Z"));
        assert_eq!(next("0 * * * *", "2026-03-29T00:30:00Z"), at("2026-03-29T01:00:00Z"));
        assert_eq!(next("0 2 29 3 *", "2026-01-01T00:00:00Z"), at("2026-03-29T01:00:00Z"));
    }

    #[test]
    fn a_moment_that_comes_twice_is_taken_once() {
        let first = next("30 2 * * *", "2026-10-24T12:00:00Z");
        assert_eq!(first, at("2026-10-25T00:30:00Z"));
        assert_eq!(next_after("30 2 * * *", "Europe/Berlin", first).unwrap(), at("2026-10-26T01:30:00Z"));
    }

    #[test]
    fn the_moment_itself_is_not_its_own_successor() {
        assert_eq!(next("0 * * * *", "2026-06-01T10:00:00.500Z"), at("2026-06-01T11:00:00Z"));
        assert_eq!(next("0 * * * *", "2026-06-01T10:00:00Z"), at("2026-06-01T11:00:00Z"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let error =
            |expression, zone| next_after(expression, zone, at("2026-06-01T10:00:00Z")).unwrap_err().to_string();
        assert!(error("0 0 * * *", "Mars/Olympus").contains("Europe/Berlin"));
        assert!(error("61 * * * *", "UTC").contains("61 * * * *"));
        assert!(error("0 0 30 2 *", "UTC").contains("never"));
    }
}
