//! Changes and source stamps.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{ChangeId, ChangeSourceId, Properties, SourceStampId};
use crate::base::Timestamp;

/// A change as a source reports it, before it has a number.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewChange {
    /// Who wrote it, `Name <mail>` where known.
    pub author: String,
    /// Who committed it, if the source tells them apart.
    pub committer: Option<String>,
    /// The commit message.
    pub comments: String,
    /// Paths touched.
    pub files: Vec<String>,
    /// The branch; none for the repository's only or default line.
    pub branch: Option<String>,
    /// The revision.
    pub revision: Option<String>,
    /// A page that shows it.
    pub revlink: Option<String>,
    /// A word for filters, set by the source.
    pub category: Option<String>,
    /// Where the repository is.
    pub repository: String,
    /// The project it belongs to.
    pub project: String,
    /// The codebase: which of a build's several source trees it is for.
    pub codebase: String,
    /// When it was committed; none: when it arrived.
    pub when: Option<Timestamp>,
    /// Properties, source `Change`.
    pub properties: Properties,
}

/// A recorded change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Its number.
    pub id: ChangeId,
    /// What the source said; `when` is filled.
    pub data: NewChange,
    /// The previous change of the same repository, project, codebase and branch.
    pub parent: Option<ChangeId>,
    /// Its source stamp.
    pub stamp: SourceStamp,
    /// When it arrived.
    pub arrived: Timestamp,
    /// The change source that saw it.
    pub source: Option<ChangeSourceId>,
}

/// What to check out, before it has a number.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct StampSpec {
    /// Codebase, `""` where there is only one.
    pub codebase: String,
    /// Repository.
    pub repository: String,
    /// Project.
    pub project: String,
    /// Branch; none for the default one.
    pub branch: Option<String>,
    /// Revision; none for the newest.
    pub revision: Option<String>,
}

/// What a build checks out of one codebase. Identical stamps share an id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceStamp {
    /// Its number.
    pub id: SourceStampId,
    /// What it names.
    pub spec: StampSpec,
    /// When first seen.
    pub created: Timestamp,
}

/// What a change source has seen, so that nothing is missed or doubled over restarts: for git, branch
/// to tip.
pub type Cursor = BTreeMap<String, String>;
