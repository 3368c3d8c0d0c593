//! `change_source`: what looks for changes.

use starlark::environment::GlobalsBuilder;
use starlark::eval::{Arguments, Evaluator};
use starlark::starlark_module;
use starlark::values::none::NoneType;

use super::super::args::Call;
use super::super::collect::Kind;
use super::super::signature::{Native, optional, required};
use crate::base::Span;
use crate::model::{BranchChoice, ChangeSourceKind, ChangeSourcePlan};

pub(super) static CHANGE_SOURCE: Native = Native {
    name: "change_source",
    doc: "Looks for changes. Use `git_poller` of @stdlib//source.star, which calls this one.",
    example: "change_source(\"app\", \"git\", repository = \"https://example.org/app.git\", branches = [\"main\"])",
    positional: 2,
    params: &[
        required("name", "text", "Its name."),
        required("kind", "\"git\"", "What it looks at."),
        required("repository", "text", "Where the repository is, as the git program takes it."),
        optional("branches", "list of text", "the default branch", "Branches to look at."),
        optional("patterns", "list of glob patterns", "None", "Patterns of branches to look at."),
        optional("tags", "True or list of glob patterns", "None", "Tags to follow, too; each new one is a change."),
        optional("every", "length of time", "\"5m\"", "How often."),
        optional("timeout", "length of time", "\"5m\"", "Gives up one poll after this long."),
        optional("changes_max", "whole number", "100", "So many new changes of a branch are recorded one by one."),
        optional("project", "text", "\"\"", "The project of its changes."),
        optional("codebase", "text", "\"\"", "The codebase of its changes."),
        optional("category", "text", "None", "A word for filters."),
    ],
};

/// Polls more often than this would keep the repository's host busy with nothing.
const EVERY_MIN: Span = Span::from_seconds(1);

/// What whole names of tags begin with.
const TAGS: &str = "refs/tags/";

/// More changes of one poll would flood every page.
const CHANGES_MAX: i64 = 10_000;

#[starlark_module]
pub(super) fn functions(builder: &mut GlobalsBuilder) {
    fn change_source<'v>(args: &Arguments<'v, '_>, eval: &mut Evaluator<'v, '_, '_>) -> starlark::Result<NoneType> {
        let mut call = Call::open(&CHANGE_SOURCE, args, eval)?;
        let name = call.subject("change source");
        call.collector.declare(Kind::ChangeSource, &name, &call.spot);
        call.word("kind", &[("git", ())]);
        let repository = call.string("repository").unwrap_or_default();
        if repository.is_empty() && call.value("repository").is_some() {
            call.wrong("repository", "is empty", None);
        }
        let every = call.span("every").unwrap_or(Span::from_minutes(5));
        if every < EVERY_MIN {
            call.wrong("every", "must be at least 1s", None);
        }
        let changes_max = call.whole("changes_max", 1..=CHANGES_MAX).and_then(|n| u64::try_from(n).ok());
        let (branches, tags) = with_tags(branches(&call), tags(&call));
        let kind = ChangeSourceKind::Git {
            repository,
            branches,
            tags,
            every,
            timeout: call.span_above_zero("timeout").unwrap_or(Span::from_minutes(5)),
            changes_max: changes_max.unwrap_or(100),
        };
        let plan = ChangeSourcePlan {
            name: name.clone(),
            project: call.string("project").unwrap_or_default(),
            codebase: call.string("codebase").unwrap_or_default(),
            category: call.string("category"),
            kind,
            place: call.place(),
        };
        call.collector.plan.borrow_mut().change_sources.entry(name).or_insert(plan);
        Ok(NoneType)
    }
}

/// All tags, or those that patterns match.
fn tags(call: &Call<'_, '_, '_, '_, '_>) -> Vec<String> {
    match call.value("tags").map(starlark::values::Value::unpack_bool) {
        None | Some(Some(false)) => Vec::new(),
        Some(Some(true)) => vec!["*".to_owned()],
        Some(None) => call.globs("tags"),
    }
}

/// Tags may also be named among the branches, by their whole names: `refs/tags/v*`.
fn with_tags(branches: BranchChoice, mut tags: Vec<String>) -> (BranchChoice, Vec<String>) {
    let mut split = |names: Vec<String>, is_pattern: bool| -> Vec<String> {
        let (of_tags, others): (Vec<_>, Vec<_>) = names.into_iter().partition(|name| name.starts_with(TAGS));
        tags.extend(of_tags.iter().map(|name| {
            let tag = &name[TAGS.len()..];
            if is_pattern { tag.to_owned() } else { globset::escape(tag) }
        }));
        let short = |name: String| name.strip_prefix("refs/heads/").map_or_else(|| name.clone(), str::to_owned);
        others.into_iter().map(short).collect()
    };
    let branches = match branches {
        BranchChoice::Default => BranchChoice::Default,
        BranchChoice::Names(names) => {
            let has_names = !names.is_empty();
            let names = split(names, false);
            // Nothing but tags: no branch at all, not one that is missing.
            if names.is_empty() && has_names { BranchChoice::Patterns(names) } else { BranchChoice::Names(names) }
        }
        BranchChoice::Patterns(patterns) => BranchChoice::Patterns(split(patterns, true)),
    };
    (branches, tags)
}

fn branches(call: &Call<'_, '_, '_, '_, '_>) -> BranchChoice {
    match (call.value("branches").is_some(), call.value("patterns").is_some()) {
        (true, true) => {
            call.wrong("patterns", "and `branches` exclude each other", None);
            BranchChoice::Default
        }
        (true, false) => BranchChoice::Names(call.some_strings("branches")),
        (false, true) => BranchChoice::Patterns(call.globs("patterns")),
        (false, false) => BranchChoice::Default,
    }
}
