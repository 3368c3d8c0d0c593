//! The dialect `gitea`: Gitea, Forgejo and Gogs (docs.gitea.com and forgejo.org, "Webhooks"). Like GitHub's, but for the
//! words of actions, the place of the head of a pull request, and commits whose newest may come first.

use super::github::{described, heard_comment, is_demanded, pull, push, repository, shown};
use super::json::Node;
use super::pull::Pull;
use super::{Heard, HookCall, HookError, Meaning};
use crate::model::{HookSettings, PullEvent, PullRef};

const EVENTS: [&str; 4] = ["x-forgejo-event", "x-gitea-event", "x-gogs-event", "x-github-event"];

pub(super) fn read(call: &HookCall, settings: &HookSettings) -> Result<Heard, HookError> {
    let payload = call.payload()?;
    let event = EVENTS.iter().find_map(|name| call.header(name));
    let event = event.ok_or_else(|| {
        HookError::bad("the header `X-Gitea-Event` is missing: this is no call of Gitea, Forgejo or Gogs")
    })?;
    let root = Node::root(&payload);
    root.need_object()?;
    // There is no ref of the merge result.
    let settings = HookSettings { pulls: settings.pulls.and(Some(PullRef::Head)), ..settings.clone() };
    let meaning = match event {
        "ping" => Meaning::Ping,
        "push" => push(&root, &settings)?,
        "pull_request" | "pull_request_sync" | "pull_request_label" => pull_request(&root, &settings)?,
        "issue_comment" | "pull_request_comment" => comment(&root, &settings)?,
        "create" | "delete" => Meaning::ignored("what is created and deleted is told by pushes"),
        other => Meaning::Ignored(format!("the event `{}` tells of no change", shown(other))),
    };
    Ok(Heard { event: event.to_owned(), meaning, payload })
}

fn pull_request(root: &Node<'_>, settings: &HookSettings) -> Result<Meaning, HookError> {
    let event = match root.get("action").need_text()? {
        "opened" => PullEvent::Opened,
        "synchronized" | "synchronize" => PullEvent::Updated,
        "reopened" => PullEvent::Reopened,
        "label_updated" => PullEvent::Labelled,
        "edited" => PullEvent::Edited,
        "closed" => return Ok(Meaning::ignored("the pull request was closed")),
        other => return Ok(Meaning::Ignored(format!("nothing is built for the action `{}`", shown(other)))),
    };
    let node = root.get("pull_request");
    let pull = if node.get("head_branch").is_there() { of_gogs(&node)? } else { pull(&node, settings)? };
    let addresses = repository(&root.get("repository"))?;
    Ok(match pull.heard(event, settings) {
        Ok(change) => Meaning::Changes { changes: vec![change], addresses, demanded: is_demanded(event) },
        Err(why) => Meaning::Ignored(why),
    })
}

/// Gogs names branches, and no commits: the newest one is built.
fn of_gogs(node: &Node<'_>) -> Result<Pull, HookError> {
    let number = node.get("number").need_number()?;
    Ok(Pull {
        branch: format!("refs/pull/{number}/head"),
        head: node.get("head_branch").string(),
        head_repository: node.at(&["head_repo", "clone_url"]).string(),
        base: node.get("base_branch").string(),
        ..described(node, number)
    })
}

fn comment(root: &Node<'_>, settings: &HookSettings) -> Result<Meaning, HookError> {
    let issue = root.get("issue");
    if !root.get("is_pull").is_true() && !issue.get("pull_request").is_there() && !root.get("pull_request").is_there() {
        return Ok(Meaning::ignored("the comment is on an issue, not on a pull request"));
    }
    if root.get("action").need_text()? != "created" {
        return Ok(Meaning::ignored("only new comments ask for builds"));
    }
    // Versions since 1.22 tell all of the pull request, so that its head is the one that the comment was about.
    let whole = root.get("pull_request");
    let pull = if whole.at(&["head", "sha"]).is_there() {
        pull(&whole, settings)?
    } else {
        let node = if issue.is_there() { issue } else { whole };
        let number = node.get("number").need_number()?;
        Pull { branch: format!("refs/pull/{number}/head"), ..described(&node, number) }
    };
    heard_comment(root, pull, settings)
}
