//! What finds changes.

use serde::{Deserialize, Serialize};

use super::{BranchChoice, BzrPlan, GerritPlan, HgPlan, HookDialect, PullRef, SourcePlace, SvnPlan};
use crate::base::Span;
use crate::model::Text;

/// The category of changes that are new tags.
const TAG: &str = "tag";
/// The category of changes that are pull requests.
const PULL: &str = "pull";

/// A change source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeSourcePlan {
    pub name: String,
    pub project: String,
    pub codebase: String,
    pub category: Option<String>,
    /// How often it is polled.
    pub every: Span,
    /// Give up one poll after this long.
    pub timeout: Span,
    /// At most so many changes of one branch per poll are recorded one by one, newest kept.
    pub changes_max: u64,
    pub kind: ChangeSourceKind,
    pub place: SourcePlace,
}

/// What kind of change source: one line each. `docs/ARCHITECTURE.md` names the other places of a kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChangeSourceKind {
    /// Polls a git repository.
    Git(GitPlan),
    /// Polls the pull requests of a repository on a forge.
    Pulls(Box<PullsPlan>),
    /// Asks a Gerrit server for the changes under review of a project.
    Gerrit(Box<GerritPlan>),
    /// Polls a Mercurial repository.
    Hg(HgPlan),
    /// Polls a Subversion repository.
    Svn(Box<SvnPlan>),
    /// Polls branches of Bazaar.
    Bzr(BzrPlan),
    /// Tells of a list of texts, one after the other.
    #[cfg(test)]
    List(ListPlan),
}

impl ChangeSourceKind {
    /// The branches that it names; none if it may have any.
    #[must_use]
    pub fn named_branches(&self) -> Vec<&str> {
        match self {
            Self::Git(GitPlan { branches: BranchChoice::Names(names), .. }) => {
                names.iter().map(|name| name.strip_prefix("refs/heads/").unwrap_or(name)).collect()
            }
            Self::Hg(HgPlan { branches: BranchChoice::Names(names), .. }) => names.iter().map(String::as_str).collect(),
            Self::Bzr(bzr) => bzr.branches.iter().map(String::as_str).collect(),
            Self::Git(_) | Self::Pulls(_) | Self::Gerrit(_) | Self::Hg(_) | Self::Svn(_) => Vec::new(),
            #[cfg(test)]
            Self::List(_) => Vec::new(),
        }
    }

    /// Whether new tags are changes, too.
    #[must_use]
    pub fn follows_tags(&self) -> bool {
        match self {
            Self::Git(git) => !git.tags.is_empty(),
            Self::Pulls(_) | Self::Gerrit(_) | Self::Hg(_) | Self::Svn(_) | Self::Bzr(_) => false,
            #[cfg(test)]
            Self::List(_) => false,
        }
    }

    /// The categories of its changes, if the configuration names none.
    #[must_use]
    pub fn categories(&self) -> Vec<Option<&'static str>> {
        match self {
            Self::Git(git) if git.tags.is_empty() => vec![None],
            Self::Git(_) => vec![None, Some(TAG)],
            Self::Pulls(_) | Self::Gerrit(_) => vec![Some(PULL)],
            Self::Hg(_) | Self::Svn(_) | Self::Bzr(_) => vec![None],
            #[cfg(test)]
            Self::List(_) => vec![None],
        }
    }

    /// What its polls prove themselves with, if the forge wants that.
    #[must_use]
    pub fn token(&self) -> Option<&Text> {
        match self {
            Self::Git(_) | Self::Gerrit(_) | Self::Hg(_) | Self::Bzr(_) => None,
            Self::Pulls(pulls) => pulls.token.as_ref(),
            Self::Svn(svn) => svn.password.as_ref(),
            #[cfg(test)]
            Self::List(_) => None,
        }
    }

    /// The repository that its changes name.
    #[must_use]
    pub fn repository(&self) -> &str {
        match self {
            Self::Git(git) => &git.repository,
            Self::Pulls(pulls) => &pulls.repository,
            Self::Gerrit(gerrit) => &gerrit.repository,
            Self::Hg(hg) => &hg.repository,
            Self::Svn(svn) => &svn.repository,
            Self::Bzr(bzr) => &bzr.repository,
            #[cfg(test)]
            Self::List(_) => "",
        }
    }
}

/// A git repository to poll.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GitPlan {
    /// As the git program takes it.
    pub repository: String,
    pub branches: BranchChoice,
    /// Glob patterns of tags to follow, too.
    pub tags: Vec<String>,
}

/// The pull requests of a repository on a forge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullsPlan {
    pub forge: HookDialect,
    /// `OWNER/NAME`, as the API names it.
    pub path: String,
    /// The address of the forge, and of its API; without a slash at the end.
    pub url: String,
    pub api: String,
    /// The repository as git takes it: its changes name it so.
    pub repository: String,
    pub token: Option<Text>,
    /// Glob patterns of the branches that they are to be merged into; none for all.
    pub branches: Vec<String>,
    pub pulls: PullRef,
    pub drafts: bool,
}

/// Texts that become changes: the kind of source that only tests have.
#[cfg(test)]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListPlan {
    pub texts: Vec<String>,
}
