//! Everything a link needs from its master.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::base::{Timestamp, chain};
use crate::engine::Input;
use crate::master::ShuttingDown;
use crate::model::{Artifact, BuildId, CommandId, ConfigDigest, DownloadSpec, LogId};
use crate::secrets::Secrets;
use crate::store::{ArtifactStore, LogPart, LogStore, SourcePart};

/// A log of a build.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogPlace {
    pub build: BuildId,
    pub log: LogId,
}

/// Ends when a part is durable, or tells why it is not.
pub type Durable = BoxFuture<'static, Result<(), String>>;

/// How many bytes an upload may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArtifactRoom {
    pub bytes: u64,
    /// Which limit that is, in words for the step.
    pub limit: String,
}

/// The master, as a link sees it.
pub trait LinkHost: Send + Sync + 'static {
    /// The contents of logs.
    fn logs(&self) -> Arc<dyn LogStore>;
    /// Hands an input to the engine task; ends when its events are durable.
    fn input(&self, input: Input) -> BoxFuture<'_, Result<(), ShuttingDown>>;
    /// The present moment.
    fn now(&self) -> Timestamp;
    /// The directories of the builders that may run on a worker, below its base directory.
    fn builder_dirs(&self, worker: &str) -> BTreeSet<String>;
    /// The secrets of a configuration.
    fn secrets(&self, plan: &ConfigDigest) -> Secrets;

    /// The contents of artifacts. The error's text says why there are none.
    fn artifacts(&self) -> Result<Arc<dyn ArtifactStore>, String>;
    /// How much room a build has for a further upload.
    fn artifact_room(&self, build: BuildId, builder: &str) -> Result<ArtifactRoom, String>;
    /// The artifact that a download of this build wants. The error's text says what there is not.
    fn find_artifact(&self, build: BuildId, wanted: &DownloadSpec) -> Result<Artifact, String>;

    /// Appends part `n` of `source` to a log. When it ends, the part has its place: what is appended or committed later is durable
    /// only together with it. The future that it gives ends when it is durable. An error's text says why it is not.
    fn append<'a>(
        &'a self,
        place: LogPlace,
        source: &'a str,
        n: u64,
        part: LogPart,
    ) -> BoxFuture<'a, Result<Durable, String>> {
        let logs = self.logs();
        Box::pin(async move {
            let part = SourcePart { source, n, part };
            let placed = logs.place(place.build, place.log, part).await.map_err(|error| chain(&error))?;
            let durable: Durable = Box::pin(async move { placed.await.map_err(|error| chain(&error)) });
            Ok(durable)
        })
    }

    /// The number of the next part that a log expects of a command.
    fn next_part(&self, place: LogPlace, command: &CommandId) -> Result<u64, String> {
        self.logs().next(place.build, place.log, &command.0).map_err(|error| chain(&error))
    }
}
