//! What the engine wants to know of a kind of change source; one line a kind in each function.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use crate::model::{
    BranchChoice, ChangeSourceKind, ChangeSourcePlan, Cursor, GerritPlan, GitPlan, HgPlan, NewChange, PullsPlan, Value,
};

/// The repository that a poller looks at, as it was declared; none if it looks at something else.
pub(super) fn repository_of(poller: &ChangeSourcePlan) -> Option<&str> {
    match &poller.kind {
        ChangeSourceKind::Git(git) => Some(&git.repository),
        ChangeSourceKind::Pulls(pulls) => Some(&pulls.repository),
        ChangeSourceKind::Gerrit(gerrit) => Some(&gerrit.repository),
        ChangeSourceKind::Hg(hg) => Some(&hg.repository),
        ChangeSourceKind::Svn(svn) => Some(&svn.repository),
        ChangeSourceKind::Bzr(bzr) => Some(&bzr.repository),
        #[cfg(test)]
        ChangeSourceKind::List(_) => None,
    }
}

/// Whether a reload put something else in the place of a source: then what was seen of the old one says nothing.
pub(super) fn is_replaced(old: &ChangeSourceKind, new: &ChangeSourceKind) -> bool {
    match (old, new) {
        (ChangeSourceKind::Git(old), ChangeSourceKind::Git(new)) => old.repository != new.repository,
        // What was seen are the heads of those that were looked at.
        (ChangeSourceKind::Pulls(old), ChangeSourceKind::Pulls(new)) => {
            (&old.repository, &old.api, &old.branches, old.drafts)
                != (&new.repository, &new.api, &new.branches, new.drafts)
        }
        (ChangeSourceKind::Gerrit(old), ChangeSourceKind::Gerrit(new)) => old.repository != new.repository,
        (ChangeSourceKind::Hg(old), ChangeSourceKind::Hg(new)) => old.repository != new.repository,
        // What was seen is a number of the repository, whatever its layout.
        (ChangeSourceKind::Svn(old), ChangeSourceKind::Svn(new)) => old.repository != new.repository,
        (ChangeSourceKind::Bzr(old), ChangeSourceKind::Bzr(new)) => old.repository != new.repository,
        #[cfg(test)]
        (ChangeSourceKind::List(old), ChangeSourceKind::List(new)) => !new.texts.starts_with(&old.texts),
        // A source of another kind. One such arm for each kind, so that the compiler names a kind without a rule.
        (
            ChangeSourceKind::Git(_)
            | ChangeSourceKind::Pulls(_)
            | ChangeSourceKind::Gerrit(_)
            | ChangeSourceKind::Hg(_)
            | ChangeSourceKind::Svn(_)
            | ChangeSourceKind::Bzr(_),
            _,
        ) => true,
        #[cfg(test)]
        (ChangeSourceKind::List(_), _) => true,
    }
}

/// Whether a change would be found by the poller, as far as its declaration and what it has seen tell. One without a
/// branch may be of any.
pub(super) fn watches(poller: &ChangeSourcePlan, cursor: Option<&Cursor>, change: &NewChange) -> bool {
    let Some(branch) = change.branch.as_deref() else { return true };
    match &poller.kind {
        // Nobody but the forge tells of pull requests, also of those whose branch is an ordinary one.
        ChangeSourceKind::Git(git) => !is_pull(change) && git_watches(git, cursor, branch),
        ChangeSourceKind::Pulls(pulls) => is_pull(change) && pulls_watch(pulls, change),
        ChangeSourceKind::Gerrit(gerrit) => is_pull(change) && gerrit_watches(gerrit, change),
        ChangeSourceKind::Hg(hg) => !is_pull(change) && hg_watches(hg, branch),
        ChangeSourceKind::Svn(svn) => {
            !is_pull(change) && (svn.branches.is_empty() || compiled(&svn.branches).is_match(branch))
        }
        ChangeSourceKind::Bzr(bzr) => {
            !is_pull(change) && (bzr.branches.is_empty() || bzr.branches.iter().any(|name| name == branch))
        }
        #[cfg(test)]
        ChangeSourceKind::List(_) => false,
    }
}

/// Whether a change is a pull request.
fn is_pull(change: &NewChange) -> bool {
    change.properties.get("pull.number").is_some()
}

/// The repository that a change is for. A pull request may have its branch in another one.
pub(super) fn home_of(change: &NewChange) -> &str {
    let home = change.properties.get("pull.base_repository").and_then(Value::as_str);
    home.unwrap_or(&change.repository)
}

/// Of a comment, some forges do not tell where the pull request is to go.
fn pulls_watch(pulls: &PullsPlan, change: &NewChange) -> bool {
    let is_draft = change.properties.get("pull.draft").is_some_and(Value::is_true);
    let base = change.properties.get("pull.base").and_then(Value::as_str);
    let fits = |base: &str| pulls.branches.is_empty() || compiled(&pulls.branches).is_match(base);
    (pulls.drafts || !is_draft) && base.is_none_or(fits)
}

fn gerrit_watches(gerrit: &GerritPlan, change: &NewChange) -> bool {
    let base = change.properties.get("pull.base").and_then(Value::as_str);
    base.is_none_or(|base| gerrit.branches.is_empty() || compiled(&gerrit.branches).is_match(base))
}

fn hg_watches(hg: &HgPlan, branch: &str) -> bool {
    match &hg.branches {
        BranchChoice::Default => branch == "default",
        BranchChoice::Names(names) => names.iter().any(|name| name == branch),
        BranchChoice::Patterns(patterns) => compiled(patterns).is_match(branch),
    }
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
