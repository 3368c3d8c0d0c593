//! What a report says, before it has a form: both parts of a mail are written from one [`Story`], so they
//! cannot differ. Everything in it is finished, bounded, single-line text.

use super::address::{address_of, name_of};
use super::excerpt::readable;
use super::facts::Head;
use super::wording::{count, first_line, list, occasion, one_line, revision, verdict};
use super::{BuildFacts, Excerpt, ReportFacts, RequestFacts, SetBuild, SetFacts};
use crate::base::Span;
use crate::model::{BuildRecord, Change, Outcome, RequestId, SourceStamp, StepRecord, Value};

/// Changes that are listed; a mail with hundreds of them is not read.
const CHANGES_MAX: usize = 20;
/// Names in a row; the rest is counted.
const NAMES_MAX: usize = 5;
/// Builds of a buildset that are listed.
const SET_BUILDS_MAX: usize = 50;
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

/// The address of a request's page.
fn request_page(url: &str, request: RequestId) -> String {
    format!("{url}requests/{request}")
}

/// Tells what the facts come to. `log_lines` is how many lines of each log are quoted.
pub(super) fn tell(log_lines: u64, facts: &ReportFacts) -> Story {
    match facts {
        ReportFacts::Build(facts) => tell_build(log_lines, facts),
        ReportFacts::Request(facts) => tell_request(facts),
        ReportFacts::Set(facts) => tell_set(facts),
    }
}

fn tell_build(log_lines: u64, facts: &BuildFacts) -> Story {
    let name = format!("{} #{}", one_line(&facts.builder.name, NAME_CHARS_MAX), facts.build.number);
    let culprits = culprits(facts);
    let story = begin(&facts.head(), headline(&name, facts, &culprits));
    Story {
        detail: detail(facts, &culprits),
        page: build_page(&facts.url, facts.builder.id, facts.build.number),
        rows: rows(facts, &culprits),
        excerpts: readable(&facts.excerpts, log_lines),
        ..story
    }
}

fn tell_request(facts: &RequestFacts) -> Story {
    let builder = one_line(&facts.builder.name, NAME_CHARS_MAX);
    let headline = match facts.request.collapsed_into {
        Some(into) => format!("a build of {builder} is not needed: request {into} builds the same"),
        None => match facts.head().outcome() {
            Some(outcome) => format!("the requested build of {builder} {}", verdict(outcome, None)),
            None => format!("a build of {builder} is requested"),
        },
    };
    let head = facts.head();
    let story = begin(&head, headline);
    Story { page: request_page(&facts.url, facts.request.id), rows: usual_rows(&head, where_of(&head)), ..story }
}

fn tell_set(facts: &SetFacts) -> Story {
    let head = facts.head();
    let names: Vec<String> = facts.builds.iter().map(|build| one_line(&build.builder.name, NAME_CHARS_MAX)).collect();
    let what = head.outcome().map_or("ended", |outcome| verdict(outcome, None));
    let names = if names.is_empty() { "a buildset without builds".to_owned() } else { list(&names, NAMES_MAX) };
    let story = begin(&head, format!("{names} {what}"));
    let mut rows = usual_rows(&head, where_of(&head));
    rows.extend(facts.builds.iter().take(SET_BUILDS_MAX).map(|build| ("Build", set_line(build))));
    Story { page: facts.url.clone(), rows, ..story }
}

/// `linux #12: failure`.
fn set_line(build: &SetBuild) -> String {
    let name = one_line(&build.builder.name, NAME_CHARS_MAX);
    let number = build.build.map(|(_, number)| format!(" #{number}")).unwrap_or_default();
    format!("{name}{number}: {}", build.outcome.map_or("unknown", Outcome::word))
}

/// What every story has.
fn begin(head: &Head<'_>, headline: String) -> Story {
    let authors = authors(head.changes);
    let whose = if let [author] = authors.as_slice() { format!(" ({author})") } else { String::new() };
    let changes: Vec<ChangeLine> = head.changes.iter().rev().take(CHANGES_MAX).map(change_line).collect();
    Story {
        subject: format!("[{}] {headline}{whose}", one_line(head.title, NAME_CHARS_MAX)),
        headline,
        detail: None,
        mood: head.outcome().map_or(Mood::Neutral, mood),
        page: String::new(),
        rows: Vec::new(),
        excerpts: Vec::new(),
        changes_left_out: head.changes.len() - changes.len(),
        changes,
        footer: footer(head),
        remarks: Vec::new(),
    }
}

