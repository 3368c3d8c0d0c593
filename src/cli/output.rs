//! Words and signs for the terminal.

use crate::base::Span;
use crate::model::Outcome;

/// A sign and a word: never colour alone.
pub(super) fn badge(outcome: Option<Outcome>) -> String {
    let sign = match outcome {
        None => "●",
        Some(Outcome::Success) => "✓",
        Some(Outcome::Warnings) => "!",
        Some(Outcome::Failure) => "✗",
        Some(Outcome::Skipped) => "-",
        Some(Outcome::Exception) => "‼",
        Some(Outcome::Retry) => "↻",
        Some(Outcome::Cancelled) => "⊘",
    };
    format!("{sign} {}", outcome.map_or("running", Outcome::word))
}

/// How long something took, from whole seconds of the API; rounded, so short ones show as `<1s`.
pub(super) fn took(seconds: i64) -> String {
    match u64::try_from(seconds) {
        Ok(0) | Err(_) => "<1s".to_owned(),
        Ok(seconds) => Span::from_seconds(seconds).to_string(),
    }
}

/// `1 change`, `2 changes`.
pub(super) fn count(number: u64, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") }
}

/// A text of a master, safe for a terminal: control characters other than tabs and colour codes are left out.
pub(super) fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() || matches!(c, '\t' | '\x1b' | '\n')).collect()
}
