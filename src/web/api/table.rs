//! Every path of the API, in alphabetical order, with its answer and its control methods.
//!
//! Variable elements are written `n:` (a number), `i:` (an identifier) or `s:` (any text). Where several patterns have
//! the same shape, numbers are tried first, then identifiers, then texts.

use super::ask::{Answered, Ask};
use super::kind::Kind;
use super::query::is_ident;
use super::rpc::Control;
use super::rpc::Control::{Build, Force, Nobody, Request, Scheduler, Worker};
use super::{
    absent, builders, buildrequests, builds, buildsets, changes, changesources, forceschedulers, logs, masters,
    properties, root, schedulers, sourcestamps, steps, workers,
};
use crate::web::request::decode;
use Read::{Raw, RawInline, Rows};

/// How a path is read.
#[derive(Clone, Copy, Debug)]
pub enum Read {
    /// As JSON.
    Rows(fn(&mut Ask<'_>) -> Answered),
    /// As a log's text, to be saved.
    Raw,
    /// As a log's text, to be shown.
    RawInline,
}

/// A path.
#[derive(Debug)]
pub struct Route {
    pub pattern: &'static str,
    pub kind: &'static Kind,
    pub read: Read,
    pub control: Control,
}

const fn at(pattern: &'static str, kind: &'static Kind, read: Read, control: Control) -> Route {
    Route { pattern, kind, read, control }
}

pub static ROUTES: &[Route] = &[
    at("", &root::ROOT_LINK, Rows(root::links), Nobody),
    at("application.spec", &root::SPEC, Rows(root::specs), Nobody),
    at("branches/n:branchid", &absent::BRANCH, Rows(absent::nothing::<absent::Branch>), Nobody),
    at("builders", &builders::BUILDER, Rows(builders::list), Nobody),
    at("builders/n:builderid", &builders::BUILDER, Rows(builders::one), Nobody),
    at("builders/n:builderid/buildrequests", &buildrequests::BUILD_REQUEST, Rows(buildrequests::of_builder), Nobody),
    at("builders/n:builderid/builds", &builds::BUILD, Rows(builds::of_builder), Nobody),
    at("builders/n:builderid/builds/n:build_number", &builds::BUILD, Rows(builds::one), Build),
    at("builders/n:builderid/builds/n:build_number/changes", &changes::CHANGE, Rows(changes::of_build), Nobody),
    at(
        "builders/n:builderid/builds/n:build_number/data",
        &absent::BUILD_DATA,
        Rows(absent::none::<absent::BuildData>),
        Nobody,
    ),
    at(
        "builders/n:builderid/builds/n:build_number/data/i:name",
        &absent::BUILD_DATA,
        Rows(absent::nothing::<absent::BuildData>),
        Nobody,
    ),
    at(
        "builders/n:builderid/builds/n:build_number/data/i:name/value",
        &absent::BUILD_DATA,
        Rows(absent::nothing::<absent::BuildData>),
        Nobody,
    ),
    at(
        "builders/n:builderid/builds/n:build_number/properties",
        &properties::PROPERTIES,
        Rows(properties::of_build),
        Nobody,
    ),
    at(
        "builders/n:builderid/builds/n:build_number/property_list",
        &properties::PROPERTY,
        Rows(properties::list_of_build),
        Nobody,
    ),
    at("builders/n:builderid/builds/n:build_number/steps", &steps::STEP, Rows(steps::of_build), Nobody),
    at("builders/n:builderid/builds/n:build_number/steps/i:step_name", &steps::STEP, Rows(steps::one), Nobody),
    at("builders/n:builderid/builds/n:build_number/steps/i:step_name/logs", &logs::LOG, Rows(logs::of_step), Nobody),
    at(
        "builders/n:builderid/builds/n:build_number/steps/i:step_name/logs/i:log_slug",
        &logs::LOG,
        Rows(logs::one),
        Nobody,
    ),
    at(
        "builders/n:builderid/builds/n:build_number/steps/i:step_name/logs/i:log_slug/contents",
        &logs::LOG_CHUNK,
        Rows(logs::contents),
        Nobody,
    ),
    at(
        "builders/n:builderid/builds/n:build_number/steps/i:step_name/logs/i:log_slug/raw",
        &logs::LOG_CHUNK,
        Raw,
        Nobody,
    ),
    at(
        "builders/n:builderid/builds/n:build_number/steps/i:step_name/logs/i:log_slug/raw_inline",
        &logs::LOG_CHUNK,
        RawInline,
        Nobody,
    ),
    at("builders/n:builderid/builds/n:build_number/steps/n:step_number", &steps::STEP, Rows(steps::one), Nobody),
    at("builders/n:builderid/builds/n:build_number/steps/n:step_number/logs", &logs::LOG, Rows(logs::of_step), Nobody),
    at(
        "builders/n:builderid/builds/n:build_number/steps/n:step_number/logs/i:log_slug",
        &logs::LOG,
        Rows(logs::one),
        Nobody,
    ),
    at(
        "builders/n:builderid/builds/n:build_number/steps/n:step_number/logs/i:log_slug/contents",
        &logs::LOG_CHUNK,
        Rows(logs::contents),
        Nobody,
    ),
    at(
        "builders/n:builderid/builds/n:build_number/steps/n:step_number/logs/i:log_slug/raw",
        &logs::LOG_CHUNK,
        Raw,
        Nobody,
    ),
    at(
        "builders/n:builderid/builds/n:build_number/steps/n:step_number/logs/i:log_slug/raw_inline",
        &logs::LOG_CHUNK,
        RawInline,
        Nobody,
    ),
    at(
        "builders/n:builderid/builds/n:build_number/test_result_sets",
        &absent::TEST_RESULT_SET,
        Rows(absent::none::<absent::TestResultSet>),
        Nobody,
    ),
    at("builders/n:builderid/builds/n:build_number/triggered_builds", &builds::BUILD, Rows(builds::triggered), Nobody),
    at(
        "builders/n:builderid/forceschedulers",
        &forceschedulers::FORCE_SCHEDULER,
        Rows(forceschedulers::of_builder),
        Nobody,
    ),
    at("builders/n:builderid/masters", &masters::MASTER, Rows(masters::of_builder), Nobody),
    at("builders/n:builderid/masters/n:masterid", &masters::MASTER, Rows(masters::one_of_builder), Nobody),
    at(
        "builders/n:builderid/test_result_sets",
        &absent::TEST_RESULT_SET,
        Rows(absent::none::<absent::TestResultSet>),
        Nobody,
    ),
    at("builders/n:builderid/workers", &workers::WORKER, Rows(workers::list), Nobody),
    at("builders/n:builderid/workers/i:name", &workers::WORKER, Rows(workers::one), Worker),
    at("builders/n:builderid/workers/n:workerid", &workers::WORKER, Rows(workers::one), Worker),
    at("builders/s:buildername", &builders::BUILDER, Rows(builders::one), Nobody),
    at("builders/s:buildername/buildrequests", &buildrequests::BUILD_REQUEST, Rows(buildrequests::of_builder), Nobody),
    at("builders/s:buildername/builds", &builds::BUILD, Rows(builds::of_builder), Nobody),
    at("builders/s:buildername/builds/n:build_number", &builds::BUILD, Rows(builds::one), Build),
    at("builders/s:buildername/builds/n:build_number/changes", &changes::CHANGE, Rows(changes::of_build), Nobody),
    at(
        "builders/s:buildername/builds/n:build_number/data",
        &absent::BUILD_DATA,
        Rows(absent::none::<absent::BuildData>),
        Nobody,
    ),
    at(
        "builders/s:buildername/builds/n:build_number/data/i:name",
        &absent::BUILD_DATA,
        Rows(absent::nothing::<absent::BuildData>),
        Nobody,
    ),
    at(
        "builders/s:buildername/builds/n:build_number/data/i:name/value",
        &absent::BUILD_DATA,
        Rows(absent::nothing::<absent::BuildData>),
        Nobody,
    ),
    at(
        "builders/s:buildername/builds/n:build_number/properties",
        &properties::PROPERTIES,
        Rows(properties::of_build),
        Nobody,
    ),
    at(
        "builders/s:buildername/builds/n:build_number/property_list",
        &properties::PROPERTY,
        Rows(properties::list_of_build),
        Nobody,
    ),
    at("builders/s:buildername/builds/n:build_number/steps", &steps::STEP, Rows(steps::of_build), Nobody),
    at("builders/s:buildername/builds/n:build_number/steps/i:step_name", &steps::STEP, Rows(steps::one), Nobody),
    at("builders/s:buildername/builds/n:build_number/steps/i:step_name/logs", &logs::LOG, Rows(logs::of_step), Nobody),
    at(
        "builders/s:buildername/builds/n:build_number/steps/i:step_name/logs/i:log_slug",
        &logs::LOG,
        Rows(logs::one),
        Nobody,
    ),
    at(
        "builders/s:buildername/builds/n:build_number/steps/i:step_name/logs/i:log_slug/contents",
        &logs::LOG_CHUNK,
        Rows(logs::contents),
        Nobody,
    ),
    at(
        "builders/s:buildername/builds/n:build_number/steps/i:step_name/logs/i:log_slug/raw",
        &logs::LOG_CHUNK,
        Raw,
        Nobody,
    ),
    at(
        "builders/s:buildername/builds/n:build_number/steps/i:step_name/logs/i:log_slug/raw_inline",
        &logs::LOG_CHUNK,
        RawInline,
        Nobody,
    ),
    at("builders/s:buildername/builds/n:build_number/steps/n:step_number", &steps::STEP, Rows(steps::one), Nobody),
    at(
        "builders/s:buildername/builds/n:build_number/steps/n:step_number/logs",
        &logs::LOG,
        Rows(logs::of_step),
        Nobody,
    ),
    at(
        "builders/s:buildername/builds/n:build_number/steps/n:step_number/logs/i:log_slug",
        &logs::LOG,
        Rows(logs::one),
        Nobody,
    ),
    at(
        "builders/s:buildername/builds/n:build_number/steps/n:step_number/logs/i:log_slug/contents",
        &logs::LOG_CHUNK,
        Rows(logs::contents),
        Nobody,
    ),
    at(
        "builders/s:buildername/builds/n:build_number/steps/n:step_number/logs/i:log_slug/raw",
        &logs::LOG_CHUNK,
        Raw,
        Nobody,
    ),
    at(
        "builders/s:buildername/builds/n:build_number/steps/n:step_number/logs/i:log_slug/raw_inline",
        &logs::LOG_CHUNK,
        RawInline,
        Nobody,
    ),
    at(
        "builders/s:buildername/builds/n:build_number/test_result_sets",
        &absent::TEST_RESULT_SET,
        Rows(absent::none::<absent::TestResultSet>),
        Nobody,
    ),
    at(
        "builders/s:buildername/builds/n:build_number/triggered_builds",
        &builds::BUILD,
        Rows(builds::triggered),
        Nobody,
    ),
    at(
        "builders/s:buildername/forceschedulers",
        &forceschedulers::FORCE_SCHEDULER,
        Rows(forceschedulers::of_builder),
        Nobody,
    ),
    at("builders/s:buildername/masters", &masters::MASTER, Rows(masters::of_builder), Nobody),
    at("builders/s:buildername/masters/n:masterid", &masters::MASTER, Rows(masters::one_of_builder), Nobody),
    at(
        "builders/s:buildername/test_result_sets",
        &absent::TEST_RESULT_SET,
        Rows(absent::none::<absent::TestResultSet>),
        Nobody,
    ),
    at("builders/s:buildername/workers", &workers::WORKER, Rows(workers::list), Nobody),
    at("builders/s:buildername/workers/i:name", &workers::WORKER, Rows(workers::one), Worker),
    at("builders/s:buildername/workers/n:workerid", &workers::WORKER, Rows(workers::one), Worker),
    at("buildrequests", &buildrequests::BUILD_REQUEST, Rows(buildrequests::list), Nobody),
    at("buildrequests/n:buildrequestid", &buildrequests::BUILD_REQUEST, Rows(buildrequests::one), Request),
    at("buildrequests/n:buildrequestid/builds", &builds::BUILD, Rows(builds::of_request), Nobody),
    at("buildrequests/n:buildrequestid/properties", &properties::PROPERTIES, Rows(properties::of_request), Nobody),
    at("builds", &builds::BUILD, Rows(builds::list), Nobody),
    at("builds/n:buildid", &builds::BUILD, Rows(builds::one), Build),
    at("builds/n:buildid/changes", &changes::CHANGE, Rows(changes::of_build), Nobody),
    at("builds/n:buildid/data", &absent::BUILD_DATA, Rows(absent::none::<absent::BuildData>), Nobody),
    at("builds/n:buildid/data/i:name", &absent::BUILD_DATA, Rows(absent::nothing::<absent::BuildData>), Nobody),
    at("builds/n:buildid/data/i:name/value", &absent::BUILD_DATA, Rows(absent::nothing::<absent::BuildData>), Nobody),
    at("builds/n:buildid/properties", &properties::PROPERTIES, Rows(properties::of_build), Nobody),
    at("builds/n:buildid/property_list", &properties::PROPERTY, Rows(properties::list_of_build), Nobody),
    at("builds/n:buildid/steps", &steps::STEP, Rows(steps::of_build), Nobody),
    at("builds/n:buildid/steps/i:step_name", &steps::STEP, Rows(steps::one), Nobody),
    at("builds/n:buildid/steps/i:step_name/logs", &logs::LOG, Rows(logs::of_step), Nobody),
    at("builds/n:buildid/steps/i:step_name/logs/i:log_slug", &logs::LOG, Rows(logs::one), Nobody),
    at("builds/n:buildid/steps/i:step_name/logs/i:log_slug/contents", &logs::LOG_CHUNK, Rows(logs::contents), Nobody),
    at("builds/n:buildid/steps/i:step_name/logs/i:log_slug/raw", &logs::LOG_CHUNK, Raw, Nobody),
    at("builds/n:buildid/steps/i:step_name/logs/i:log_slug/raw_inline", &logs::LOG_CHUNK, RawInline, Nobody),
    at("builds/n:buildid/steps/n:step_number", &steps::STEP, Rows(steps::one), Nobody),
    at("builds/n:buildid/steps/n:step_number/logs", &logs::LOG, Rows(logs::of_step), Nobody),
    at("builds/n:buildid/steps/n:step_number/logs/i:log_slug", &logs::LOG, Rows(logs::one), Nobody),
    at("builds/n:buildid/steps/n:step_number/logs/i:log_slug/contents", &logs::LOG_CHUNK, Rows(logs::contents), Nobody),
    at("builds/n:buildid/steps/n:step_number/logs/i:log_slug/raw", &logs::LOG_CHUNK, Raw, Nobody),
    at("builds/n:buildid/steps/n:step_number/logs/i:log_slug/raw_inline", &logs::LOG_CHUNK, RawInline, Nobody),
    at(
        "builds/n:buildid/test_result_sets",
        &absent::TEST_RESULT_SET,
        Rows(absent::none::<absent::TestResultSet>),
        Nobody,
    ),
    at("builds/n:buildid/triggered_builds", &builds::BUILD, Rows(builds::triggered), Nobody),
    at("buildsets", &buildsets::BUILDSET, Rows(buildsets::list), Nobody),
    at("buildsets/n:bsid", &buildsets::BUILDSET, Rows(buildsets::one), Nobody),
    at("buildsets/n:bsid/properties", &properties::PROPERTIES, Rows(properties::of_buildset), Nobody),
    at("buildsets/n:bsid/properties_list", &properties::PROPERTY, Rows(properties::list_of_buildset), Nobody),
    at("buildsets/n:bsid/sourcestamps", &sourcestamps::SOURCE_STAMP, Rows(sourcestamps::of_buildset), Nobody),
    at("changes", &changes::CHANGE, Rows(changes::list), Nobody),
    at("changes/n:changeid", &changes::CHANGE, Rows(changes::one), Nobody),
    at("changes/n:changeid/builds", &builds::BUILD, Rows(builds::of_change), Nobody),
    at("changes/n:changeid/properties_list", &properties::PROPERTY, Rows(properties::list_of_change), Nobody),
    at("changesources", &changesources::CHANGE_SOURCE, Rows(changesources::list), Nobody),
    at("changesources/n:changesourceid", &changesources::CHANGE_SOURCE, Rows(changesources::one), Nobody),
    at("codebases", &absent::CODEBASE, Rows(absent::none::<absent::Codebase>), Nobody),
    at("codebases/n:codebaseid", &absent::CODEBASE, Rows(absent::nothing::<absent::Codebase>), Nobody),
    at("codebases/n:codebaseid/branches", &absent::BRANCH, Rows(absent::none::<absent::Branch>), Nobody),
    at(
        "codebases/n:codebaseid/commit_range/n:commitid1/n:commitid2/commits_common_parent",
        &absent::COMMIT_GRAPH,
        Rows(absent::nothing::<absent::CommitGraph>),
        Nobody,
    ),
    at(
        "codebases/n:codebaseid/commit_range/n:commitid1/n:commitid2/test_result_sets",
        &absent::TEST_RESULT_SET,
        Rows(absent::none::<absent::TestResultSet>),
        Nobody,
    ),
    at("codebases/n:codebaseid/commits", &absent::COMMIT, Rows(absent::none::<absent::Commit>), Nobody),
    at(
        "codebases/n:codebaseid/commits_by_revision/s:revision",
        &absent::COMMIT,
        Rows(absent::nothing::<absent::Commit>),
        Nobody,
    ),
    at("commits/n:commitid", &absent::COMMIT, Rows(absent::nothing::<absent::Commit>), Nobody),
    at("forceschedulers", &forceschedulers::FORCE_SCHEDULER, Rows(forceschedulers::list), Nobody),
    at("forceschedulers/i:schedulername", &forceschedulers::FORCE_SCHEDULER, Rows(forceschedulers::one), Force),
    at("forceschedulers/s:schedulername", &forceschedulers::FORCE_SCHEDULER, Rows(forceschedulers::one), Force),
    at("logchunks", &logs::LOG_CHUNK, Rows(logs::nowhere), Nobody),
    at("logs/n:logid", &logs::LOG, Rows(logs::one), Nobody),
    at("logs/n:logid/contents", &logs::LOG_CHUNK, Rows(logs::contents), Nobody),
    at("logs/n:logid/raw", &logs::LOG_CHUNK, Raw, Nobody),
    at("logs/n:logid/raw_inline", &logs::LOG_CHUNK, RawInline, Nobody),
    at("masters", &masters::MASTER, Rows(masters::list), Nobody),
    at("masters/n:masterid", &masters::MASTER, Rows(masters::one), Nobody),
    at("masters/n:masterid/builders", &builders::BUILDER, Rows(builders::of_master), Nobody),
    at("masters/n:masterid/builders/n:builderid", &builders::BUILDER, Rows(builders::one_of_master), Nobody),
    at("masters/n:masterid/builders/n:builderid/workers", &workers::WORKER, Rows(workers::list), Nobody),
    at("masters/n:masterid/builders/n:builderid/workers/i:name", &workers::WORKER, Rows(workers::one), Worker),
    at("masters/n:masterid/builders/n:builderid/workers/n:workerid", &workers::WORKER, Rows(workers::one), Worker),
    at("masters/n:masterid/changesources", &changesources::CHANGE_SOURCE, Rows(changesources::list), Nobody),
    at(
        "masters/n:masterid/changesources/n:changesourceid",
        &changesources::CHANGE_SOURCE,
        Rows(changesources::one),
        Nobody,
    ),
    at("masters/n:masterid/schedulers", &schedulers::SCHEDULER, Rows(schedulers::list), Nobody),
    at("masters/n:masterid/schedulers/n:schedulerid", &schedulers::SCHEDULER, Rows(schedulers::one), Scheduler),
    at("masters/n:masterid/workers", &workers::WORKER, Rows(workers::list), Nobody),
    at("masters/n:masterid/workers/i:name", &workers::WORKER, Rows(workers::one), Worker),
    at("masters/n:masterid/workers/n:workerid", &workers::WORKER, Rows(workers::one), Worker),
    at("projects", &absent::PROJECT, Rows(absent::projects), Nobody),
    at("projects/i:projectname", &absent::PROJECT, Rows(absent::nothing::<absent::Project>), Nobody),
    at("projects/n:projectid", &absent::PROJECT, Rows(absent::nothing::<absent::Project>), Nobody),
    at("projects/n:projectid/builders", &builders::BUILDER, Rows(absent::none::<crate::model::BuilderRecord>), Nobody),
    at(
        "projects/n:projectid/codebases/i:codebasename",
        &absent::CODEBASE,
        Rows(absent::nothing::<absent::Codebase>),
        Nobody,
    ),
    at("schedulers", &schedulers::SCHEDULER, Rows(schedulers::list), Nobody),
    at("schedulers/n:schedulerid", &schedulers::SCHEDULER, Rows(schedulers::one), Scheduler),
    at("sourcestamps", &sourcestamps::SOURCE_STAMP, Rows(sourcestamps::list), Nobody),
    at("sourcestamps/n:ssid", &sourcestamps::SOURCE_STAMP, Rows(sourcestamps::one), Nobody),
    at("sourcestamps/n:ssid/changes", &changes::CHANGE, Rows(changes::of_stamp), Nobody),
    at("steps/n:stepid", &steps::STEP, Rows(steps::one), Nobody),
    at("steps/n:stepid/logs", &logs::LOG, Rows(logs::of_step), Nobody),
    at("steps/n:stepid/logs/i:log_slug", &logs::LOG, Rows(logs::one), Nobody),
    at("steps/n:stepid/logs/i:log_slug/contents", &logs::LOG_CHUNK, Rows(logs::contents), Nobody),
    at("steps/n:stepid/logs/i:log_slug/raw", &logs::LOG_CHUNK, Raw, Nobody),
    at("steps/n:stepid/logs/i:log_slug/raw_inline", &logs::LOG_CHUNK, RawInline, Nobody),
    at(
        "steps/n:stepid/test_result_sets",
        &absent::TEST_RESULT_SET,
        Rows(absent::none::<absent::TestResultSet>),
        Nobody,
    ),
    at("test_result_sets", &absent::TEST_RESULT_SET, Rows(absent::none::<absent::TestResultSet>), Nobody),
    at(
        "test_result_sets/n:test_result_setid",
        &absent::TEST_RESULT_SET,
        Rows(absent::nothing::<absent::TestResultSet>),
        Nobody,
    ),
    at(
        "test_result_sets/n:test_result_setid/results",
        &absent::TEST_RESULT,
        Rows(absent::none::<absent::TestResult>),
        Nobody,
    ),
    at("workers", &workers::WORKER, Rows(workers::list), Nobody),
    at("workers/i:name", &workers::WORKER, Rows(workers::one), Worker),
    at("workers/i:name/builders", &builders::BUILDER, Rows(builders::of_worker), Nobody),
    at("workers/i:name/builds", &builds::BUILD, Rows(builds::of_worker), Nobody),
    at("workers/n:workerid", &workers::WORKER, Rows(workers::one), Worker),
    at("workers/n:workerid/builders", &builders::BUILDER, Rows(builders::of_worker), Nobody),
    at("workers/n:workerid/builds", &builds::BUILD, Rows(builds::of_worker), Nobody),
];

/// Finds routes by path.
#[derive(Debug)]
pub struct Table {
    shapes: matchit::Router<Vec<&'static Route>>,
}

/// A route and the decoded values of its variable elements.
pub type Found = (&'static Route, Vec<(String, String)>);

impl Table {
    /// The table of all routes.
    pub fn new() -> Self {
        let mut shapes: std::collections::BTreeMap<String, Vec<&'static Route>> = std::collections::BTreeMap::new();
        for route in ROUTES {
            shapes.entry(shape(route.pattern)).or_default().push(route);
        }
        let mut table = matchit::Router::new();
        for (shape, mut routes) in shapes {
            routes.sort_by_key(|route| ranks(route.pattern));
            table.insert(shape, routes).expect("shapes differ, and variables are named by their place");
        }
        Self { shapes: table }
    }

    /// The route of a path below `/api/v2`, still encoded, without the slash in front.
    pub fn find(&self, path: &str) -> Option<Found> {
        let path = format!("/{path}");
        let found = self.shapes.at(&path).ok()?;
        let values: Vec<String> = found.params.iter().map(|(_, value)| decode(value)).collect();
        found.value.iter().find_map(|route| {
            let names = variables(route.pattern);
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
fn variables(pattern: &'static str) -> Vec<(char, &'static str)> {
    pattern.split('/').filter_map(|element| element.split_once(':')).map(|(kind, name)| (letter(kind), name)).collect()
}

fn ranks(pattern: &'static str) -> Vec<usize> {
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
        Table::new().find(path).map(|(route, _)| route.pattern)
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
        let (route, params) = Table::new().find("builders/caf%C3%A9%2F%C3%BCmlaut/builds/3").unwrap();
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
