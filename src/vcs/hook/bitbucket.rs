//! The dialect `bitbucket`: Bitbucket Cloud (support.atlassian.com, "Event payloads"). It has no refs of pull requests: what
//! is built is the source branch, in the repository from which the pull request comes.

use super::github::{is_demanded, shown};
use super::json::Node;
use super::pull::{Comment, Pull};
use super::push::{Push, meaning};
use super::{Heard, HookCall, HookError, Meaning};
use crate::model::{HookSettings, NewChange, PullEvent};

pub(super) fn read(call: &HookCall, settings: &HookSettings) -> Result<Heard, HookError> {
    let payload = call.payload()?;
    let event = call.header("x-event-key");
    let event =
        event.ok_or_else(|| HookError::bad("the header `X-Event-Key` is missing: this is no call of Bitbucket"))?;
    let root = Node::root(&payload);
    root.need_object()?;
    let meaning = match event {
        "diagnostics:ping" => Meaning::Ping,
        "repo:push" => push(&root, settings)?,
        "pullrequest:created" => pull_request(&root, PullEvent::Opened, settings)?,
        // Also when only its text was edited: the call does not tell them apart.
        "pullrequest:updated" => pull_request(&root, PullEvent::Updated, settings)?,
        "pullrequest:fulfilled" | "pullrequest:rejected" => Meaning::ignored("the pull request was closed"),
        "pullrequest:comment_created" => comment(&root, settings)?,
        other => Meaning::Ignored(format!("the event `{}` tells of no change", shown(other))),
    };
    Ok(Heard { event: event.to_owned(), meaning, payload })
}

fn push(root: &Node<'_>, settings: &HookSettings) -> Result<Meaning, HookError> {
    let pusher = root.at(&["actor", "display_name"]).string();
    let changes = root.at(&["push", "changes"]).need_items()?;
    let moves: Result<Vec<Push>, HookError> = changes.iter().map(|change| one(change, pusher.as_deref())).collect();
    Ok(meaning(moves?, repository(&root.get("repository"))?, settings))
}

fn one(node: &Node<'_>, pusher: Option<&str>) -> Result<Push, HookError> {
    let (old, new) = (node.get("old"), node.get("new"));
    let there = if new.is_there() { &new } else { &old };
    let name = there.get("name").need_text()?;
    let reference = match there.get("type").text() {
        Some("tag" | "annotated_tag") => format!("refs/tags/{name}"),
        _ => format!("refs/heads/{name}"),
    };
    if !new.is_there() {
        return Ok(Push { reference, ..Push::default() });
    }
    let target = new.get("target");
    let commits = node.get("commits");
    let commits = commits.is_list().then(|| commits.items().iter().map(commit).collect::<Result<Vec<_>, _>>());
    Ok(Push {
        reference,
        after: Some(target.get("hash").need_revision()?.to_owned()),
        commits: commits.transpose()?,
        head: Some(commit(&target)?),
        created: node.get("created").is_true() || !old.is_there(),
        may_go_back: node.get("forced").is_true(),
        pusher: pusher.map(str::to_owned),
        message: None,
    })
}

fn commit(node: &Node<'_>) -> Result<NewChange, HookError> {
    Ok(NewChange {
        author: author(&node.get("author")).unwrap_or_default(),
        comments: node.get("message").string().unwrap_or_default(),
        revision: Some(node.get("hash").need_revision()?.to_owned()),
        revlink: node.at(&["links", "html", "href"]).string(),
        when: node.get("date").moment(),
        ..NewChange::default()
    })
}

fn author(node: &Node<'_>) -> Option<String> {
    node.get("raw").string().or_else(|| node.at(&["user", "display_name"]).string())
}

/// The address of a repository: that of its page, which git takes, too.
fn repository(node: &Node<'_>) -> Result<Vec<String>, HookError> {
    if let Some(page) = node.at(&["links", "html", "href"]).string() {
        return Ok(vec![page]);
    }
    match node.get("full_name").text() {
        Some(name) => Ok(vec![format!("https://bitbucket.org/{name}")]),
        None => Err(node.at(&["links", "html", "href"]).fault("the address of the repository")),
    }
}

fn pull_request(root: &Node<'_>, event: PullEvent, settings: &HookSettings) -> Result<Meaning, HookError> {
    let node = root.get("pullrequest");
    let (pull, addresses) = pull(&node, root)?;
    Ok(match pull.heard(event, settings) {
        Ok(change) => Meaning::Changes { changes: vec![change], addresses, demanded: is_demanded(event) },
        Err(why) => Meaning::Ignored(why),
    })
}

/// A pull request, and the repository from which it comes.
fn pull(node: &Node<'_>, root: &Node<'_>) -> Result<(Pull, Vec<String>), HookError> {
    let home = repository(&node.at(&["destination", "repository"])).or_else(|_| repository(&root.get("repository")))?;
    of(node, home)
}

/// The same as the API lists it.
pub(super) fn listed(node: &Node<'_>) -> Result<(Pull, Vec<String>), HookError> {
    of(node, repository(&node.at(&["destination", "repository"]))?)
}

fn of(node: &Node<'_>, home: Vec<String>) -> Result<(Pull, Vec<String>), HookError> {
    let (source, destination) = (node.get("source"), node.get("destination"));
    // Null if the fork was deleted.
    let addresses = repository(&source.get("repository")).unwrap_or_else(|_| home.clone());
    let branch = source.at(&["branch", "name"]).need_text()?.to_owned();
    let home = home.into_iter().next().unwrap_or_default();
    let pull = Pull {
        number: node.get("id").need_number()?,
        title: node.get("title").string(),
        text: node.get("description").string(),
        url: node.at(&["links", "html", "href"]).string(),
        author: node.at(&["author", "nickname"]).string().or_else(|| node.at(&["author", "display_name"]).string()),
        draft: node.get("draft").is_true(),
        labels: Vec::new(),
        head: Some(branch.clone()),
        head_sha: Some(source.at(&["commit", "hash"]).need_revision()?.to_owned()),
        head_repository: addresses.first().cloned(),
        base: destination.at(&["branch", "name"]).string(),
        base_sha: destination.at(&["commit", "hash"]).string(),
        branch,
        // By it the poller of its pull requests is found.
        facts: [("pull.base_repository", home.into())]
            .into_iter()
            .chain(account(&node.get("author")).map(|id| ("pull.author_id", id.into())))
            .collect(),
    };
    Ok((pull, addresses))
}

/// What tells one account from another.
fn account(node: &Node<'_>) -> Option<String> {
    node.get("account_id").string().or_else(|| node.get("uuid").string())
}

fn comment(root: &Node<'_>, settings: &HookSettings) -> Result<Meaning, HookError> {
    let (pull, addresses) = pull(&root.get("pullrequest"), root)?;
    let node = root.get("comment");
    let author = root.get("actor");
    let comment = Comment {
        text: node.at(&["content", "raw"]).string().unwrap_or_default(),
        // Nicknames and display names are chosen freely, and are not unique.
        author: account(&author),
        association: None,
        url: node.at(&["links", "html", "href"]).string(),
    };
    Ok(match pull.commented(&comment, settings) {
        Ok(change) => Meaning::Changes { changes: vec![change], addresses, demanded: true },
        Err(why) => Meaning::Ignored(why),
    })
}
