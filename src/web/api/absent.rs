//! Resources that do not exist in this version: projects, codebases, test results, build data. Their collections are
//! empty, and nothing is found by id, so dashboards that look for them keep working.

use super::ask::{Answered, Ask};
use super::cell::Cell;
use super::kind::{Field, Kind, Resource, Type, View, is, may};

macro_rules! absent {
    ($(#[$doc:meta])* $row:ident, $kind:ident, $name:literal, $plural:literal, $paged:literal, $fields:expr) => {
        $(#[$doc])*
        pub static $kind: Kind = Kind { name: $name, plural: $plural, fields: $fields, paged: $paged };

        #[derive(Debug)]
        pub enum $row {}

        impl Resource for $row {
            const KIND: &'static Kind = &$kind;

            fn cell<'a>(&'a self, _: &str, _: &'a View) -> Cell<'a> {
                match *self {}
            }
        }
    };
}

const COMMIT_FIELDS: &[Field] = &[
    is("commitid", Type::Int),
    is("codebaseid", Type::Int),
    is("author", Type::Text),
    may("committer", Type::Text),
    is("comments", Type::Text),
    is("when_timestamp", Type::Int),
    is("revision", Type::Text),
    may("parent_commitid", Type::Int),
];

absent!(
    Project,
    PROJECT,
    "project",
    "projects",
    false,
    &[
        is("projectid", Type::Int),
        is("name", Type::Ident),
        is("slug", Type::Ident),
        may("active", Type::Bool),
        may("description", Type::Text),
        may("description_format", Type::Text),
        may("description_html", Type::Text),
    ]
);
absent!(
    Codebase,
    CODEBASE,
    "codebase",
    "codebases",
    true,
    &[is("codebaseid", Type::Int), is("projectid", Type::Int), is("name", Type::Text), is("slug", Type::Ident),]
);
absent!(
    Branch,
    BRANCH,
    "branch",
    "branches",
    true,
    &[
        is("branchid", Type::Int),
        is("codebaseid", Type::Int),
        is("name", Type::Text),
        may("commitid", Type::Int),
        is("last_timestamp", Type::Int),
    ]
);
absent!(Commit, COMMIT, "commit", "commits", true, COMMIT_FIELDS);
absent!(
    CommitGraph,
    COMMIT_GRAPH,
    "commit_graph",
    "commit_graphs",
    false,
    &[is("common", Type::Int), is("to1", Type::Ints), is("to2", Type::Ints),]
);
absent!(
    BuildData,
    BUILD_DATA,
    "build_data",
    "build_data",
    false,
    &[
        is("buildid", Type::Int),
        is("name", Type::Ident),
        is("length", Type::Int),
        is("source", Type::Text),
        may("value", Type::Binary),
    ]
);
absent!(
    TestResultSet,
    TEST_RESULT_SET,
    "test_result_set",
    "test_result_sets",
    true,
    &[
        is("test_result_setid", Type::Int),
        is("builderid", Type::Int),
        is("buildid", Type::Int),
        is("stepid", Type::Int),
        may("description", Type::Text),
        is("category", Type::Text),
        is("value_unit", Type::Text),
        may("tests_passed", Type::Int),
        may("tests_failed", Type::Int),
        is("complete", Type::Bool),
    ]
);
absent!(
    TestResult,
    TEST_RESULT,
    "test_result",
    "test_results",
    true,
    &[
        is("test_resultid", Type::Int),
        is("builderid", Type::Int),
        is("test_result_setid", Type::Int),
        may("test_name", Type::Text),
        may("test_code_path", Type::Text),
        may("line", Type::Int),
        may("duration_ns", Type::Int),
        is("value", Type::Text),
    ]
);

/// An empty collection.
pub fn none<R: Resource>(ask: &mut Ask<'_>) -> Answered {
    ask.list(Vec::<R>::new())
}

/// Nothing by that id.
pub fn nothing<R: Resource>(ask: &mut Ask<'_>) -> Answered {
    ask.one(None::<R>)
}

/// Projects; `active` picks those with builders on a running master.
pub fn projects(ask: &mut Ask<'_>) -> Answered {
    none::<Project>(ask)
}
