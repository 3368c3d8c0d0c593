//! What was pushed, as changes: as the poller would tell it.

use super::json::Node;
use super::{HookError, Meaning};
use crate::model::{HookSettings, NewChange};

const HEADS: &str = "refs/heads/";
const TAGS: &str = "refs/tags/";
/// Paths kept of one commit; the poller's bound, too.
const FILES_MAX: usize = 10_000;
/// Commits of one push that are recorded one by one, the newest kept. A push of more is an import, or a branch that was
/// away for long; each is shown to all schedulers in one turn of the engine.
const CHANGES_MAX: usize = 1_000;

/// The move of one branch or tag.
#[derive(Debug, Default)]
pub(super) struct Push {
    /// The whole name of the ref.
    pub reference: String,
    /// Where it stands now; none, or zeros, if it is gone.
    pub after: Option<String>,
    /// The commits, in any order; none if the forge does not tell them.
    pub commits: Option<Vec<NewChange>>,
    /// The commit at which it stands.
    pub head: Option<NewChange>,
    /// It was not there before.
    pub created: bool,
    /// It went back to an older commit, if no commit is told.
    pub may_go_back: bool,
    /// Who pushed, for a commit of which nothing else is known.
    pub pusher: Option<String>,
    /// The message of a tag.
    pub message: Option<String>,
}

impl Push {
    /// The changes that it is, oldest first; or why it is none.
    pub(super) fn changes(mut self, settings: &HookSettings) -> Result<Vec<NewChange>, String> {
        let Some(after) = self.after.take().filter(|after| !is_zero(after)) else {
            return Err(format!("`{}` was deleted", self.reference));
        };
        let named = |start: &str| self.reference.strip_prefix(start).filter(|name| !name.is_empty());
        let changes = if let Some(tag) = named(TAGS) {
            vec![self.tag(tag)]
        } else if let Some(branch) = named(HEADS) {
            let branch = branch.to_owned();
            let mut commits = self.commits(&after)?;
            commits.iter_mut().for_each(|commit| commit.branch = Some(branch.clone()));
            commits
        } else {
            return Err(format!("`{}` is neither a branch nor a tag", self.reference));
        };
        Ok(changes.into_iter().map(|change| owned(change, settings)).collect())
    }

    /// A tag is one change, of the commit that it names. If that is not told, the tag says it when it is fetched.
    fn tag(&self, name: &str) -> NewChange {
        let newest = || self.commits.as_ref().and_then(|commits| commits.last());
        let mut change = self.head.as_ref().or_else(newest).cloned().unwrap_or_else(|| self.bare());
        if let Some(message) = &self.message {
            change.comments.clone_from(message);
        }
        change.branch = Some(self.reference.clone());
        change.category = Some("tag".to_owned());
        change.properties.set("tag", name, "Change");
        change
    }

    fn commits(&mut self, after: &str) -> Result<Vec<NewChange>, String> {
        let told = self.commits.take();
        if self.may_go_back && !self.created && told.as_ref().is_some_and(Vec::is_empty) {
            return Err(format!("`{}` went back to an older commit", self.reference));
        }
        let mut commits = told.unwrap_or_default();
        let is_head = |change: &NewChange| change.revision.as_deref() == Some(after);
        // Some forges tell the newest first.
        if commits.first().is_some_and(is_head) && !commits.last().is_some_and(is_head) {
            commits.reverse();
        }
        if !commits.last().is_some_and(is_head) {
            let head = self.head.take().filter(is_head);
            commits.push(head.unwrap_or_else(|| NewChange { revision: Some(after.to_owned()), ..self.bare() }));
        }
        commits.drain(..commits.len().saturating_sub(CHANGES_MAX));
        Ok(commits)
    }

    /// A commit of which nothing is told.
    fn bare(&self) -> NewChange {
        NewChange { author: self.pusher.clone().unwrap_or_default(), ..NewChange::default() }
    }
}

/// Several moves as one meaning.
pub(super) fn meaning(pushes: Vec<Push>, addresses: Vec<String>, settings: &HookSettings) -> Meaning {
    let mut changes = Vec::new();
    let mut reasons = Vec::new();
    for push in pushes {
        match push.changes(settings) {
            Ok(more) => changes.extend(more),
            Err(reason) => reasons.push(reason),
        }
    }
    if changes.is_empty() {
        let nothing = || "nothing was pushed".to_owned();
        return Meaning::Ignored(reasons.into_iter().next().unwrap_or_else(nothing));
    }
    changes.drain(..changes.len().saturating_sub(CHANGES_MAX));
    Meaning::Changes { changes, addresses, demanded: false }
}

/// With what the configuration says of the changes of this hook.
pub(super) fn owned(change: NewChange, settings: &HookSettings) -> NewChange {
    NewChange { project: settings.project.clone(), codebase: settings.codebase.clone(), ..change }
}

/// Forges write the absence of a commit as zeros.
pub(super) fn is_zero(revision: &str) -> bool {
    revision.bytes().all(|byte| byte == b'0')
}

