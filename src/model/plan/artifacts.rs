//! How many bytes artifacts may have, and how long they are kept.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::Outcome;

/// Bounds of artifacts, in bytes: `database(artifact_…)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactLimits {
    /// One upload: a file, or a directory as it is sent.
    pub upload_bytes: u64,
    /// All artifacts of one build.
    pub build_bytes: u64,
    /// All of one builder; none for no limit.
    pub builder_bytes: Option<u64>,
    /// All of the installation; none for no limit.
    pub total_bytes: Option<u64>,
}

impl Default for ArtifactLimits {
    /// Enough for images of disks and containers; a step that loops fills no disk at once.
    fn default() -> Self {
        Self { upload_bytes: 4 << 30, build_bytes: 16 << 30, builder_bytes: None, total_bytes: None }
    }
}

/// What a builder says of its artifacts: `builder(artifacts = …)`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactRules {
    /// How many days they are kept; none: as the installation says.
    pub days: Option<u64>,
    /// The same for builds that ended like this.
    pub days_after: BTreeMap<Outcome, u64>,
    /// The most bytes of all that it has.
    pub bytes_max: Option<u64>,
}

impl ArtifactRules {
    /// How many days artifacts of a build with this outcome are kept.
    #[must_use]
    pub fn days_of(&self, outcome: Outcome) -> Option<u64> {
        self.days_after.get(&outcome).copied().or(self.days)
    }
}
