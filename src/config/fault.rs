//! Errors of the evaluator as problems for people.

use std::collections::BTreeSet;

use starlark::codemap::FileSpan;

use super::foreign;
use super::library;
use super::limits::Limits;
use super::parse::{NO_FORMATS, lower_first};
use super::place::{CallSite, is_own, written};
use super::problem::Problem;
use crate::base::nearest;

/// The problem of an evaluation that ended early: in the user's words and at the user's line.
pub(super) fn problem_of(error: &starlark::Error, limits: Limits) -> Problem {
    let site = CallSite { span: own_span(error).cloned(), argument: None };
    if let Some((message, hint)) = limits.explain(error) {
        return site.problem(message, Some(hint));
    }
    let (message, hint) = split_hint(&error.without_diagnostic().to_string());
    let (message, hint) = in_our_words(message, hint, error.span());
    let library = error.span().filter(|span| !is_own(span) && site.span.is_some());
    let seen_in = library.map(|span| {
        let line = span.resolve_span().begin.line + 1;
        format!("it came up in {}, line {line}", span.filename())
    });
    site.problem(message, hint.or(seen_in))
}

/// The problem of a name that there is not, found without running anything; `known` are the names that there are.
pub(super) fn undefined(name: &str, span: FileSpan, known: &BTreeSet<String>) -> Problem {
    let near = nearest(name, known.iter().map(String::as_str)).map(|other| format!("did you mean `{other}`?"));
    let hint = unknown_name(name, near, Some(&span));
    CallSite::of_span(span).problem(format!("variable `{name}` not found"), hint)
}

/// The innermost place in a file of the user's; a library's if there is no other.
fn own_span(error: &starlark::Error) -> Option<&FileSpan> {
    let frames = &error.call_stack().frames;
    let frames = || frames.iter().rev().filter_map(|frame| frame.location.as_ref());
    let places = || written(error.span().into_iter().chain(frames()));
    places().find(|span| is_own(span)).or_else(|| places().next())
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
        let hint = "values defined at top level cannot change once their file is loaded; make a new value instead";
        return ("this value can no longer be changed".to_owned(), Some(hint.to_owned()));
    }
    (lower_first(text.trim_end_matches('.')), None)
}

/// What the evaluator says of things that people often write, with what to write instead.
fn in_our_words(message: String, hint: Option<String>, span: Option<&FileSpan>) -> (String, Option<String>) {
    if let Some(name) = quoted_in(&message, "variable `", "` not found") {
        let hint = unknown_name(name, hint, span);
        return (message, hint);
    }
    if let Some(name) = message.split_once("has no attribute `").and_then(|(_, rest)| rest.strip_suffix('`')) {
        let known = foreign::attribute(name);
        return (message, known.or(hint));
    }
    if let Some(name) = quoted_between(&message, "attribute `", "` is not available") {
        let known = foreign::attribute(name);
        return (message, known.or(hint));
    }
    if adds_number_to_text(&message) {
        return (message, Some("make a text of the number: str(…)".to_owned()));
    }
    if FORMATS.iter().any(|words| message.to_lowercase().contains(words)) {
        return (message, Some(NO_FORMATS.to_owned()));
    }
    match wrong_type(&message) {
        Some(ours) => (ours, hint),
        None => (message, hint),
    }
}

/// What the evaluator says of format specifications.
const FORMATS: [&str; 4] = ["format character", "key `:", "invalid format", "format string"];

/// Whether the message is about a sum of a text and a number.
fn adds_number_to_text(message: &str) -> bool {
    let of_sum = message.contains("`+`");
    let names = |words: [&str; 2]| words.iter().any(|word| message.contains(&format!("`{word}`")));
    of_sum && names(["str", "string"]) && names(["int", "float"])
}

/// What stands between two texts somewhere in a message.
fn quoted_between<'m>(message: &'m str, begin: &str, end: &str) -> Option<&'m str> {
    message.split_once(begin)?.1.split_once(end).map(|(inner, _)| inner)
}

