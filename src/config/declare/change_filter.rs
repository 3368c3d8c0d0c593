//! `change_filter`, `matches` and `none_of`: which changes a scheduler takes.

use starlark::environment::GlobalsBuilder;
use starlark::eval::{Arguments, Evaluator};
use starlark::starlark_module;
use starlark::values::tuple::UnpackTuple;
use starlark::values::{Value, ValueLike as _};

use super::super::args::Call;
use super::super::convert::{items_of, kind_of};
use super::super::signature::{Native, optional};
use super::super::values::filter::{FilterValue, MatcherValue};
use crate::model::{ChangeFilter, Matcher};

const MATCHER: &str = "text, list of text or None, matches(regex) or none_of(...)";

pub(super) static CHANGE_FILTER: Native = Native {
    name: "change_filter",
    doc: "Selects the changes that a scheduler accepts. A change must match all arguments that are given.",
    example: "stable = change_filter(branch = matches(\"release/.*\"), files = [\"core/**\"])",
    positional: 0,
    kinds: &[],
    params: &[
        optional("branch", MATCHER, "any", "The change's branch; None in a list means the default branch."),
        optional("project", MATCHER, "any", "The change's project."),
        optional("repository", MATCHER, "any", "The change's repository."),
        optional("codebase", MATCHER, "any", "The change's codebase."),
        optional("category", MATCHER, "any", "The change's category."),
        optional(
            "files",
            "list of glob patterns",
            "any",
            "At least one of the change's files matches one of these patterns.",
        ),
        optional("function", "function of (change)", "None", "Accepts the change if this returns True."),
    ],
};

#[starlark_module]
pub(super) fn functions(builder: &mut GlobalsBuilder) {
    fn change_filter<'v>(args: &Arguments<'v, '_>, eval: &mut Evaluator<'v, '_, '_>) -> starlark::Result<FilterValue> {
        let mut call = Call::open(&CHANGE_FILTER, args, eval)?;
        Ok(FilterValue(ChangeFilter {
            branch: matcher(&call, "branch"),
            project: matcher(&call, "project"),
            repository: matcher(&call, "repository"),
            codebase: matcher(&call, "codebase"),
            category: matcher(&call, "category"),
            files: call.globs("files"),
            function: call.function("function", &["change"]),
        }))
    }

    /// Accepts values that this regular expression matches from their start.
    fn matches(#[starlark(require = pos)] regex: &str) -> anyhow::Result<MatcherValue> {
        regex::Regex::new(regex)
            .map_err(|error| anyhow::anyhow!("`{regex}` is not a valid regular expression: {error}"))?;
        Ok(MatcherValue(Matcher::Regex(regex.to_owned())))
    }

    /// Accepts all values except these; None means a missing value.
    fn none_of<'v>(#[starlark(args)] values: UnpackTuple<Value<'v>>) -> anyhow::Result<MatcherValue> {
        let values = values.items.iter().map(|value| text_or_none(*value));
        Ok(MatcherValue(Matcher::NoneOf(values.collect::<Result<_, _>>().map_err(anyhow::Error::msg)?)))
    }
}

/// An argument that says which values are taken.
pub(super) fn matcher(call: &Call<'_, '_, '_, '_, '_>, name: &'static str) -> Option<Matcher> {
    let value = call.value(name)?;
    if let Some(matcher) = value.downcast_ref::<MatcherValue>() {
        return Some(matcher.0.clone());
    }
    let single = [value];
    let items = items_of(value).unwrap_or(&single);
    let mut taken = Vec::new();
    for (index, item) in items.iter().enumerate() {
        match text_or_none(*item) {
            Ok(text) => taken.push(text),
            Err(why) => {
                let hint = format!("it can be: {MATCHER}");
                call.problem(call.arg(name).item(index), format!("{}: `{name}` {why}", call.title), Some(hint));
            }
        }
    }
    Some(Matcher::OneOf(taken))
}

fn text_or_none(value: Value<'_>) -> Result<Option<String>, String> {
    match value.unpack_str() {
        Some(text) => Ok(Some(text.to_owned())),
        None if value.is_none() => Ok(None),
        None => Err(format!("must be a text or None, not {}", kind_of(value))),
    }
}
