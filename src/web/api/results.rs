//! `test_result_sets`, their `results`, and `build_data`. A number that a step recorded is a set with one result.

use bytes::Bytes;
use warp::http::header;
use warp::reply::Response;

use super::cell::Cell;
use super::error::ApiError;
use super::kind::{Column, Kind, Resource, Type, fields, is, may};
use super::query::{Query, Shape};
use super::read_request::{ReadRequest, ReadResult};
use super::rows::{Index, scan};
use crate::model::{BuildDatumRecord, BuilderId, TestResult, TestSetRecord};
use crate::store::Scan;
use crate::web::respond::{self, TEXT, set_text};

const SET_COLUMNS: &[Column<TestSetRecord>] = &[
    is("test_result_setid", Type::Int, |set, _| Cell::number(set.id)),
    is("builderid", Type::Int, |set, _| Cell::number(set.builder.0)),
    is("buildid", Type::Int, |set, _| Cell::number(set.build.0)),
    is("stepid", Type::Int, |set, _| Cell::number(set.step.0)),
    may("description", Type::Text, |set, _| Cell::from(set.name.as_str())),
    is("category", Type::Text, |set, _| Cell::from(set.category.as_str())),
    is("value_unit", Type::Text, |set, _| Cell::from(set.unit.as_str())),
    may("tests_passed", Type::Int, |set, _| count(set, set.counts.good())),
    may("tests_failed", Type::Int, |set, _| count(set, set.counts.bad())),
    is("complete", Type::Bool, |_, _| true.into()),
    // Ours alone.
    may("tests_skipped", Type::Int, |set, _| count(set, set.counts.skipped)),
    may("value", Type::Text, |set, _| Cell::text(set.value.as_deref())),
];

pub static TEST_RESULT_SET: Kind = Kind {
    name: "test_result_set",
    plural: "test_result_sets",
    fields: &fields::<_, { SET_COLUMNS.len() }>(SET_COLUMNS),
    paged: true,
};

/// A result of a set.
#[derive(Debug)]
pub struct ResultRow {
    id: u64,
    builder: BuilderId,
    set: u64,
    value: String,
    /// None: the number that was measured.
    result: Option<TestResult>,
}

const RESULT_COLUMNS: &[Column<ResultRow>] = &[
    is("test_resultid", Type::Int, |row, _| Cell::number(row.id)),
    is("builderid", Type::Int, |row, _| Cell::number(row.builder.0)),
    is("test_result_setid", Type::Int, |row, _| Cell::number(row.set)),
    may("test_name", Type::Text, |row, _| Cell::text(row.result.as_ref().map(|result| result.name.as_str()))),
    may("test_code_path", Type::Text, |row, _| {
        Cell::text(row.result.as_ref().map(|result| result.path.as_str()).filter(|path| !path.is_empty()))
    }),
    may("line", Type::Int, |row, _| {
        row.result.as_ref().and_then(|result| result.line).map_or(Cell::Null, Cell::number)
    }),
    may("duration_ns", Type::Int, |row, _| {
        row.result.as_ref().and_then(|result| result.duration_ns).map_or(Cell::Null, Cell::number)
    }),
    is("value", Type::Text, |row, _| Cell::from(row.value.as_str())),
    // Ours alone.
    may("outcome", Type::Text, |row, _| Cell::text(row.result.as_ref().map(|result| result.outcome.word()))),
    may("message", Type::Text, |row, _| {
        Cell::text(row.result.as_ref().map(|result| result.message.as_str()).filter(|text| !text.is_empty()))
    }),
];

pub static TEST_RESULT: Kind = Kind {
    name: "test_result",
    plural: "test_results",
    fields: &fields::<_, { RESULT_COLUMNS.len() }>(RESULT_COLUMNS),
    paged: true,
};

const DATA_COLUMNS: &[Column<BuildDatumRecord>] = &[
    is("buildid", Type::Int, |datum, _| Cell::number(datum.build.0)),
    is("name", Type::Ident, |datum, _| Cell::from(datum.name.as_str())),
    is("length", Type::Int, |datum, _| Cell::number(datum.text.len() as u64)),
    is("source", Type::Text, |datum, _| Cell::from(datum.source.as_str())),
    // Its path ends with `value`.
    may("value", Type::Binary, |_, _| Cell::Null),
];

pub static BUILD_DATA: Kind = Kind {
    name: "build_data",
    plural: "build_data",
    fields: &fields::<_, { DATA_COLUMNS.len() }>(DATA_COLUMNS),
    paged: false,
};

/// A number has no tests.
fn count(set: &TestSetRecord, count: u64) -> Cell<'_> {
    if set.value.is_some() { Cell::Null } else { Cell::number(count) }
}

