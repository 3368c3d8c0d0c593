//! Names and lines for people.

use std::collections::{BTreeMap, BTreeSet};

use super::state::{Build, Culprit, DoneStep};
use crate::model::{ANONYMOUS, Actor, Outcome};

/// The reason that a force form proposes: it tells nobody anything.
const FORCE_REASON: &str = "force build";
/// A line of a list: what is longer is in the log.
const LINE_CHARS_MAX: usize = 300;

/// Names of steps and slugs of logs are identifiers of the HTTP API, which bounds them
/// (docs/reference/rest-api-v2.md#step).
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
#[expect(clippy::maybe_infinite_iter, reason = "only finitely many names are taken")]
pub(super) fn unique_name(name: &str, taken: &BTreeSet<String>) -> String {
    let base = ellipsized(name, NAME_MAX);
    (0..)
        .map(|number| if number == 0 { base.clone() } else { with_suffix(&base, number) })
        .find(|name| !taken.contains(name))
        .unwrap_or(base)
}

/// A log's name fit for a path, unique in its step: bad characters become `_`; `_2`, `_3`, … on clashes.
#[expect(clippy::maybe_infinite_iter, reason = "only finitely many names are taken")]
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
    format!("{}{suffix}", ellipsized(base, NAME_MAX - suffix.len()))
}

/// The first letters; where some are left out, the last one says so.
pub(super) fn ellipsized(text: &str, chars: usize) -> String {
    match text.char_indices().nth(chars) {
        Some(_) => format!("{}…", text.chars().take(chars.saturating_sub(1)).collect::<String>().trim_end()),
        None => text.to_owned(),
    }
}

/// The line of a step that ended: what it said of itself, else its name if all is well, else how it ended.
pub(super) fn step_state(name: &str, summary: Option<&str>, outcome: Outcome) -> String {
    let said = summary.and_then(|summary| summary.lines().map(str::trim).find(|line| !line.is_empty()));
    match (said, outcome) {
        (Some(said), _) => ellipsized(said, LINE_CHARS_MAX),
        (None, Outcome::Success) => name.to_owned(),
        (None, _) => verdict(outcome).to_owned(),
    }
}

/// What a line about a bad end begins with.
const fn verdict(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Success => "build successful",
        Outcome::Warnings => "warnings",
        Outcome::Failure => "failed",
        Outcome::Skipped => "skipped",
        Outcome::Exception => "exception",
        Outcome::Retry => "will run again",
        Outcome::Cancelled => "cancelled",
    }
}

/// The line of a build that runs on after a step that counts against it.
pub(super) fn build_so_far(done: &DoneStep, counts_as: Outcome) -> Option<String> {
    let culprits: Vec<&Culprit> = done.culprits.iter().collect();
    let first = *culprits.first()?;
    (!first.hidden).then(|| blame(verdict(counts_as), &culprits, None))
}

/// The line of a build that ended: how, who stopped it, in which step, and why: `failed in `test`: exit code 2 (+ 1
/// more)`.
pub(super) fn build_state(build: &Build, outcome: Outcome, culprits: &[&Culprit], why: Option<&str>) -> String {
    if outcome == Outcome::Success {
        return verdict(outcome).to_owned();
    }
    let stop = build.stop.as_ref();
    let by = stop
        .and_then(|stop| stop.by.as_ref())
        .map(Actor::name)
        .filter(|by| outcome == Outcome::Cancelled && is_somebody(by));
    let head = by.map_or_else(|| verdict(outcome).to_owned(), |by| format!("{} by {by}", verdict(outcome)));
    // A build that runs again is nobody's fault.
    let culprits = if outcome == Outcome::Retry { &[] } else { culprits };
    let why = why.or_else(|| stop.map(|stop| stop.why.as_str())).filter(|why| !why.is_empty());
    blame(&head, culprits, why)
}

/// Whether a name says who it was.
pub(super) fn is_somebody(name: &str) -> bool {
    !name.is_empty() && name != ANONYMOUS
}

/// Why there is a build that somebody started by hand.
pub(super) fn forced(by: &str, why: &str) -> String {
    let head = if is_somebody(by) { format!("forced by {by}") } else { "forced".to_owned() };
    if why.is_empty() || why == FORCE_REASON { head } else { format!("{head}: {why}") }
}

