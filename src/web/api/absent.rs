//! Resources that do not exist in this version: branches, commits, test results, build data. Their collections are
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
absent!(
    BuildData,
    BUILD_DATA,
    "build_data",
    "build_data",
    false,
    &[
        plain("buildid", Type::Int),
        plain("name", Type::Ident),
        plain("length", Type::Int),
        plain("source", Type::Text),
        nullable("value", Type::Binary),
    ]
);
absent!(
    TestResultSet,
    TEST_RESULT_SET,
    "test_result_set",
    "test_result_sets",
    true,
    &[
        plain("test_result_setid", Type::Int),
        plain("builderid", Type::Int),
        plain("buildid", Type::Int),
        plain("stepid", Type::Int),
        nullable("description", Type::Text),
        plain("category", Type::Text),
        plain("value_unit", Type::Text),
        nullable("tests_passed", Type::Int),
        nullable("tests_failed", Type::Int),
        plain("complete", Type::Bool),
    ]
);
absent!(
    TestResult,
    TEST_RESULT,
    "test_result",
    "test_results",
    true,
    &[
        plain("test_resultid", Type::Int),
        plain("builderid", Type::Int),
        plain("test_result_setid", Type::Int),
        nullable("test_name", Type::Text),
        nullable("test_code_path", Type::Text),
        nullable("line", Type::Int),
        nullable("duration_ns", Type::Int),
        plain("value", Type::Text),
    ]
);

/// An empty collection.
pub fn none<R: Resource>(read: &mut ReadRequest<'_>) -> ReadResult {
    read.list(Vec::<R>::new())
}

/// Nothing by that id.
pub fn nothing<R: Resource>(read: &mut ReadRequest<'_>) -> ReadResult {
    read.one(None::<R>)
}
