//! What the engine wants to know of a kind of change source; one line a kind in each function.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use crate::model::{BranchChoice, ChangeSourceKind, ChangeSourcePlan, Cursor, GitPlan, NewChange};

/// The repository that a poller looks at, as it was declared; none if it looks at something else.
pub(super) fn repository_of(poller: &ChangeSourcePlan) -> Option<&str> {
    match &poller.kind {
        ChangeSourceKind::Git(git) => Some(&git.repository),
        #[cfg(test)]
        ChangeSourceKind::List(_) => None,
    }
}

/// Whether a reload put something else in the place of a source: then what was seen of the old one says nothing.
pub(super) fn is_replaced(old: &ChangeSourceKind, new: &ChangeSourceKind) -> bool {
    match (old, new) {
        (ChangeSourceKind::Git(old), ChangeSourceKind::Git(new)) => old.repository != new.repository,
        #[cfg(test)]
        (ChangeSourceKind::List(old), ChangeSourceKind::List(new)) => !new.texts.starts_with(&old.texts),
        // A source of another kind. One such arm for each kind, so that the compiler names a kind without a rule.
        #[cfg(test)]
        (ChangeSourceKind::Git(_) | ChangeSourceKind::List(_), _) => true,
    }
}

/// Whether a change would be found by the poller, as far as its declaration and what it has seen tell. One without a
/// branch may be of any.
pub(super) fn watches(poller: &ChangeSourcePlan, cursor: Option<&Cursor>, change: &NewChange) -> bool {
    let Some(branch) = change.branch.as_deref() else { return true };
    match &poller.kind {
        // Nobody but the forge tells of pull requests, also of those whose branch is an ordinary one.
        ChangeSourceKind::Git(git) => !is_pull(change) && git_watches(git, cursor, branch),
        #[cfg(test)]
        ChangeSourceKind::List(_) => false,
    }
}

/// Whether a change is a pull request.
fn is_pull(change: &NewChange) -> bool {
    change.properties.get("pull.number").is_some()
}

fn git_watches(git: &GitPlan, cursor: Option<&Cursor>, branch: &str) -> bool {
    if let Some(tag) = branch.strip_prefix("refs/tags/") {
        return compiled(&git.tags).is_match(tag);
    }
    let branch = branch.strip_prefix("refs/heads/").unwrap_or(branch);
    if branch.starts_with("refs/") {
        return false;
    }
    match &git.branches {
        // Which one that is was seen by the first poll.
        BranchChoice::Default => cursor.is_none_or(|cursor| cursor.contains_key(branch)),
        BranchChoice::Names(names) => {
            names.iter().any(|name| name.strip_prefix("refs/heads/").unwrap_or(name) == branch)
        }
        BranchChoice::Patterns(patterns) => compiled(patterns).is_match(branch),
    }
}

/// As in git's own patterns for branches, `*` also matches `/`. One that is wrong matches nothing, here and when polling.
fn compiled(patterns: &[String]) -> GlobSet {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        if let Ok(glob) = GlobBuilder::new(pattern).literal_separator(false).backslash_escape(true).build() {
            set.add(glob);
        }
    }
    set.build().unwrap_or_else(|_| GlobSet::empty())
}
