//! Repositories of Mercurial, Subversion and Bazaar to poll, and which of their branches.

use serde::{Deserialize, Serialize};

use crate::model::Text;

/// A Mercurial repository to poll.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HgPlan {
    /// As the program takes it.
    pub repository: String,
    /// Named branches.
    pub branches: BranchChoice,
}

/// A Subversion repository to poll.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SvnPlan {
    /// The address of the directory that is looked at.
    pub repository: String,
    /// Where its branches are.
    pub layout: SvnLayout,
    /// Glob patterns of branches; none for all.
    pub branches: Vec<String>,
    pub user: Option<String>,
    pub password: Option<Text>,
}

/// Where the branches of a Subversion repository are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SvnLayout {
    /// There are none.
    Plain,
    /// `trunk` and `branches/NAME`.
    Branches,
    /// The same below a directory for each project.
    Projects,
}

impl SvnLayout {
    /// All of them, and their words.
    pub const ALL: [(&str, Self); 3] =
        [("plain", Self::Plain), ("branches", Self::Branches), ("projects", Self::Projects)];
}

/// A Bazaar branch, or a directory of branches, to poll.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BzrPlan {
    /// The address of the branch, or of the directory that holds them.
    pub repository: String,
    /// Directories of branches; none: the repository itself.
    pub branches: Vec<String>,
    /// `brz` or `bzr`.
    pub program: String,
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
