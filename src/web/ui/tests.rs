//! Test results and numbers: on the page of their build, and the history of one test or number.

use askama::Template;
use warp::http::StatusCode;

use super::page::{PageContext, PageError, PageFrame, PageResult, page};
use super::show::{Link, build_href, builder_href};
use crate::model::{BuildId, BuildRecord, BuilderRecord, TestId, TestOutcome, TestResult, TestSetRecord, TestTrend};
use crate::web::request::encode;

/// Bad results of a set that a build's page shows; the API has all.
const BAD_SHOWN: usize = 50;

/// Builds of a history.
const RUNS_SHOWN: usize = 1_000;

/// A set of results on the page of its build.
pub struct SetRow {
    pub name: String,
    pub counts: String,
    pub bad: bool,
    pub results: Vec<ResultRow>,
    pub more: usize,
    pub all: String,
}

/// A test that failed.
pub struct ResultRow {
    pub history: Link,
    pub path: String,
    pub word: &'static str,
    pub message: String,
}

/// A number on the page of its build.
pub struct ValueRow {
    pub history: Link,
    pub value: String,
}

/// Sets and numbers of a build, for its page.
pub fn of_build(
    context: &PageContext<'_>,
    builder: &BuilderRecord,
    build: &BuildRecord,
) -> Result<(Vec<SetRow>, Vec<ValueRow>), PageError> {
    let (mut sets, mut values) = (Vec::new(), Vec::new());
    for set in context.store.test_sets(build.id)? {
        match &set.value {
            Some(value) => values.push(ValueRow {
                history: Link::new(history_href(builder, &set.name, None), &*set.name),
                value: format!("{value} {}", set.unit).trim().to_owned(),
            }),
            None => sets.push(set_row(context, builder, &set)?),
        }
    }
    Ok((sets, values))
}

fn set_row(context: &PageContext<'_>, builder: &BuilderRecord, set: &TestSetRecord) -> Result<SetRow, PageError> {
    let mut results = Vec::new();
    if set.counts.bad() > 0 {
        let bad = context.store.test_results(set.id)?.into_iter().filter(|result| result.outcome.is_bad());
        results.extend(bad.take(BAD_SHOWN).map(|result| result_row(builder, &set.name, result)));
    }
    Ok(SetRow {
        name: set.name.clone(),
        counts: set.counts.text(),
        bad: set.counts.bad() > 0,
        more: usize::try_from(set.counts.bad()).unwrap_or(usize::MAX).saturating_sub(results.len()),
        all: format!("/api/v2/test_result_sets/{}/results", set.id),
        results,
    })
}

fn result_row(builder: &BuilderRecord, set: &str, result: TestResult) -> ResultRow {
    let href = history_href(builder, set, Some((&result.path, &result.name)));
    ResultRow {
        history: Link::new(href, &*result.name),
        path: result.path,
        word: result.outcome.word(),
        message: result.message,
    }
}

/// The address of a history: of a test, or of a number.
fn history_href(builder: &BuilderRecord, set: &str, test: Option<(&str, &str)>) -> String {
    let test = test.map(|(path, name)| format!("&path={}&name={}", encode(path), encode(name))).unwrap_or_default();
    format!("{}/tests?set={}{test}", builder_href(builder), encode(set))
}

#[derive(Template)]
#[template(path = "tests.html")]
struct History {
    frame: PageFrame,
    builder: Link,
    name: String,
    path: String,
    set: String,
    is_value: bool,
    facts: Vec<(&'static str, String)>,
    since: Option<Link>,
    runs: Vec<RunRow>,
}

struct RunRow {
    build: Link,
    text: String,
    bad: bool,
}

/// `/builders/NAME/tests?set=…&path=…&name=…`; without `name` of a number.
pub fn history(context: &PageContext<'_>, named: &str) -> PageResult {
    let builder = context.builder(named)?;
    let query = |name: &str| context.request.query_value(name).unwrap_or_default();
    let (set, path, name) = (query("set"), query("path"), query("name"));
    let is_value = name.is_empty();
    let title = if is_value { &set } else { &name };
    let frame = context.frame(format!("{title} on {}", builder.name), "builders", String::new());
    let mut view = History {
        frame,
        builder: Link::new(builder_href(&builder), &*builder.name),
        name: title.clone(),
        path,
        set,
        is_value,
        facts: Vec::new(),
        since: None,
        runs: Vec::new(),
    };
    if is_value {
        values(context, &builder, &mut view)?;
    } else {
        runs(context, &builder, &name, &mut view)?;
    }
    if view.runs.is_empty() {
        return Err(PageError::missing(format!("No build of “{}” recorded “{}”.", builder.name, view.name)));
    }
    Ok(page(context.request, StatusCode::OK, &view))
}

fn runs(context: &PageContext<'_>, builder: &BuilderRecord, name: &str, view: &mut History) -> Result<(), PageError> {
    let test = TestId::of(&view.set, &view.path, name);
    let runs = context.store.test_history(builder.id, test, RUNS_SHOWN)?;
    let trend = TestTrend::of(&runs);
    view.facts = vec![
        ("Runs", trend.runs.to_string()),
        ("Failures", trend.failures.to_string()),
        ("Changes between runs", format!("{} %", trend.flaky_percent)),
    ];
    view.since = trend.failing_since.map(|build| build_link(context, builder, build)).transpose()?.flatten();
    for run in runs.iter().rev() {
        let Some(build) = build_link(context, builder, run.build)? else { continue };
        let bad = run.outcome.is_bad();
        view.runs.push(RunRow { build, text: word(run.outcome), bad });
    }
    Ok(())
}

fn word(outcome: TestOutcome) -> String {
    outcome.word().to_owned()
}

fn values(context: &PageContext<'_>, builder: &BuilderRecord, view: &mut History) -> Result<(), PageError> {
    for run in context.store.value_history(builder.id, &view.set, RUNS_SHOWN)?.into_iter().rev() {
        let Some(build) = build_link(context, builder, run.build)? else { continue };
        view.runs.push(RunRow { build, text: format!("{} {}", run.value, run.unit).trim().to_owned(), bad: false });
    }
    Ok(())
}

/// A build that is still there.
fn build_link(context: &PageContext<'_>, builder: &BuilderRecord, build: BuildId) -> Result<Option<Link>, PageError> {
    let build = context.store.build(build)?;
    Ok(build.map(|build| Link::new(build_href(builder, build.number), format!("#{}", build.number))))
}
