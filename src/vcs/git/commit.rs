//! One commit as a change.

use git2::{Commit, DiffOptions, Oid, Repository, Signature};

use super::encoding::Decoder;
use super::remote::TAGS;
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
    let decoder = decoder(commit);
    Ok(NewChange {
        author: person(&commit.author(), decoder),
        committer: Some(person(&commit.committer(), decoder)),
        comments: comments(commit.message_bytes(), decoder),
        files: files(repository, commit, decoder)?,
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

/// The change that a new tag is; none if it is not one of a commit.
pub(super) fn tag_change(
    repository: &Repository,
    id: Oid,
    name: &str,
    source: &ChangeSourcePlan,
    address: &str,
) -> Result<Option<NewChange>, git2::Error> {
    let object = repository.find_object(id, None)?;
    let Ok(commit) = object.peel_to_commit() else { return Ok(None) };
    let mut change = change(repository, &commit, name, source, address)?;
    if let Some(tag) = object.as_tag() {
        let decoder = tag_decoder(repository, id)?;
        change.comments = comments(tag.message_bytes().unwrap_or_default(), decoder);
        if let Some(tagger) = tag.tagger() {
            change.author = person(&tagger, decoder);
            change.when = Some(Timestamp::from_seconds(tagger.when().seconds()));
        }
    }
    change.category.get_or_insert_with(|| "tag".to_owned());
    change.properties.set("tag", name.strip_prefix(TAGS).unwrap_or(name), "Change");
    Ok(Some(change))
}

fn tag_decoder(repository: &Repository, id: Oid) -> Result<Decoder, git2::Error> {
    let odb = repository.odb()?;
    let object = odb.read(id)?;
    let mut header = object.data().split(|byte| *byte == b'\n').take_while(|line| !line.is_empty());
    let named = header.find_map(|line| line.strip_prefix(b"encoding "));
    Ok(Decoder::of(named.and_then(|name| std::str::from_utf8(name).ok())))
}

/// Git stores bytes and, rarely, says in which encoding: of people and message alike.
fn decoder(commit: &Commit<'_>) -> Decoder {
    let name = commit.header_field_bytes("encoding").ok();
    Decoder::of(name.as_deref().and_then(|name| std::str::from_utf8(name).ok()))
}

fn person(signature: &Signature<'_>, decoder: Decoder) -> String {
    let text = |bytes: &[u8]| decoder.text(bytes).trim().to_owned();
    let (name, mail) = (text(signature.name_bytes()), text(signature.email_bytes()));
    match (name.is_empty(), mail.is_empty()) {
        (_, true) => name,
        (true, false) => format!("<{mail}>"),
        (false, false) => format!("{name} <{mail}>"),
    }
}

/// A whole message.
fn comments(message: &[u8], decoder: Decoder) -> String {
    let text = decoder.text(message);
    let text = text.trim_end();
    text[..text.floor_char_boundary(COMMENT_BYTES_MAX)].to_owned()
}

/// The paths that a commit touched, as seen from its first parent: for a merge, what it brought to the branch.
fn files(repository: &Repository, commit: &Commit<'_>, decoder: Decoder) -> Result<Vec<String>, git2::Error> {
    // A parent beyond the edge of a shallow repository is named but not there.
    let before = commit.parent(0).ok().map(|parent| parent.tree()).transpose()?;
    let mut options = DiffOptions::new();
    options.skip_binary_check(true);
    let diff = repository.diff_tree_to_tree(before.as_ref(), Some(&commit.tree()?), Some(&mut options))?;
    let path = |delta: git2::DiffDelta<'_>| {
        let bytes = delta.new_file().path_bytes().or_else(|| delta.old_file().path_bytes())?;
        Some(decoder.path(bytes))
    };
    let files: Vec<String> = diff.deltas().filter_map(path).take(FILES_MAX).collect();
    if files.len() == FILES_MAX {
        tracing::warn!(revision = %commit.id(), "the change touches more than {FILES_MAX} files; the others are left out");
    }
    Ok(files)
}
