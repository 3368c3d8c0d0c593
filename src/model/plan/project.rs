//! What builders and changes belong to: projects, and the codebases that they are about.

use serde::{Deserialize, Serialize};

use super::SourcePlace;

/// `project(...)`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectPlan {
    pub name: String,
    pub about: About,
    pub place: SourcePlace,
}

/// `codebase(...)`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeclaredCodebase {
    pub name: String,
    pub project: Option<String>,
    pub repository: String,
    /// What to build if nothing names a branch; none: the repository's default branch.
    pub branch: Option<String>,
    pub about: About,
    pub place: SourcePlace,
}

/// What pages tell about a project or a codebase.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// Its name for people; none: its name.
    pub title: Option<String>,
    pub description: Option<String>,
    /// Words and addresses, in the order of the configuration.
    pub links: Vec<(String, String)>,
}
