//! Polls of change sources: as many at a time as is polite, each source one at a time, each with a time-out.
//!
//! The engine orders a poll and is always told how it ended.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use super::MasterError;
use super::inbox::Inbox;
use super::keyed_queue::KeyedQueue;
use super::missing_branches::MissingBranches;
use super::plan_in_force::PlanInForce;
use crate::engine::{Input, PollResult};
use crate::model::{ChangeSourcePlan, Cursor};
use crate::vcs;

/// Polls at the same time: they wait for the network most of the time, and unpack on a core otherwise.
const POLLS_AT_ONCE: usize = 8;
/// A poll keeps its source's own time-out; this much later it is given up from outside.
const TIMEOUT_GRACE: Duration = Duration::from_secs(10);

/// Characters of a source's name in its folder's.
const READABLE_CHARS_MAX: usize = 48;

/// Polls by source; the newest order of a source counts.
#[derive(Debug)]
pub(super) struct Polls {
    queue: KeyedQueue<String, Option<Cursor>>,
    /// Each source keeps what it needs in a folder of its own below this one.
    folder: PathBuf,
    missing: MissingBranches,
}

impl Polls {
    pub fn new(folder: PathBuf, missing: MissingBranches) -> Self {
        Self { queue: KeyedQueue::new(), folder, missing }
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
                let (plan, inbox) = (plan.get().change_sources.get(&source).cloned(), inbox.clone());
                async move {
                    let report = polls.one(&source, plan, cursor).await;
                    // When the engine task is gone the master ends, and the next one polls again.
                    let _ = inbox.tell(Input::Polled { source, report }).await;
                    Ok(())
                }
            })
            .await
    }

    async fn one(
        &self,
        source: &str,
        plan: Option<ChangeSourcePlan>,
        cursor: Option<Cursor>,
    ) -> Result<PollResult, String> {
        let plan = plan.ok_or_else(|| format!("change source `{source}` is not in the configuration any more"))?;
        let folder = self.folder.join(folder_name(source));
        tokio::fs::create_dir_all(&folder)
            .await
            .map_err(|error| format!("failed to make the folder `{}`: {error}", folder.display()))?;
        let timeout = plan.timeout;
        let bound = timeout.as_duration() + TIMEOUT_GRACE;
        match tokio::time::timeout(bound, vcs::poll(&plan, cursor, &folder)).await {
            Ok(Ok((changes, cursor))) => {
                self.missing.note(&plan, &cursor);
                Ok(PollResult { changes, cursor })
            }
            Ok(Err(error)) => Err(error.message),
            Err(_) => Err(format!("the poll did not end within {timeout}")),
        }
    }
}

/// A folder of this source alone, that a person still recognises: what is readable of the name, and its digest.
fn folder_name(source: &str) -> String {
    let readable = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let start: String = source.chars().map(readable).take(READABLE_CHARS_MAX).collect();
    let digest = Sha256::digest(source);
    format!("{start}-{:02x}{:02x}{:02x}{:02x}", digest[0], digest[1], digest[2], digest[3])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_named_like_a_path_stays_in_its_folder() {
        let folder = folder_name("../../etc");
        assert!(folder.starts_with("------etc-") && folder.len() == 18, "{folder}");
        assert_ne!(folder_name("a/b"), folder_name("a-b"));
        assert!(folder_name(&"long".repeat(1000)).len() < 100);
    }
}
