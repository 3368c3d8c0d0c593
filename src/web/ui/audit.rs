//! `/audit`: which orders were carried out, who gave them, and when.

use askama::Template;
use warp::http::StatusCode;

use super::page::{PageError, PageFrame, PageResult, Visit, page};
use super::show::Moment;
use crate::web::audit::{AuditLine, before};

#[derive(Template)]
#[template(path = "audit.html")]
struct Audit {
    frame: PageFrame,
    rows: Vec<Row>,
    newest: bool,
    older: Option<u64>,
}

struct Row {
    line: AuditLine,
    at: Moment,
}

/// The page.
pub fn list(visit: &Visit<'_>) -> PageResult {
    if let Err(denial) = visit.store.may_audit() {
        let status = if denial.anonymous { StatusCode::UNAUTHORIZED } else { StatusCode::FORBIDDEN };
        return Err(PageError { status, text: denial.to_string() });
    }
    let last = visit.number("before")?;
    let (lines, more) = before(&visit.store, last)?;
    let older = lines.last().map(|line| line.seq).filter(|_| more);
    let rows = lines.into_iter().map(|line| Row { at: visit.moment(line.at), line }).collect();
    let view = Audit { frame: visit.frame("Audit log", "audit", "/events"), rows, newest: last.is_none(), older };
    Ok(page(visit.request, StatusCode::OK, &view))
}
