//! One poll: list, fetch what moved, walk.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use git2::{Oid, Repository};
use tokio::time::Instant;

use super::branches::{choose, choose_tags};
use super::cache::Cache;
use super::commit::{change, tag_change};
use super::explain::{failed, is_broken_cache, not_in_time, not_run, with_login};
use super::history::Walk;
use super::program::GitProgram;
use super::remote::{Remote, TAGS};
use crate::base::process::ProcessOutput;
use crate::model::{BranchChoice, ChangeSourcePlan, Cursor, GitPlan, NewChange};
use crate::vcs::PollError;
use crate::vcs::address::Address;

/// Branches fetched by one command; more would come near the bounds of some systems for a command line.
const BRANCHES_A_FETCH: usize = 100;
/// A revision has this many characters; longer ones are of repositories with SHA-256, which cannot be read yet.
const SHA1_CHARS: usize = 40;

/// A poll that has changes to tell tidies up only when idle ones never came to it.
const UNTIDINESS_WHEN_BUSY: usize = 4;

/// Why a part of a poll failed.
enum Fault {
    /// The cache cannot be used; a new one may help.
    Cache(String),
    /// Trying again at once cannot help.
    Other(String),
}

/// Polls a git source once.
pub(in crate::vcs) async fn poll_git(
    source: &ChangeSourcePlan,
    git: &GitPlan,
    cursor: Option<Cursor>,
    cache: &Path,
    program: &GitProgram,
) -> Result<(Vec<NewChange>, Cursor), PollError> {
    let GitPlan { repository, branches, tags } = git;
    let address = Address::new(repository);
    let poll = Poll {
        source: Arc::new(source.clone()),
        program: program.with(address.settings()),
        address,
        branches,
        tags,
        cache: Cache::new(cache),
        deadline: Instant::now() + source.timeout.as_duration(),
        changes_max: usize::try_from(source.changes_max).unwrap_or(usize::MAX),
    };
    poll.once(cursor).await.map_err(|cause| {
        let cause = if poll.address.settings().is_empty() { cause } else { with_login(&cause) };
        let cause = poll.address.mask(&cause);
        PollError { message: format!("failed to poll git repository `{}`: {cause}", poll.address.public) }
    })
}

struct Poll<'a> {
    source: Arc<ChangeSourcePlan>,
    program: GitProgram,
    address: Address,
    branches: &'a BranchChoice,
    /// Patterns of tags.
    tags: &'a [String],
    cache: Cache,
    deadline: Instant,
    changes_max: usize,
}

