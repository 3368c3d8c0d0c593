//! What a report says, before it has a form: both parts of a mail are written from one [`Story`], so they
//! cannot differ. Everything in it is finished, bounded, single-line text.

use super::address::{address_of, name_of};
use super::excerpt::readable;
use super::wording::{count, first_line, list, occasion, one_line, revision, verdict};
use super::{BuildFacts, Excerpt};
use crate::base::Span;
use crate::model::{BuildRecord, Change, MailPlan, Outcome, SourceStamp, StepRecord, Value};

/// Changes that are listed; a mail with hundreds of them is not read.
const CHANGES_MAX: usize = 20;
/// Names in a row; the rest is counted.
const NAMES_MAX: usize = 5;
/// A title of a commit or a state of a step.
const LINE_CHARS_MAX: usize = 120;
/// Names of builders, steps, branches, workers.
const NAME_CHARS_MAX: usize = 80;

/// What a report says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Story {
    pub subject: String,
    /// What happened, and where in the build.
    pub headline: String,
    /// What the failing step says of itself.
    pub detail: Option<String>,
    pub mood: Mood,
    /// The build's page.
    pub page: String,
    /// Where, whose, and so on.
    pub rows: Vec<(&'static str, String)>,
    pub excerpts: Vec<Excerpt>,
    /// Newest first.
    pub changes: Vec<ChangeLine>,
    /// Older changes that are not listed.
    pub changes_left_out: usize,
    /// Why the reader gets this.
    pub footer: String,
    /// What went wrong while this was written.
    pub remarks: Vec<String>,
}

/// A change in one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ChangeLine {
    pub revision: String,
    pub link: Option<String>,
    pub author: String,
    pub title: String,
}

/// How the news feels; a colour in HTML.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    Good,
    Mixed,
    Bad,
    Neutral,
}

/// The address of a build's page.
#[must_use]
pub fn build_page(url: &str, builder: crate::model::BuilderId, number: u64) -> String {
    format!("{url}builders/{builder}/builds/{number}")
}

/// Tells what the facts come to.
pub(super) fn tell(plan: &MailPlan, facts: &BuildFacts) -> Story {
    let name = format!("{} #{}", one_line(&facts.builder.name, NAME_CHARS_MAX), facts.build.number);
    let culprits = culprits(facts);
    let headline = headline(&name, facts, &culprits);
    let authors = authors(&facts.changes);
    let whose = if let [author] = authors.as_slice() { format!(" ({author})") } else { String::new() };
    let changes: Vec<ChangeLine> = facts.changes.iter().rev().take(CHANGES_MAX).map(change_line).collect();
    Story {
        subject: format!("[{}] {headline}{whose}", one_line(&facts.title, NAME_CHARS_MAX)),
        detail: detail(facts, &culprits),
        mood: mood(facts.outcome()),
        page: build_page(&facts.url, facts.builder.id, facts.build.number),
        rows: rows(facts, &culprits, &authors),
        excerpts: readable(&facts.excerpts, plan.log_lines),
        changes_left_out: facts.changes.len() - changes.len(),
        changes,
        footer: footer(facts),
        remarks: Vec::new(),
        headline,
    }
}

fn headline(name: &str, facts: &BuildFacts, culprits: &[&StepRecord]) -> String {
    let verdict = verdict(facts.outcome(), facts.previous());
    match culprits.first() {
        Some(step) => format!("{name} {verdict} in {}", one_line(&step.name, NAME_CHARS_MAX)),
        None => format!("{name} {verdict}"),
    }
}

/// The steps that made the build what it is, innermost only, in their order.
pub(super) fn culprits(facts: &BuildFacts) -> Vec<&StepRecord> {
    guilty_steps(&facts.build, &facts.steps)
}

/// The steps that gave a build its bad outcome, as the engine found them; none for an outcome that is nobody's fault.
/// Their logs are what a report quotes.
#[must_use]
pub fn guilty_steps<'s>(build: &BuildRecord, steps: &'s [StepRecord]) -> Vec<&'s StepRecord> {
    match build.outcome {
        Some(Outcome::Failure | Outcome::Exception | Outcome::Warnings) => {
            steps.iter().filter(|step| build.culprits.contains(&step.id)).collect()
        }
        Some(Outcome::Success | Outcome::Skipped | Outcome::Retry | Outcome::Cancelled) | None => Vec::new(),
    }
}

/// What the first failing step says, or the build, if that tells more than the headline.
fn detail(facts: &BuildFacts, culprits: &[&StepRecord]) -> Option<String> {
    let state = culprits.first().map_or(&facts.build.state, |step| &step.state);
    let state = one_line(state, LINE_CHARS_MAX);
    let says_nothing =
        state.is_empty() || state == facts.outcome().word() || state == "build successful" || state == "finished";
    (!says_nothing && facts.outcome() != Outcome::Success).then_some(state)
}

