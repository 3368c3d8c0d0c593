//! One read request on its way through an endpoint: path elements, query, and the answer as it is written.
//!
//! Runs on a thread that may block, because the store does.

use std::sync::Arc;

use super::cell::{Layout, Writer};
use super::error::ApiError;
use super::kind::{Field, Kind, Resource};
use super::names::Names;
use super::output::Output;
use super::query::{Query, Shape, cell_order};
use super::rows::Rows;
use super::view::View;
use crate::model::Plan;
use crate::web::history::VisibleHistory;
use crate::web::respond::{JSON, TEXT};

/// Rows that are sorted in memory for one answer: about 100 MB of builds.
const SORTED_MAX: usize = 100_000;

/// A read request.
pub struct ReadRequest<'a> {
    pub store: &'a VisibleHistory<'a>,
    pub plan: Arc<Plan>,
    /// The path below `/api/v2/`, decoded; for error messages.
    pub path: &'a str,
    /// The variable elements of the path, by name, decoded.
    pub params: &'a [(String, String)],
    /// The parameters of the query.
    pub pairs: &'a [(String, String)],
    pub layout: Layout,
    pub output: &'a mut Output,
}

/// What an endpoint has written: the last piece of the answer.
#[derive(Debug)]
pub struct ReadResponse {
    pub text: String,
    pub kind: &'static str,
}

/// What an endpoint returns.
pub type ReadResult = Result<ReadResponse, ApiError>;

impl ReadRequest<'_> {
    /// An element of the path.
    pub fn text(&self, name: &str) -> &str {
        self.names().text(name)
    }

    /// Whether the path has such an element.
    pub fn has(&self, name: &str) -> bool {
        self.names().has(name)
    }

    /// An element that must be a number.
    pub fn number(&self, name: &str) -> Result<u64, ApiError> {
        self.names().number(name)
    }

    /// What the path names.
    pub const fn names(&self) -> Names<'_> {
        Names { store: self.store, path: self.path, params: self.params }
    }

    /// The error for a path whose resource does not exist.
    pub fn missing(&self) -> ApiError {
        ApiError::missing(self.path)
    }

    /// The query, for a collection of `R`.
    pub fn query<R: Resource>(&self) -> Result<Query, ApiError> {
        Query::parse(R::KIND, Shape::Many, self.pairs)
    }

    /// Answers with one resource.
    pub fn one<R: Resource>(&mut self, row: Option<R>) -> ReadResult {
        let query = Query::parse(R::KIND, Shape::One, self.pairs)?;
        let row = row.ok_or_else(|| self.missing())?;
        Ok(self.envelope(R::KIND, |writer| write_row(writer, &row, &query), None))
    }

    /// Answers with one resource that a closure writes, for resources that are not records.
    pub fn one_written(&self, kind: &Kind, write: impl FnOnce(&mut Writer)) -> ReadResponse {
        self.envelope(kind, write, None)
    }

    /// Answers with a list that is in memory.
    pub fn list<R: Resource>(&mut self, rows: Vec<R>) -> ReadResult {
        let query = self.query::<R>()?;
        let rows = Rows::list(rows, &query);
        self.many(&query, rows)
    }

    /// Answers with the rows that the query selects.
    pub fn many<R: Resource>(&mut self, query: &Query, rows: Rows<'_, R>) -> ReadResult {
        let mut page = Page::default();
        let mut writer = Writer::new(self.layout);
        // "meta" comes before or after the items, in alphabetical order.
        let meta_last = meta_follows(R::KIND);
        writer.open('{');
        if meta_last {
            writer.key(true, R::KIND.plural);
        }
        writer.open('[');
        if rows.sorted {
            page = self.write_in_order(&mut writer, query, rows)?;
        } else {
            let (sorted, seen) = sort(query, rows, self.output)?;
            for row in sorted.iter().skip(query.offset).take(query.limit.unwrap_or(usize::MAX)) {
                self.write_item(&mut writer, &mut page, row, query)?;
            }
            page.seen = seen;
        }
        writer.close(']', page.written == 0);
        Ok(ReadResponse { text: with_meta(writer, R::KIND, &page, meta_last), kind: self.kind() })
    }

    fn write_in_order<R: Resource>(
        &mut self,
        writer: &mut Writer,
        query: &Query,
        rows: Rows<'_, R>,
    ) -> Result<Page, ApiError> {
        let mut page = Page::default();
        let counts_all = !R::KIND.paged;
        let limit = query.limit.unwrap_or(usize::MAX);
        for row in rows.rows {
            if page.written >= limit && !counts_all {
                break;
            }
            let row = row?;
            page.looked += 1;
            if page.looked % LOOK_EVERY == 0 && !self.output.is_wanted() {
                return Err(ApiError::busy("the client has disconnected"));
            }
            if !query.takes(&row) {
                continue;
            }
            page.seen += 1;
            if page.seen > query.offset && page.written < limit {
                self.write_item(writer, &mut page, &row, query)?;
            }
        }
        if !counts_all {
            page.seen = page.written;
        }
        Ok(page)
    }

    fn write_item<R: Resource>(
        &mut self,
        writer: &mut Writer,
        page: &mut Page,
        row: &R,
        query: &Query,
    ) -> Result<(), ApiError> {
        writer.item(page.written == 0);
        write_row(writer, row, query);
        page.written += 1;
        // If the head of the envelope is written last, everything waits for it.
        if meta_follows(R::KIND) { self.output.offer(&mut writer.out) } else { Ok(()) }
    }

    fn envelope(&self, kind: &Kind, write: impl FnOnce(&mut Writer), total: Option<usize>) -> ReadResponse {
        let mut writer = Writer::new(self.layout);
        writer.open('{');
        let meta_first = !meta_follows(kind);
        if meta_first {
            write_meta(&mut writer, true, total);
        }
        writer.key(!meta_first, kind.plural);
        writer.open('[');
        writer.item(true);
        write(&mut writer);
        writer.close(']', false);
        if !meta_first {
            write_meta(&mut writer, false, total);
        }
        writer.close('}', false);
        ReadResponse { text: writer.out, kind: self.kind() }
    }

    /// The content type that goes with the layout.
    pub const fn kind(&self) -> &'static str {
        match self.layout {
            Layout::Compact => JSON,
            Layout::Pretty => TEXT,
        }
    }
}

