//! A project of a Gerrit server, as a source of changes.

use serde::{Deserialize, Serialize};

/// `gerrit_poller(...)`: the changes under review of a project. The server is asked, and heard, over SSH.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GerritPlan {
    pub server: GerritServer,
    /// As the server names it.
    pub project: String,
    /// The project as git takes it: its changes name it so.
    pub repository: String,
    /// Glob patterns of the branches that changes are for; none for all.
    pub branches: Vec<String>,
    /// Whether changes that are work in progress are built.
    pub drafts: bool,
    /// A pattern of comments that ask for a build; none: comments are ignored.
    pub comments: Option<String>,
    /// Who may ask so: `@NAME`.
    pub comments_from: Vec<String>,
    /// Whether the server's events make the source be polled at once.
    pub stream: bool,
}

/// How to reach a Gerrit server. Sources of the same server share one stream of events.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct GerritServer {
    /// The SSH program, and options for it.
    pub ssh: Vec<String>,
    /// None: the one that the SSH program takes.
    pub user: Option<String>,
    pub host: String,
    pub port: u16,
}
