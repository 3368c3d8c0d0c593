//! `status`: running builds, waiting requests, connected workers, and alerts.

use std::collections::BTreeMap;
use std::process::ExitCode;

use serde_json::{Value as Json, json};

use super::client::Client;
use super::error::CliError;
use super::output::{count, outln, took};
use super::terminal::printable;
use crate::base::{Clock as _, SystemClock};

/// Lines of one kind; the rest is counted.
const SHOWN: usize = 20;
/// Waiting requests that are read; beyond that "or more" says enough.
const WAITING_MAX: usize = 1000;
/// Exit code if there are alerts.
const ALERTS: u8 = 1;

pub(super) fn run(client: Client, as_json: bool) -> Result<impl Future<Output = Result<ExitCode, CliError>>, CliError> {
    Ok(async move {
        let status = Status::read(&client).await?;
        if as_json {
            outln!("{}", status.json());
        } else {
            status.print();
        }
        Ok(ExitCode::from(if status.alerts.is_empty() { 0 } else { ALERTS }))
    })
}

/// What a master tells of itself; records as the API has them.
struct Status {
    alerts: Vec<Json>,
    running: Vec<Json>,
    waiting: Vec<Json>,
    workers: Vec<Json>,
    builders: BTreeMap<u64, String>,
    /// Why the oldest request of each of the first builders waits.
    reasons: BTreeMap<u64, Vec<String>>,
}

/// The waiting requests of a builder.
struct WaitingOfBuilder {
    requests: u64,
    /// The request that waits longest.
    oldest: u64,
    /// When that was submitted, in seconds since 1970.
    submitted: Option<i64>,
}

impl Status {
    async fn read(client: &Client) -> Result<Self, CliError> {
        let list = async |path: String, plural: &str| client.list(&path, plural).await.map(Option::unwrap_or_default);
        let builders = list("builders?field=builderid&field=name".to_owned(), "builders").await?;
        let mut answer = client.own_get("alerts").await?;
        let Json::Array(alerts) = answer["alerts"].take() else {
            return Err(CliError::bug("the response of the master has no `alerts`"));
        };
        let mut status = Self {
            alerts,
            running: list("builds?complete=false&order=buildid".to_owned(), "builds").await?,
            waiting: list(
                format!("buildrequests?complete=false&claimed=false&order=buildrequestid&limit={WAITING_MAX}"),
                "buildrequests",
            )
            .await?,
            workers: list("workers?order=name".to_owned(), "workers").await?,
            builders: builders
                .iter()
                .filter_map(|builder| Some((builder["builderid"].as_u64()?, text(&builder["name"]))))
                .collect(),
            reasons: BTreeMap::new(),
        };
        for waiting in status.waiting_by_builder().values().take(SHOWN) {
            let answer = client.own_get(&format!("requests/{}/waiting", waiting.oldest)).await?;
            let why = answer["why"].as_array().into_iter().flatten().map(text).collect();
            status.reasons.insert(waiting.oldest, why);
        }
        Ok(status)
    }

    fn waiting_by_builder(&self) -> BTreeMap<String, WaitingOfBuilder> {
        let mut by_builder = BTreeMap::new();
        // The oldest come first.
        for request in &self.waiting {
            let waiting = by_builder.entry(self.builder(request)).or_insert(WaitingOfBuilder {
                requests: 0,
                oldest: request["buildrequestid"].as_u64().unwrap_or_default(),
                submitted: request["submitted_at"].as_i64(),
            });
            waiting.requests += 1;
        }
        by_builder
    }

    fn json(&self) -> Json {
        json!({
            "alerts": self.alerts,
            "running": self.running.iter().map(|build| self.running_json(build)).collect::<Vec<_>>(),
            "waiting": self.waiting.iter().map(|request| self.waiting_json(request)).collect::<Vec<_>>(),
            "workers": self.workers.iter().map(worker_json).collect::<Vec<_>>(),
        })
    }

