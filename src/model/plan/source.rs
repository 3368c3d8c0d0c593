//! What finds changes.

use serde::{Deserialize, Serialize};

use super::SourcePlace;
use crate::base::Span;

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
            Self::Git(_) => Vec::new(),
            #[cfg(test)]
            Self::List(_) => Vec::new(),
        }
    }

    /// Whether new tags are changes, too.
    #[must_use]
    pub fn follows_tags(&self) -> bool {
        match self {
            Self::Git(git) => !git.tags.is_empty(),
            #[cfg(test)]
            Self::List(_) => false,
        }
    }

    /// The repository that its changes name.
    #[must_use]
    pub fn repository(&self) -> &str {
        match self {
            Self::Git(git) => &git.repository,
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

/// Texts that become changes: the kind of source that only tests have.
#[cfg(test)]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListPlan {
    pub texts: Vec<String>,
}

/// Which branches to look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BranchChoice {
    /// The repository's default branch.
    Default,
    /// These.
    Names(Vec<String>),
    /// Glob patterns.
    Patterns(Vec<String>),
}