fn mood(outcome: Outcome) -> Mood {
    match outcome {
        Outcome::Success => Mood::Good,
        Outcome::Warnings => Mood::Mixed,
        Outcome::Failure | Outcome::Exception => Mood::Bad,
        Outcome::Skipped | Outcome::Retry | Outcome::Cancelled => Mood::Neutral,
    }
}

fn rows(facts: &BuildFacts, culprits: &[&StepRecord], authors: &[String]) -> Vec<(&'static str, String)> {
    let mut rows = vec![("Where", whereabouts(facts)), ("Whose", whose(facts, authors))];
    if let [_, others @ ..] = culprits
        && !others.is_empty()
    {
        let names: Vec<String> = others.iter().map(|step| one_line(&step.name, NAME_CHARS_MAX)).collect();
        rows.push(("Also", list(&names, NAMES_MAX)));
    }
    if let Some(previous) = facts.previous() {
        rows.push(("Before", previous.word().to_owned()));
    }
    let reason = facts.buildset.as_ref().map(|buildset| one_line(&buildset.reason, LINE_CHARS_MAX));
    if let Some(reason) = reason.filter(|reason| !reason.is_empty()) {
        rows.push(("Why", reason));
    }
    rows
}

fn whereabouts(facts: &BuildFacts) -> String {
    let stamps = facts.buildset.as_ref().map_or(&[][..], |buildset| &buildset.stamps);
    let mut parts: Vec<String> = stamps.iter().filter_map(|stamp| place(stamp, facts)).collect();
    if !facts.worker.is_empty() {
        parts.push(format!("on {}", one_line(&facts.worker, NAME_CHARS_MAX)));
    }
    if let Some(took) = duration(facts) {
        parts.push(format!("after {took}"));
    }
    parts.join(", ")
}

/// `main at 4f3a2b1c9d`, with the codebase where it has a name.
fn place(stamp: &SourceStamp, facts: &BuildFacts) -> Option<String> {
    let branch = stamp.spec.branch.as_deref().map(|branch| one_line(branch, NAME_CHARS_MAX));
    let at = got_revision(facts, &stamp.spec.codebase).or(stamp.spec.revision.as_deref()).map(revision);
    let place = match (branch, at) {
        (Some(branch), Some(at)) => format!("{branch} at {at}"),
        (Some(branch), None) => branch,
        (None, Some(at)) => format!("revision {at}"),
        (None, None) => return None,
    };
    let codebase = &stamp.spec.codebase;
    Some(if codebase.is_empty() { place } else { format!("{} {place}", one_line(codebase, NAME_CHARS_MAX)) })
}

/// What was checked out in fact: a text, or a map by codebase.
fn got_revision<'a>(facts: &'a BuildFacts, codebase: &str) -> Option<&'a str> {
    match facts.build.properties.get("got_revision")? {
        Value::Str(revision) => Some(revision),
        Value::Map(by_codebase) => by_codebase.get(codebase)?.as_str(),
        _ => None,
    }
}

/// How long the build ran.
pub(super) fn duration(facts: &BuildFacts) -> Option<Span> {
    facts.build.completed.map(|completed| completed.since(facts.build.started))
}

fn whose(facts: &BuildFacts, authors: &[String]) -> String {
    let forced = facts.owner().map(|owner| format!("forced by {}", one_line(owner, LINE_CHARS_MAX)));
    match (authors.is_empty(), forced) {
        (true, None) => "no new changes".to_owned(),
        (true, Some(forced)) => format!("{forced}, no new changes"),
        (false, forced) => {
            let people = format!("{} ({})", list(authors, NAMES_MAX), count(facts.changes.len(), "change"));
            forced.map_or_else(|| people.clone(), |forced| format!("{people}, {forced}"))
        }
    }
}

/// Names of authors, the newest change's first, each once.
pub(super) fn authors(changes: &[Change]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for change in changes.iter().rev() {
        let name = name_of(&change.data.author);
        if !name.is_empty() && !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

fn change_line(change: &Change) -> ChangeLine {
    let data = &change.data;
    let name = name_of(&data.author);
    let address = address_of(&data.author).filter(|address| *address != name);
    let author =
        address.map_or_else(|| name.clone(), |address| format!("{name} <{}>", one_line(address, LINE_CHARS_MAX)));
    let is_web = |link: &&String| link.starts_with("https://") || link.starts_with("http://");
    ChangeLine {
        revision: data.revision.as_deref().map(revision).unwrap_or_default(),
        link: data.revlink.as_ref().filter(is_web).map(|link| one_line(link, usize::MAX)),
        author,
        title: first_line(&data.comments, LINE_CHARS_MAX),
    }
}

fn footer(facts: &BuildFacts) -> String {
    format!(
        "Sent by notifier `{}` of {} ({}), which reports {}.",
        one_line(&facts.report.notifier, NAME_CHARS_MAX),
        one_line(&facts.title, NAME_CHARS_MAX),
        facts.url,
        occasion(facts.report.reason)
    )
}
