//! The dialect `bitbucketserver`: Bitbucket Server and Data Center (confluence.atlassian.com, "Event payload").
//!
//! Older versions tell of no commits, and not where the repository is: then the configuration says the forge's address.

use super::github::{is_demanded, shown};
use super::json::Node;
use super::pull::{Comment, Pull};
use super::push::{Push, addresses, meaning, named};
use super::{Heard, HookCall, HookError, Meaning};
use crate::model::{HookSettings, NewChange, PullEvent, PullRef};

pub(super) fn read(call: &HookCall, settings: &HookSettings) -> Result<Heard, HookError> {
    let event = call.header("x-event-key");
    let event =
        event.ok_or_else(|| HookError::bad("the header `X-Event-Key` is missing: this is no call of Bitbucket"))?;
    let payload = call.payload()?;
    let root = Node::root(&payload);
    root.need_object()?;
    let meaning = match event {
        "diagnostics:ping" => Meaning::Ping,
        "repo:refs_changed" => push(&root, settings)?,
        "pr:opened" => pull_request(&root, PullEvent::Opened, settings)?,
        "pr:from_ref_updated" => pull_request(&root, PullEvent::Updated, settings)?,
        "pr:reopened" => pull_request(&root, PullEvent::Reopened, settings)?,
        "pr:modified" => pull_request(&root, PullEvent::Edited, settings)?,
        "pr:merged" | "pr:declined" | "pr:deleted" => Meaning::ignored("the pull request was closed"),
        "pr:comment:added" => comment(&root, settings)?,
        other => Meaning::Ignored(format!("the event `{}` tells of no change", shown(other))),
    };
    Ok(Heard { event: event.to_owned(), meaning, payload })
}

fn push(root: &Node<'_>, settings: &HookSettings) -> Result<Meaning, HookError> {
    let actor = root.get("actor");
    let pusher = person(&actor);
    let changes = root.get("changes").need_items()?;
    // They are of the whole push: of one branch only if one moved.
    let commits = root.get("commits");
    let commits = if changes.len() == 1 && commits.is_list() { Some(commits.items()) } else { None };
    let to = root.get("toCommit");
    let mut moves = Vec::new();
    for change in &changes {
        let is_gone = change.get("type").text() == Some("DELETE");
        let after = if is_gone { None } else { Some(change.get("toHash").need_revision()?.to_owned()) };
        let head = (changes.len() == 1 && to.is_there() && !is_gone).then(|| commit(&to)).transpose()?;
        moves.push(Push {
            reference: reference(change)?,
            after,
            commits: commits.as_ref().map(|commits| commits.iter().map(commit).collect()).transpose()?,
            head,
            created: change.get("type").text() == Some("ADD"),
            may_go_back: false,
            pusher: pusher.clone(),
            message: None,
        });
    }
    Ok(meaning(moves, repository(&root.get("repository"), settings)?, settings))
}

fn reference(change: &Node<'_>) -> Result<String, HookError> {
    let name = change.at(&["ref", "id"]);
    Ok(name.text().map_or_else(|| change.get("refId").need_text(), Ok)?.to_owned())
}

fn commit(node: &Node<'_>) -> Result<NewChange, HookError> {
    Ok(NewChange {
        author: person(&node.get("author")).unwrap_or_default(),
        committer: person(&node.get("committer")),
        comments: node.get("message").string().unwrap_or_default(),
        revision: Some(node.get("id").need_text()?.to_owned()),
        when: node.get("committerTimestamp").moment().or_else(|| node.get("authorTimestamp").moment()),
        ..NewChange::default()
    })
}

fn person(node: &Node<'_>) -> Option<String> {
    let name = node.get("displayName").text().or_else(|| node.get("name").text());
    named(name, node.get("emailAddress").text())
}

/// All addresses of a repository: those that it names, else what follows from the address of the forge.
fn repository(node: &Node<'_>, settings: &HookSettings) -> Result<Vec<String>, HookError> {
    let links: Vec<Node<'_>> = node.at(&["links", "clone"]).items().iter().map(|link| link.get("href")).collect();
    let mut found = addresses(&links);
    // The page is no address of git, but stands for one.
    found.sort_by_key(|address| !address.starts_with("http"));
    if !found.is_empty() {
        return Ok(found);
    }
    let Some(url) = settings.url.as_deref() else {
        let mut error = node.at(&["links", "clone"]).fault("the addresses of the repository");
        error
            .message
            .push_str("; this version does not send them: change_hook(…, url = \"https://bitbucket.example.org\")");
        return Err(error);
    };
    let (project, slug) = (node.at(&["project", "key"]).need_text()?, node.get("slug").need_text()?);
    Ok(vec![format!("{}/scm/{}/{slug}.git", url.trim_end_matches('/'), project.to_lowercase())])
}

fn pull_request(root: &Node<'_>, event: PullEvent, settings: &HookSettings) -> Result<Meaning, HookError> {
    let node = root.get("pullRequest");
    let pull = pull(&node, settings)?;
    let addresses = repository(&node.at(&["toRef", "repository"]), settings)?;
    Ok(match pull.heard(event, settings) {
        Ok(change) => Meaning::Changes { changes: vec![change], addresses, demanded: is_demanded(event) },
        Err(why) => Meaning::Ignored(why),
    })
}

/// A pull request as the hook and the API of Bitbucket Server tell it.
pub(super) fn pull(node: &Node<'_>, settings: &HookSettings) -> Result<Pull, HookError> {
    let number = node.get("id").need_number()?;
    let (from, to) = (node.get("fromRef"), node.get("toRef"));
    let user = node.at(&["author", "user"]);
    let links = node.at(&["links", "self"]).items();
    let branch = |node: &Node<'_>| node.get("displayId").string();
    let branch = match settings.pulls {
        Some(PullRef::Head) => (format!("refs/pull-requests/{number}/from"), branch(&from), branch(&to)),
        Some(PullRef::Merge) | None => (format!("refs/pull-requests/{number}/merge"), branch(&from), branch(&to)),
    };
    Ok(Pull {
        number,
        title: node.get("title").string(),
        text: node.get("description").string(),
        url: links.first().and_then(|link| link.get("href").string()),
        author: user.get("name").string().or_else(|| user.get("displayName").string()),
        draft: node.get("draft").is_true(),
        labels: Vec::new(),
        head_sha: Some(from.get("latestCommit").need_text()?.to_owned()),
        head_repository: repository(&from.get("repository"), settings).ok().and_then(|found| found.first().cloned()),
        base_sha: to.get("latestCommit").string(),
        branch: branch.0,
        head: branch.1,
        base: branch.2,
        facts: Vec::new(),
    })
}

fn comment(root: &Node<'_>, settings: &HookSettings) -> Result<Meaning, HookError> {
    let node = root.get("pullRequest");
    let pull = pull(&node, settings)?;
    let comment = root.get("comment");
    let comment = Comment {
        text: comment.get("text").string().unwrap_or_default(),
        author: comment.at(&["author", "name"]).string(),
        association: None,
        url: None,
    };
    let addresses = repository(&node.at(&["toRef", "repository"]), settings)?;
    Ok(match pull.commented(&comment, settings) {
        Ok(change) => Meaning::Changes { changes: vec![change], addresses, demanded: true },
        Err(why) => Meaning::Ignored(why),
    })
}
