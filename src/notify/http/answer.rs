//! What a server's answer means: delivered, to be tried again and when, or refused for good.
//!
//! Only what the server says of this very request is final. A server that is away, busy, or wants another login can be put
//! right while the report waits in the outbox.

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, LOCATION, RETRY_AFTER};

use super::super::wording::one_line;
use super::super::{DeliveryError, Pause};
use crate::base::Timestamp;

/// Of an answer's text, in an error.
const SHOWN_CHARS_MAX: usize = 400;

/// Takes an answer for what it is. `place` names the request for people.
pub fn judge(
    place: &str,
    status: StatusCode,
    headers: &HeaderMap,
    text: &str,
    accepted: &[u16],
) -> Result<(), DeliveryError> {
    if status.is_success() || accepted.contains(&status.as_u16()) {
        return Ok(());
    }
    let asked = pause(headers);
    // GitHub answers 403 where others answer 429.
    let limited = status == StatusCode::TOO_MANY_REQUESTS || (status == StatusCode::FORBIDDEN && asked.is_some());
    let passing = limited
        || status.is_server_error()
        || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::UNAUTHORIZED);
    let text = one_line(text, SHOWN_CHARS_MAX);
    let text = if text.is_empty() { String::new() } else { format!(": {text}") };
    let message = format!("{place} answered {status}{}{text}", hint(status, limited, headers));
    let pause = if limited || status.is_server_error() { asked } else { None };
    Err(DeliveryError { message, final_: !passing, pause })
}

/// What would help, in brackets.
fn hint(status: StatusCode, limited: bool, headers: &HeaderMap) -> String {
    if status.is_redirection() {
        let to = headers.get(LOCATION).and_then(|to| to.to_str().ok()).map(|to| format!(" to `{}`", without_query(to)));
        return format!(" (it redirects{}, and redirects are not followed: set `url`)", to.unwrap_or_default());
    }
    match status {
        _ if limited => " (too many requests)",
        StatusCode::UNAUTHORIZED => " (check the login of the notifier)",
        StatusCode::FORBIDDEN => " (the login may not do this: check its scopes)",
        StatusCode::NOT_FOUND => " (check the address, and whether the login may see it)",
        _ => "",
    }
    .to_owned()
}

/// An address without what often holds secrets.
pub fn without_query(address: &str) -> &str {
    address.split(['?', '#']).next().unwrap_or_default()
}

/// How long the server wants to be left alone: `Retry-After` in seconds or as a date, or the end of a used-up quota.
fn pause(headers: &HeaderMap) -> Option<Pause> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    if let Some(after) = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()).map(str::trim) {
        return match after.parse::<u64>() {
            Ok(seconds) => Some(Pause::For(Duration::from_secs(seconds))),
            Err(_) => date(after).map(Pause::Until),
        };
    }
    let used_up = |prefix: &str| text(&format!("{prefix}-remaining")) == Some("0");
    let prefix = ["x-ratelimit", "ratelimit"].into_iter().find(|prefix| used_up(prefix))?;
    let reset: i64 = text(&format!("{prefix}-reset"))?.parse().ok()?;
    // GitHub and GitLab give the moment; the IETF's draft of the same header gives seconds from now.
    Some(match u64::try_from(reset).ok()? {
        seconds if seconds < 100_000_000 => Pause::For(Duration::from_secs(seconds)),
        _ => Pause::Until(Timestamp::from_seconds(reset)),
    })
}

/// `Wed, 21 Oct 2026 07:28:00 GMT`.
fn date(text: &str) -> Option<Timestamp> {
    let moment = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    Some(Timestamp::from_millis(moment.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderName, HeaderValue};

    use super::*;

    fn answer(status: u16, headers: &[(&'static str, &'static str)]) -> Result<(), DeliveryError> {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        let headers: HeaderMap = headers.iter().map(pair).collect();
        judge("`https://example.org/hook`", StatusCode::from_u16(status).unwrap(), &headers, "no\n such  thing", &[409])
    }

    #[test]
    fn only_what_is_said_of_the_request_itself_is_final() {
        for status in [200, 201, 202, 204, 409] {
            assert_eq!(answer(status, &[]), Ok(()), "{status}");
        }
        for (status, is_final) in [
            (301, true),
            (400, true),
            (401, false),
            (403, true),
            (404, true),
            (408, false),
            (410, true),
            (422, true),
            (425, false),
            (429, false),
            (500, false),
            (502, false),
            (503, false),
            (504, false),
        ] {
            assert_eq!(answer(status, &[]).unwrap_err().final_, is_final, "{status}");
        }
    }

    #[test]
    fn the_text_names_the_place_the_status_and_the_answer() {
        let error = answer(422, &[]).unwrap_err().message;
        assert_eq!(error, "`https://example.org/hook` answered 422 Unprocessable Entity: no such thing");
        let error = answer(301, &[("location", "https://example.com/new?token=x")]).unwrap_err().message;
        assert!(error.contains("to `https://example.com/new`") && !error.contains("token"), "{error}");
    }

    #[test]
    fn a_pause_is_taken_in_every_form() {
        let pause = |status, headers: &[(&'static str, &'static str)]| answer(status, headers).unwrap_err().pause;
        let seconds = |seconds| Some(Pause::For(Duration::from_secs(seconds)));
        let until = |seconds| Some(Pause::Until(Timestamp::from_seconds(seconds)));
        assert_eq!(pause(429, &[("retry-after", "120")]), seconds(120));
        assert_eq!(pause(503, &[("retry-after", "Wed, 21 Oct 2015 07:28:00 GMT")]), until(1_445_412_480));
        let github = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1445412480")];
        assert_eq!(pause(403, &github), until(1_445_412_480));
        assert!(!answer(403, &github).unwrap_err().final_, "GitHub's way to say 429");
        assert!(!answer(403, &[("retry-after", "60")]).unwrap_err().final_, "GitHub's secondary limit");
        assert_eq!(pause(429, &[("ratelimit-remaining", "0"), ("ratelimit-reset", "30")]), seconds(30));
        assert_eq!(pause(403, &[("x-ratelimit-remaining", "12"), ("x-ratelimit-reset", "1445412480")]), None);
        assert_eq!(pause(429, &[("retry-after", "soon")]), None);
        assert_eq!(pause(404, &[("retry-after", "5")]), None);
    }
}
