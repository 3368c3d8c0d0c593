//! Every path of the API with its answer and its control methods.
//!
//! A resource can be reached in several ways: a build by its id, or by its number below a builder. The same paths follow
//! below each, so the table consists of rows and of what follows below them.
//!
//! Variable elements are written `n:` (a number), `i:` (an identifier) or `s:` (any text). Where several patterns have
//! the same shape, numbers are tried first, then identifiers, then texts.

use std::sync::LazyLock;

use super::kind::Kind;
use super::query::is_ident;
use super::read_request::{ReadRequest, ReadResult};
use super::route::Read::{self, Raw, RawInline, Rows, Value};
use super::route::RpcMethods::{self, Build, Force, Nobody, Request, Scheduler, Worker};
use super::route::{Found, Route};
use super::{
    absent, builders, buildrequests, builds, buildsets, changes, changesources, forceschedulers, logs, masters,
    projects, properties, results, root, schedulers, sourcestamps, steps, workers,
};
use crate::web::request::decode;

/// A path below another one, and what hangs below it.
struct Row {
    path: &'static str,
    kind: &'static Kind,
    read: Read,
    methods: RpcMethods,
    below: &'static [&'static [Row]],
}

const fn at(path: &'static str, kind: &'static Kind, read: Read) -> Row {
    Row { path, kind, read, methods: Nobody, below: &[] }
}

impl Row {
    /// The control methods that it accepts.
    const fn accepting(self, methods: RpcMethods) -> Self {
        Self { methods, ..self }
    }

    /// What hangs below it.
    const fn with(self, below: &'static [&'static [Self]]) -> Self {
        Self { below, ..self }
    }
}

/// Sets of test results, of what is before them in the path.
const TESTS_OF_BUILD: &[Row] = &[at("test_result_sets", &results::TEST_RESULT_SET, Rows(results::of_build))];
const TESTS_OF_BUILDER: &[Row] = &[at("test_result_sets", &results::TEST_RESULT_SET, Rows(results::of_builder))];
const TESTS_OF_STEP: &[Row] = &[at("test_result_sets", &results::TEST_RESULT_SET, Rows(results::of_step))];

const OF_LOG: &[Row] = &[
    at("contents", &logs::LOG_CHUNK, Rows(logs::contents)),
    at("raw", &logs::LOG_CHUNK, Raw),
    at("raw_inline", &logs::LOG_CHUNK, RawInline),
];

const OF_STEP: &[Row] =
    &[at("logs", &logs::LOG, Rows(logs::of_step)), at("logs/i:log_slug", &logs::LOG, Rows(logs::one)).with(&[OF_LOG])];

const OF_BUILD: &[Row] = &[
    at("changes", &changes::CHANGE, Rows(changes::of_build)),
    at("data", &results::BUILD_DATA, Rows(results::data)),
    at("data/i:name", &results::BUILD_DATA, Rows(results::datum)),
    at("data/i:name/value", &results::BUILD_DATA, Value(results::value)),
    at("properties", &properties::PROPERTIES, Rows(properties::of_build)),
    at("property_list", &properties::PROPERTY, Rows(properties::list_of_build)),
    at("steps", &steps::STEP, Rows(steps::of_build)),
    at("steps/i:step_name", &steps::STEP, Rows(steps::one)).with(&[OF_STEP]),
    at("steps/n:step_number", &steps::STEP, Rows(steps::one)).with(&[OF_STEP]),
    at("triggered_builds", &builds::BUILD, Rows(builds::triggered)),
];

/// Workers, of all or of what is before them in the path.
const WORKERS: &[Row] = &[
    at("workers", &workers::WORKER, Rows(workers::list)),
    at("workers/i:name", &workers::WORKER, Rows(workers::one)).accepting(Worker),
    at("workers/n:workerid", &workers::WORKER, Rows(workers::one)).accepting(Worker),
];

