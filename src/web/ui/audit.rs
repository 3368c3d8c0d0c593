//! `/audit`: which orders were carried out, who gave them, and when.

use askama::Template;
use warp::http::StatusCode;

use super::page::{PageContext, PageError, PageFrame, PageResult, page};
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
pub fn list(context: &PageContext<'_>) -> PageResult {
    if let Err(denial) = context.store.may_audit() {
        let status = if denial.anonymous { StatusCode::UNAUTHORIZED } else { StatusCode::FORBIDDEN };
        return Err(PageError { status, text: denial.to_string() });
    }
    let last = context.number("before")?;
    let (lines, more) = before(&context.store, last)?;
    let older = lines.last().map(|line| line.seq).filter(|_| more);
    let rows = lines.into_iter().map(|line| Row { at: context.moment(line.at), line }).collect();
    let view = Audit { frame: context.frame("Audit log", "audit", "/events"), rows, newest: last.is_none(), older };
    Ok(page(context.request, StatusCode::OK, &view))
}
