//! A pull request as the API of its forge lists it: nearly as a hook tells it.

use serde_json::Value as Json;

use super::json::Node;
use super::pull::Pull;
use super::{HookError, bitbucket, bitbucketserver, github, gitlab};
use crate::model::{HookDialect, HookSettings, NewChange};

/// An open pull request.
#[derive(Clone, Debug)]
pub(in crate::vcs) struct ListedPull {
    pub number: i64,
    /// The commit at its head.
    pub head: String,
    /// The branch that it is to be merged into.
    pub base: Option<String>,
    pub is_draft: bool,
    /// Where its branch is, if that is not the repository that was asked.
    pub repository: Option<String>,
    pull: Pull,
}

impl ListedPull {
    /// Its change; `repository` is the one that was asked.
    pub(in crate::vcs) fn change(self, event: &str, repository: &str) -> NewChange {
        let own = self.repository.unwrap_or_else(|| repository.to_owned());
        NewChange { repository: own, ..self.pull.change(event) }
    }
}

/// Reads one entry of a list of pull requests.
pub(in crate::vcs) fn listed(
    forge: HookDialect,
    entry: &Json,
    settings: &HookSettings,
) -> Result<ListedPull, HookError> {
    let node = Node::root(entry);
    let (pull, repository) = match forge {
        HookDialect::GitLab => (merge_request(&node, settings)?, None),
        HookDialect::Bitbucket => {
            let (pull, addresses) = bitbucket::listed(&node)?;
            (pull, addresses.into_iter().next())
        }
        HookDialect::BitbucketServer => (bitbucketserver::pull(&node, settings)?, None),
        HookDialect::GitHub => (github::whole(&node, settings)?, None),
        HookDialect::Gitea | HookDialect::Base | HookDialect::Generic => (github::pull(&node, settings)?, None),
    };
    let head = pull.head_sha.clone().unwrap_or_default();
    Ok(ListedPull { number: pull.number, head, base: pull.base.clone(), is_draft: pull.draft, repository, pull })
}

fn merge_request(node: &Node<'_>, settings: &HookSettings) -> Result<Pull, HookError> {
    let number = node.get("iid").need_number()?;
    Ok(Pull {
        number,
        title: node.get("title").string(),
        text: node.get("description").string(),
        url: node.get("web_url").string(),
        author: node.at(&["author", "username"]).string(),
        draft: node.get("draft").is_true() || node.get("work_in_progress").is_true(),
        labels: node.get("labels").texts().into_iter().map(str::to_owned).collect(),
        head: node.get("source_branch").string(),
        head_sha: Some(node.get("sha").need_revision()?.to_owned()),
        base: node.get("target_branch").string(),
        base_sha: node.at(&["diff_refs", "base_sha"]).string(),
        branch: gitlab::merge_branch(number, settings),
        ..Pull::default()
    })
}