const OF_BUILDER: &[Row] = &[
    at("buildrequests", &buildrequests::BUILD_REQUEST, Rows(buildrequests::of_builder)),
    at("builds", &builds::BUILD, Rows(builds::of_builder)),
    at("builds/n:build_number", &builds::BUILD, Rows(builds::one)).accepting(Build).with(&[OF_BUILD, TESTS_OF_BUILD]),
    at("forceschedulers", &forceschedulers::FORCE_SCHEDULER, Rows(forceschedulers::of_builder)),
    at("masters", &masters::MASTER, Rows(masters::of_builder)),
    at("masters/n:masterid", &masters::MASTER, Rows(masters::one_of_builder)),
];

const OF_WORKER: &[Row] = &[
    at("builders", &builders::BUILDER, Rows(builders::of_worker)),
    at("builds", &builds::BUILD, Rows(builds::of_worker)),
];

/// What a master runs, beside builders and workers.
const SOURCES_AND_SCHEDULERS: &[Row] = &[
    at("changesources", &changesources::CHANGE_SOURCE, Rows(changesources::list)),
    at("changesources/n:changesourceid", &changesources::CHANGE_SOURCE, Rows(changesources::one)),
    at("schedulers", &schedulers::SCHEDULER, Rows(schedulers::list)),
    at("schedulers/n:schedulerid", &schedulers::SCHEDULER, Rows(schedulers::one)).accepting(Scheduler),
];

const OF_MASTER: &[Row] = &[
    at("builders", &builders::BUILDER, Rows(builders::of_master)),
    at("builders/n:builderid", &builders::BUILDER, Rows(builders::one_of_master)).with(&[WORKERS]),
];