    fn running_json(&self, build: &Json) -> Json {
        json!({
            "build": build["buildid"], "builder": self.builder(build), "number": build["number"],
            "started_at": build["started_at"], "state": build["state_string"],
        })
    }

    fn waiting_json(&self, request: &Json) -> Json {
        json!({
            "request": request["buildrequestid"], "builder": self.builder(request),
            "priority": request["priority"], "submitted_at": request["submitted_at"],
            "why": request["buildrequestid"].as_u64().and_then(|id| self.reasons.get(&id)),
        })
    }

    fn print(&self) {
        let now = SystemClock.now().as_seconds();
        self.print_alerts(now);
        outln!("{} running", self.running.len());
        for build in self.running.iter().take(SHOWN) {
            let since = took(now - build["started_at"].as_i64().unwrap_or(now));
            let title = format!("{}/{}", self.builder(build), build["number"]);
            outln!("  {title}  {since}  {}", printable(&text(&build["state_string"])));
        }
        more(self.running.len());
        self.print_waiting(now);
        self.print_workers();
    }

    fn print_alerts(&self, now: i64) {
        if self.alerts.is_empty() {
            outln!("no alerts");
            return;
        }
        outln!("{}", count(self.alerts.len() as u64, "alert"));
        for alert in &self.alerts {
            let since = took(now - alert["first"].as_i64().unwrap_or_default().div_euclid(1000));
            outln!("  ! {}, for {since}:", printable(&subject(&alert["subject"])));
            for line in printable(&text(&alert["text"])).lines() {
                outln!("    {line}");
            }
            if let Some(hint) = alert["hint"].as_str() {
                outln!("    hint: {}", printable(hint));
            }
        }
    }

    fn print_waiting(&self, now: i64) {
        let or_more = if self.waiting.len() >= WAITING_MAX { " or more" } else { "" };
        outln!("{}{or_more} waiting", self.waiting.len());
        let by_builder = self.waiting_by_builder();
        for (builder, waiting) in by_builder.iter().take(SHOWN) {
            let since = took(now - waiting.submitted.unwrap_or(now));
            outln!("  {builder}  {}, oldest waiting for {since}", count(waiting.requests, "request"));
            for reason in self.reasons.get(&waiting.oldest).into_iter().flatten() {
                outln!("    {}", printable(reason));
            }
        }
        more(by_builder.len());
    }

    fn print_workers(&self) {
        let away = self.workers.iter().filter(|worker| !is_connected(worker));
        let away: Vec<String> = away.map(|worker| text(&worker["name"])).collect();
        let connected = self.workers.len() - away.len();
        outln!("{connected} of {} connected", count(self.workers.len() as u64, "worker"));
        if !away.is_empty() {
            let dots = if away.len() > SHOWN { ", …" } else { "" };
            outln!("  away: {}{dots}", away[..away.len().min(SHOWN)].join(", "));
        }
        let paused = self.workers.iter().filter(|worker| worker["paused"] == true);
        let paused: Vec<String> = paused.map(|worker| text(&worker["name"])).take(SHOWN).collect();
        if !paused.is_empty() {
            outln!("  paused: {}", paused.join(", "));
        }
    }

    fn builder(&self, record: &Json) -> String {
        record["builderid"].as_u64().and_then(|id| self.builders.get(&id).cloned()).unwrap_or_default()
    }
}

fn worker_json(worker: &Json) -> Json {
    json!({
        "name": worker["name"], "connected": is_connected(worker),
        "paused": worker["paused"], "graceful": worker["graceful"],
    })
}

fn is_connected(worker: &Json) -> bool {
    worker["connected_to"].as_array().is_some_and(|masters| !masters.is_empty())
}

fn subject(subject: &Json) -> String {
    let kind = text(&subject["kind"]);
    subject["name"].as_str().map_or(kind.clone(), |name| format!("{kind} `{name}`"))
}

fn more(total: usize) {
    if total > SHOWN {
        outln!("  and {} more", total - SHOWN);
    }
}

fn text(json: &Json) -> String {
    json.as_str().unwrap_or_default().to_owned()
}
