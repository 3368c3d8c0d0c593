//! Starlark's own type check and lint.

use std::collections::HashMap;

use starlark::analysis::AstModuleLint as _;
use starlark::errors::EvalSeverity;
use starlark::syntax::AstModule;
use starlark::typing::{AstModuleTypecheck as _, Interface};

use super::super::fault::problem_of;
use super::super::globals::globals;
use super::super::limits::LOAD;
use super::super::place::Spot;
use super::super::problem::Problem;

/// Lint findings that are matters of taste, or found better by us.
const QUIET_LINTS: [&str; 3] = ["unused-argument", "using-undefined", "missing-return-expression"];

/// The types of a file's functions, and what is wrong inside of them. Statements at top level are not
/// looked at: running them shows the same.
pub(in crate::config) fn types(ast: &AstModule, loads: &HashMap<String, Interface>) -> (Interface, Vec<Problem>) {
    let (errors, _, interface, _) = ast.clone().typecheck(globals(), loads);
    (interface, errors.iter().map(|error| problem_of(error, LOAD)).collect())
}

/// Remarks on a file.
pub(in crate::config) fn lint(ast: &AstModule) -> Vec<Problem> {
    let found = ast.lint(None).into_iter();
    found
        .filter(|lint| lint.severity != EvalSeverity::Disabled && !QUIET_LINTS.contains(&lint.short_name.as_str()))
        .map(|lint| {
            let hint = format!("`# starlark-lint-disable {}` on the line before silences this", lint.short_name);
            Spot::of_span(lint.location.clone()).problem(lint.problem.trim_end_matches('.').to_owned(), Some(hint))
        })
        .collect()
}