const TOP: &[Row] = &[
    at("", &root::ROOT_LINK, Rows(root::links)),
    at("application.spec", &root::SPEC, Rows(specs)),
    at("branches/n:branchid", &absent::BRANCH, Rows(absent::nothing::<absent::Branch>)),
    at("builders", &builders::BUILDER, Rows(builders::list)),
    at("builders/n:builderid", &builders::BUILDER, Rows(builders::one)).with(&[OF_BUILDER, TESTS_OF_BUILDER, WORKERS]),
    at("builders/s:buildername", &builders::BUILDER, Rows(builders::one)).with(&[
        OF_BUILDER,
        TESTS_OF_BUILDER,
        WORKERS,
    ]),
    at("buildrequests", &buildrequests::BUILD_REQUEST, Rows(buildrequests::list)),
    at("buildrequests/n:buildrequestid", &buildrequests::BUILD_REQUEST, Rows(buildrequests::one)).accepting(Request),
    at("buildrequests/n:buildrequestid/builds", &builds::BUILD, Rows(builds::of_request)),
    at("buildrequests/n:buildrequestid/properties", &properties::PROPERTIES, Rows(properties::of_request)),
    at("builds", &builds::BUILD, Rows(builds::list)),
    at("builds/n:buildid", &builds::BUILD, Rows(builds::one)).accepting(Build).with(&[OF_BUILD, TESTS_OF_BUILD]),
    at("buildsets", &buildsets::BUILDSET, Rows(buildsets::list)),
    at("buildsets/n:bsid", &buildsets::BUILDSET, Rows(buildsets::one)),
    at("buildsets/n:bsid/properties", &properties::PROPERTIES, Rows(properties::of_buildset)),
    at("buildsets/n:bsid/properties_list", &properties::PROPERTY, Rows(properties::list_of_buildset)),
    at("buildsets/n:bsid/sourcestamps", &sourcestamps::SOURCE_STAMP, Rows(sourcestamps::of_buildset)),
    at("changes", &changes::CHANGE, Rows(changes::list)),
    at("changes/n:changeid", &changes::CHANGE, Rows(changes::one)),
    at("changes/n:changeid/builds", &builds::BUILD, Rows(builds::of_change)),
    at("changes/n:changeid/properties_list", &properties::PROPERTY, Rows(properties::list_of_change)),
    at("codebases", &projects::CODEBASE, Rows(projects::codebases)),
    at("codebases/n:codebaseid", &projects::CODEBASE, Rows(projects::codebase)),
    at("codebases/n:codebaseid/branches", &absent::BRANCH, Rows(absent::none::<absent::Branch>)),
    at(
        "codebases/n:codebaseid/commit_range/n:commitid1/n:commitid2/commits_common_parent",
        &absent::COMMIT_GRAPH,
        Rows(absent::nothing::<absent::CommitGraph>),
    ),
    at(
        "codebases/n:codebaseid/commit_range/n:commitid1/n:commitid2/test_result_sets",
        &results::TEST_RESULT_SET,
        Rows(absent::none::<crate::model::TestSetRecord>),
    ),
    at("codebases/n:codebaseid/commits", &absent::COMMIT, Rows(absent::none::<absent::Commit>)),
    at(
        "codebases/n:codebaseid/commits_by_revision/s:revision",
        &absent::COMMIT,
        Rows(absent::nothing::<absent::Commit>),
    ),
    at("commits/n:commitid", &absent::COMMIT, Rows(absent::nothing::<absent::Commit>)),
    at("forceschedulers", &forceschedulers::FORCE_SCHEDULER, Rows(forceschedulers::list)),
    at("forceschedulers/i:schedulername", &forceschedulers::FORCE_SCHEDULER, Rows(forceschedulers::one))
        .accepting(Force),
    at("forceschedulers/s:schedulername", &forceschedulers::FORCE_SCHEDULER, Rows(forceschedulers::one))
        .accepting(Force),
    at("logchunks", &logs::LOG_CHUNK, Rows(logs::nowhere)),
    at("logs/n:logid", &logs::LOG, Rows(logs::one)).with(&[OF_LOG]),
    at("masters", &masters::MASTER, Rows(masters::list)),
    at("masters/n:masterid", &masters::MASTER, Rows(masters::one)).with(&[OF_MASTER, SOURCES_AND_SCHEDULERS, WORKERS]),
    at("projects", &projects::PROJECT, Rows(projects::list)),
    at("projects/i:projectname", &projects::PROJECT, Rows(projects::one)),
    at("projects/n:projectid", &projects::PROJECT, Rows(projects::one)),
    at("projects/n:projectid/builders", &builders::BUILDER, Rows(projects::builders)),
    at("projects/n:projectid/codebases", &projects::CODEBASE, Rows(projects::codebases_of_project)),
    at("projects/n:projectid/codebases/i:codebasename", &projects::CODEBASE, Rows(projects::codebase_of_project)),
    at("sourcestamps", &sourcestamps::SOURCE_STAMP, Rows(sourcestamps::list)),
    at("sourcestamps/n:ssid", &sourcestamps::SOURCE_STAMP, Rows(sourcestamps::one)),
    at("sourcestamps/n:ssid/changes", &changes::CHANGE, Rows(changes::of_stamp)),
    at("steps/n:stepid", &steps::STEP, Rows(steps::one)).with(&[OF_STEP, TESTS_OF_STEP]),
    at("test_result_sets", &results::TEST_RESULT_SET, Rows(results::list)),
    at("test_result_sets/n:test_result_setid", &results::TEST_RESULT_SET, Rows(results::one)),
    at("test_result_sets/n:test_result_setid/results", &results::TEST_RESULT, Rows(results::results)),
    at("workers", &workers::WORKER, Rows(workers::list)),
    at("workers/i:name", &workers::WORKER, Rows(workers::one)).accepting(Worker).with(&[OF_WORKER]),
    at("workers/n:workerid", &workers::WORKER, Rows(workers::one)).accepting(Worker).with(&[OF_WORKER]),
];

/// All paths, in the alphabet's order.
static ROUTES: LazyLock<Vec<Route>> = LazyLock::new(|| {
    let mut routes = Vec::new();
    for rows in [TOP, SOURCES_AND_SCHEDULERS] {
        expand("", rows, &mut routes);
    }
    routes.sort_by(|left, right| left.pattern.cmp(&right.pattern));
    routes
});

/// Adds the routes of rows below a path, and of what hangs below them.
fn expand(above: &str, rows: &[Row], routes: &mut Vec<Route>) {
    for row in rows {
        let pattern = if above.is_empty() { row.path.to_owned() } else { format!("{above}/{}", row.path) };
        row.below.iter().for_each(|rows| expand(&pattern, rows, routes));
        routes.push(Route { pattern, kind: row.kind, read: row.read, methods: row.methods });
    }
}

