//! Names and lines for people.

use std::collections::{BTreeMap, BTreeSet};

use super::state::Build;
use crate::model::Outcome;

/// Names and slugs are identifiers of the HTTP API, which bounds them (REST specification, 6.6 and 6.10).
const NAME_MAX: usize = 50;

/// Letters of the reason of a buildset: it is one line of many pages.
const REASON_MAX: usize = 1_000;

/// A reason, cut with a mark if it is too long to be read.
pub(super) fn short_reason(reason: String) -> String {
    match reason.char_indices().nth(REASON_MAX) {
        Some((end, _)) => format!("{}…", &reason[..end]),
        None => reason,
    }
}

/// A step's name that no other step of the build has: `name`, `name_1`, `name_2`, ….
pub(super) fn unique_name(name: &str, taken: &BTreeSet<String>) -> String {
    let base = shortened(name, NAME_MAX);
    (0..)
        .map(|number| if number == 0 { base.clone() } else { with_suffix(&base, number) })
        .find(|name| !taken.contains(name))
        .unwrap_or(base)
}

/// A log's name fit for a path, unique in its step: bad characters become `_`; `_2`, `_3`, … on clashes.
pub(super) fn slug<V>(name: &str, taken: &BTreeMap<String, V>) -> String {
    let fit = |(at, c): (usize, char)| match c {
        'a'..='z' | 'A'..='Z' | '_' => c,
        '0'..='9' | '-' if at > 0 => c,
        _ => '_',
    };
    let base: String = name.chars().take(NAME_MAX).enumerate().map(fit).collect();
    let base = if base.is_empty() { "log".to_owned() } else { base };
    (1..)
        .map(|number| if number == 1 { base.clone() } else { with_suffix(&base, number) })
        .find(|slug| !taken.contains_key(slug))
        .unwrap_or(base)
}

fn with_suffix(base: &str, number: u64) -> String {
    let suffix = format!("_{number}");
    format!("{}{suffix}", shortened(base, NAME_MAX - suffix.len()))
}

fn shortened(text: &str, chars: usize) -> String {
    text.chars().take(chars).collect()
}

/// The line of a step that ended: its summary or name, and how it ended unless it went well.
pub(super) fn step_state(name: &str, summary: Option<&str>, outcome: Outcome) -> String {
    let what = summary.and_then(|summary| summary.lines().next()).filter(|line| !line.is_empty()).unwrap_or(name);
    match outcome {
        Outcome::Success => what.to_owned(),
        Outcome::Warnings
        | Outcome::Failure
        | Outcome::Skipped
        | Outcome::Exception
        | Outcome::Retry
        | Outcome::Cancelled => format!("{what} ({outcome})"),
    }
}

/// The line of a build that ended: a phrase, who stopped it and why, and the lines of its bad steps.
pub(super) fn build_state(build: &Build, outcome: Outcome, why: Option<&str>) -> String {
    let mut line = match outcome {
        Outcome::Success => "build successful".to_owned(),
        Outcome::Failure => "failed".to_owned(),
        Outcome::Warnings | Outcome::Skipped | Outcome::Exception | Outcome::Retry | Outcome::Cancelled => {
            outcome.word().to_owned()
        }
    };
    let why = why
        .or_else(|| build.stop.as_ref().map(|stop| if stop.why.is_empty() { "no reason" } else { stop.why.as_str() }));
    if let Some(why) = why {
        line.push_str(&format!(" ({why})"));
    }
    for step in build.done.iter().filter(|step| !step.retried) {
        if !matches!(step.outcome, Outcome::Success | Outcome::Skipped) {
            line.push(' ');
            line.push_str(&step.state);
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_unique_within_their_bound() {
        let taken = BTreeSet::from(["make".to_owned(), "make_1".to_owned(), "x".repeat(50)]);
        assert_eq!(unique_name("test", &taken), "test");
        assert_eq!(unique_name("make", &taken), "make_2");
        assert_eq!(unique_name(&"x".repeat(60), &taken), format!("{}_1", "x".repeat(48)));
    }

    #[test]
    fn slugs_are_fit_for_paths() {
        let none = BTreeMap::<String, ()>::new();
        assert_eq!(slug("stdio", &none), "stdio");
        assert_eq!(slug("err.html", &none), "err_html");
        assert_eq!(slug("plain text (a)", &none), "plain_text__a_");
        assert_eq!(slug("1st", &none), "_st");
        assert_eq!(slug("stdio", &BTreeMap::from([("stdio".to_owned(), ())])), "stdio_2");
    }

    #[test]
    fn a_step_tells_how_it_ended_unless_well() {
        assert_eq!(step_state("compile", None, Outcome::Success), "compile");
        assert_eq!(step_state("compile", Some("3 files"), Outcome::Failure), "3 files (failure)");
        assert_eq!(step_state("compile", Some("first\nsecond"), Outcome::Exception), "first (exception)");
    }
}
