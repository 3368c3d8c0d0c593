//! One poll of a change source, whatever its kind.

use std::path::Path;

use super::bzr::poll_bzr;
use super::gerrit::poll_gerrit;
use super::git::{GitProgram, poll_git};
use super::hg::poll_hg;
use super::poll_error::PollError;
use super::poll_tools::PollTools;
use super::pulls::poll_pulls;
use super::svn::poll_svn;
use crate::model::{ChangeSourceKind, ChangeSourcePlan, Cursor, NewChange};

/// Polls a source once; the next poll must not begin before this one ended. Without a cursor, what is there is taken as
/// seen.
///
/// Returns the new changes, oldest first in each branch, and what has been seen now.
pub async fn poll(
    source: &ChangeSourcePlan,
    cursor: Option<Cursor>,
    tools: &PollTools<'_>,
) -> Result<(Vec<NewChange>, Cursor), PollError> {
    // One line a kind.
    match &source.kind {
        ChangeSourceKind::Git(git) => poll_git(source, git, cursor, tools.cache, &GitProgram::default()).await,
        ChangeSourceKind::Pulls(pulls) => poll_pulls(source, pulls, cursor, tools).await,
        ChangeSourceKind::Gerrit(gerrit) => poll_gerrit(source, gerrit, cursor).await,
        ChangeSourceKind::Hg(hg) => poll_hg(source, hg, cursor, tools.cache).await,
        ChangeSourceKind::Svn(svn) => poll_svn(source, svn, cursor, tools).await,
        ChangeSourceKind::Bzr(bzr) => poll_bzr(source, bzr, cursor).await,
        #[cfg(test)]
        ChangeSourceKind::List(list) => Ok(super::list::poll_list(source, list, cursor)),
    }
}

/// Polls a source of kind `git` with this program and environment.
///
/// # Errors
/// Also for a source of another kind.
pub async fn poll_with(
    source: &ChangeSourcePlan,
    cursor: Option<Cursor>,
    cache: &Path,
    program: &GitProgram,
) -> Result<(Vec<NewChange>, Cursor), PollError> {
    match &source.kind {
        ChangeSourceKind::Git(git) => poll_git(source, git, cursor, cache, program).await,
        ChangeSourceKind::Pulls(_)
        | ChangeSourceKind::Gerrit(_)
        | ChangeSourceKind::Hg(_)
        | ChangeSourceKind::Svn(_)
        | ChangeSourceKind::Bzr(_) => Err(PollError { message: format!("`{}` is no git repository", source.name) }),
        #[cfg(test)]
        ChangeSourceKind::List(_) => Err(PollError { message: format!("`{}` is no git repository", source.name) }),
    }
}