/// `application.spec`: every path, with the type of what it answers.
fn specs(read: &mut ReadRequest<'_>) -> ReadResult {
    read.list(ROUTES.iter().map(|route| root::SpecRow { path: &route.pattern, kind: route.kind }).collect())
}

/// The patterns of all paths.
pub fn paths() -> impl Iterator<Item = &'static str> {
    ROUTES.iter().map(|route| route.pattern.as_str())
}

/// The route of a path below `/api/v2`, still encoded, without the slash in front.
pub fn find(path: &str) -> Option<Found> {
    static TABLE: LazyLock<Table> = LazyLock::new(Table::new);
    TABLE.find(path)
}

/// Finds routes by path.
#[derive(Debug)]
struct Table {
    shapes: matchit::Router<Vec<&'static Route>>,
}

impl Table {
    /// The table of all routes.
    fn new() -> Self {
        let mut shapes: std::collections::BTreeMap<String, Vec<&'static Route>> = std::collections::BTreeMap::new();
        for route in ROUTES.iter() {
            shapes.entry(shape(&route.pattern)).or_default().push(route);
        }
        let mut table = matchit::Router::new();
        for (shape, mut routes) in shapes {
            routes.sort_by_key(|route| ranks(&route.pattern));
            table.insert(shape, routes).expect("shapes differ, and variables are named by their place");
        }
        Self { shapes: table }
    }

    fn find(&self, path: &str) -> Option<Found> {
        let path = format!("/{path}");
        let found = self.shapes.at(&path).ok()?;
        let values: Vec<String> = found.params.iter().map(|(_, value)| decode(value)).collect();
        found.value.iter().find_map(|route| {
            let names = variables(&route.pattern);
            let fits = names.iter().zip(&values).all(|((kind, _), value)| match kind {
                'n' => !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()),
                'i' => is_ident(value),
                _ => true,
            });
            let named = || names.iter().map(|(_, name)| (*name).to_owned()).zip(values.iter().cloned()).collect();
            fits.then(|| (*route, named()))
        })
    }
}

/// The variable elements of a pattern: type and name.
fn variables(pattern: &str) -> Vec<(char, &str)> {
    pattern.split('/').filter_map(|element| element.split_once(':')).map(|(kind, name)| (letter(kind), name)).collect()
}

fn ranks(pattern: &str) -> Vec<usize> {
    variables(pattern).into_iter().map(|(kind, _)| "nis".find(kind).unwrap_or(usize::MAX)).collect()
}

fn letter(kind: &str) -> char {
    kind.chars().next().unwrap_or('s')
}

/// The pattern with its variables named by their places only.
fn shape(pattern: &str) -> String {
    let elements = pattern.split('/').enumerate();
    let named = elements.map(
        |(place, element)| {
            if element.contains(':') { format!("{{p{place}}}") } else { element.to_owned() }
        },
    );
    format!("/{}", named.collect::<Vec<_>>().join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(path: &str) -> Option<&'static str> {
        find(path).map(|(route, _)| route.pattern.as_str())
    }

    #[test]
    fn numbers_come_before_names() {
        assert_eq!(pattern("builders/12"), Some("builders/n:builderid"));
        assert_eq!(pattern("builders/12a"), Some("builders/s:buildername"));
        assert_eq!(pattern("workers/w-1"), Some("workers/i:name"));
        assert_eq!(pattern("workers/w%201"), None);
        assert_eq!(pattern("builds/1/steps/3"), Some("builds/n:buildid/steps/n:step_number"));
        assert_eq!(pattern("builds/1/steps/not%20run"), None);
    }

    #[test]
    fn an_encoded_slash_stays_inside_its_element() {
        let (route, params) = find("builders/caf%C3%A9%2F%C3%BCmlaut/builds/3").unwrap();
        assert_eq!(route.pattern, "builders/s:buildername/builds/n:build_number");
        assert_eq!(
            params,
            [("buildername".to_owned(), "café/ümlaut".to_owned()), ("build_number".to_owned(), "3".to_owned())]
        );
    }

    #[test]
    fn a_trailing_slash_is_another_path() {
        assert_eq!(pattern("builds/63/"), None);
        assert_eq!(pattern("nosuch"), None);
        assert_eq!(pattern(""), Some(""));
    }
}
