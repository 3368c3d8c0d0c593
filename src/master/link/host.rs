//! Everything a link needs from its master.

use std::collections::BTreeSet;

use futures_util::future::BoxFuture;

use crate::base::{Timestamp, chain};
use crate::engine::Input;
use crate::master::Gone;
use crate::model::{BuildId, CommandId, ConfigDigest, LogId};
use crate::secrets::Secrets;
use crate::store::{LogPart, Logs};

/// A log of a build.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogPlace {
    pub build: BuildId,
    pub log: LogId,
}

/// The master, as a link sees it.
pub trait LinkHost: Send + Sync + 'static {
    /// The contents of logs.
    fn logs(&self) -> Logs;
    /// Hands an input to the engine's owner; ends when its events are durable.
    fn input(&self, input: Input) -> BoxFuture<'_, Result<(), Gone>>;
    /// The present moment.
    fn now(&self) -> Timestamp;
    /// The directories of the builders that may run on a worker, below its base directory.
    fn builder_dirs(&self, worker: &str) -> BTreeSet<String>;
    /// The secrets of a configuration.
    fn secrets(&self, plan: &ConfigDigest) -> Secrets;

    /// Appends part `n` of `source` to a log; durable when it ends. An error's text says why it is not.
    fn append<'a>(
        &'a self,
        place: LogPlace,
        source: &'a str,
        n: u64,
        part: LogPart,
    ) -> BoxFuture<'a, Result<(), String>> {
        let logs = self.logs();
        Box::pin(async move {
            let appended = logs.append(place.build, place.log, source, n, part).await;
            appended.map_err(|error| chain(&error))
        })
    }

    /// The number of the next part that a log expects of a command.
    fn next_part(&self, place: LogPlace, command: &CommandId) -> Result<u64, String> {
        self.logs().next(place.build, place.log, &command.0).map_err(|error| chain(&error))
    }
}
