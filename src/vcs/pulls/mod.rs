//! Polls the open pull requests of a repository on a forge, for masters that the forge cannot call.
//!
//! What was seen is the head of each open pull request, by its number, and the tag by which the forge recognises an answer
//! that has not changed. Both become durable with the changes, so that a poll that is lost is simply made again.

mod client;
mod forge;
mod wait;

use globset::{Glob, GlobSet, GlobSetBuilder};
use tokio::time::Instant;

use self::client::{Answer, Client};
use self::forge::{Page, first_page, read_page};
use self::wait::Wait;
use super::PollError;
use super::hook::{ListedPull, listed};
use super::poll_tools::PollTools;
use crate::model::{ChangeSourcePlan, Cursor, HookSettings, NewChange, PullsPlan};

/// Pages of one poll. A page has fifty pull requests or more; a project with more open ones than that does not look at
/// them any more.
const PAGES_MAX: usize = 20;
/// The entry of the cursor for the tag of the first page; the others are numbers.
const TAG: &str = "etag";

/// Polls the pull requests of a repository once.
pub(super) async fn poll_pulls(
    source: &ChangeSourcePlan,
    pulls: &PullsPlan,
    cursor: Option<Cursor>,
    tools: &PollTools<'_>,
) -> Result<(Vec<NewChange>, Cursor), PollError> {
    let poll = Poll { source, pulls, tools, deadline: Instant::now() + source.timeout.as_duration() };
    poll.once(cursor).await.map_err(|cause| PollError {
        message: format!("failed to poll the pull requests of `{}`: {cause}", pulls.repository),
    })
}

struct Poll<'a> {
    source: &'a ChangeSourcePlan,
    pulls: &'a PullsPlan,
    tools: &'a PollTools<'a>,
    deadline: Instant,
}

/// What the forge lists.
struct Open {
    pulls: Vec<ListedPull>,
    tag: Option<String>,
    /// There are more than we look at.
    is_cut: bool,
}

impl Poll<'_> {
    async fn once(&self, cursor: Option<Cursor>) -> Result<(Vec<NewChange>, Cursor), String> {
        let wait = Wait::new(self.tools.cache, self.tools.clock);
        wait.is_over()?;
        let client = Client::new(self.pulls.forge, self.tools.token, self.deadline, wait)?;
        let known = cursor.as_ref().and_then(|cursor| cursor.get(TAG)).cloned();
        let Some(open) = self.list(&client, known).await? else {
            return Ok((Vec::new(), cursor.unwrap_or_default()));
        };
        let (mut seen, is_first) = (cursor.clone().unwrap_or_default(), cursor.is_none());
        let mut now = Cursor::new();
        let mut changes = Vec::new();
        let bases = self.bases()?;
        for pull in open.pulls {
            let number = pull.number.to_string();
            let before = seen.remove(&number);
            // The end of a draft is an event: until then it was not seen.
            let fits = pull.base.as_deref().is_none_or(|base| bases.as_ref().is_none_or(|bases| bases.is_match(base)));
            if !fits || pull.is_draft && !self.pulls.drafts {
                continue;
            }
            now.insert(number, pull.head.clone());
            if is_first || before.as_ref() == Some(&pull.head) {
                continue;
            }
            let event = if before.is_some() { "updated" } else { "opened" };
            changes.push((pull.number, self.change(pull, event)));
        }
        if open.is_cut {
            seen.remove(TAG);
            now.extend(seen);
        }
        now.extend(open.tag.map(|tag| (TAG.to_owned(), tag)));
        changes.sort_by_key(|(number, _)| *number);
        let most = usize::try_from(self.source.changes_max).unwrap_or(usize::MAX);
        changes.drain(..changes.len().saturating_sub(most));
        Ok((changes.into_iter().map(|(_, change)| change).collect(), now))
    }

    /// What is open; none if that is what was open before.
    async fn list(&self, client: &Client<'_>, known: Option<String>) -> Result<Option<Open>, String> {
        let settings = HookSettings {
            pulls: Some(self.pulls.pulls),
            url: Some(self.pulls.url.clone()),
            ..HookSettings::default()
        };
        let mut open = Open { pulls: Vec::new(), tag: None, is_cut: false };
        let mut next = Some(first_page(self.pulls));
        for number in 0..PAGES_MAX {
            let Some(address) = next.take() else { break };
            let known = if number == 0 { known.as_deref() } else { None };
            let (json, tag) = match client.get(&address, known).await? {
                Answer::Unchanged => return Ok(None),
                Answer::Json { json, tag } => (json, tag),
            };
            if number == 0 {
                open.tag = tag;
            }
            let Page { entries, next: following } = read_page(self.pulls, &address, &json)?;
            for entry in entries {
                let pull = listed(self.pulls.forge, entry, &settings);
                open.pulls.push(pull.map_err(|error| format!("its answer has an unknown form: {error}"))?);
            }
            next = following;
        }
        open.is_cut = next.is_some();
        Ok(Some(open))
    }

    /// The branches that pull requests are to be merged into; none for all.
    fn bases(&self) -> Result<Option<GlobSet>, String> {
        if self.pulls.branches.is_empty() {
            return Ok(None);
        }
        let mut set = GlobSetBuilder::new();
        for pattern in &self.pulls.branches {
            set.add(Glob::new(pattern).map_err(|error| format!("the pattern `{pattern}` is wrong: {}", error.kind()))?);
        }
        set.build().map(Some).map_err(|error| format!("the patterns of branches are too complex together: {error}"))
    }

    fn change(&self, pull: ListedPull, event: &str) -> NewChange {
        let mut change = pull.change(event, &self.pulls.repository);
        change.project.clone_from(&self.source.project);
        change.codebase.clone_from(&self.source.codebase);
        if let Some(category) = &self.source.category {
            change.category = Some(category.clone());
        }
        change
    }
}
