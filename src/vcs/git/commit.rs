//! One commit as a change.

use git2::{Commit, DiffOptions, Repository, Signature};

use crate::base::Timestamp;
use crate::model::{ChangeSourcePlan, NewChange};

/// Paths kept of one commit. Imports of whole trees touch more, and no filter needs them all.
const FILES_MAX: usize = 10_000;
/// Bytes kept of a message; some generated ones hold whole logs.
const COMMENT_BYTES_MAX: usize = 64 << 10;

/// The change that a commit is on a branch.
pub(super) fn change(
    repository: &Repository,
    commit: &Commit<'_>,
    branch: &str,
    source: &ChangeSourcePlan,
    address: &str,
) -> Result<NewChange, git2::Error> {
    Ok(NewChange {
        author: person(&commit.author()),
        committer: Some(person(&commit.committer())),
        comments: comments(commit),
        files: files(repository, commit)?,
        branch: Some(branch.to_owned()),
        revision: Some(commit.id().to_string()),
        revlink: None,
        category: source.category.clone(),
        repository: address.to_owned(),
        project: source.project.clone(),
        codebase: source.codebase.clone(),
        when: Some(Timestamp::from_seconds(commit.time().seconds())),
        properties: crate::model::Properties::default(),
    })
}

fn person(signature: &Signature<'_>) -> String {
    let name = String::from_utf8_lossy(signature.name_bytes()).trim().to_owned();
    let mail = String::from_utf8_lossy(signature.email_bytes()).trim().to_owned();
    match (name.is_empty(), mail.is_empty()) {
        (_, true) => name,
        (true, false) => format!("<{mail}>"),
        (false, false) => format!("{name} <{mail}>"),
    }
}

/// The whole message. Git stores bytes and, rarely, says in which encoding.
fn comments(commit: &Commit<'_>) -> String {
    let bytes = commit.message_bytes();
    let encoding = commit.message_encoding().ok().flatten().unwrap_or("utf-8").to_ascii_lowercase();
    let is_latin =
        matches!(encoding.as_str(), "iso-8859-1" | "iso8859-1" | "latin1" | "latin-1" | "windows-1252" | "cp1252");
    let text: String = match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) if is_latin => bytes.iter().copied().map(char::from).collect(),
        Err(_) => String::from_utf8_lossy(bytes).into_owned(),
    };
    let text = text.trim_end();
    text[..text.floor_char_boundary(COMMENT_BYTES_MAX)].to_owned()
}

/// The paths that a commit touched, as seen from its first parent: for a merge, what it brought to the branch.
fn files(repository: &Repository, commit: &Commit<'_>) -> Result<Vec<String>, git2::Error> {
    // A parent beyond the edge of a shallow repository is named but not there.
    let before = commit.parent(0).ok().map(|parent| parent.tree()).transpose()?;
    let mut options = DiffOptions::new();
    options.skip_binary_check(true);
    let diff = repository.diff_tree_to_tree(before.as_ref(), Some(&commit.tree()?), Some(&mut options))?;
    let path = |delta: git2::DiffDelta<'_>| {
        let bytes = delta.new_file().path_bytes().or_else(|| delta.old_file().path_bytes())?;
        Some(String::from_utf8_lossy(bytes).into_owned())
    };
    let files: Vec<String> = diff.deltas().filter_map(path).take(FILES_MAX).collect();
    if files.len() == FILES_MAX {
        tracing::warn!(revision = %commit.id(), "the change touches more than {FILES_MAX} files; the others are left out");
    }
    Ok(files)
}
