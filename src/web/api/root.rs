//! The API about itself: the top collections, and the specification of every path.

use super::ask::{Answered, Ask};
use super::cell::Cell;
use super::kind::{Field, Kind, Resource, Type, View, is};
use super::table::{ROUTES, Route};

pub static ROOT_LINK: Kind =
    Kind { name: "rootlink", plural: "rootlinks", fields: &[is("name", Type::Text)], paged: false };

pub static SPEC: Kind = Kind {
    name: "spec",
    plural: "specs",
    fields: &[is("path", Type::Text), is("type", Type::Text), is("plural", Type::Text), is("type_spec", Type::Json)],
    paged: false,
};

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

    fn cell<'a>(&'a self, field: &str, _: &'a View) -> Cell<'a> {
        if field == "name" { Cell::from(self.0) } else { Cell::Null }
    }
}

/// A path.
pub struct SpecRow(&'static Route);

impl Resource for SpecRow {
    const KIND: &'static Kind = &SPEC;

    fn cell<'a>(&'a self, field: &str, _: &'a View) -> Cell<'a> {
        match field {
            "path" => Cell::from(self.0.pattern),
            "type" => Cell::from(self.0.kind.name),
            "plural" => Cell::from(self.0.kind.plural),
            "type_spec" => kind_spec(self.0.kind),
            _ => Cell::Null,
        }
    }
}

pub fn links(ask: &mut Ask<'_>) -> Answered {
    ask.list(LINKS.into_iter().map(RootLink).collect())
}

pub fn specs(ask: &mut Ask<'_>) -> Answered {
    ask.list(ROUTES.iter().map(SpecRow).collect())
}

fn kind_spec(kind: &'static Kind) -> Cell<'static> {
    if kind.fields.is_empty() {
        return Cell::Object(vec![("name".into(), kind.name.into())]);
    }
    let fields = kind.fields.iter().map(|field| {
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
    Cell::Object(vec![("fields".into(), Cell::List(fields.collect())), ("type".into(), kind.name.into())])
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