/// What stands between two texts that a message begins and ends with.
fn quoted_in<'m>(message: &'m str, begin: &str, end: &str) -> Option<&'m str> {
    message.strip_prefix(begin)?.strip_suffix(end)
}

/// The hint for a name that there is not: where it can be loaded from, what it is called here, or the nearest one.
fn unknown_name(name: &str, suggested: Option<String>, span: Option<&FileSpan>) -> Option<String> {
    let load = || library::load_line(name).map(|line| format!("write {line} at the top of the file"));
    let after = span.map(|span| text_after(span, name)).unwrap_or_default();
    let for_authors = library::exports().get(name).is_some_and(|file| file.ends_with("checks.star"));
    let known = if for_authors { foreign::name(name, after) } else { None };
    if let Some(known) = known.or_else(load).or_else(|| foreign::name(name, after)) {
        return Some(known);
    }
    let suggestion = suggested.as_deref().and_then(|hint| hint.split('`').nth(1)).filter(|other| {
        // The evaluator suggests names that have little in common.
        nearest(name, [*other]).is_some()
    });
    if let Some(other) = suggestion {
        return Some(format!("did you mean `{other}`?"));
    }
    let meant = nearest(name, library::exports().keys().copied())?;
    Some(format!("did you mean `{meant}`? Write {} at the top of the file", library::load_line(meant)?))
}

/// The text behind a name.
fn text_after<'s>(span: &'s FileSpan, name: &str) -> &'s str {
    let source = span.file.source();
    let end = span.span.begin().get() as usize + name.len();
    source.get(end..).unwrap_or_default()
}

/// A wrong type of an argument, in words; none if the message is about something else.
fn wrong_type(message: &str) -> Option<String> {
    let rest = message.strip_prefix("type of parameter `")?;
    let (name, rest) = rest.split_once("` doesn't match, expected `")?;
    let (wanted, rest) = rest.split_once("`, actual `")?;
    let actual = rest.split([' ', '`']).next()?;
    Some(format!("`{name}` must be {}, not {}", words_of(wanted), word_of(actual)))
}

/// A type in words.
fn words_of(wanted: &str) -> String {
    let parts: Vec<&str> = wanted.split(" | ").map(str::trim).collect();
    if parts.len() > 1 {
        let words: Vec<String> = parts.into_iter().map(word_of).collect();
        return words.join(" or ");
    }
    word_of(wanted)
}

fn word_of(kind: &str) -> String {
    let inner =
        |kind: &str| kind.split_once('[').map(|(_, rest)| rest.trim_end_matches([']', '.', ',', ' ']).to_owned());
    match kind.split('[').next().unwrap_or(kind) {
        "str" | "string" => "a text".to_owned(),
        "int" => "a whole number".to_owned(),
        "float" => "a number".to_owned(),
        "bool" => "True or False".to_owned(),
        "None" | "NoneType" => "None".to_owned(),
        "dict" => "a dict".to_owned(),
        "list" => inner(kind).map_or_else(|| "a list".to_owned(), |item| format!("a list of {}", plural(&item))),
        "tuple" => match inner(kind) {
            Some(item) => plural(&item),
            None => "a list".to_owned(),
        },
        "template" => "a template".to_owned(),
        "function" | "native_function" => "a function".to_owned(),
        "Step" | "step" => "a step".to_owned(),
        other => format!("a value of type `{other}`"),
    }
}

fn plural(kind: &str) -> String {
    let words: Vec<String> = kind
        .split(" | ")
        .map(|kind| match kind.trim() {
            "str" | "string" => "texts".to_owned(),
            "int" => "whole numbers".to_owned(),
            "template" => "templates".to_owned(),
            "typing.Any" => "values".to_owned(),
            other => format!("values of type `{other}`"),
        })
        .collect();
    words.join(" or ")
}