impl Poll<'_> {
    async fn once(&self, cursor: Option<Cursor>) -> Result<(Vec<NewChange>, Cursor), String> {
        self.make_cache().await?;
        let remote = self.list().await?;
        let tips = choose(self.branches, &remote, cursor.as_ref())?;
        if let Some(tip) = tips.values().find(|tip| tip.len() > SHA1_CHARS) {
            return Err(format!("it names commits by SHA-256 (`{tip}`), which this version cannot read"));
        }
        let mut seen = cursor.clone().unwrap_or_default();
        let tags = self.look_at_tags(&remote, &mut seen)?;
        let tips: BTreeMap<String, String> = tips.into_iter().chain(tags).collect();
        let moved: Vec<String> =
            tips.iter().filter(|(name, tip)| seen.get(*name) != Some(tip)).map(|(name, _)| name.clone()).collect();
        let kept: Cursor = seen.into_iter().filter(|(name, _)| tips.contains_key(name)).collect();
        if moved.is_empty() {
            self.tidy_up(1).await;
            return Ok((Vec::new(), kept));
        }
        let taken = self.take(moved, kept, cursor.is_none()).await?;
        self.tidy_up(UNTIDINESS_WHEN_BUSY).await;
        Ok(taken)
    }

    /// The tags that are followed. Those that were there when they began to be followed are taken as seen: `seen` knows
    /// since which patterns that is.
    fn look_at_tags(&self, remote: &Remote, seen: &mut Cursor) -> Result<BTreeMap<String, String>, String> {
        if self.tags.is_empty() {
            return Ok(BTreeMap::new());
        }
        let mut tags = choose_tags(self.tags, remote)?;
        let patterns = self.tags.join(" ");
        if seen.insert(TAGS.to_owned(), patterns.clone()).as_ref() != Some(&patterns) {
            for (name, id) in &tags {
                seen.entry(name.clone()).or_insert_with(|| id.clone());
            }
        }
        tags.insert(TAGS.to_owned(), patterns);
        Ok(tags)
    }

    /// Lets git pack what many fetches left, in the time that the poll has left.
    async fn tidy_up(&self, untidiness_min: usize) {
        let cache = self.cache.clone();
        if !self.blocking("looking at the cache", move |_| cache.needs_tidying(untidiness_min)).await.unwrap_or(false) {
            return;
        }
        let args = ["-c", "gc.autoDetach=false", "gc", "--quiet"].map(OsString::from);
        let ended = self.program.run(&self.cache.path, args.into(), self.deadline).await;
        let is_tidy = ended.as_ref().is_ok_and(ProcessOutput::ok);
        if !is_tidy {
            tracing::warn!(source = self.source.name, "the cache of the repository could not be tidied up: {ended:?}");
        }
        self.cache.note_tidying(is_tidy);
    }

    /// Fetches the branches that moved and tells their changes; with a new cache if the present one is broken.
    async fn take(&self, moved: Vec<String>, kept: Cursor, is_first: bool) -> Result<(Vec<NewChange>, Cursor), String> {
        let broken = match self.fetch_and_walk(&moved, &kept, is_first).await {
            Ok(taken) => return Ok(taken),
            Err(Fault::Other(cause)) => return Err(cause),
            Err(Fault::Cache(cause)) => cause,
        };
        tracing::warn!(
            source = self.source.name,
            "the cache of the repository is broken and is made anew: {}",
            self.address.mask(&broken)
        );
        let cache = self.cache.clone();
        self.blocking("making the cache anew", move |_| cache.remove().and_then(|()| cache.make())).await??;
        match self.fetch_and_walk(&moved, &kept, is_first).await {
            Ok(taken) => Ok(taken),
            Err(Fault::Other(cause) | Fault::Cache(cause)) => Err(cause),
        }
    }

    async fn make_cache(&self) -> Result<(), String> {
        let cache = self.cache.clone();
        self.blocking("opening the cache", move |_| cache.make()).await?
    }

    async fn list(&self) -> Result<Remote, String> {
        let mut args = vec!["ls-remote"];
        let doing = "listing its branches";
        match self.branches {
            BranchChoice::Default => {
                args.extend(["--symref", "--", &self.address.public, "HEAD"]);
                args.extend((!self.tags.is_empty()).then_some("refs/tags/*"));
            }
            // Servers of today then send branches only, not every tag and pull request.
            BranchChoice::Names(_) | BranchChoice::Patterns(_) => {
                args.extend((!self.tags.is_empty()).then_some("--tags"));
                args.extend(["--heads", "--", &self.address.public]);
            }
        }
        let output = self.git(args.into_iter().map(OsString::from).collect(), doing).await?;
        if !output.ok() {
            return Err(failed(&output, doing));
        }
        if output.cut {
            return Err("it has too many branches to list".to_owned());
        }
        Ok(Remote::parse(&output.stdout_text()))
    }

    async fn fetch_and_walk(
        &self,
        moved: &[String],
        kept: &Cursor,
        is_first: bool,
    ) -> Result<(Vec<NewChange>, Cursor), Fault> {
        for part in moved.chunks(BRANCHES_A_FETCH) {
            self.fetch(part).await?;
        }
        let task = Task {
            cache: self.cache.clone(),
            source: self.source.clone(),
            address: self.address.public.clone(),
            moved: moved.to_vec(),
            kept: kept.clone(),
            is_first,
            changes_max: self.changes_max,
        };
        let walked = self.blocking("reading the new commits", move |cancelled| task.walk(cancelled)).await;
        walked
            .map_err(Fault::Other)?
            .map_err(|error| Fault::Cache(format!("its cache cannot be read: {}", error.message())))
    }

    async fn fetch(&self, branches: &[String]) -> Result<(), Fault> {
        let doing = "fetching its new commits";
        // Housekeeping comes when the changes are told: in the background it would outlive the poll, here delay it.
        let mut args: Vec<OsString> =
            ["-c", "gc.auto=0", "-c", "maintenance.auto=false", "fetch", "--quiet", "--no-tags"].map(Into::into).into();
        // The repository may be a shallow checkout itself.
        args.extend(["--update-shallow", "--no-recurse-submodules", "--", &self.address.public].map(Into::into));
        let whole = |name: &String| {
            if name.starts_with(TAGS) { name.clone() } else { format!("refs/heads/{name}") }
        };
        args.extend(branches.iter().map(|name| format!("+{}:{}", whole(name), Cache::reference(name)).into()));
        let output = self.git(args, doing).await.map_err(Fault::Other)?;
        match output.ok() {
            true => Ok(()),
            false if is_broken_cache(&output) => Err(Fault::Cache(failed(&output, doing))),
            false => Err(Fault::Other(failed(&output, doing))),
        }
    }

    async fn git(&self, args: Vec<OsString>, doing: &str) -> Result<ProcessOutput, String> {
        self.program.run(&self.cache.path, args, self.deadline).await.map_err(|error| not_run(&error, doing))
    }

    /// Runs what waits for the disk on a thread for that, until the deadline; tells it when it is given up.
    async fn blocking<T: Send + 'static>(
        &self,
        doing: &str,
        work: impl FnOnce(&AtomicBool) -> T + Send + 'static,
    ) -> Result<T, String> {
        let cancelled = Arc::new(AtomicBool::new(false));
        let _on_drop = CancelOnDrop(cancelled.clone());
        let task = tokio::task::spawn_blocking(move || work(&cancelled));
        match tokio::time::timeout_at(self.deadline, task).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => Err(format!("{doing} failed: {error}")),
            Err(_) => Err(not_in_time(doing)),
        }
    }
}