/// Why there is a build that somebody wanted again.
pub(super) fn rebuilt(by: &str) -> String {
    if is_somebody(by) { format!("rebuilt by {by}") } else { "rebuild".to_owned() }
}

/// So many builds are named in one text.
const NAMED_MAX: usize = 3;

/// Builds in words.
pub(super) fn names<'b>(builds: impl Iterator<Item = &'b Build>) -> String {
    let name = |build: &Build| format!("build {} of `{}`", build.number, build.builder);
    builds.take(NAMED_MAX).map(name).collect::<Vec<_>>().join(" and ")
}

fn blame(head: &str, culprits: &[&Culprit], why: Option<&str>) -> String {
    let mut line = ellipsized(head, LINE_CHARS_MAX);
    let first = culprits.first();
    if let Some(first) = first {
        line.push_str(&format!(" in `{}`", first.name));
    }
    let said = first.map(|first| first.state.as_str()).filter(|state| *state != verdict(first_outcome(culprits)));
    if let Some(text) = why.or(said) {
        line.push_str(&format!(": {}", ellipsized(text, LINE_CHARS_MAX)));
    }
    if let more @ 1.. = culprits.len().saturating_sub(1) {
        line.push_str(&format!(" (+ {more} more)"));
    }
    line
}

fn first_outcome(culprits: &[&Culprit]) -> Outcome {
    culprits.first().map_or(Outcome::Success, |first| first.outcome)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_unique_within_their_bound() {
        let taken = BTreeSet::from(["make".to_owned(), "make_1".to_owned(), "x".repeat(50)]);
        assert_eq!(unique_name("test", &taken), "test");
        assert_eq!(unique_name("make", &taken), "make_2");
        assert_eq!(unique_name(&"x".repeat(60), &taken), format!("{}…", "x".repeat(49)));
    }

    #[test]
    fn slugs_are_fit_for_paths() {
        let none = BTreeMap::<String, u8>::new();
        assert_eq!(slug("stdio", &none), "stdio");
        assert_eq!(slug("err.html", &none), "err_html");
        assert_eq!(slug("plain text (a)", &none), "plain_text__a_");
        assert_eq!(slug("1st", &none), "_st");
        assert_eq!(slug("stdio", &BTreeMap::from([("stdio".to_owned(), 0)])), "stdio_2");
    }

    #[test]
    fn a_step_tells_how_it_ended_unless_well() {
        assert_eq!(step_state("compile", None, Outcome::Success), "compile");
        assert_eq!(step_state("compile", None, Outcome::Failure), "failed");
        assert_eq!(step_state("compile", Some("3 files"), Outcome::Failure), "3 files");
        assert_eq!(step_state("compile", Some("\nfirst\nsecond"), Outcome::Exception), "first");
        assert_eq!(step_state("compile", Some(&"x".repeat(400)), Outcome::Failure).chars().count(), LINE_CHARS_MAX);
    }

    #[test]
    fn a_reason_says_who_and_why_as_far_as_it_is_known() {
        assert_eq!(forced("anonymous", "force build"), "forced");
        assert_eq!(forced("ann", ""), "forced by ann");
        assert_eq!(forced("ann", "release"), "forced by ann: release");
        assert_eq!(forced("", "release"), "forced: release");
    }

    fn culprit(name: &str, outcome: Outcome, state: &str) -> Culprit {
        let id = crate::model::StepId(1);
        Culprit { step: id, parent: id, name: name.into(), outcome, state: state.into(), hidden: false }
    }

    #[test]
    fn a_line_names_the_first_culprit_and_counts_the_others() {
        let test = culprit("test", Outcome::Failure, "exit code 2");
        let mute = culprit("mute", Outcome::Failure, "failed");
        assert_eq!(blame("failed", &[&test], None), "failed in `test`: exit code 2");
        assert_eq!(blame("failed", &[&test, &mute, &test], None), "failed in `test`: exit code 2 (+ 2 more)");
        assert_eq!(blame("failed", &[&mute], None), "failed in `mute`");
        assert_eq!(blame("cancelled by ann", &[&test], Some("too old")), "cancelled by ann in `test`: too old");
        assert_eq!(blame("exception", &[], Some("no disk")), "exception: no disk");
        assert_eq!(blame("failed", &[], None), "failed");
    }
}
