//! The declarations: a noun of the plan a file. Each file has the table of its arguments, the function
//! that makes the plan's part of them, and nothing else.

mod artifacts;
mod builder;
mod change_filter;
mod change_hook;
mod change_source;
mod installation;
mod kinds;
mod lock;
mod log_max;
mod login;
mod notifier;
mod param;
mod project;
mod property;
mod rights;
mod scheduler;
mod scheduler_kind;
mod step;
mod worker;

use starlark::environment::GlobalsBuilder;

use super::signature::Native;

pub(super) use builder::{ON_LOST, env_value};

/// Adds all declarations to the globals.
pub(super) fn declarations(globals: &mut GlobalsBuilder) {
    installation::functions(globals);
    change_hook::functions(globals);
    login::functions(globals);
    rights::functions(globals);
    project::functions(globals);
    worker::functions(globals);
    builder::functions(globals);
    step::functions(globals);
    scheduler::functions(globals);
    change_filter::functions(globals);
    param::functions(globals);
    change_source::functions(globals);
    notifier::functions(globals);
    lock::functions(globals);
    property::functions(globals);
}

/// What the library's `**flags` stands for: what `step` takes beside what the library gives itself.
pub(super) fn step_flags() -> Vec<&'static str> {
    step::STEP.names().filter(|name| !["name", "run", "checks_out", "sources"].contains(name)).collect()
}

/// What the library's `**common` stands for: what every scheduler takes beside what its function names.
pub(super) fn scheduler_common() -> Vec<&'static str> {
    scheduler_kind::COMMON.into_iter().filter(|name| !["name", "kind", "builders"].contains(name)).collect()
}

/// The tables of all declarations, in the order of the reference.
pub(super) fn tables() -> impl Iterator<Item = &'static Native> {
    [
        &installation::MASTER,
        &installation::WEB,
        &change_hook::CHANGE_HOOK,
        &installation::DATABASE,
        &installation::SECRETS,
        &project::PROJECT,
        &project::CODEBASE,
        &*login::LOGIN,
        &rights::ACCESS,
        &rights::ROLE,
        &rights::ALLOW,
        &rights::RIGHTS,
        &worker::WORKER,
        &builder::BUILDER,
        &step::STEP,
        &scheduler::SCHEDULER,
        &change_filter::CHANGE_FILTER,
        &param::PARAM,
        &*change_source::CHANGE_SOURCE,
        &*notifier::NOTIFIER,
        &lock::LOCK,
        &property::PROPERTY,
    ]
    .into_iter()
}
