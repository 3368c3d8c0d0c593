//! Polls the changes under review of a project on a Gerrit server, and listens to the server's events.
//!
//! ```text
//!   ssh … gerrit query          what was updated since the last poll ──► changes and cursor
//!   ssh … gerrit stream-events  a project had an event ──► its sources are polled at once
//! ```
//! Events say when to look, never what there is: they come once, and none of those that were sent while nobody listened comes
//! later. What was seen is a moment and what was seen shortly before it, so a poll that is lost is simply made again.

mod events;
mod query;
mod server;

use std::collections::BTreeMap;

use globset::{Glob, GlobSet, GlobSetBuilder};
use tokio::time::Instant;

pub use self::events::{GerritEvent, listen_to_gerrit};
use self::query::{Answer, Review, read_answer};
use self::server::ask;
use super::PollError;
use crate::base::Timestamp;
use crate::model::{ChangeSourcePlan, Cursor, GerritPlan, NewChange};

/// Changes under review of one page of an answer.
const PAGE: usize = 200;
/// Pages of one poll: more changes than a project has updates between two polls.
const PAGES_MAX: usize = 10;
/// The index of a server may be late by so many seconds: what was updated then is asked for again.
const LATE_S: i64 = 120;
/// The entry of the cursor for the moment of the newest update, in seconds since 1970.
const UPDATED: &str = "updated";
/// Begins an entry for a change that is work in progress: the end of that is an event.
const WIP: &str = "wip:";
/// Such entries that are kept.
const WIPS_MAX: usize = 1_000;

/// Polls a project once.
pub(super) async fn poll_gerrit(
    source: &ChangeSourcePlan,
    gerrit: &GerritPlan,
    cursor: Option<Cursor>,
) -> Result<(Vec<NewChange>, Cursor), PollError> {
    let poll = Poll { source, gerrit, deadline: Instant::now() + source.timeout.as_duration() };
    poll.once(cursor).await.map_err(|cause| PollError {
        message: format!("failed to ask `{}` for the changes of `{}`: {cause}", gerrit.server.host, gerrit.project),
    })
}

struct Poll<'a> {
    source: &'a ChangeSourcePlan,
    gerrit: &'a GerritPlan,
    deadline: Instant,
}

impl Poll<'_> {
    async fn once(&self, cursor: Option<Cursor>) -> Result<(Vec<NewChange>, Cursor), String> {
        let Some(cursor) = cursor else {
            // What is there is taken as seen: all of it up to the newest update.
            let Answer { reviews, .. } = self.page(None, 0, 1).await?;
            let newest = reviews.first().map_or(0, |review| review.updated);
            return Ok((Vec::new(), [(UPDATED.to_owned(), newest.to_string())].into()));
        };
        let seen = Seen::of(cursor);
        let mut reviews = Vec::new();
        for page in 0..PAGES_MAX {
            let Answer { reviews: more, more: goes_on } = self.page(Some(seen.since()), page * PAGE, PAGE).await?;
            reviews.extend(more);
            if !goes_on {
                break;
            }
        }
        let branches = self.branches()?;
        reviews.retain(|review| branches.as_ref().is_none_or(|branches| branches.is_match(&review.branch)));
        // The server tells the newest first.
        reviews.sort_by_key(|review| (review.updated, review.number));
        let (found, cursor) = seen.next(&reviews, self.gerrit);
        let most = usize::try_from(self.source.changes_max).unwrap_or(usize::MAX);
        let skipped = found.len().saturating_sub(most);
        Ok((found.into_iter().skip(skipped).map(|change| self.owned(change)).collect(), cursor))
    }

    async fn page(&self, since: Option<i64>, start: usize, limit: usize) -> Result<Answer, String> {
        let since = since.map(|since| format!(" after:{{{}}}", moment(since))).unwrap_or_default();
        let comments = if self.gerrit.comments.is_some() { " --comments" } else { "" };
        let command = format!(
            "gerrit query --format=JSON --current-patch-set --files --commit-message{comments} --start {start} \
             limit:{limit} status:open project:{}{since}",
            self.gerrit.project
        );
        read_answer(&ask(&self.gerrit.server, &command, self.deadline).await?)
    }

    /// The branches whose changes count; none for all.
    fn branches(&self) -> Result<Option<GlobSet>, String> {
        if self.gerrit.branches.is_empty() {
            return Ok(None);
        }
        let mut set = GlobSetBuilder::new();
        for pattern in &self.gerrit.branches {
            set.add(Glob::new(pattern).map_err(|error| format!("the pattern `{pattern}` is wrong: {}", error.kind()))?);
        }
        set.build().map(Some).map_err(|error| format!("the patterns of branches are too complex together: {error}"))
    }

    fn owned(&self, change: NewChange) -> NewChange {
        NewChange {
            repository: self.gerrit.repository.clone(),
            project: self.source.project.clone(),
            codebase: self.source.codebase.clone(),
            category: self.source.category.clone().or(change.category),
            ..change
        }
    }
}

/// As the server takes a moment: of UTC, to the second.
fn moment(seconds: i64) -> String {
    let written = Timestamp::from_seconds(seconds.max(0)).to_string();
    written.get(..19).unwrap_or(&written).replace('T', " ")
}

/// What the last poll saw.
struct Seen {
    /// The moment of the newest update.
    updated: i64,
    /// Patch sets and comments of shortly before, with their moments.
    recent: BTreeMap<String, i64>,
    /// Changes that are work in progress, by number.
    wips: BTreeMap<i64, i64>,
}