/// Keys are in alphabetical order, including these two.
fn meta_follows(kind: &Kind) -> bool {
    kind.plural < "meta"
}

/// How often to check whether the client is still there.
const LOOK_EVERY: usize = 1_000;

/// What has been written so far.
#[derive(Clone, Copy, Debug, Default)]
struct Page {
    written: usize,
    /// Rows that passed the filters, written or not.
    seen: usize,
    /// All rows.
    looked: usize,
}

/// The envelope around the items that were written.
fn with_meta(mut writer: Writer, kind: &Kind, page: &Page, meta_last: bool) -> String {
    if meta_last {
        write_meta(&mut writer, false, Some(page.seen));
    } else {
        let items = std::mem::replace(&mut writer.out, "{".to_owned());
        write_meta(&mut writer, true, Some(page.seen));
        writer.key(false, kind.plural);
        writer.out.push_str(items.strip_prefix('{').unwrap_or(&items));
    }
    writer.close('}', false);
    writer.out
}

fn write_meta(writer: &mut Writer, first: bool, total: Option<usize>) {
    writer.key(first, "meta");
    writer.open('{');
    if let Some(total) = total {
        writer.key(true, "total");
        writer.out.push_str(&total.to_string());
    }
    writer.close('}', total.is_none());
}

fn write_row<R: Resource>(writer: &mut Writer, row: &R, query: &Query) {
    write_fields(writer, row, &query.fields, &query.view);
}

fn write_fields<R: Resource>(writer: &mut Writer, row: &R, fields: &[&'static Field], view: &View) {
    writer.open('{');
    for (at, field) in fields.iter().enumerate() {
        writer.key(at == 0, field.name);
        writer.cell(&row.cell(field.name, view));
    }
    writer.close('}', fields.is_empty());
}

/// All rows that pass the filters, in the requested order, and their number. With a limit, only as many rows as can be
/// shown are kept.
fn sort<R: Resource>(query: &Query, rows: Rows<'_, R>, output: &Output) -> Result<(Vec<R>, usize), ApiError> {
    let keep = query.limit.map_or(SORTED_MAX, |limit| limit.saturating_add(query.offset));
    if keep > SORTED_MAX {
        return Err(too_many());
    }
    let mut kept: Vec<R> = Vec::new();
    let (mut seen, mut looked) = (0, 0);
    for row in rows.rows {
        let row = row?;
        looked += 1;
        if looked % LOOK_EVERY == 0 && !output.is_wanted() {
            return Err(ApiError::busy("the client has disconnected"));
        }
        if !query.takes(&row) {
            continue;
        }
        seen += 1;
        kept.push(row);
        if query.limit.is_some() && kept.len() >= keep.saturating_mul(2).max(LOOK_EVERY) {
            sort_rows(&mut kept, query);
            kept.truncate(keep);
        } else if query.limit.is_none() && kept.len() > SORTED_MAX {
            return Err(too_many());
        }
    }
    sort_rows(&mut kept, query);
    Ok((kept, seen))
}

fn too_many() -> ApiError {
    ApiError::bad(format!(
        "more than {SORTED_MAX} items would have to be sorted; give a limit or a filter, or order by the id"
    ))
}

fn sort_rows<R: Resource>(rows: &mut [R], query: &Query) {
    rows.sort_by(|left, right| {
        query
            .order
            .iter()
            .map(|key| {
                let order = cell_order(&left.cell(key.field, &View::Plain), &right.cell(key.field, &View::Plain));
                if key.descending { order.reverse() } else { order }
            })
            .find(|order| order.is_ne())
            .unwrap_or(std::cmp::Ordering::Equal)
    });
}
