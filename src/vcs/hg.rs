//! Polls a Mercurial repository: pulls into a cache, and tells of the changesets that no earlier poll has seen.
//!
//! A changeset belongs to one named branch for ever. What was seen are the heads of each branch; whatever leads to none of
//! them is new, also after a head was closed, merged or stripped.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use tokio::time::Instant;

use super::PollError;
use super::program::{Program, most, owned, patterns};
use crate::base::Timestamp;
use crate::model::{BranchChoice, ChangeSourcePlan, Cursor, HgPlan, NewChange};

/// The branch of a repository that names none.
const DEFAULT: &str = "default";
/// One changeset as a line of JSON.
const CHANGESET: &str = "[{node|json},{branch|json},{author|json},{desc|json},{files|json},{date|hgdate|json}]\\n";
/// Heads that are remembered: more open heads than this are branches that somebody forgot to close.
const HEADS_MAX: usize = 10_000;
/// What a pull says when the cache is the cause.
const BROKEN: [&str; 7] = [
    "unrelated",
    "integrity check failed",
    "corrupt",
    "requires features unknown",
    "abandoned transaction",
    "not found!",
    "revlog",
];

/// Polls a repository once.
pub(super) async fn poll_hg(
    source: &ChangeSourcePlan,
    hg: &HgPlan,
    cursor: Option<Cursor>,
    cache: &Path,
) -> Result<(Vec<NewChange>, Cursor), PollError> {
    let deadline = Instant::now() + source.timeout.as_duration();
    let poll = Poll { source, hg, cache: cache.join("hg"), deadline };
    poll.once(cursor)
        .await
        .map_err(|cause| PollError { message: format!("failed to poll `{}`: {cause}", hg.repository) })
}

struct Poll<'a> {
    source: &'a ChangeSourcePlan,
    hg: &'a HgPlan,
    cache: PathBuf,
    deadline: Instant,
}

/// Node, branch, author, message, files, and seconds with the zone's offset.
#[derive(Deserialize)]
struct Changeset(String, String, String, String, Vec<String>, String);

impl Poll<'_> {
    async fn once(&self, cursor: Option<Cursor>) -> Result<(Vec<NewChange>, Cursor), String> {
        self.pull().await?;
        let branches = self.branches().await?;
        let mut seen = Cursor::new();
        for head in self.lines("head()", "{node}\\t{branch}\\n").await? {
            if let Some((node, branch)) = head.split_once('\t').filter(|(_, branch)| branches.contains(*branch)) {
                seen.insert(node.to_owned(), branch.to_owned());
            }
        }
        if seen.len() > HEADS_MAX {
            return Err(format!("it has more than {HEADS_MAX} heads"));
        }
        let Some(before) = cursor else { return Ok((Vec::new(), seen)) };
        let fresh: Vec<&String> = seen.keys().filter(|node| !before.contains_key(*node)).collect();
        if fresh.is_empty() {
            return Ok((Vec::new(), seen));
        }
        let known = self.present(before.keys()).await?;
        // Numbers are those of the cache: short, and valid until the next pull.
        let of = |nodes: &mut dyn Iterator<Item = &String>| nodes.map(String::as_str).collect::<Vec<_>>().join("+");
        let mut wanted = format!("::({})", of(&mut fresh.into_iter()));
        if !known.is_empty() {
            wanted += &format!(" - ::({})", of(&mut known.iter()));
        }
        let mut changes = Vec::new();
        for line in self.lines(&format!("last(sort({wanted}, rev), {})", most(self.source)), CHANGESET).await? {
            let changeset: Changeset =
                serde_json::from_str(&line).map_err(|error| format!("it says what is no changeset: {error}"))?;
            if branches.contains(&changeset.1) {
                changes.push(owned(self.source, change(changeset)));
            }
        }
        Ok((changes, seen))
    }

    fn program<'a>(&self, words: impl IntoIterator<Item = &'a str>) -> Program {
        // Nothing of a person's set-up changes what is printed; its logins stay.
        let program = Program::new("hg", &[("HGPLAIN", "1"), ("HGENCODING", "utf-8")], self.deadline);
        program.args(["--noninteractive"]).args(words)
    }

    /// Brings the cache up to date. One that is broken, or of another repository, is made anew.
    async fn pull(&self) -> Result<(), String> {
        for attempt in 0..2 {
            if !self.cache.join(".hg").is_dir() {
                let made = std::fs::create_dir_all(&self.cache);
                made.map_err(|error| format!("its cache `{}` cannot be made: {error}", self.cache.display()))?;
                self.program(["init", "."]).at(&self.cache).answer().await?;
            }
            let pull = self.program(["pull", "--quiet", "--", &self.hg.repository]).at(&self.cache);
            let Err(why) = pull.answer().await else { return Ok(()) };
            if attempt > 0 || !BROKEN.iter().any(|sign| why.contains(sign)) {
                return Err(why);
            }
            tracing::warn!(source = self.source.name, why, "makes the cache of a Mercurial repository anew");
            let removed = std::fs::remove_dir_all(&self.cache);
            removed.map_err(|error| format!("its cache `{}` cannot be removed: {error}", self.cache.display()))?;
        }
        Ok(())
    }

    /// The branches that are looked at.
    async fn branches(&self) -> Result<BTreeSet<String>, String> {
        match &self.hg.branches {
            BranchChoice::Default => Ok([DEFAULT.to_owned()].into()),
            BranchChoice::Names(names) => Ok(names.iter().cloned().collect()),
            BranchChoice::Patterns(globs) => {
                let globs = patterns(globs)?;
                let all = self.program(["branches", "--closed", "--template", "{branch}\\n"]).at(&self.cache).answer();
                Ok(all.await?.lines().filter(|name| globs.is_match(name)).map(str::to_owned).collect())
            }
        }
    }

    /// Those of these nodes that there still are.
    async fn present(&self, nodes: impl Iterator<Item = &String>) -> Result<Vec<String>, String> {
        let wanted: Vec<String> = nodes.map(|node| format!("present({node})")).collect();
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        self.lines(&wanted.join("+"), "{node}\\n").await
    }

    async fn lines(&self, revisions: &str, template: &str) -> Result<Vec<String>, String> {
        let log = self.program(["log", &format!("--rev={revisions}"), "--template", template]).at(&self.cache);
        Ok(log.answer().await?.lines().map(str::to_owned).collect())
    }
}

fn change(Changeset(node, branch, author, message, files, date): Changeset) -> NewChange {
    let seconds = date.split(' ').next().and_then(|seconds| seconds.parse().ok());
    NewChange {
        author,
        comments: message,
        files,
        branch: Some(branch),
        revision: Some(node),
        when: seconds.map(Timestamp::from_seconds),
        ..NewChange::default()
    }
}
