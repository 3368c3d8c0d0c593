//! The dialect `gitlab` (docs.gitlab.com, "Webhook events"). A payload names its kind itself, so that hooks of projects, of
//! groups and of the whole system read alike.

use super::github::{is_demanded, shown};
use super::json::Node;
use super::pull::{Comment, Pull};
use super::push::{Push, addresses, commits, is_zero, meaning, named};
use super::{Heard, HookCall, HookError, Meaning};
use crate::model::{HookSettings, PullEvent, PullRef};

pub(super) fn read(call: &HookCall, settings: &HookSettings) -> Result<Heard, HookError> {
    let payload = call.payload()?;
    let root = Node::root(&payload);
    root.need_object()?;
    let kind = root.get("object_kind").text().or_else(|| root.get("event_name").text());
    let Some(kind) = kind else { return Err(root.get("object_kind").fault("the kind of event")) };
    let meaning = match kind {
        "push" | "tag_push" => push(&root, settings)?,
        "merge_request" => merge_request(&root, settings)?,
        "note" => note(&root, settings)?,
        other => Meaning::Ignored(format!("the event `{}` tells of no change", shown(other))),
    };
    Ok(Heard { event: kind.to_owned(), meaning, payload })
}

fn push(root: &Node<'_>, settings: &HookSettings) -> Result<Meaning, HookError> {
    let after = root.get("after").need_revision()?;
    let commits = commits(&root.get("commits"))?;
    let checkout = root.get("checkout_sha");
    let checkout = checkout.is_there().then(|| checkout.need_revision()).transpose()?;
    // Of a tag with a message `after` is the tag, and `checkout_sha` its commit.
    let is_tag = root.get("object_kind").text() == Some("tag_push");
    let head = commits.as_ref().and_then(|commits| {
        let of = |change: &&crate::model::NewChange| checkout.is_some() && change.revision.as_deref() == checkout;
        commits.iter().find(of).cloned()
    });
    let bare = || crate::model::NewChange {
        revision: checkout.map(str::to_owned),
        author: pusher(root).unwrap_or_default(),
        ..crate::model::NewChange::default()
    };
    let created = root.get("before").text().is_some_and(is_zero);
    let push = Push {
        reference: root.get("ref").need_text()?.to_owned(),
        after: Some(after.to_owned()),
        // A branch that is created comes without commits, also if some are new.
        may_go_back: root.get("before").is_there()
            && commits.as_ref().is_some_and(Vec::is_empty)
            && root.get("total_commits_count").number().unwrap_or(0) == 0,
        commits,
        head: if is_tag { Some(head.unwrap_or_else(bare)) } else { head },
        created,
        pusher: pusher(root),
        message: root.get("message").string(),
    };
    Ok(meaning(vec![push], project(root)?, settings))
}

fn pusher(root: &Node<'_>) -> Option<String> {
    let name = root.get("user_name").text().or_else(|| root.get("user_username").text());
    named(name, root.get("user_email").text())
}

/// All addresses of the project. System hooks and old versions name it in other places.
fn project(root: &Node<'_>) -> Result<Vec<String>, HookError> {
    let project = root.get("project");
    let old = root.get("repository");
    let names = [&project, &old];
    let nodes = ["git_http_url", "git_ssh_url", "http_url", "ssh_url", "web_url", "url", "homepage"];
    let nodes: Vec<Node<'_>> = names.iter().flat_map(|node| nodes.iter().map(|name| node.get(name))).collect();
    let found = addresses(&nodes);
    if found.is_empty() { Err(project.get("git_http_url").fault("the address of the project")) } else { Ok(found) }
}

fn merge_request(root: &Node<'_>, settings: &HookSettings) -> Result<Meaning, HookError> {
    let attributes = root.get("object_attributes");
    let changes = root.get("changes");
    let pull = merge(attributes.need_object()?, &root.get("labels"), settings)?;
    let event = match attributes.get("action").text() {
        Some("open") => PullEvent::Opened,
        Some("reopen") => PullEvent::Reopened,
        Some("update") if attributes.get("oldrev").is_there() => PullEvent::Updated,
        Some("update") if was_draft(&changes) && !pull.draft => PullEvent::Ready,
        Some("update") if changes.get("labels").is_there() => PullEvent::Labelled,
        Some("update") => PullEvent::Edited,
        Some("close" | "merge") => return Ok(Meaning::ignored("the merge request was closed")),
        other => {
            let word = shown(other.unwrap_or("none"));
            return Ok(Meaning::Ignored(format!("nothing is built for the action `{word}`")));
        }
    };
    let addresses = project(root)?;
    let author = pull.author.clone().or_else(|| root.at(&["user", "username"]).string());
    Ok(match (Pull { author, ..pull }).heard(event, settings) {
        Ok(change) => Meaning::Changes { changes: vec![change], addresses, demanded: is_demanded(event) },
        Err(why) => Meaning::Ignored(why),
    })
}

fn was_draft(changes: &Node<'_>) -> bool {
    changes.at(&["draft", "previous"]).is_true() || changes.at(&["work_in_progress", "previous"]).is_true()
}

/// A merge request as an event of its own and a comment tell it.
fn merge(node: &Node<'_>, labels: &Node<'_>, settings: &HookSettings) -> Result<Pull, HookError> {
    let number = node.get("iid").need_number()?;
    let labels = if labels.is_list() { labels.items() } else { node.get("labels").items() };
    Ok(Pull {
        number,
        title: node.get("title").string(),
        text: node.get("description").string(),
        url: node.get("url").string(),
        // Its author is told by number only; whoever opened it is the user of that event.
        author: None,
        draft: node.get("draft").is_true() || node.get("work_in_progress").is_true(),
        labels: labels.iter().filter_map(|label| label.get("title").string()).collect(),
        head: node.get("source_branch").string(),
        head_sha: Some(node.at(&["last_commit", "id"]).need_revision()?.to_owned()),
        head_repository: node.at(&["source", "git_http_url"]).string(),
        base: node.get("target_branch").string(),
        base_sha: None,
        branch: merge_branch(number, settings),
        facts: Vec::new(),
    })
}

pub(super) fn merge_branch(number: i64, settings: &HookSettings) -> String {
    match settings.pulls {
        Some(PullRef::Head) => format!("refs/merge-requests/{number}/head"),
        Some(PullRef::Merge) | None => format!("refs/merge-requests/{number}/merge"),
    }
}

fn note(root: &Node<'_>, settings: &HookSettings) -> Result<Meaning, HookError> {
    let attributes = root.get("object_attributes");
    if attributes.get("noteable_type").text() != Some("MergeRequest") {
        return Ok(Meaning::ignored("the comment is not on a merge request"));
    }
    // What GitLab itself writes of pushes, labels and mentions, in the name of whoever did it.
    if attributes.get("system").is_true() {
        return Ok(Meaning::ignored("the comment was written by GitLab itself"));
    }
    // Versions before 16.11 tell of new comments only, and do not say so.
    if attributes.get("action").text().is_some_and(|action| action != "create") {
        return Ok(Meaning::ignored("only new comments ask for builds"));
    }
    let pull = merge(root.get("merge_request").need_object()?, &Node::root(&serde_json::Value::Null), settings)?;
    let comment = Comment {
        text: attributes.get("note").string().unwrap_or_default(),
        author: root.at(&["user", "username"]).string(),
        association: None,
        url: attributes.get("url").string(),
    };
    let addresses = project(root)?;
    Ok(match pull.commented(&comment, settings) {
        Ok(change) => Meaning::Changes { changes: vec![change], addresses, demanded: true },
        Err(why) => Meaning::Ignored(why),
    })
}
