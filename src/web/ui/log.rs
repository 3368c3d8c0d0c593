//! A log: a range of its lines, with numbers, times and colours. A page reads one range, however long the log is. While
//! the log grows, the page asks for new lines (`?after=N`).

use askama::Template;
use warp::http::StatusCode;
use warp::http::header::HeaderName;

use super::build::{find, logs};
use super::lines::{LogRow, rows};
use super::page::{PageContext, PageError, PageFrame, PageResult, page};
use super::show::{Link, build_href, builder_href, grouped};
use crate::base::Timestamp;
use crate::model::{BuildRecord, BuilderRecord, LogKind, LogRecord, StepRecord};

/// Lines on one page: some 200 KB of HTML.
const SHOWN: u64 = 1_000;

#[derive(Template)]
#[template(path = "log.html")]
struct Log {
    frame: PageFrame,
    builder: Link,
    build: Link,
    step: String,
    name: String,
    logs: Vec<(Link, bool)>,
    raw: String,
    inline: String,
    kind: LogKind,
    complete: bool,
    total: String,
    total_lines: u64,
    lines: Vec<LogRow>,
    first: u64,
    last: u64,
    pager: Pager,
    /// Whether the page shows the end of a log that grows.
    follows: bool,
}

/// Where else to look; line numbers from 1.
#[derive(Default)]
struct Pager {
    begin: Option<u64>,
    previous: Option<u64>,
    next: Option<u64>,
    end: Option<u64>,
}

#[derive(Template)]
#[template(path = "log_lines.html")]
struct Lines {
    lines: Vec<LogRow>,
}

/// What the path names.
struct Place {
    builder: BuilderRecord,
    build: BuildRecord,
    step: StepRecord,
    logs: Vec<LogRecord>,
    log: LogRecord,
}

pub fn log(context: &PageContext<'_>, path: [&str; 4]) -> PageResult {
    let place = locate(context, path)?;
    match context.number("after")? {
        Some(after) => since(context, &place.log, after),
        None => show(context, &place),
    }
}

fn locate(context: &PageContext<'_>, [builder, number, step, slug]: [&str; 4]) -> Result<Place, PageError> {
    let builder = context.builder(builder)?;
    let build = find(context, &builder, number)?;
    let missing =
        |what: String| PageError::missing(format!("Build {} of “{}” has no {what}.", build.number, builder.name));
    let mut steps = context.store.steps(build.id)?.into_iter();
    let step = steps.find(|known| known.number.to_string() == step).ok_or_else(|| missing(format!("step {step}")))?;
    let logs = logs(context, &step)?;
    let log = logs.iter().find(|log| log.slug == slug).cloned();
    let log = log.ok_or_else(|| missing(format!("log “{slug}” in its step {}", step.number)))?;
    Ok(Place { builder, build, step, logs, log })
}

fn show(context: &PageContext<'_>, place: &Place) -> PageResult {
    let (log, builder, build) = (&place.log, &place.builder, &place.build);
    let readable = matches!(log.kind, LogKind::Stdio | LogKind::Text);
    let total = if readable { log.lines } else { 0 };
    let (first, follows) = begin(context.number("line")?, total, log.complete);
    let base = format!("{}/steps/{}/logs", build_href(builder, build.number), place.step.number);
    let raw = format!("/api/v2/logs/{}", log.id);
    let mut frame = context.frame(format!("{} of {} #{}", log.name, builder.name, build.number), "builders", "");
    frame.moves = !log.complete && follows;
    let lines = read(context, log, first, SHOWN)?;
    let view = Log {
        frame,
        builder: Link::new(builder_href(builder), &*builder.name),
        build: Link::new(build_href(builder, build.number), format!("#{}", build.number)),
        step: place.step.name.clone(),
        name: log.name.clone(),
        logs: place
            .logs
            .iter()
            .map(|other| {
                let href = format!("{base}/{}", crate::web::request::encode(&other.slug));
                (Link::new(href, &*other.name), other.id == log.id)
            })
            .collect(),
        inline: format!("{raw}/raw_inline"),
        raw: format!("{raw}/raw"),
        kind: log.kind,
        complete: log.complete,
        total: grouped(log.lines),
        total_lines: total,
        first: first + 1,
        last: first + lines.len() as u64,
        pager: pager(first, total),
        lines,
        follows,
    };
    Ok(page(context.request, StatusCode::OK, &view))
}

/// The first line to show (from 0), and whether that is the end of a growing log.
fn begin(line: Option<u64>, total: u64, complete: bool) -> (u64, bool) {
    match line {
        None if complete => (0, false),
        None => (total.saturating_sub(SHOWN), true),
        Some(line) => {
            let first = line.saturating_sub(1).min(total.saturating_sub(1));
            (first, !complete && first + SHOWN >= total)
        }
    }
}

fn pager(first: u64, total: u64) -> Pager {
    let last = total.saturating_sub(SHOWN);
    Pager {
        begin: (first > 0).then_some(1),
        previous: (first > 0).then(|| first.saturating_sub(SHOWN) + 1),
        next: (first + SHOWN < total).then_some(first + SHOWN + 1),
        end: (first + SHOWN < total).then_some(last + 1),
    }
}

fn read(context: &PageContext<'_>, log: &LogRecord, first: u64, count: u64) -> Result<Vec<LogRow>, PageError> {
    if !matches!(log.kind, LogKind::Stdio | LogKind::Text) || log.lines == 0 {
        return Ok(Vec::new());
    }
    let lines = context.store.logs().read(log.build, log.id, first, count)?;
    Ok(rows(&lines, first, begin_of(context, log)?))
}

/// When the log began.
fn begin_of(context: &PageContext<'_>, log: &LogRecord) -> Result<Option<Timestamp>, PageError> {
    Ok(context.store.logs().read(log.build, log.id, 0, 1)?.first().map(|line| line.at))
}

/// The rows after line `after`, for a page that follows a log. Two headers say which lines it has then.
fn since(context: &PageContext<'_>, log: &LogRecord, after: u64) -> PageResult {
    let lines = if after < log.lines { read(context, log, after, SHOWN)? } else { Vec::new() };
    let next = lines.last().map_or(after, |line| line.number);
    let ended = log.complete && next >= log.lines;
    let mut response = page(context.request, StatusCode::OK, &Lines { lines });
    let set = crate::web::respond::set_text;
    set(&mut response, HeaderName::from_static("x-log-next"), &next.to_string());
    set(&mut response, HeaderName::from_static("x-log-ended"), if ended { "yes" } else { "no" });
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finished_log_begins_at_its_beginning_and_a_growing_one_at_its_end() {
        assert_eq!(begin(None, 5_000, true), (0, false));
        assert_eq!(begin(None, 5_000, false), (4_000, true));
        assert_eq!(begin(None, 10, false), (0, true));
        assert_eq!(begin(Some(2_001), 5_000, false), (2_000, false));
        assert_eq!(begin(Some(9_999_999), 5_000, true), (4_999, false));
        assert_eq!(begin(Some(0), 0, true), (0, false));
    }

    #[test]
    fn the_pager_leads_to_both_ends() {
        let pager = pager(2_000, 10_000_000);
        assert_eq!((pager.begin, pager.previous), (Some(1), Some(1_001)));
        assert_eq!((pager.next, pager.end), (Some(3_001), Some(9_999_001)));
        let short = super::pager(0, 10);
        assert_eq!((short.begin, short.next, short.end), (None, None, None));
    }
}
