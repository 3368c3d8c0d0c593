//! One poll of a change source, whatever its kind.

use std::path::Path;

use super::git::{GitProgram, poll_git};
use super::poll_error::PollError;
use crate::model::{ChangeSourceKind, ChangeSourcePlan, Cursor, NewChange};

/// Polls a source once. `cache` is a directory of this source alone, for what it keeps between polls; the
/// next poll must not begin before this one ended. Without a cursor the tips are taken as seen.
///
/// Returns the new changes, oldest first in each branch, and what has been seen now.
pub async fn poll(
    source: &ChangeSourcePlan,
    cursor: Option<Cursor>,
    cache: &Path,
) -> Result<(Vec<NewChange>, Cursor), PollError> {
    poll_with(source, cursor, cache, &GitProgram::default()).await
}

/// Polls with this git program and environment.
pub async fn poll_with(
    source: &ChangeSourcePlan,
    cursor: Option<Cursor>,
    cache: &Path,
    program: &GitProgram,
) -> Result<(Vec<NewChange>, Cursor), PollError> {
    // One line a kind.
    match &source.kind {
        ChangeSourceKind::Git(git) => poll_git(source, git, cursor, cache, program).await,
        #[cfg(test)]
        ChangeSourceKind::List(list) => Ok(super::list::poll_list(source, list, cursor)),
    }
}
