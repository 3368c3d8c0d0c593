//! When a forge wants to be asked again. It is kept in a file, so that a restart does not ask sooner; losing that costs a
//! refusal.

use std::path::{Path, PathBuf};

use crate::base::{Clock, Span, Timestamp};

const FILE: &str = "not-before";
/// If the forge does not say how long.
const USUAL: Span = Span::from_minutes(5);
/// What a forge says beyond this is a mistake, or a clock that is wrong.
const MOST: Span = Span::from_minutes(120);
const FORBIDDEN: u16 = 403;
const TOO_MANY: u16 = 429;
const UNAVAILABLE: u16 = 503;

/// The wish of a forge.
pub(super) struct Wait<'a> {
    file: PathBuf,
    clock: &'a dyn Clock,
}

impl<'a> Wait<'a> {
    pub(super) fn new(directory: &Path, clock: &'a dyn Clock) -> Self {
        Self { file: directory.join(FILE), clock }
    }

    /// Whether the forge may be asked.
    pub(super) fn is_over(&self) -> Result<(), String> {
        let Ok(text) = std::fs::read_to_string(&self.file) else { return Ok(()) };
        let until = text.trim().parse().map_or_else(|_| Timestamp::default(), Timestamp::from_millis);
        let now = self.clock.now();
        if until <= now || until.since(now) > MOST {
            return Ok(());
        }
        Err(format!("it was asked too often, and wants to be asked again at {until} and not before"))
    }

    /// Remembers until when the forge wants to be left alone, if it says so.
    pub(super) fn until<'h>(&self, status: u16, header: impl Fn(&str) -> Option<&'h str>) -> Option<Timestamp> {
        let now = self.clock.now();
        let span = asked_for(status, now, header)?.min(MOST);
        let until = now.plus(span);
        if let Err(error) = std::fs::write(&self.file, until.as_millis().to_string()) {
            tracing::debug!("`{}` cannot be written: {error}", self.file.display());
        }
        Some(until)
    }
}

fn asked_for<'a>(status: u16, now: Timestamp, header: impl Fn(&str) -> Option<&'a str>) -> Option<Span> {
    let number = |name: &str| header(name).and_then(|value| value.trim().parse::<u64>().ok());
    let is_spent = header("x-ratelimit-remaining")
        .or_else(|| header("ratelimit-remaining"))
        .is_some_and(|left| left.trim() == "0");
    let is_limit = status == TOO_MANY
        || matches!(status, FORBIDDEN | UNAVAILABLE) && (is_spent || number("retry-after").is_some());
    if !is_limit {
        return None;
    }
    if let Some(seconds) = number("retry-after") {
        return Some(Span::from_seconds(seconds.min(MOST.as_millis() / 1_000)));
    }
    let reset = number("x-ratelimit-reset").or_else(|| number("ratelimit-reset"));
    let reset = reset.and_then(|seconds| i64::try_from(seconds).ok()).map(Timestamp::from_seconds);
    Some(reset.map_or(USUAL, |reset| reset.since(now)).max(Span::from_seconds(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Noon;

    impl Clock for Noon {
        fn now(&self) -> Timestamp {
            Timestamp::from_seconds(1_795_334_400)
        }
    }

    fn asked(status: u16, headers: &[(&str, &'static str)]) -> Option<Span> {
        let now = Timestamp::from_seconds(1_000);
        asked_for(status, now, |name| headers.iter().find(|(known, _)| *known == name).map(|(_, value)| *value))
    }

    #[test]
    fn limits_are_told_in_several_ways() {
        assert_eq!(asked(429, &[("retry-after", "90")]), Some(Span::from_seconds(90)));
        assert_eq!(
            asked(403, &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1060")]),
            Some(Span::from_seconds(60))
        );
        assert_eq!(asked(429, &[("ratelimit-reset", "990")]), Some(Span::from_seconds(1)));
        assert_eq!(asked(429, &[]), Some(USUAL));
        assert_eq!(asked(503, &[("retry-after", "99999999999")]), Some(MOST));
        for (status, headers) in
            [(403, &[("x-ratelimit-remaining", "7")][..]), (401, &[("retry-after", "5")]), (503, &[])]
        {
            assert_eq!(asked(status, headers), None);
        }
    }

    #[test]
    fn a_wish_outlives_a_restart_and_ends() {
        let directory = tempfile::tempdir().unwrap();
        let wait = Wait::new(directory.path(), &Noon);
        assert_eq!(wait.is_over(), Ok(()));
        assert!(wait.until(429, |_| Some("60")).is_some());
        assert!(Wait::new(directory.path(), &Noon).is_over().unwrap_err().contains("not before"));
        std::fs::write(directory.path().join(FILE), "5").unwrap();
        assert_eq!(wait.is_over(), Ok(()));
        std::fs::write(directory.path().join(FILE), i64::MAX.to_string()).unwrap();
        assert_eq!(wait.is_over(), Ok(()), "a clock was wrong");
    }
}
