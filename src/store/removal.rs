//! What retention removed, as the journal and the packs keep it.

use serde::{Deserialize, Serialize};

use crate::model::{BuildId, BuildsetId, RequestId};

/// One removal, as the journal and the packs keep it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Removal {
    Build(BuildId),
    Request(RequestId),
    Buildset(BuildsetId),
    /// Only the logs of a build.
    Logs(BuildId),
    /// Only the artifacts of a build.
    Artifacts(BuildId),
}

impl Removal {
    /// The build whose logs are gone with it.
    pub fn logs_of(&self) -> Option<BuildId> {
        match self {
            Self::Build(build) | Self::Logs(build) => Some(*build),
            Self::Request(_) | Self::Buildset(_) | Self::Artifacts(_) => None,
        }
    }
}
