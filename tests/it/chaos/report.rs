//! What a run found, in the words of `docs/reliability.md`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::Command;
use std::time::Duration;

use super::faults::Kind;

/// The figures of a run.
#[derive(Default)]
pub struct Report {
    pub profile: &'static str,
    pub seed: u64,
    /// The day, and the commit that it began with.
    pub of: String,
    pub took: Duration,
    pub faults: BTreeMap<Kind, u64>,
    pub rounds: u64,
    pub builds: u64,
    /// Builds that a stock worker's cut connection ended with `retry`.
    pub retried: u64,
    pub steps: u64,
    /// Starts of commands, as they noted them themselves.
    pub commands: u64,
    /// Starts of a command that was started before in the same round: by a repeated build of a stock worker.
    pub repeated: u64,
    pub log_bytes: u64,
    /// Everything that is not as it should be.
    pub differences: Vec<String>,
}

impl Report {
    /// The report as lines of a page.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let mut line = |name: &str, figure: String| writeln!(text, "| {name} | {figure} |").unwrap();
        line("profile", self.profile.to_owned());
        line("date, commit", self.of.clone());
        line("seed", self.seed.to_string());
        line("duration", format!("{} s", self.took.as_secs()));
        for (kind, count) in &self.faults {
            line(kind.words(), count.to_string());
        }
        line("rounds, builds, steps", format!("{}, {}, {}", self.rounds, self.builds, self.steps));
        line("commands started", self.commands.to_string());
        if self.retried > 0 {
            line("builds ended with retry, all on the stock worker", self.retried.to_string());
            line("commands that those builds' repetitions started again", self.repeated.to_string());
        }
        line("bytes of logs compared", self.log_bytes.to_string());
        line("differences", self.differences.len().to_string());
        text
    }
}

/// Today, and the commit that is checked out.
pub fn today() -> String {
    format!("{}, {}", said("date", &["-u", "+%F"]), said("git", &["rev-parse", "--short", "HEAD"]))
}

fn said(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).current_dir(env!("CARGO_MANIFEST_DIR")).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}