struct CancelOnDrop(Arc<AtomicBool>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What the walk needs, away from the async thread.
struct Task {
    cache: Cache,
    source: Arc<ChangeSourcePlan>,
    address: String,
    moved: Vec<String>,
    /// What has been seen of the branches that are still there.
    kept: Cursor,
    is_first: bool,
    changes_max: usize,
}

impl Task {
    fn walk(&self, cancelled: &AtomicBool) -> Result<(Vec<NewChange>, Cursor), git2::Error> {
        let repository = self.cache.open()?;
        // What was fetched, which may be newer than what was listed.
        let tips = self.tips(&repository)?;
        let mut cursor = self.kept.clone();
        cursor.extend(tips.iter().map(|(name, tip)| (name.clone(), tip.to_string())));
        let mut changes = Vec::new();
        if !self.is_first {
            let walk = Walk { repository: &repository, changes_max: self.changes_max, cancelled };
            let known = self.known(&walk, &tips);
            for (branch, tip) in &tips {
                let commits = match self.kept.get(branch) {
                    Some(old) => walk.moved(old, *tip)?,
                    None => walk.appeared(*tip, &known)?,
                };
                for id in commits {
                    let commit = repository.find_commit(id)?;
                    changes.push(change(&repository, &commit, branch, &self.source, &self.address)?);
                }
            }
        }
        self.walk_tags(&repository, &mut cursor, &mut changes)?;
        Cache::keep_only(&repository, cursor.keys().map(String::as_str))?;
        Ok((changes, cursor))
    }

    /// New and moved tags: one change each.
    fn walk_tags(
        &self,
        repository: &Repository,
        cursor: &mut Cursor,
        changes: &mut Vec<NewChange>,
    ) -> Result<(), git2::Error> {
        for name in self.moved.iter().filter(|name| name.starts_with(TAGS)) {
            let id = repository.refname_to_id(&Cache::reference(name))?;
            cursor.insert(name.clone(), id.to_string());
            changes.extend(tag_change(repository, id, name, &self.source, &self.address)?);
        }
        Ok(())
    }

    fn tips(&self, repository: &Repository) -> Result<BTreeMap<String, Oid>, git2::Error> {
        let tip = |name: &String| {
            let id = repository.refname_to_id(&Cache::reference(name))?;
            Ok((name.clone(), repository.find_commit(id)?.id()))
        };
        self.moved.iter().filter(|name| !name.starts_with(TAGS)).map(tip).collect()
    }

    /// Old and new tips of the branches that were there before.
    fn known(&self, walk: &Walk<'_>, tips: &BTreeMap<String, Oid>) -> Vec<Oid> {
        let branches = self.kept.iter().filter(|(name, _)| !name.starts_with(TAGS));
        let old = branches.filter_map(|(_, tip)| walk.known(tip));
        let new = tips.iter().filter(|(name, _)| self.kept.contains_key(*name)).map(|(_, tip)| *tip);
        old.chain(new).collect()
    }
}
