//! What each forge calls its list of open pull requests, and how it continues. Pages are asked for by us, and not where an
//! answer points, so that the token goes nowhere else.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value as Json;

use crate::model::{HookDialect, PullsPlan};

/// Pull requests of one page: the most that each forge gives.
const GITHUB: usize = 100;
const GITLAB: usize = 100;
/// The limit that Gitea has, unless it is configured otherwise.
const GITEA: usize = 50;
const BITBUCKET: usize = 50;
const BITBUCKET_SERVER: usize = 100;

/// One page of a list.
pub(super) struct Page<'a> {
    pub entries: &'a [Json],
    /// The address of the next one.
    pub next: Option<String>,
}

/// The address of the first page: those that changed last come first.
pub(super) fn first_page(plan: &PullsPlan) -> String {
    address(plan, 1, 0)
}

/// A page by its number, or, for Bitbucket Server, by the number of its first entry.
fn address(plan: &PullsPlan, number: usize, start: u64) -> String {
    let PullsPlan { api, path, .. } = plan;
    match plan.forge {
        HookDialect::GitLab => {
            let path = utf8_percent_encode(path, NON_ALPHANUMERIC);
            format!(
                "{api}/projects/{path}/merge_requests?state=opened&order_by=updated_at&sort=desc&per_page={GITLAB}&page={number}"
            )
        }
        HookDialect::Gitea => {
            format!("{api}/repos/{path}/pulls?state=open&sort=recentupdate&limit={GITEA}&page={number}")
        }
        HookDialect::Bitbucket => {
            format!(
                "{api}/repositories/{path}/pullrequests?state=OPEN&sort=-updated_on&pagelen={BITBUCKET}&page={number}"
            )
        }
        HookDialect::BitbucketServer => {
            let (project, slug) = path.split_once('/').unwrap_or((path, ""));
            format!(
                "{api}/projects/{project}/repos/{slug}/pull-requests?state=OPEN&order=NEWEST&limit={BITBUCKET_SERVER}&start={start}"
            )
        }
        HookDialect::GitHub | HookDialect::Base | HookDialect::Generic => {
            format!("{api}/repos/{path}/pulls?state=open&sort=updated&direction=desc&per_page={GITHUB}&page={number}")
        }
    }
}

/// Reads the page that came from an address.
pub(super) fn read_page<'a>(plan: &PullsPlan, asked: &str, json: &'a Json) -> Result<Page<'a>, String> {
    let number = || asked.rsplit_once("page=").and_then(|(_, number)| number.parse::<usize>().ok()).unwrap_or(1);
    let list = |json: &'a Json| json.as_array().map(Vec::as_slice);
    let odd = || "its answer is no list of pull requests".to_owned();
    match plan.forge {
        HookDialect::Bitbucket => {
            let entries = json.get("values").and_then(list).ok_or_else(odd)?;
            let more = json.get("next").is_some_and(Json::is_string);
            Ok(Page { entries, next: more.then(|| address(plan, number() + 1, 0)) })
        }
        HookDialect::BitbucketServer => {
            let entries = json.get("values").and_then(list).ok_or_else(odd)?;
            let is_last = json.get("isLastPage").and_then(Json::as_bool).unwrap_or(true);
            let start = json.get("nextPageStart").and_then(Json::as_u64).filter(|_| !is_last);
            Ok(Page { entries, next: start.map(|start| address(plan, 1, start)) })
        }
        forge => {
            let entries = list(json).ok_or_else(odd)?;
            let full = match forge {
                HookDialect::GitLab => GITLAB,
                // It may be set to give fewer: then the list ends with an empty page.
                HookDialect::Gitea => 1,
                _ => GITHUB,
            };
            Ok(Page { entries, next: (entries.len() >= full).then(|| address(plan, number() + 1, 0)) })
        }
    }
}
