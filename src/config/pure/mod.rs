//! Helpers without effects: the same arguments always give the same value, in time linear in their
//! size. What could take long or much (patterns, repetitions, ranges) has a bound.

mod duration;
mod glob;
mod guard;
mod json;
mod library_author;
mod path;
mod regex;

use starlark::environment::GlobalsBuilder;

pub(super) use glob::globs;
pub(super) use guard::guard_operators;

/// Adds all of them to the globals.
pub(super) fn pure_functions(globals: &mut GlobalsBuilder) {
    globals.namespace("regex", regex::functions);
    globals.namespace("json", json::functions);
    globals.namespace("glob", glob::functions);
    globals.namespace("duration", duration::functions);
    globals.namespace("path", path::functions);
    guard::functions(globals);
    library_author::functions(globals);
}
