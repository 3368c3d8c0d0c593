//! Small pure text tools: one line of anything, lists of names, what revisions and outcomes are called.

use crate::model::{Outcome, ReportReason};

/// A revision that looks like a hash is shown by this many characters: enough to be unique, short enough to read.
const REVISION_CHARS: usize = 10;

/// `text` as one line of at most `chars_max` characters: line ends, tabs and control characters become single spaces.
pub(super) fn one_line(text: &str, chars_max: usize) -> String {
    let visible: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let line = visible.split_whitespace().collect::<Vec<_>>().join(" ");
    cut(&line, chars_max)
}

/// The first line of a text that has anything on it.
pub(super) fn first_line(text: &str, chars_max: usize) -> String {
    one_line(text.lines().find(|line| !line.trim().is_empty()).unwrap_or(""), chars_max)
}

/// At most `chars_max` characters, the last one an ellipsis if something was cut.
pub(super) fn cut(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        None => text.to_owned(),
        Some(_) => text.chars().take(chars_max.saturating_sub(1)).chain(['…']).collect(),
    }
}

/// `a`, `a and b`, `a, b and c`, `a, b and 3 others`.
pub(super) fn list(names: &[String], shown_max: usize) -> String {
    let Some((last, rest)) = names.split_last() else { return String::new() };
    if rest.is_empty() {
        return last.clone();
    }
    if names.len() <= shown_max {
        return format!("{} and {last}", rest.join(", "));
    }
    let shown = shown_max.saturating_sub(1).max(1);
    format!("{} and {}", names[..shown].join(", "), count(names.len() - shown, "other"))
}

/// `1 change`, `2 changes`.
pub(super) fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// A revision for people: hashes are shortened, everything else stays.
pub(super) fn revision(revision: &str) -> String {
    let is_hash = revision.len() >= 40 && revision.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hash { revision[..REVISION_CHARS].to_owned() } else { one_line(revision, 40) }
}

/// What a build did, to follow its name: `failed`, `is back to green`.
pub(super) fn verdict(outcome: Outcome, previous: Option<Outcome>) -> &'static str {
    let red = |outcome: Option<Outcome>| matches!(outcome, Some(Outcome::Failure | Outcome::Exception));
    match outcome {
        Outcome::Success if red(previous) => "is back to green",
        Outcome::Success if previous == Some(Outcome::Warnings) => "has no more warnings",
        Outcome::Success => "succeeded",
        Outcome::Warnings if red(previous) => "works again, with warnings",
        Outcome::Warnings => "has warnings",
        Outcome::Failure if previous == Some(Outcome::Failure) => "still fails",
        Outcome::Failure => "failed",
        Outcome::Exception => "broke off with an exception",
        Outcome::Cancelled => "was cancelled",
        Outcome::Retry => "will run again",
        Outcome::Skipped => "was skipped",
    }
}

/// What kind of builds a report of this reason is about, to follow "reports".
pub(super) fn occasion(reason: ReportReason) -> &'static str {
    match reason {
        ReportReason::Failure => "builds that fail",
        ReportReason::Warnings => "builds with warnings",
        ReportReason::Exception => "builds that end with an exception",
        ReportReason::Cancelled => "builds that are cancelled",
        ReportReason::Success => "builds that succeed",
        ReportReason::Problem => "builds that fail after one that did not",
        ReportReason::Recovery => "builds that succeed after one that did not",
        ReportReason::Change => "builds that end otherwise than the one before",
        ReportReason::Always => "every build",
        ReportReason::Pending => "builds that are requested",
        ReportReason::Start => "builds that start",
        ReportReason::Set => "buildsets that ended",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_holds_no_line_ends() {
        assert_eq!(one_line("a\r\nBcc: b\tc\u{7}", 99), "a Bcc: b c");
        assert_eq!(one_line("abcdef", 4), "abc…");
        assert_eq!(first_line("\n\n  Fix it \nbody", 99), "Fix it");
    }

    #[test]
    fn lists_read_as_people_write_them() {
        let names = |n: usize| (1..=n).map(|i| format!("p{i}")).collect::<Vec<_>>();
        assert_eq!(list(&names(0), 3), "");
        assert_eq!(list(&names(1), 3), "p1");
        assert_eq!(list(&names(2), 3), "p1 and p2");
        assert_eq!(list(&names(3), 3), "p1, p2 and p3");
        assert_eq!(list(&names(5), 3), "p1, p2 and 3 others");
    }

    #[test]
    fn the_verdict_knows_what_was_before() {
        assert_eq!(verdict(Outcome::Failure, Some(Outcome::Success)), "failed");
        assert_eq!(verdict(Outcome::Failure, Some(Outcome::Failure)), "still fails");
        assert_eq!(verdict(Outcome::Success, Some(Outcome::Exception)), "is back to green");
        assert_eq!(verdict(Outcome::Success, None), "succeeded");
    }
}
