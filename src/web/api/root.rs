//! The API about itself: the top collections, and the specification of every path.

use super::cell::Cell;
use super::kind::{Column, Field, Kind, Resource, Type, fields, is};
use super::read_request::{ReadRequest, ReadResult};

const LINK_COLUMNS: &[Column<RootLink>] = &[is("name", Type::Text, |link, _| Cell::from(link.0))];

pub static ROOT_LINK: Kind = Kind {
    name: "rootlink",
    plural: "rootlinks",
    fields: &fields::<_, { LINK_COLUMNS.len() }>(LINK_COLUMNS),
    paged: false,
};

const SPEC_COLUMNS: &[Column<SpecRow>] = &[
    is("path", Type::Text, |spec, _| Cell::from(spec.path)),
    is("type", Type::Text, |spec, _| Cell::from(spec.kind.name)),
    is("plural", Type::Text, |spec, _| Cell::from(spec.kind.plural)),
    is("type_spec", Type::Json, |spec, _| kind_spec(spec.kind)),
];

pub static SPEC: Kind =
    Kind { name: "spec", plural: "specs", fields: &fields::<_, { SPEC_COLUMNS.len() }>(SPEC_COLUMNS), paged: false };

/// The top collections.
const LINKS: [&str; 14] = [
    "builders",
    "buildrequests",
    "builds",
    "buildsets",
    "changes",
    "changesources",
    "codebases",
    "forceschedulers",
    "logchunks",
    "masters",
    "projects",
    "schedulers",
    "sourcestamps",
    "workers",
];

/// A top collection.
pub struct RootLink(&'static str);

impl Resource for RootLink {
    const KIND: &'static Kind = &ROOT_LINK;
    const COLUMNS: &'static [Column<Self>] = LINK_COLUMNS;
}

/// A path, and the type of what it answers.
pub struct SpecRow {
    pub path: &'static str,
    pub kind: &'static Kind,
}

impl Resource for SpecRow {
    const KIND: &'static Kind = &SPEC;
    const COLUMNS: &'static [Column<Self>] = SPEC_COLUMNS;
}

pub fn links(read: &mut ReadRequest<'_>) -> ReadResult {
    read.list(LINKS.into_iter().map(RootLink).collect())
}

fn kind_spec(kind: &'static Kind) -> Cell<'static> {
    if kind.fields.is_empty() {
        return Cell::Object(vec![("name".into(), kind.name.into())]);
    }
    let described = kind.fields.iter().map(|field| {
        let words = match type_name(field.kind) {
            word if field.nullable => format!("{word} or None"),
            word => word.to_owned(),
        };
        Cell::Object(vec![
            ("name".into(), field.name.into()),
            ("type".into(), words.into()),
            ("type_spec".into(), field_spec(field)),
        ])
    });
    Cell::Object(vec![("fields".into(), Cell::List(described.collect())), ("type".into(), kind.name.into())])
}

fn field_spec(field: &Field) -> Cell<'static> {
    let mut spec = type_spec(field.kind);
    if let (true, Cell::Object(items)) = (field.nullable, &mut spec) {
        items.insert(0, ("can_be_null".into(), true.into()));
    }
    spec
}

fn type_spec(kind: Type) -> Cell<'static> {
    let list = |of: Cell<'static>| Cell::Object(vec![("of".into(), of), ("type".into(), "list".into())]);
    match kind {
        Type::Inner(kind) => kind_spec(kind),
        Type::Inners(kind) => list(kind_spec(kind)),
        Type::Ints => list(type_spec(Type::Int)),
        Type::Texts => list(type_spec(Type::Text)),
        _ => Cell::Object(vec![("name".into(), type_name(kind).into())]),
    }
}

const fn type_name(kind: Type) -> &'static str {
    match kind {
        Type::Int => "integer",
        Type::Time => "datetime",
        Type::Bool => "boolean",
        Type::Ident => "identifier",
        Type::Text => "string",
        Type::Binary => "binary",
        Type::Json => "jsonobject",
        Type::Props => "sourcedproperties",
        Type::Inner(kind) => kind.name,
        Type::Ints | Type::Texts | Type::Inners(_) => "list",
    }
}
