//! The dialect `github` (docs.github.com, "Webhook events and payloads").

use super::json::Node;
use super::pull::{Comment, Pull};
use super::push::{Push, addresses, commit, commits, meaning, named};
use super::{Heard, HookCall, HookError, Meaning};
use crate::model::{HookSettings, PullEvent, PullRef, Value};

pub(super) fn read(call: &HookCall, settings: &HookSettings) -> Result<Heard, HookError> {
    let payload = call.payload()?;
    let event = call.header("x-github-event");
    let event =
        event.ok_or_else(|| HookError::bad("the header `X-GitHub-Event` is missing: this is no call of GitHub"))?;
    let root = Node::root(&payload);
    root.need_object()?;
    let meaning = match event {
        "ping" => Meaning::Ping,
        "push" => push(&root, settings)?,
        "pull_request" => pull_request(&root, settings)?,
        "issue_comment" => comment(&root, settings)?,
        "create" | "delete" => Meaning::ignored("what is created and deleted is told by pushes"),
        other => Meaning::Ignored(format!("the event `{}` tells of no change", shown(other))),
    };
    Ok(Heard { event: event.to_owned(), meaning, payload })
}

/// A word of the sender, for an answer.
pub(super) fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(64).collect()
}

/// All addresses of a repository, as GitHub and Gitea name them.
pub(super) fn repository(node: &Node<'_>) -> Result<Vec<String>, HookError> {
    let found = addresses(&[node.get("clone_url"), node.get("ssh_url"), node.get("html_url"), node.get("git_url")]);
    if found.is_empty() { Err(node.get("clone_url").fault("the address of the repository")) } else { Ok(found) }
}

pub(super) fn push(root: &Node<'_>, settings: &HookSettings) -> Result<Meaning, HookError> {
    let head = root.get("head_commit");
    let deleted = root.get("deleted").is_true();
    let push = Push {
        reference: root.get("ref").need_text()?.to_owned(),
        after: if deleted { None } else { Some(root.get("after").need_revision()?.to_owned()) },
        commits: commits(&root.get("commits"))?,
        head: head.is_there().then(|| commit(&head)).transpose()?,
        created: root.get("created").is_true() || root.get("before").text().is_some_and(super::push::is_zero),
        may_go_back: root.get("forced").is_true(),
        pusher: pusher(root),
        message: None,
    };
    Ok(meaning(vec![push], repository(&root.get("repository"))?, settings))
}

fn pusher(root: &Node<'_>) -> Option<String> {
    let pusher = root.get("pusher");
    let name = pusher.get("name").text().or_else(|| pusher.get("login").text());
    named(name, pusher.get("email").text()).or_else(|| root.at(&["sender", "login"]).string())
}

fn pull_request(root: &Node<'_>, settings: &HookSettings) -> Result<Meaning, HookError> {
    let event = match root.get("action").need_text()? {
        "opened" => PullEvent::Opened,
        "synchronize" => PullEvent::Updated,
        "reopened" => PullEvent::Reopened,
        "labeled" => PullEvent::Labelled,
        "edited" => PullEvent::Edited,
        "ready_for_review" => PullEvent::Ready,
        "closed" => return Ok(Meaning::ignored("the pull request was closed")),
        other => return Ok(Meaning::Ignored(format!("nothing is built for the action `{}`", shown(other)))),
    };
    let pull = whole(&root.get("pull_request"), settings)?;
    let addresses = repository(&root.get("repository"))?;
    Ok(match pull.heard(event, settings) {
        Ok(change) => Meaning::Changes { changes: vec![change], addresses, demanded: is_demanded(event) },
        Err(why) => Meaning::Ignored(why),
    })
}

/// Whether an event wants a build of a commit that is known.
pub(super) const fn is_demanded(event: PullEvent) -> bool {
    match event {
        PullEvent::Opened | PullEvent::Updated => false,
        PullEvent::Reopened | PullEvent::Labelled | PullEvent::Edited | PullEvent::Ready => true,
    }
}

/// A pull request as the hook and the API of GitHub tell it.
pub(super) fn whole(node: &Node<'_>, settings: &HookSettings) -> Result<Pull, HookError> {
    let pull = pull(node, settings)?;
    Ok(Pull { facts: facts(node, pull.number), ..pull })
}

