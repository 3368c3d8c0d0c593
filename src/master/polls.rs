//! Polls of change sources: as many at a time as is polite, each source one at a time, each with a time-out.
//!
//! The engine orders a poll and is always told how it ended.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use super::inbox::Inbox;
use super::keyed_queue::KeyedQueue;
use super::missing_branches::MissingBranches;
use super::plan_in_force::PlanInForce;
use super::{MasterError, Options};
use crate::base::Clock;
use crate::engine::{Input, PollResult};
use crate::model::{Cursor, Plan};
use crate::secrets::Secrets;
use crate::vcs::{self, PollTools};

/// Polls at the same time: they wait for the network most of the time, and unpack on a core otherwise.
const POLLS_AT_ONCE: usize = 8;
/// A poll keeps its source's own time-out; this much later it is given up from outside.
const TIMEOUT_GRACE: Duration = Duration::from_secs(10);

/// Characters of a source's name in its directory's.
const READABLE_CHARS_MAX: usize = 48;

/// Polls by source; the newest order of a source counts.
#[derive(Debug)]
pub(super) struct Polls {
    queue: KeyedQueue<String, Option<Cursor>>,
    /// Each source keeps what it needs in a directory of its own below this one.
    directory: PathBuf,
    /// The directory of the configuration, where secrets are looked for.
    base: PathBuf,
    clock: Arc<dyn Clock>,
    missing: MissingBranches,
}

impl Polls {
    pub fn new(options: &Options, clock: Arc<dyn Clock>, missing: MissingBranches) -> Self {
        let (directory, base) = (options.data.join("poll"), options.base());
        Self { queue: KeyedQueue::new(), directory, base, clock, missing }
    }

    /// Orders a poll; comes back as [`Input::Polled`].
    pub fn poll(&self, source: String, cursor: Option<Cursor>) {
        self.queue.replace(source, cursor);
    }

    /// Carries out what is ordered.
    pub async fn run(
        self: Arc<Self>,
        plan: PlanInForce,
        inbox: Inbox,
        stop: CancellationToken,
    ) -> Result<(), MasterError> {
        let polls = &self;
        self.queue
            .run(POLLS_AT_ONCE, &stop, |source, cursor| {
                let (plan, inbox) = (plan.get(), inbox.clone());
                async move {
                    let report = polls.one(&source, &plan, cursor).await;
                    // When the engine task is gone the master ends, and the next one polls again.
                    let _ = inbox.tell(Input::Polled { source, report }).await;
                    Ok(())
                }
            })
            .await
    }

    async fn one(&self, source: &str, plan: &Plan, cursor: Option<Cursor>) -> Result<PollResult, String> {
        let secrets = &plan.secrets;
        let plan = plan.change_sources.get(source);
        let plan = plan.ok_or_else(|| format!("change source `{source}` is no longer in the configuration"))?;
        // Read anew each time, so that a new token works at once.
        let token = plan.kind.token().map(|token| Secrets::new(secrets, &self.base).reveal(token));
        let token = token.transpose().map_err(|error| error.message)?.map(|(token, _used)| token);
        let directory = self.directory.join(directory_name(source));
        tokio::fs::create_dir_all(&directory)
            .await
            .map_err(|error| format!("failed to create the directory `{}`: {error}", directory.display()))?;
        let timeout = plan.timeout;
        let bound = timeout.as_duration() + TIMEOUT_GRACE;
        let tools = PollTools { cache: &directory, token: token.as_deref(), clock: self.clock.as_ref() };
        match tokio::time::timeout(bound, vcs::poll(plan, cursor, &tools)).await {
            Ok(Ok((changes, cursor))) => {
                self.missing.note(plan, &cursor);
                Ok(PollResult { changes, cursor })
            }
            Ok(Err(error)) => Err(error.message),
            Err(_) => Err(format!("the poll did not end within {timeout}")),
        }
    }
}

/// A directory of this source alone, that a person still recognises: what is readable of the name, and its digest.
fn directory_name(source: &str) -> String {
    let readable = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let start: String = source.chars().map(readable).take(READABLE_CHARS_MAX).collect();
    let digest = Sha256::digest(source);
    format!("{start}-{:02x}{:02x}{:02x}{:02x}", digest[0], digest[1], digest[2], digest[3])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_named_like_a_path_stays_in_its_directory() {
        let directory = directory_name("../../etc");
        assert!(directory.starts_with("------etc-") && directory.len() == 18, "{directory}");
        assert_ne!(directory_name("a/b"), directory_name("a-b"));
        assert!(directory_name(&"long".repeat(1000)).len() < 100);
    }
}