impl Seen {
    fn of(cursor: Cursor) -> Self {
        let mut seen = Self { updated: 0, recent: BTreeMap::new(), wips: BTreeMap::new() };
        for (name, value) in cursor {
            // Only we write cursors; another word is one of a later version.
            let Ok(moment) = value.parse() else { continue };
            match (name.as_str(), name.strip_prefix(WIP).map(str::parse)) {
                (UPDATED, _) => seen.updated = moment,
                (_, Some(Ok(number))) => drop(seen.wips.insert(number, moment)),
                (_, Some(Err(_))) => {}
                (_, None) => drop(seen.recent.insert(name, moment)),
            }
        }
        seen
    }

    fn since(&self) -> i64 {
        self.updated.saturating_sub(LATE_S)
    }

    /// What is new among what was updated since, oldest first, and what has been seen then.
    fn next(mut self, reviews: &[Review], gerrit: &GerritPlan) -> (Vec<NewChange>, Cursor) {
        let (since, mut found) = (self.since(), Vec::new());
        for review in reviews {
            self.updated = self.updated.max(review.updated);
            if review.is_wip && !gerrit.drafts {
                self.wips.insert(review.number, review.updated);
                continue;
            }
            let is_ready = self.wips.remove(&review.number).is_some();
            let is_new = review.patch_created >= since && !self.recent.contains_key(&review.revision);
            self.recent.insert(review.revision.clone(), review.patch_created);
            if is_new || is_ready {
                found.push(review.change(if is_ready { "ready" } else { review.event() }));
            }
            for comment in &review.comments {
                let known = self.recent.insert(comment.key(review.number), comment.at);
                if comment.at >= since && known.is_none() {
                    found.extend(review.commented(comment, gerrit));
                }
            }
        }
        let oldest = self.since();
        let mut cursor: Cursor = [(UPDATED.to_owned(), self.updated.to_string())].into();
        cursor.extend(self.recent.into_iter().filter(|(_, at)| *at >= oldest).map(|(key, at)| (key, at.to_string())));
        let mut wips: Vec<(i64, i64)> = self.wips.into_iter().map(|(number, at)| (at, number)).collect();
        wips.sort_unstable();
        let kept = wips.len().saturating_sub(WIPS_MAX);
        cursor.extend(wips.drain(kept..).map(|(at, number)| (format!("{WIP}{number}"), at.to_string())));
        (found, cursor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::GerritServer;

    fn plan() -> GerritPlan {
        GerritPlan {
            server: GerritServer { ssh: vec!["ssh".to_owned()], user: None, host: "review".to_owned(), port: 29418 },
            project: "app".to_owned(),
            repository: "ssh://review:29418/app".to_owned(),
            branches: Vec::new(),
            drafts: false,
            comments: Some("^/build".to_owned()),
            comments_from: vec!["@ann".to_owned()],
            stream: true,
        }
    }

    fn review(number: i64, patch_set: i64, created: i64) -> Review {
        Review {
            number,
            patch_set,
            revision: format!("{number:020}{patch_set:020}"),
            reference: format!("refs/changes/{:02}/{number}/{patch_set}", number % 100),
            branch: "main".to_owned(),
            patch_created: created,
            updated: created,
            ..Review::default()
        }
    }

    fn events(found: &[NewChange]) -> Vec<String> {
        let event = |change: &NewChange| {
            let word = change.properties.get("event").and_then(|event| event.as_str()).unwrap_or_default().to_owned();
            format!("{word} {}", change.branch.clone().unwrap_or_default())
        };
        found.iter().map(event).collect()
    }

    fn start(at: i64) -> Cursor {
        [(UPDATED.to_owned(), at.to_string())].into()
    }

    #[test]
    fn a_patch_set_is_told_once_however_late_the_index_is() {
        let (found, cursor) = Seen::of(start(1_000)).next(&[review(1, 1, 1_000), review(2, 3, 1_010)], &plan());
        assert_eq!(events(&found), ["opened refs/changes/01/1/1", "updated refs/changes/02/2/3"]);
        let (again, cursor) = Seen::of(cursor).next(&[review(1, 1, 1_000), review(2, 3, 1_010)], &plan());
        assert_eq!(events(&again), Vec::<String>::new());
        // One that the index knows late, and an old one that was only commented on.
        let old = Review { updated: 1_012, ..review(4, 1, 500) };
        let (late, cursor) = Seen::of(cursor).next(&[review(3, 1, 995), old], &plan());
        assert_eq!(events(&late), ["opened refs/changes/03/3/1"]);
        let (_, cursor) = Seen::of(cursor).next(&[review(9, 1, 9_000)], &plan());
        assert_eq!(cursor.len(), 2, "what is long ago is forgotten: {cursor:?}");
    }

    #[test]
    fn the_end_of_work_in_progress_is_an_event() {
        let wip = Review { is_wip: true, ..review(1, 1, 1_000) };
        let (found, cursor) = Seen::of(start(1_000)).next(std::slice::from_ref(&wip), &plan());
        assert!(found.is_empty() && cursor.contains_key("wip:1"));
        let ready = Review { is_wip: false, updated: 90_000, ..wip.clone() };
        let (found, cursor) = Seen::of(cursor).next(&[ready], &plan());
        assert_eq!(events(&found), ["ready refs/changes/01/1/1"]);
        assert!(!cursor.contains_key("wip:1"));
        let (found, _) = Seen::of(start(1_000)).next(&[wip], &GerritPlan { drafts: true, ..plan() });
        assert_eq!(events(&found), ["opened refs/changes/01/1/1"]);
    }

    #[test]
    fn moments_are_written_as_the_server_takes_them() {
        assert_eq!(moment(1_700_000_000), "2023-11-14 22:13:20");
        assert_eq!(moment(-120), "1970-01-01 00:00:00");
    }
}