impl Resource for TestSetRecord {
    const KIND: &'static Kind = &TEST_RESULT_SET;
    const COLUMNS: &'static [Column<Self>] = SET_COLUMNS;
}

impl Resource for ResultRow {
    const KIND: &'static Kind = &TEST_RESULT;
    const COLUMNS: &'static [Column<Self>] = RESULT_COLUMNS;
}

impl Resource for BuildDatumRecord {
    const KIND: &'static Kind = &BUILD_DATA;
    const COLUMNS: &'static [Column<Self>] = DATA_COLUMNS;
}

/// Builds of a builder whose sets are listed: what a dashboard shows.
const BUILDS_MAX: usize = 200;

pub fn list(read: &mut ReadRequest<'_>) -> ReadResult {
    let query = read.query::<TestSetRecord>()?;
    let store = read.store;
    let index = Index { key: "test_result_setid", alike: &["buildid"], descending: false };
    let rows = scan(&query, &index, |set: &TestSetRecord| set.id, move |part| store.all_test_sets(part));
    read.many(&query, rows)
}

pub fn of_build(read: &mut ReadRequest<'_>) -> ReadResult {
    let sets = match read.parent_build()? {
        Some(build) => read.store.test_sets(build.id)?,
        None => Vec::new(),
    };
    read.list(sets)
}

pub fn of_step(read: &mut ReadRequest<'_>) -> ReadResult {
    let sets = match read.step()? {
        Some(step) => {
            let all = read.store.test_sets(step.build)?;
            all.into_iter().filter(|set| set.step == step.id).collect()
        }
        None => Vec::new(),
    };
    read.list(sets)
}

/// Those of the builder's newest builds.
pub fn of_builder(read: &mut ReadRequest<'_>) -> ReadResult {
    let mut sets = Vec::new();
    if let Some(builder) = read.names().builder()? {
        let newest = Scan { after: None, descending: true, limit: BUILDS_MAX };
        for build in read.store.builds_of_builder(builder.id, newest)? {
            sets.extend(read.store.test_sets(build.id)?);
        }
    }
    sets.sort_by_key(|set: &TestSetRecord| set.id);
    read.list(sets)
}

pub fn one(read: &mut ReadRequest<'_>) -> ReadResult {
    let set = read.store.test_set(read.number("test_result_setid")?)?;
    read.one(set)
}

/// Room for the results of one set in the ids of all, which stay exact in JavaScript.
const RESULTS_OF_SET: u64 = 1 << 15;

pub fn results(read: &mut ReadRequest<'_>) -> ReadResult {
    let set = read.store.test_set(read.number("test_result_setid")?)?;
    let Some(set) = set else { return read.list(Vec::<ResultRow>::new()) };
    let first = set.id * RESULTS_OF_SET;
    let row = |id, value, result| ResultRow { id, builder: set.builder, set: set.id, value, result };
    let rows = match &set.value {
        Some(value) => vec![row(first, value.clone(), None)],
        None => {
            let results = read.store.test_results(set.id)?;
            let passed = |result: &TestResult| if result.outcome.is_bad() { "0" } else { "1" };
            let rows = (first..).zip(results);
            rows.map(|(id, result)| row(id, passed(&result).to_owned(), Some(result))).collect()
        }
    };
    read.list(rows)
}

pub fn data(read: &mut ReadRequest<'_>) -> ReadResult {
    let data = match read.parent_build()? {
        Some(build) => read.store.build_data(build.id)?,
        None => Vec::new(),
    };
    read.list(data)
}

pub fn datum(read: &mut ReadRequest<'_>) -> ReadResult {
    let datum = read.datum()?;
    read.one(datum)
}

/// The text of a datum, to be saved: it comes from a build, so no browser may take it for a page.
pub fn value(read: &ReadRequest<'_>) -> Result<Response, ApiError> {
    Query::parse(&BUILD_DATA, Shape::One, read.pairs)?;
    let datum = read.datum()?.ok_or_else(|| read.missing())?;
    let mut response = respond::body(warp::http::StatusCode::OK, TEXT, Bytes::from(datum.text));
    set_text(&mut response, header::CONTENT_DISPOSITION, &super::logs::disposition(&datum.name));
    set_text(&mut response, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    Ok(response)
}

impl ReadRequest<'_> {
    fn datum(&self) -> Result<Option<BuildDatumRecord>, ApiError> {
        match self.parent_build()? {
            Some(build) => Ok(self.store.build_datum(build.id, self.text("name"))?),
            None => Ok(None),
        }
    }
}
