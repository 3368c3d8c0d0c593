//! Errors of the evaluator as problems for people.

use starlark::codemap::FileSpan;

use super::library;
use super::limits::Limits;
use super::parse::lower_first;
use super::place::Spot;
use super::problem::Problem;

/// The problem of an evaluation that ended early: in the user's words and at the user's line.
pub(super) fn problem_of(error: &starlark::Error, limits: Limits) -> Problem {
    let spot = Spot { span: own_span(error).cloned(), argument: None };
    if let Some((message, hint)) = limits.explain(error) {
        return spot.problem(message, Some(hint));
    }
    let (message, hint) = split_hint(&error.without_diagnostic().to_string());
    let library = error.span().filter(|span| library::is_library(span.filename()) && spot.span.is_some());
    let seen_in = library.map(|span| {
        let line = span.resolve_span().begin.line + 1;
        format!("it came up in {}, line {line}", span.filename())
    });
    spot.problem(message, hint.or(seen_in))
}

/// The innermost place in a file of the user's; a library's if there is no other.
fn own_span(error: &starlark::Error) -> Option<&FileSpan> {
    let frames = &error.call_stack().frames;
    let places = || error.span().into_iter().chain(frames.iter().rev().filter_map(|frame| frame.location.as_ref()));
    places().find(|span| !library::is_library(span.filename())).or_else(|| places().next())
}

/// The evaluator's words in our manner: a fragment without a full stop, and its suggestion as a hint.
fn split_hint(text: &str) -> (String, Option<String>) {
    let text = text.trim().trim_start_matches("error: ").trim_start_matches("fail: ");
    if let Some((message, hint)) = text.split_once("\nhint: ") {
        return (lower_first(message), Some(hint.to_owned()));
    }
    if let Some((message, rest)) = text.split_once(", did you mean ") {
        return (lower_first(message), Some(format!("did you mean {}", rest.trim_end_matches('.'))));
    }
    if text == "Immutable" {
        let hint = "what is defined at top level is fixed once its file is loaded; make a new value instead";
        return ("this value cannot be changed any more".to_owned(), Some(hint.to_owned()));
    }
    (lower_first(text.trim_end_matches('.')), None)
}
