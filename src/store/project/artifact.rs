//! Artifacts: an upload's answer makes them, and they go with their build or before it.

use crate::base::Timestamp;
use crate::model::{Artifact, ArtifactRecord, BuildId, BuildRecord};
use crate::store::StoreError;
use crate::store::backend::Direction;
use crate::store::key::{Key, Table};
use crate::store::txn::{Records, Txn};

/// The bytes of all artifacts.
pub(crate) const ARTIFACT_BYTES: &str = "artifact_bytes";

/// A build has these artifacts from now on. One of a name that it has takes the earlier one's place. A build that was removed
/// gets none.
pub(super) fn kept(txn: &mut Txn<'_>, at: Timestamp, build: BuildId, artifacts: &[Artifact]) -> Result<(), StoreError> {
    if artifacts.is_empty() {
        return Ok(());
    }
    let Some(of) = txn.record::<BuildRecord>(&Table::Build.id(build.0))? else { return Ok(()) };
    txn.put_number(Table::BuildWithArtifacts.pair(of.builder.0, of.number), build.0);
    for artifact in artifacts {
        let key = Table::Artifact.named(build.0, &artifact.name);
        if let Some(before) = txn.record::<ArtifactRecord>(&key)? {
            let before = before.artifact;
            txn.remove(naming(&before, build));
            count(txn, &of, |bytes| bytes.saturating_sub(before.size))?;
        }
        count(txn, &of, |bytes| bytes.saturating_add(artifact.size))?;
        txn.mark(naming(artifact, build));
        txn.put(key, &ArtifactRecord { build, artifact: artifact.clone(), at });
    }
    Ok(())
}

/// A build has no artifacts any more.
pub(crate) fn remove_all(txn: &mut Txn<'_>, build: &BuildRecord) -> Result<(), StoreError> {
    let id = build.id;
    let all: Vec<ArtifactRecord> = txn.records(&Table::Artifact.under(id.0), Direction::Ascending, usize::MAX)?;
    for record in all {
        txn.remove(naming(&record.artifact, id));
        txn.remove(Table::Artifact.named(id.0, &record.artifact.name));
        count(txn, build, |bytes| bytes.saturating_sub(record.artifact.size))?;
    }
    txn.remove(Table::BuildWithArtifacts.pair(build.builder.0, build.number));
    Ok(())
}

/// The key that says that a content is used.
fn naming(artifact: &Artifact, build: BuildId) -> Key {
    let mut key = Table::ArtifactOfDigest.name(&artifact.digest.0);
    key.extend_from_slice(&build.0.to_be_bytes());
    key.extend_from_slice(artifact.name.as_bytes());
    key
}

/// Changes what the builder's artifacts, and all together, come to.
fn count(txn: &mut Txn<'_>, build: &BuildRecord, change: impl Fn(u64) -> u64) -> Result<(), StoreError> {
    txn.count(Table::ArtifactBytes.id(build.builder.0), &change)?;
    txn.count(Table::Meta.name(ARTIFACT_BYTES), &change)?;
    Ok(())
}
