//! Resources that do not exist in this version: branches and commits. Their collections are
//! empty, and nothing is found by id, so dashboards that look for them keep working.

use super::kind::{Column, Field, Kind, Resource, Type, nullable, plain};
use super::read_request::{ReadRequest, ReadResult};

macro_rules! absent {
    ($(#[$doc:meta])* $row:ident, $kind:ident, $name:literal, $plural:literal, $paged:literal, $fields:expr) => {
        $(#[$doc])*
        pub static $kind: Kind = Kind { name: $name, plural: $plural, fields: $fields, paged: $paged };

        #[derive(Debug)]
        pub enum $row {}

        impl Resource for $row {
            const KIND: &'static Kind = &$kind;
            // There is no row whose fields could be asked for.
            const COLUMNS: &'static [Column<Self>] = &[];
        }
    };
}

const COMMIT_FIELDS: &[Field] = &[
    plain("commitid", Type::Int),
    plain("codebaseid", Type::Int),
    plain("author", Type::Text),
    nullable("committer", Type::Text),
    plain("comments", Type::Text),
    plain("when_timestamp", Type::Int),
    plain("revision", Type::Text),
    nullable("parent_commitid", Type::Int),
];

absent!(
    Branch,
    BRANCH,
    "branch",
    "branches",
    true,
    &[
        plain("branchid", Type::Int),
        plain("codebaseid", Type::Int),
        plain("name", Type::Text),
        nullable("commitid", Type::Int),
        plain("last_timestamp", Type::Int),
    ]
);
absent!(Commit, COMMIT, "commit", "commits", true, COMMIT_FIELDS);
absent!(
    CommitGraph,
    COMMIT_GRAPH,
    "commit_graph",
    "commit_graphs",
    false,
    &[plain("common", Type::Int), plain("to1", Type::Ints), plain("to2", Type::Ints),]
);
/// An empty collection.
pub fn none<R: Resource>(read: &mut ReadRequest<'_>) -> ReadResult {
    read.list(Vec::<R>::new())
}

/// Nothing by that id.
pub fn nothing<R: Resource>(read: &mut ReadRequest<'_>) -> ReadResult {
    read.one(None::<R>)
}
