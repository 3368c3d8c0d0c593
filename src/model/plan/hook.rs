//! Change hooks: whose format, who may call, and which events become changes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::{FnId, Text};

/// `change_hook(...)`: one address below `/change_hook/`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookPlan {
    pub dialect: HookDialect,
    /// Basic authentication; both or neither.
    pub user: Option<String>,
    pub password: Option<Text>,
    /// What the forge signs its calls with, or sends along.
    pub secret: Option<Text>,
    /// Whether a call only has the pollers of its repository look at once.
    pub wake: bool,
    /// Makes the changes of a call.
    pub changes: Option<FnId>,
    pub settings: HookSettings,
}

/// Whose format the calls of a hook have; `docs/ARCHITECTURE.md` names the other places of a dialect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum HookDialect {
    /// The fields of a form, as Buildbot's dialect of this name.
    #[default]
    Base,
    GitHub,
    GitLab,
    /// Gitea, Forgejo and Gogs.
    Gitea,
    /// Bitbucket Cloud.
    Bitbucket,
    /// Bitbucket Server and Data Center.
    BitbucketServer,
    /// Any JSON, of which the configuration says what it means.
    Generic,
}

impl HookDialect {
    /// All of them, in the order in which they are told.
    pub const ALL: [Self; 7] =
        [Self::Base, Self::GitHub, Self::GitLab, Self::Gitea, Self::Bitbucket, Self::BitbucketServer, Self::Generic];

    /// Its word in a configuration.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::GitHub => "github",
            Self::GitLab => "gitlab",
            Self::Gitea => "gitea",
            Self::Bitbucket => "bitbucket",
            Self::BitbucketServer => "bitbucketserver",
            Self::Generic => "generic",
        }
    }

    /// The refs that it has for pull requests, the usual one first; empty if it knows none.
    #[must_use]
    pub const fn pull_refs(self) -> &'static [PullRef] {
        match self {
            Self::Base | Self::Generic => &[],
            Self::GitHub | Self::GitLab | Self::BitbucketServer => &[PullRef::Merge, PullRef::Head],
            Self::Gitea | Self::Bitbucket => &[PullRef::Head],
        }
    }
}

/// Which side of a pull request is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum PullRef {
    /// The result of merging it, which the forge makes.
    Merge,
    /// What its author pushed.
    Head,
}

/// What happened to a pull request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum PullEvent {
    Opened,
    /// Commits were pushed.
    Updated,
    Reopened,
    Labelled,
    /// Its title, text or base branch changed.
    Edited,
    /// It was a draft, and is none any more.
    Ready,
}

impl PullEvent {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Opened, Self::Updated, Self::Reopened, Self::Labelled, Self::Edited, Self::Ready];
    /// Those that are built unless the configuration says otherwise.
    pub const USUAL: [Self; 3] = [Self::Opened, Self::Updated, Self::Reopened];

    /// Its word, in a configuration and in the property `event`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Updated => "updated",
            Self::Reopened => "reopened",
            Self::Labelled => "labelled",
            Self::Edited => "edited",
            Self::Ready => "ready",
        }
    }
}

/// What a dialect needs to know in order to read a call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookSettings {
    /// None: pull requests are ignored.
    pub pulls: Option<PullRef>,
    pub pull_events: Vec<PullEvent>,
    /// Whether drafts are built.
    pub drafts: bool,
    /// A pattern of comments that ask for a build; none: comments are ignored.
    pub comments: Option<String>,
    /// Who may ask so: what GitHub says of them (`member`), or `@NAME`.
    pub comments_from: Vec<String>,
    /// The address of the forge, if its calls do not say it.
    pub url: Option<String>,
    /// Of a generic hook: field of the change to JSON pointer, or to the text itself.
    pub fields: BTreeMap<String, String>,
    /// Of a generic hook: the header that holds the signature.
    pub signature: Option<String>,
    pub project: String,
    pub codebase: String,
}
