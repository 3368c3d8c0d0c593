//! `/codebases/NAME`: a declared codebase, and its newest changes.

use askama::Template;
use warp::http::StatusCode;

use super::changes::{ChangeRow, change_row};
use super::home::{project_href, project_title};
use super::page::{PageContext, PageError, PageFrame, PageResult, page};
use super::show::{Link, safe_href};
use crate::store::Scan;

/// Changes shown.
const CHANGES: usize = 25;
/// The newest changes, among which its own are looked for.
const CHANGES_LOOKED: usize = 500;

#[derive(Template)]
#[template(path = "codebase.html")]
struct Codebase {
    frame: PageFrame,
    title: String,
    name: String,
    active: bool,
    description: String,
    links: Vec<Link>,
    repository: String,
    branch: String,
    project: Option<Link>,
    changes: Vec<ChangeRow>,
    hides_some: bool,
}

/// The page.
pub fn one(context: &PageContext<'_>, name: &str) -> PageResult {
    let found = context.store.codebases()?.into_iter().find(|codebase| codebase.name == name);
    let missing = || PageError::missing(format!("There is no codebase called “{name}”."));
    let codebase = found.ok_or_else(missing)?;
    let project = codebase.about.project.as_deref().map(|project| context.store.project_named(project));
    let project = project.transpose()?.flatten();
    let about = codebase.about.about;
    let mut changes = context.store.changes(Scan { after: None, descending: true, limit: CHANGES_LOOKED })?;
    changes.retain(|change| change.data.codebase == codebase.name);
    let title = about.title.unwrap_or_else(|| codebase.name.clone());
    let links = about.links.iter().filter(|(_, url)| safe_href(url).is_some());
    let view = Codebase {
        frame: context.frame(&*title, "changes", "/events?kind=change_arrived"),
        title,
        name: codebase.name,
        active: codebase.active,
        description: about.description.unwrap_or_default(),
        links: links.map(|(word, url)| Link::new(url, word)).collect(),
        repository: codebase.about.repository,
        branch: codebase.about.branch.unwrap_or_default(),
        project: project.map(|project| Link::new(project_href(&project), project_title(&project))),
        changes: changes.iter().take(CHANGES).map(|change| change_row(context, change)).collect(),
        hides_some: context.store.hides_some(),
    };
    Ok(page(context.request, StatusCode::OK, &view))
}