/// A commit as GitHub, GitLab and Gitea write it.
pub(super) fn commit(node: &Node<'_>) -> Result<NewChange, HookError> {
    Ok(NewChange {
        author: person(&node.get("author")).unwrap_or_default(),
        committer: person(&node.get("committer")),
        comments: node.get("message").string().unwrap_or_default(),
        files: files(&[node.get("added"), node.get("modified"), node.get("removed")]),
        revision: Some(node.get("id").need_revision()?.to_owned()),
        revlink: node.get("url").string(),
        when: node.get("timestamp").moment(),
        ..NewChange::default()
    })
}

/// All commits of a list; none if there is no list.
pub(super) fn commits(list: &Node<'_>) -> Result<Option<Vec<NewChange>>, HookError> {
    list.is_list().then(|| list.items().iter().map(commit).collect()).transpose()
}

/// `Name <mail>`, or what is known of it.
fn person(node: &Node<'_>) -> Option<String> {
    let name = node.get("name").text().or_else(|| node.get("username").text());
    named(name, node.get("email").text())
}

/// A name with a mail address.
pub(super) fn named(name: Option<&str>, mail: Option<&str>) -> Option<String> {
    match (name, mail) {
        (Some(name), Some(mail)) => Some(format!("{name} <{mail}>")),
        (Some(name), None) => Some(name.to_owned()),
        (None, Some(mail)) => Some(format!("<{mail}>")),
        (None, None) => None,
    }
}

/// Paths of several lists, each once.
fn files(lists: &[Node<'_>]) -> Vec<String> {
    let mut seen = std::collections::BTreeSet::new();
    let all = lists.iter().flat_map(Node::texts).filter(|path| !path.is_empty() && seen.insert(*path));
    all.take(FILES_MAX).map(str::to_owned).collect()
}

/// The addresses of a repository that are there.
pub(super) fn addresses(nodes: &[Node<'_>]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for address in nodes.iter().filter_map(Node::string) {
        if !found.contains(&address) {
            found.push(address);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(revision: &str) -> NewChange {
        NewChange { revision: Some(revision.to_owned()), comments: revision.to_owned(), ..NewChange::default() }
    }

    fn push(after: &str, commits: Option<&[&str]>) -> Push {
        Push {
            reference: "refs/heads/main".to_owned(),
            after: Some(after.to_owned()),
            commits: commits.map(|commits| commits.iter().map(|revision| change(revision)).collect()),
            pusher: Some("ann".to_owned()),
            ..Push::default()
        }
    }

    fn revisions(push: Push) -> Vec<String> {
        let changes = push.changes(&HookSettings::default()).unwrap();
        assert!(changes.iter().all(|change| change.branch.as_deref() == Some("main")));
        changes.into_iter().map(|change| change.revision.unwrap()).collect()
    }

    #[test]
    fn commits_come_oldest_first_and_end_with_the_head() {
        assert_eq!(revisions(push("c", Some(&["a", "b", "c"]))), ["a", "b", "c"]);
        assert_eq!(revisions(push("c", Some(&["c", "b", "a"]))), ["a", "b", "c"], "some forges turn them round");
        assert_eq!(revisions(push("z", Some(&["a", "b"]))), ["a", "b", "z"], "the list was cut");
        assert_eq!(revisions(push("c", None)), ["c"]);
        assert_eq!(revisions(push("c", Some(&[]))), ["c"]);
        let headed = Push { head: Some(change("z")), ..push("z", Some(&["a"])) };
        assert_eq!(headed.changes(&HookSettings::default()).unwrap()[1].comments, "z");
        let other = Push { head: Some(change("y")), ..push("z", Some(&["a"])) };
        assert_eq!(other.changes(&HookSettings::default()).unwrap()[1].author, "ann");
    }

    #[test]
    fn what_is_gone_or_went_back_is_no_change() {
        let why = |push: Push| push.changes(&HookSettings::default()).unwrap_err();
        assert!(why(push("0000", Some(&[]))).contains("was deleted"));
        assert!(why(Push { after: None, ..push("", None) }).contains("was deleted"));
        assert!(why(Push { may_go_back: true, ..push("a", Some(&[])) }).contains("went back"));
        assert!(why(Push { reference: "refs/notes/x".to_owned(), ..push("a", None) }).contains("neither"));
        assert_eq!(revisions(Push { may_go_back: true, created: true, ..push("a", Some(&[])) }), ["a"]);
    }

    #[test]
    fn a_tag_is_one_change_of_its_commit() {
        let tagged = Push {
            reference: "refs/tags/v1".to_owned(),
            head: Some(change("a")),
            message: Some("first".to_owned()),
            ..push("tag object", Some(&[]))
        };
        let [change] = tagged.changes(&HookSettings::default()).unwrap().try_into().unwrap();
        assert_eq!((change.branch.as_deref(), change.revision.as_deref()), (Some("refs/tags/v1"), Some("a")));
        assert_eq!((change.category.as_deref(), change.comments.as_str()), (Some("tag"), "first"));
        assert_eq!(change.properties.get("tag"), Some(&"v1".into()));
    }

    #[test]
    fn of_an_import_the_newest_commits_are_kept() {
        let all: Vec<String> = (0..1_500).map(|number| number.to_string()).collect();
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        let kept = revisions(push("1499", Some(&all)));
        assert_eq!((kept.len(), kept[0].as_str(), kept[999].as_str()), (1_000, "500", "1499"));
    }
}
