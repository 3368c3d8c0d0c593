//! Talks to a running master by its HTTP API.

use std::time::Duration;

use serde_json::{Value as Json, json};

use super::error::CliError;
use crate::base::{chain, nearest};
use crate::model::Outcome;

/// A request that takes longer is given up: answers come from memory and a local disk.
const ANSWER_TIME: Duration = Duration::from_secs(60);

/// A master's API.
#[derive(Clone, Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    base: String,
}

impl Client {
    pub(super) fn new(url: &str) -> Result<Self, CliError> {
        let base = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
        super::worker::install_tls();
        let http = reqwest::Client::builder()
            .timeout(ANSWER_TIME)
            .build()
            .map_err(|error| CliError::environment(format!("failed to prepare HTTP: {}", chain(&error))))?;
        Ok(Self { http, base: base.trim_end_matches('/').to_owned() })
    }

    /// The items of a collection or the one item of a resource; none where there is no such thing.
    pub(super) async fn list(&self, path: &str, plural: &str) -> Result<Option<Vec<Json>>, CliError> {
        let url = format!("{}/api/v2/{path}", self.base);
        let request = self.http.get(&url).header("Accept", "application/json");
        let (status, body) = self.send(request).await?;
        match status {
            200 => {
                let mut body = parse(&body, &url)?;
                match body.get_mut(plural).map(Json::take) {
                    Some(Json::Array(items)) => Ok(Some(items)),
                    _ => Err(CliError::bug(format!("the answer of {url} has no `{plural}`"))),
                }
            }
            404 => Ok(None),
            _ => Err(CliError::environment(format!("{url} answered {status}: {}", error_text(&body)))),
        }
    }

    /// A control call (JSON-RPC).
    pub(super) async fn control(&self, path: &str, method: &str, params: Json) -> Result<Json, CliError> {
        let url = format!("{}/api/v2/{path}", self.base);
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let (status, body) = self.send(self.http.post(&url).json(&call)).await?;
        let mut answer = parse(&body, &url)?;
        if status == 200 {
            return Ok(answer.get_mut("result").map(Json::take).unwrap_or_default());
        }
        Err(CliError::user(control_error(&answer["error"]["message"])))
    }

    /// A call of our own API.
    pub(super) async fn own(&self, path: &str, body: &Json) -> Result<(u16, Json), CliError> {
        let url = format!("{}/api/starwright/v1/{path}", self.base);
        let (status, body) = self.send(self.http.post(&url).json(body)).await?;
        Ok((status, parse(&body, &url)?))
    }

    /// What our own API tells at a path.
    pub(super) async fn own_told(&self, path: &str) -> Result<Json, CliError> {
        let url = format!("{}/api/starwright/v1/{path}", self.base);
        let (status, body) = self.send(self.http.get(&url)).await?;
        match status {
            200 => parse(&body, &url),
            _ => Err(CliError::environment(format!("{url} answered {status}: {}", error_text(&body)))),
        }
    }

    /// Finds a build by `BUILDER/NUMBER`, `BUILDER` (its newest) or id.
    pub(super) async fn build(&self, name: &str) -> Result<Json, CliError> {
        if let Ok(id) = name.parse::<u64>() {
            let found = self.list(&format!("builds/{id}"), "builds").await?.and_then(|mut items| items.pop());
            return found.ok_or_else(|| {
                CliError::environment(format!("there is no build with id {id}")).hint("`starwright builds` lists them")
            });
        }
        if let Some((builder, number)) = name.rsplit_once('/')
            && let Ok(number) = number.parse::<u64>()
        {
            let id = self.builder_id(builder).await?;
            let found = self.list(&format!("builders/{id}/builds/{number}"), "builds").await?;
            return found.and_then(|mut items| items.pop()).ok_or_else(|| {
                CliError::environment(format!("builder `{builder}` has no build {number}"))
                    .hint(format!("`starwright builds --builder {builder}` lists them"))
            });
        }
        let id = self.builder_id(name).await?;
        let newest = self.list(&format!("builders/{id}/builds?order=-number&limit=1"), "builds").await?;
        newest.and_then(|mut items| items.pop()).ok_or_else(|| {
            CliError::environment(format!("builder `{name}` has no builds yet"))
                .hint(format!("`starwright force {name}` starts one"))
        })
    }

    /// The id of a builder.
    pub(super) async fn builder_id(&self, name: &str) -> Result<u64, CliError> {
        let builders = self.list("builders", "builders").await?.unwrap_or_default();
        let found = builders.iter().find(|builder| builder["name"] == name);
        if let Some(id) = found.and_then(|builder| builder["builderid"].as_u64()) {
            return Ok(id);
        }
        let names: Vec<&str> = builders.iter().filter_map(|builder| builder["name"].as_str()).collect();
        let error = CliError::user(format!("there is no builder `{name}`"));
        Err(match nearest(name, names.iter().copied()) {
            Some(near) => error.hint(format!("did you mean `{near}`?")),
            None => error.hint(format!("builders are: {}", names.join(", "))),
        })
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<(u16, String), CliError> {
        let unreachable = |error: reqwest::Error| {
            CliError::environment(format!("failed to reach a master at {}: {}", self.base, chain(&error.without_url())))
                .hint("is it running? `starwright up CONFIG` starts one; `--master URL` names another")
        };
        let answer = request.send().await.map_err(unreachable)?;
        let status = answer.status().as_u16();
        Ok((status, answer.text().await.map_err(unreachable)?))
    }
}

/// The outcome in a record of the API: none while it runs or waits.
pub(super) fn outcome_of(record: &Json) -> Option<Outcome> {
    let code = record["results"].as_i64()?;
    Outcome::ALL.into_iter().find(|outcome| outcome.code() == code)
}

fn parse(body: &str, url: &str) -> Result<Json, CliError> {
    serde_json::from_str(body).map_err(|_| {
        CliError::environment(format!("{url} did not answer like a Starwright master")).hint("is the address right?")
    })
}

fn error_text(body: &str) -> String {
    let parsed: Option<Json> = serde_json::from_str(body).ok();
    parsed.and_then(|json| json["error"].as_str().map(str::to_owned)).unwrap_or_else(|| body.trim().to_owned())
}

/// A control error is a text, or for a force form an object of field to text.
fn control_error(message: &Json) -> String {
    match message {
        Json::Object(fields) => {
            let lines: Vec<String> =
                fields.iter().map(|(field, text)| format!("{field}: {}", text.as_str().unwrap_or_default())).collect();
            lines.join("\n       ")
        }
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}
