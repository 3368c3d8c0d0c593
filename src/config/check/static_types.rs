//! Starlark's own type check and lint.

use std::collections::{HashMap, HashSet};

use starlark::analysis::AstModuleLint as _;
use starlark::errors::EvalSeverity;
use starlark::syntax::AstModule;
use starlark::typing::{AstModuleTypecheck as _, Interface};

use super::super::fault::{problem_of, undefined};
use super::super::globals::globals;
use super::super::limits::LOAD;
use super::super::place::CallSite;
use super::super::problem::Problem;
use super::scope::of_body;

/// Lint findings that are matters of taste, or found better by us.
const QUIET_LINTS: [&str; 4] = ["unused-argument", UNDEFINED, "missing-return-expression", "missing-return"];

/// The lint finding of a name that there is not.
const UNDEFINED: &str = "using-undefined";

/// The types of a file's functions, and what is wrong inside of them. Statements at top level are not
/// looked at: running them shows the same.
pub(in crate::config) fn types(ast: &AstModule, loads: &HashMap<String, Interface>) -> (Interface, Vec<Problem>) {
    let (errors, _, interface, _) = ast.clone().typecheck(globals(), loads);
    // An unknown name in an assignment at top level ends the type check: then the names are all that is known.
    let gave_up = errors.iter().any(is_internal);
    let mut problems = if gave_up { undefined_names(ast) } else { Vec::new() };
    problems.extend(errors.iter().filter(|error| !is_internal(error)).map(|error| problem_of(error, LOAD)));
    (interface, problems)
}

/// What the type check says of itself, and nobody else can use.
fn is_internal(error: &starlark::Error) -> bool {
    matches!(error.kind(), starlark::ErrorKind::Internal(_))
}

/// Every name that there is not.
fn undefined_names(ast: &AstModule) -> Vec<Problem> {
    let builtin: HashSet<String> = globals().names().map(|name| name.as_str().to_owned()).collect();
    let mut known = of_body(ast.statement());
    known.extend(builtin.iter().cloned());
    let found = ast.lint(Some(&builtin)).into_iter().filter(|lint| lint.short_name == UNDEFINED);
    found
        .filter_map(|lint| {
            let name = lint.problem.split('`').nth(1)?;
            Some(undefined(name, lint.location.clone(), &known))
        })
        .collect()
}

/// Remarks on a file.
pub(in crate::config) fn lint(ast: &AstModule) -> Vec<Problem> {
    let found = ast.lint(None).into_iter();
    found
        .filter(|lint| lint.severity != EvalSeverity::Disabled && !QUIET_LINTS.contains(&lint.short_name.as_str()))
        .map(|lint| {
            let hint = format!("`# starlark-lint-disable {}` on the line before silences this", lint.short_name);
            CallSite::of_span(lint.location.clone()).problem(lint.problem.trim_end_matches('.').to_owned(), Some(hint))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::super::parse::parse;
    use super::*;

    #[test]
    fn unknown_names_are_told_in_place_of_an_internal_error() {
        let told = |text: &str| {
            let (_, problems) = types(&parse("x.star", text).unwrap(), &HashMap::new());
            problems.iter().map(Problem::line).collect::<Vec<_>>()
        };
        assert_eq!(
            told("workers = []\ny = wrokers\nz = nosuch_name\ndef f(ctx):\n    return elsewhere\n"),
            [
                "x.star:2:5: variable `wrokers` not found (hint: did you mean `workers`?)",
                "x.star:3:5: variable `nosuch_name` not found",
                "x.star:5:12: variable `elsewhere` not found",
            ]
        );
        assert_eq!(told("x = true\n"), ["x.star:1:5: variable `true` not found (hint: write True)"]);
        assert_eq!(told("x = [y for y in [1]]\nz = len(x)\n"), Vec::<String>::new());
    }
    #[test]
    fn an_early_return_is_nobodys_business() {
        let text = "def f(ctx):\n    if ctx.branch == 'x':\n        return 'skipped'\n    ctx.run('make')\n";
        assert_eq!(lint(&parse("x.star", text).unwrap()), []);
    }
}