/// What Gitea tells alike.
pub(super) fn pull(node: &Node<'_>, settings: &HookSettings) -> Result<Pull, HookError> {
    let number = node.get("number").need_number()?;
    let (head, base) = (node.get("head"), node.get("base"));
    Ok(Pull {
        number,
        branch: pull_branch(number, settings),
        head_sha: Some(head.get("sha").need_revision()?.to_owned()),
        // Null if the fork was deleted.
        head_repository: head.at(&["repo", "clone_url"]).string(),
        head: head.get("ref").string(),
        base: base.get("ref").string(),
        base_sha: base.get("sha").string(),
        ..described(node, number)
    })
}

pub(super) fn pull_branch(number: i64, settings: &HookSettings) -> String {
    match settings.pulls {
        Some(PullRef::Head) => format!("refs/pull/{number}/head"),
        Some(PullRef::Merge) | None => format!("refs/pull/{number}/merge"),
    }
}

/// What pull requests and issues say alike.
pub(super) fn described(node: &Node<'_>, number: i64) -> Pull {
    let labels = node.get("labels").items();
    Pull {
        number,
        title: node.get("title").string(),
        text: node.get("body").string(),
        url: node.get("html_url").string(),
        author: node.at(&["user", "login"]).string().or_else(|| node.at(&["user", "username"]).string()),
        draft: node.get("draft").is_true(),
        labels: labels.iter().filter_map(|label| label.get("name").string()).collect(),
        ..Pull::default()
    }
}

/// What Buildbot's users know by these names.
fn facts(node: &Node<'_>, number: i64) -> Vec<(&'static str, Value)> {
    let texts: [(&'static str, &[&str]); 11] = [
        ("github.title", &["title"]),
        ("github.state", &["state"]),
        ("github.html_url", &["html_url"]),
        ("github.user.login", &["user", "login"]),
        ("github.head.sha", &["head", "sha"]),
        ("github.head.ref", &["head", "ref"]),
        ("github.head.repo.full_name", &["head", "repo", "full_name"]),
        ("github.base.sha", &["base", "sha"]),
        ("github.base.ref", &["base", "ref"]),
        ("github.base.repo.full_name", &["base", "repo", "full_name"]),
        ("pullrequesturl", &["html_url"]),
    ];
    let text = |(name, path): (&'static str, &[&str])| {
        let text: String = node.at(path).text()?.chars().take(1_000).collect();
        Some((name, Value::Str(text)))
    };
    let mut facts: Vec<(&'static str, Value)> = texts.into_iter().filter_map(text).collect();
    facts.push(("github.number", number.into()));
    facts.push(("github.draft", node.get("draft").is_true().into()));
    facts
}

fn comment(root: &Node<'_>, settings: &HookSettings) -> Result<Meaning, HookError> {
    let issue = root.get("issue");
    if !issue.get("pull_request").is_there() {
        return Ok(Meaning::ignored("the comment is on an issue, not on a pull request"));
    }
    if root.get("action").need_text()? != "created" {
        return Ok(Meaning::ignored("only new comments ask for builds"));
    }
    let number = issue.get("number").need_number()?;
    // The newest commit is built: the call does not say which one that is.
    let pull = Pull { branch: pull_branch(number, settings), ..described(&issue, number) };
    heard_comment(root, pull, settings)
}

/// A comment as GitHub and Gitea tell it.
pub(super) fn heard_comment(root: &Node<'_>, pull: Pull, settings: &HookSettings) -> Result<Meaning, HookError> {
    let node = root.get("comment");
    let comment = Comment {
        text: node.get("body").string().unwrap_or_default(),
        author: node.at(&["user", "login"]).string().or_else(|| node.at(&["user", "username"]).string()),
        association: node.get("author_association").string(),
        url: node.get("html_url").string(),
    };
    let addresses = repository(&root.get("repository"))?;
    Ok(match pull.commented(&comment, settings) {
        Ok(change) => Meaning::Changes { changes: vec![change], addresses, demanded: true },
        Err(why) => Meaning::Ignored(why),
    })
}
