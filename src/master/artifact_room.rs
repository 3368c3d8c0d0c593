//! What links need to know of artifacts: how much room a build has for a further upload, and which artifact a download wants.
//!
//! Uploads that run at the same time do not see each other, so a quota can be passed by what is under way at that moment.

use super::link::ArtifactRoom;
use crate::base::chain;
use crate::model::{Artifact, ArtifactLimits, ArtifactSource, BuildId, BuildRecord, DownloadSpec, Outcome, Plan};
use crate::store::{History, Scan, StoreError};

/// Triggers followed back to a build of the wanted builder.
const TRIGGERS_MAX: usize = 32;
/// Builds looked at for the newest that ended well, and how many at a time.
const LOOKED_AT_MAX: usize = 1_000;
const LOOKED_AT_ONCE: usize = 50;

/// The tightest limit, as it stands now.
pub(super) fn room(history: &dyn History, plan: &Plan, build: BuildId, builder: &str) -> Result<ArtifactRoom, String> {
    let limits = plan.database.artifacts;
    let own = plan.database.retention.artifacts_of.get(builder).and_then(|own| own.bytes_max);
    let failed = |error: StoreError| format!("failed to see how much room artifacts have: {}", chain(&error));
    let sum = |found: Vec<crate::model::ArtifactRecord>| found.iter().map(|record| record.artifact.size).sum::<u64>();
    let of_build = sum(history.artifacts(build).map_err(failed)?);
    let mut rooms = vec![
        bounded(limits.upload_bytes, 0, "one upload", "database(artifact_upload_mib = …)"),
        bounded(limits.build_bytes, of_build, "the artifacts of one build", "database(artifact_build_mib = …)"),
    ];
    if let Some(bytes) = own.or(limits.builder_bytes) {
        let id = history.builder_named(builder).map_err(failed)?.map(|record| record.id);
        let used = id.map_or(Ok(0), |id| history.artifact_bytes(Some(id))).map_err(failed)?;
        let setting = match own {
            Some(_) => "builder(artifacts = {\"max_mib\": …})",
            None => "database(artifact_builder_mib = …)",
        };
        rooms.push(bounded(bytes, used, &format!("the artifacts of builder `{builder}`"), setting));
    }
    if let Some(bytes) = limits.total_bytes {
        let used = history.artifact_bytes(None).map_err(failed)?;
        rooms.push(bounded(bytes, used, "all artifacts together", "database(artifact_total_mib = …)"));
    }
    Ok(rooms.into_iter().min_by_key(|room| room.bytes).unwrap_or_else(|| {
        let usual = ArtifactLimits::default().upload_bytes;
        bounded(usual, 0, "one upload", "database(artifact_upload_mib = …)")
    }))
}

fn bounded(bytes: u64, used: u64, what: &str, setting: &str) -> ArtifactRoom {
    let limit = match used {
        0 => format!("{what} may have {} MiB ({setting})", bytes >> 20),
        _ => format!("{what} may have {} MiB, and {} MiB are there already ({setting})", bytes >> 20, used >> 20),
    };
    ArtifactRoom { bytes: bytes.saturating_sub(used), limit }
}

/// The artifact that is wanted, if it is there.
pub(super) fn find(history: &dyn History, build: BuildId, wanted: &DownloadSpec) -> Result<Artifact, String> {
    let failed = |error: StoreError| format!("failed to look for the artifact: {}", chain(&error));
    let (id, of) = match &wanted.from {
        ArtifactSource::ThisBuild => (build, "this build".to_owned()),
        ArtifactSource::Build { builder, number } => {
            let id = history.builder_named(builder).map_err(failed)?.map(|record| record.id);
            let id = id.ok_or_else(|| format!("there is no builder `{builder}`"))?;
            let found = history.build_by_number(id, *number).map_err(failed)?;
            let found = found.ok_or_else(|| format!("builder `{builder}` has no build {number}"))?;
            (found.id, format!("build {number} of `{builder}`"))
        }
        ArtifactSource::LastSuccessful { builder } => {
            // Whoever is triggered wants what its own trigger made, not what an earlier build left.
            match triggered_by(history, build, builder).map_err(failed)? {
                Some(found) => (found.id, format!("build {} of `{builder}`, which led to this build,", found.number)),
                None => {
                    let found = last_successful(history, builder).map_err(failed)?;
                    let found = found.ok_or_else(|| format!("no build of `{builder}` has ended well"))?;
                    (found.id, format!("build {} of `{builder}`, the newest that ended well,", found.number))
                }
            }
        }
    };
    let found = history.artifact(id, &wanted.name).map_err(failed)?;
    found.map(|record| record.artifact).ok_or_else(|| format!("{of} has no artifact `{}`", wanted.name))
}

/// The nearest build of a builder among those that triggered this one, directly or through others.
fn triggered_by(history: &dyn History, build: BuildId, builder: &str) -> Result<Option<BuildRecord>, StoreError> {
    let Some(wanted) = history.builder_named(builder)? else { return Ok(None) };
    let mut at = build;
    for _ in 0..TRIGGERS_MAX {
        let Some(build) = history.build(at)? else { return Ok(None) };
        let Some(request) = history.request(build.request)? else { return Ok(None) };
        let parent = history.buildset(request.buildset)?.and_then(|set| set.parent);
        let Some(parent) = parent.map(|id| history.build(id)).transpose()?.flatten() else { return Ok(None) };
        if parent.builder == wanted.id {
            return Ok(Some(parent));
        }
        at = parent.id;
    }
    Ok(None)
}

fn last_successful(history: &dyn History, builder: &str) -> Result<Option<BuildRecord>, StoreError> {
    let Some(builder) = history.builder_named(builder)? else { return Ok(None) };
    let mut after = None;
    for _ in 0..LOOKED_AT_MAX / LOOKED_AT_ONCE {
        let scan = Scan { after, descending: true, limit: LOOKED_AT_ONCE };
        let builds = history.builds_of_builder(builder.id, scan)?;
        after = builds.last().map(|build| build.number);
        let is_last = builds.len() < LOOKED_AT_ONCE;
        let good = |build: &BuildRecord| matches!(build.outcome, Some(Outcome::Success | Outcome::Warnings));
        if let Some(found) = builds.into_iter().find(good) {
            return Ok(Some(found));
        }
        if is_last {
            return Ok(None);
        }
    }
    Ok(None)
}
