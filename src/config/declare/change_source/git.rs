//! The change source `git`: a repository, its branches and tags.

use super::super::super::args::Call;
use super::super::super::signature::{optional, required};
use super::super::kinds::KindOf;
use crate::model::{BranchChoice, ChangeSourceKind, GitPlan, is_relative_address};

pub(super) const GIT: KindOf<ChangeSourceKind> = KindOf {
    word: "git",
    params: &[
        required("repository", "text", "The repository's address, in any form that git accepts."),
        optional("branches", "list of text", "the default branch", "Branches to poll."),
        optional("patterns", "list of glob patterns", "None", "Patterns of branches to poll."),
        optional("tags", "True or list of glob patterns", "None", "Tags to follow as well; each new tag is a change."),
    ],
    read,
};

/// What whole names of tags begin with.
const TAGS: &str = "refs/tags/";

fn read(call: &mut Call<'_, '_, '_, '_, '_>) -> ChangeSourceKind {
    let repository = call.string("repository").unwrap_or_default();
    if repository.is_empty() && call.value("repository").is_some() {
        call.wrong("repository", "is empty", None);
    }
    refuse_relative(call, &repository);
    let (branches, tags) = with_tags(branches(call), tags(call));
    ChangeSourceKind::Git(GitPlan { repository, branches, tags })
}

/// A poller and a step would take it from different directories.
pub(super) fn refuse_relative(call: &Call<'_, '_, '_, '_, '_>, repository: &str) {
    if is_relative_address(repository) {
        let hint = format!("write an absolute path: config_dir() + \"/{}\"", repository.trim_start_matches("./"));
        call.wrong("repository", &format!("is a relative path: `{repository}`"), Some(hint));
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

pub(super) fn branches(call: &Call<'_, '_, '_, '_, '_>) -> BranchChoice {
    match (call.value("branches").is_some(), call.value("patterns").is_some()) {
        (true, true) => {
            call.wrong("patterns", "and `branches` cannot be combined", None);
            BranchChoice::Default
        }
        (true, false) => BranchChoice::Names(call.some_strings("branches")),
        (false, true) => BranchChoice::Patterns(call.globs("patterns")),
        (false, false) => BranchChoice::Default,
    }
}
