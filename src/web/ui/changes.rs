//! `/changes`: all changes, newest first; `/changes/N`: one change, and the builds that contain it.

use askama::Template;
use warp::http::StatusCode;

use super::page::{BuildRow, PageContext, PageError, PageFrame, PageResult, page};
use super::show::{Link, Moment, codebase_href, first_line, safe_href, short_revision};
use crate::model::{Change, ChangeId};
use crate::store::Scan;
use crate::web::api::builds_with;

/// Changes on one page.
const SHOWN: usize = 50;
/// Paths shown of one change; a merge of a year's work names tens of thousands.
const FILES: usize = 500;
/// Builds shown of one change.
const BUILDS: usize = 100;

/// A change in a list.
#[derive(Clone, Debug)]
pub struct ChangeRow {
    pub number: Link,
    pub title: Link,
    pub author: String,
    pub branch: String,
    pub revision: String,
    pub revision_link: Option<Link>,
    pub project: String,
    pub arrived: Moment,
}

#[derive(Template)]
#[template(path = "changes.html")]
#[expect(clippy::struct_field_names, reason = "the names are those of the template")]
struct Changes {
    frame: PageFrame,
    changes: Vec<ChangeRow>,
    newest: bool,
    hides_some: bool,
    older: Option<u64>,
}

#[derive(Template)]
#[template(path = "change.html")]
struct OneChange {
    frame: PageFrame,
    row: ChangeRow,
    comments: String,
    committer: Option<String>,
    repository: String,
    category: Option<String>,
    codebase: Link,
    committed: Moment,
    source: Option<String>,
    files: Vec<String>,
    more_files: usize,
    builds: Vec<BuildRow>,
}

/// What a list shows of a change.
pub fn change_row(context: &PageContext<'_>, change: &Change) -> ChangeRow {
    let data = &change.data;
    let revision = data.revision.as_deref().map(short_revision).unwrap_or_default().to_owned();
    let title = first_line(&data.comments, 100);
    let title = if title.is_empty() { "(no comment)".to_owned() } else { title };
    // A build shows changes whose own page its reader may not see.
    let (seen, href) = (context.store.sees_project(&data.project), format!("/changes/{}", change.id));
    ChangeRow {
        number: Link::if_seen(seen, &*href, change.id.to_string()),
        title: Link::if_seen(seen, href, title),
        author: author_name(&data.author),
        branch: data.branch.clone().unwrap_or_default(),
        revision_link: data.revlink.as_deref().and_then(safe_href).map(|href| Link::new(href, &*revision)),
        revision,
        project: data.project.clone(),
        arrived: context.moment(change.arrived),
    }
}

/// A codebase; a link if it is declared, and the reader may see it.
fn codebase_link(context: &PageContext<'_>, name: &str) -> Result<Link, PageError> {
    let seen = !name.is_empty() && context.store.codebases()?.iter().any(|codebase| codebase.name == name);
    Ok(Link::if_seen(seen, codebase_href(name), name))
}

/// The name without the mail address.
fn author_name(author: &str) -> String {
    let name = author.split(" <").next().unwrap_or(author).trim();
    if name.is_empty() { "(unknown)".to_owned() } else { name.to_owned() }
}

pub fn list(context: &PageContext<'_>) -> PageResult {
    let before = context.number("before")?;
    let mut changes = context.store.changes(Scan { after: before, descending: true, limit: SHOWN + 1 })?;
    let older = (changes.len() > SHOWN).then(|| changes[SHOWN - 1].id.0);
    changes.truncate(SHOWN);
    let view = Changes {
        frame: context.frame("Changes", "changes", if before.is_none() { "/events?kind=change_arrived" } else { "" }),
        changes: changes.iter().map(|change| change_row(context, change)).collect(),
        newest: before.is_none(),
        hides_some: context.store.hides_some(),
        older,
    };
    Ok(page(context.request, StatusCode::OK, &view))
}

pub fn one(context: &PageContext<'_>, number: &str) -> PageResult {
    let missing = || PageError::missing(format!("There is no change {number}."));
    let id = number.parse().map(ChangeId).map_err(|_| missing())?;
    let change = context.store.change(id)?.ok_or_else(missing)?;
    let names = context.names()?;
    let builds = builds_with(&context.store, &change)?;
    let data = &change.data;
    let row = change_row(context, &change);
    let view = OneChange {
        frame: context.frame(
            format!("Change {id}: {}", row.title.text),
            "changes",
            "/events?kind=build_started&kind=build_ended",
        ),
        comments: data.comments.trim_end().to_owned(),
        committer: data.committer.clone().filter(|committer| *committer != data.author),
        repository: data.repository.clone(),
        category: data.category.clone(),
        codebase: codebase_link(context, &data.codebase)?,
        committed: context.moment(data.when.unwrap_or(change.arrived)),
        source: change.source.and_then(|id| context.store.change_source(id).ok().flatten()).map(|source| source.name),
        more_files: data.files.len().saturating_sub(FILES),
        files: data.files.iter().take(FILES).cloned().collect(),
        builds: builds
            .iter()
            .rev()
            .take(BUILDS)
            .map(|build| context.row(build, &names.builder(build.builder), names.worker(build.worker)))
            .collect(),
        row: ChangeRow { author: data.author.clone(), ..row },
    };
    Ok(page(context.request, StatusCode::OK, &view))
}
