//! Reading artifacts of builds.

use crate::model::{ArtifactRecord, BuildId, BuilderId};
use crate::store::backend::Direction;
use crate::store::key::Table;
use crate::store::project::ARTIFACT_BYTES;
use crate::store::txn::Records as _;
use crate::store::{Artifacts, Store, StoreError};

impl Store {
    /// The artifacts of a build, by name.
    pub fn artifacts(&self, build: BuildId) -> Result<Vec<ArtifactRecord>, StoreError> {
        self.backend()?.records(&Table::Artifact.under(build.0), Direction::Ascending, usize::MAX)
    }

    /// The artifact of a build with this name.
    pub fn artifact(&self, build: BuildId, name: &str) -> Result<Option<ArtifactRecord>, StoreError> {
        self.backend()?.record(&Table::Artifact.named(build.0, name))
    }

    /// The bytes of a builder's artifacts; those of all without one. A content that several share counts for each.
    pub fn artifact_bytes(&self, builder: Option<BuilderId>) -> Result<u64, StoreError> {
        let key =
            builder.map_or_else(|| Table::Meta.name(ARTIFACT_BYTES), |builder| Table::ArtifactBytes.id(builder.0));
        Ok(self.backend()?.number(&key)?.unwrap_or(0))
    }

    /// Their contents.
    pub fn artifact_contents(&self) -> Result<Artifacts, StoreError> {
        Ok(self.parts()?.artifacts)
    }
}
