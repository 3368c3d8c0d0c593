//! Whether a poller looks at a branch: as far as its declaration and what it has seen tell.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use crate::model::{BranchChoice, ChangeSourceKind, ChangeSourcePlan, Cursor};

/// Whether a change on this branch would be found by the poller.
pub(super) fn watches(poller: &ChangeSourcePlan, cursor: Option<&Cursor>, branch: &str) -> bool {
    let ChangeSourceKind::Git { branches, tags, .. } = &poller.kind;
    if let Some(tag) = branch.strip_prefix("refs/tags/") {
        return compiled(tags).is_match(tag);
    }
    let branch = branch.strip_prefix("refs/heads/").unwrap_or(branch);
    match branches {
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
