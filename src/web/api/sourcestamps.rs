//! `sourcestamps`.

use super::cell::Cell;
use super::kind::{Column, Kind, Resource, Type, fields, is, may, plain};
use super::read_request::{ReadRequest, ReadResult};
use super::rows::{Index, scan};
use crate::model::{SourceStamp, SourceStampId};

static PATCH: Kind = Kind {
    name: "patch",
    plural: "patches",
    fields: &[
        plain("patchid", Type::Int),
        plain("body", Type::Binary),
        plain("level", Type::Int),
        plain("subdir", Type::Text),
        plain("author", Type::Text),
        plain("comment", Type::Text),
    ],
    paged: false,
};

const COLUMNS: &[Column<SourceStamp>] = &[
    is("ssid", Type::Int, |stamp, _| Cell::number(stamp.id.0)),
    may("revision", Type::Text, |stamp, _| Cell::text(stamp.spec.revision.as_deref())),
    may("branch", Type::Text, |stamp, _| Cell::text(stamp.spec.branch.as_deref())),
    is("repository", Type::Text, |stamp, _| Cell::from(stamp.spec.repository.as_str())),
    is("project", Type::Text, |stamp, _| Cell::from(stamp.spec.project.as_str())),
    is("codebase", Type::Text, |stamp, _| Cell::from(stamp.spec.codebase.as_str())),
    // Patches come with `try`.
    may("patch", Type::Inner(&PATCH), |_, _| Cell::Null),
    is("created_at", Type::Time, |stamp, _| stamp.created.into()),
];

pub static SOURCE_STAMP: Kind = Kind {
    name: "sourcestamp",
    plural: "sourcestamps",
    fields: &fields::<_, { COLUMNS.len() }>(COLUMNS),
    paged: false,
};

impl Resource for SourceStamp {
    const KIND: &'static Kind = &SOURCE_STAMP;
    const COLUMNS: &'static [Column<Self>] = COLUMNS;
}

pub fn list(read: &mut ReadRequest<'_>) -> ReadResult {
    let query = read.query::<SourceStamp>()?;
    let store = read.store;
    let index = Index { key: "ssid", alike: &["created_at"], descending: false };
    let rows = scan(&query, &index, |stamp: &SourceStamp| stamp.id.0, move |part| store.stamps(part));
    read.many(&query, rows)
}

pub fn one(read: &mut ReadRequest<'_>) -> ReadResult {
    let stamp = read.store.stamp(SourceStampId(read.number("ssid")?))?;
    read.one(stamp)
}

pub fn of_buildset(read: &mut ReadRequest<'_>) -> ReadResult {
    let stamps = read.buildset()?.map(|set| set.stamps).unwrap_or_default();
    read.list(stamps)
}
