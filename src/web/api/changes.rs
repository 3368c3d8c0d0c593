//! `changes`, newest first.

use super::cell::Cell;
use super::error::ApiError;
use super::kind::{Column, Kind, Resource, Type, fields, is, may};
use super::read_request::{ReadRequest, ReadResult};
use super::rows::{Index, Rows, scan};
use super::sourcestamps::SOURCE_STAMP;
use crate::model::{Change, ChangeId, SourceStampId};

const COLUMNS: &[Column<Change>] = &[
    is("changeid", Type::Int, |change, _| Cell::number(change.id.0)),
    is("parent_changeids", Type::Ints, |change, _| {
        Cell::List(change.parent.iter().map(|parent| Cell::number(parent.0)).collect())
    }),
    is("author", Type::Text, |change, _| Cell::from(change.data.author.as_str())),
    may("committer", Type::Text, |change, _| Cell::text(change.data.committer.as_deref())),
    is("files", Type::Texts, |change, _| {
        Cell::List(change.data.files.iter().map(|file| Cell::from(file.as_str())).collect())
    }),
    is("comments", Type::Text, |change, _| Cell::from(change.data.comments.as_str())),
    may("revision", Type::Text, |change, _| Cell::text(change.data.revision.as_deref())),
    is("when_timestamp", Type::Int, |change, _| change.data.when.unwrap_or(change.arrived).into()),
    may("branch", Type::Text, |change, _| Cell::text(change.data.branch.as_deref())),
    may("category", Type::Text, |change, _| Cell::text(change.data.category.as_deref())),
    may("revlink", Type::Text, |change, _| Cell::text(change.data.revlink.as_deref())),
    is("properties", Type::Props, |change, _| Cell::properties(&change.data.properties)),
    is("repository", Type::Text, |change, _| Cell::from(change.data.repository.as_str())),
    is("project", Type::Text, |change, _| Cell::from(change.data.project.as_str())),
    is("codebase", Type::Text, |change, _| Cell::from(change.data.codebase.as_str())),
    is("sourcestamp", Type::Inner(&SOURCE_STAMP), |change, _| change.stamp.embedded()),
];

pub static CHANGE: Kind =
    Kind { name: "change", plural: "changes", fields: &fields::<_, { COLUMNS.len() }>(COLUMNS), paged: true };

impl Resource for Change {
    const KIND: &'static Kind = &CHANGE;
    const COLUMNS: &'static [Column<Self>] = COLUMNS;
}

pub fn list(read: &mut ReadRequest<'_>) -> ReadResult {
    let query = read.query::<Change>()?;
    let store = read.store;
    let rows = match query.bounds().numbers("changeid") {
        Some(ids) => {
            let ids = ids.into_iter().rev().map(ChangeId);
            Rows::list(found(ids.map(|id| store.change(id)))?, &query)
        }
        None => {
            let index = Index { key: "changeid", alike: &[], descending: true };
            scan(&query, &index, |change: &Change| change.id.0, move |part| store.changes(part))
        }
    };
    read.many(&query, rows)
}

pub fn one(read: &mut ReadRequest<'_>) -> ReadResult {
    let change = read.change()?;
    read.one(change)
}

/// The changes that are new in a build, newest first.
pub fn of_build(read: &mut ReadRequest<'_>) -> ReadResult {
    let build = read.parent_build()?;
    let changes = match &build {
        Some(build) => found(build.changes.iter().rev().map(|id| read.store.change_of(build, *id)))?,
        None => Vec::new(),
    };
    read.list(changes)
}

/// The newest change with a source stamp.
pub fn of_stamp(read: &mut ReadRequest<'_>) -> ReadResult {
    let change = read.store.change_of_stamp(SourceStampId(read.number("ssid")?))?;
    read.list(change.into_iter().collect())
}

impl ReadRequest<'_> {
    /// The change that the path names.
    pub fn change(&self) -> Result<Option<Change>, ApiError> {
        Ok(self.store.change(ChangeId(self.number("changeid")?))?)
    }
}

fn found(
    changes: impl Iterator<Item = Result<Option<Change>, crate::store::StoreError>>,
) -> Result<Vec<Change>, ApiError> {
    let changes: Vec<Option<Change>> = changes.collect::<Result<_, _>>()?;
    Ok(changes.into_iter().flatten().collect())
}
