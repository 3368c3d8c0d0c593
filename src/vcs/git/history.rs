//! Which commits are new on a branch. Reads the cache, knows no network.

use std::sync::atomic::{AtomicBool, Ordering};

use git2::{Error, Oid, Repository, Sort};

/// The new commits of one branch, oldest first, the newest `changes_max` of them.
pub(super) struct Walk<'a> {
    pub repository: &'a Repository,
    pub changes_max: usize,
    /// The poll was given up.
    pub cancelled: &'a AtomicBool,
}

impl Walk<'_> {
    /// A branch that moved from `old` to `new`. After a rewrite that is what came since the two parted; if they
    /// never met, or the old tip no longer exists, the new tip alone.
    pub(super) fn moved(&self, old: &str, new: Oid) -> Result<Vec<Oid>, Error> {
        let Some(old) = self.known(old) else { return Ok(vec![new]) };
        let is_rewritten = !self.repository.graph_descendant_of(new, old)?;
        let commits = self.since(new, &[old])?;
        if is_rewritten && self.holds_a_root(&commits)? { Ok(vec![new]) } else { Ok(self.newest(commits)) }
    }

    /// A branch that is new: its commits that are on no branch known before, at least its tip. A branch that
    /// shares nothing with them gives its tip, not its whole history.
    pub(super) fn appeared(&self, new: Oid, known: &[Oid]) -> Result<Vec<Oid>, Error> {
        if known.is_empty() {
            return Ok(vec![new]);
        }
        let commits = self.since(new, known)?;
        if commits.is_empty() || self.holds_a_root(&commits)? { Ok(vec![new]) } else { Ok(self.newest(commits)) }
    }

    /// The commit of this name, if the cache has it.
    pub(super) fn known(&self, revision: &str) -> Option<Oid> {
        let id = Oid::from_str(revision).ok()?;
        self.repository.find_commit(id).ok().map(|commit| commit.id())
    }

    /// Commits of `new` that none of `old` has, parents before children.
    fn since(&self, new: Oid, old: &[Oid]) -> Result<Vec<Oid>, Error> {
        let mut walk = self.repository.revwalk()?;
        walk.set_sorting(Sort::TOPOLOGICAL | Sort::TIME | Sort::REVERSE)?;
        walk.push(new)?;
        for id in old {
            walk.hide(*id)?;
        }
        let mut commits = Vec::new();
        for id in walk {
            self.check()?;
            commits.push(id?);
        }
        Ok(commits)
    }

    fn holds_a_root(&self, commits: &[Oid]) -> Result<bool, Error> {
        for id in commits {
            self.check()?;
            if self.repository.find_commit(*id)?.parent_count() == 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn newest(&self, mut commits: Vec<Oid>) -> Vec<Oid> {
        commits.drain(..commits.len().saturating_sub(self.changes_max.max(1)));
        commits
    }

    fn check(&self) -> Result<(), Error> {
        if self.cancelled.load(Ordering::Relaxed) { Err(Error::from_str("the poll was given up")) } else { Ok(()) }
    }
}