fn headline(name: &str, facts: &BuildFacts, culprits: &[&StepRecord]) -> String {
    let Some(outcome) = facts.outcome() else { return format!("{name} started") };
    let verdict = verdict(outcome, facts.previous());
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
    let outcome = facts.outcome().filter(|outcome| *outcome != Outcome::Success)?;
    let state = culprits.first().map_or(&facts.build.state, |step| &step.state);
    let state = one_line(state, LINE_CHARS_MAX);
    let says_nothing =
        state.is_empty() || state == outcome.word() || state == "build successful" || state == "finished";
    (!says_nothing).then_some(state)
}

fn mood(outcome: Outcome) -> Mood {
    match outcome {
        Outcome::Success => Mood::Good,
        Outcome::Warnings => Mood::Mixed,
        Outcome::Failure | Outcome::Exception => Mood::Bad,
        Outcome::Skipped | Outcome::Retry | Outcome::Cancelled => Mood::Neutral,
    }
}

fn rows(facts: &BuildFacts, culprits: &[&StepRecord]) -> Vec<(&'static str, String)> {
    let head = facts.head();
    let mut rows = usual_rows(&head, whereabouts(facts));
    let why = rows.split_off(2);
    if let [_, others @ ..] = culprits
        && !others.is_empty()
    {
        let names: Vec<String> = others.iter().map(|step| one_line(&step.name, NAME_CHARS_MAX)).collect();
        rows.push(("Also", list(&names, NAMES_MAX)));
    }
    if let Some(previous) = facts.previous() {
        rows.push(("Before", previous.word().to_owned()));
    }
    rows.extend(why);
    rows
}

/// Where, whose, and why.
fn usual_rows(head: &Head<'_>, place: String) -> Vec<(&'static str, String)> {
    let mut rows = vec![("Where", place), ("Whose", whose(head))];
    let reason = head.buildset.map(|buildset| one_line(&buildset.reason, LINE_CHARS_MAX));
    if let Some(reason) = reason.filter(|reason| !reason.is_empty()) {
        rows.push(("Why", reason));
    }
    rows
}

/// What was asked for.
fn where_of(head: &Head<'_>) -> String {
    let stamps = head.buildset.map_or(&[][..], |buildset| &buildset.stamps);
    let parts: Vec<String> = stamps.iter().filter_map(|stamp| place(stamp, None)).collect();
    parts.join(", ")
}

fn whereabouts(facts: &BuildFacts) -> String {
    let stamps = facts.buildset.as_ref().map_or(&[][..], |buildset| &buildset.stamps);
    let mut parts: Vec<String> =
        stamps.iter().filter_map(|stamp| place(stamp, got_revision(facts, &stamp.spec.codebase))).collect();
    if !facts.worker.is_empty() {
        parts.push(format!("on {}", one_line(&facts.worker, NAME_CHARS_MAX)));
    }
    if let Some(took) = duration(facts) {
        parts.push(format!("after {took}"));
    }
    parts.join(", ")
}

/// `main at 4f3a2b1c9d`, with the codebase where it has a name. `got` is what was checked out in fact.
fn place(stamp: &SourceStamp, got: Option<&str>) -> Option<String> {
    let branch = stamp.spec.branch.as_deref().map(|branch| one_line(branch, NAME_CHARS_MAX));
    let at = got.or(stamp.spec.revision.as_deref()).map(revision);
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

fn whose(head: &Head<'_>) -> String {
    let authors = authors(head.changes);
    let forced = head.owner.map(|owner| format!("forced by {}", one_line(owner, LINE_CHARS_MAX)));
    match (authors.is_empty(), forced) {
        (true, None) => "no new changes".to_owned(),
        (true, Some(forced)) => format!("{forced}, no new changes"),
        (false, forced) => {
            let people = format!("{} ({})", list(&authors, NAMES_MAX), count(head.changes.len(), "change"));
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

fn footer(head: &Head<'_>) -> String {
    format!(
        "Sent by notifier `{}` of {} ({}), which reports {}.",
        one_line(&head.report.notifier, NAME_CHARS_MAX),
        one_line(head.title, NAME_CHARS_MAX),
        head.url,
        occasion(head.report.reason)
    )
}
