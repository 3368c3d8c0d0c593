//! Shows a build's progress, step by step, until it ends.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::time::Duration;

use serde_json::Value as Json;

use super::client::{Client, outcome_of};
use super::error::{CliError, exit_code};
use super::output::{badge, outln, took};
use super::terminal::printable;
use crate::model::Outcome;

/// Between two looks; a person sees no difference, a master does not feel it.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(300);

/// Watches a build request until it is complete. Exit code: that of its result.
pub(super) async fn request(client: &Client, request: u64, builder: &str) -> Result<ExitCode, CliError> {
    outln!("build request {request} of {builder} is waiting");
    let mut shown = ShownProgress::default();
    loop {
        let record = client.list(&format!("buildrequests/{request}"), "buildrequests").await?;
        let record = record.and_then(|mut items| items.pop()).unwrap_or_default();
        let builds = client.list(&format!("buildrequests/{request}/builds"), "builds").await?.unwrap_or_default();
        for build in &builds {
            shown.build(client, build, builder).await?;
        }
        if record["complete"] == true {
            let outcome = outcome_of(&record).unwrap_or(Outcome::Exception);
            if builds.is_empty() {
                outln!("{}: the request ended without a build", badge(Some(outcome)));
            }
            return Ok(exit_code(outcome));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// What was printed already.
#[derive(Default)]
struct ShownProgress {
    /// How deep each step stands, by its id: a child step is one deeper than the step that began it.
    depths: BTreeMap<u64, usize>,
    builds: BTreeSet<u64>,
    begun: BTreeSet<u64>,
    ended: BTreeSet<u64>,
    complete: BTreeSet<u64>,
}

impl ShownProgress {
    async fn build(&mut self, client: &Client, build: &Json, builder: &str) -> Result<(), CliError> {
        let id = build["buildid"].as_u64().unwrap_or_default();
        if self.complete.contains(&id) {
            return Ok(());
        }
        let name = format!("{builder}/{}", build["number"]);
        if self.builds.insert(id) {
            outln!("build {name} has started");
        }
        let steps = client.list(&format!("builds/{id}/steps"), "steps").await?.unwrap_or_default();
        for step in steps.iter().filter(|step| step["hidden"] != true) {
            self.step(step);
        }
        if build["complete"] == true {
            self.complete.insert(id);
            let seconds =
                build["complete_at"].as_i64().unwrap_or_default() - build["started_at"].as_i64().unwrap_or_default();
            let state = printable(build["state_string"].as_str().unwrap_or_default());
            outln!("build {name}: {} after {}: {state}", badge(outcome_of(build)), took(seconds));
        }
        Ok(())
    }

    fn step(&mut self, step: &Json) {
        let id = step["stepid"].as_u64().unwrap_or_default();
        let name = printable(step["name"].as_str().unwrap_or_default());
        let above = step["parent_stepid"].as_u64().and_then(|parent| self.depths.get(&parent)).copied();
        let depth = above.map_or(1, |above| above + 1);
        self.depths.insert(id, depth);
        let indent = "  ".repeat(depth);
        if !step["started_at"].is_null() && step["complete"] != true && self.begun.insert(id) {
            outln!("{indent}{} {name}", badge(None));
        }
        if step["complete"] == true && self.ended.insert(id) {
            let seconds =
                step["complete_at"].as_i64().unwrap_or_default() - step["started_at"].as_i64().unwrap_or_default();
            let state = printable(step["state_string"].as_str().unwrap_or_default());
            outln!("{indent}{} {name} ({}): {state}", badge(outcome_of(step)), took(seconds));
        }
    }
}
