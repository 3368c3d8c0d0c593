//! Talks to a running master by its HTTP API.

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use serde_json::{Value as Json, json};

use tokio::time::{Instant, sleep};

use super::args::MasterAddress;
use super::credentials::key_for;
use super::error::CliError;
use super::output::{errln, shell_word};
use crate::base::environment::variable;
use crate::base::{chain, nearest};
use crate::model::Outcome;
use crate::web::encode;
use crate::web::wire::BASE;

/// A request that takes longer is given up: answers come from memory and a local disk.
const ANSWER_TIME: Duration = Duration::from_mins(1);
/// A load of a configuration that takes longer has been given up by the master (`evaluator`'s backstop for loads).
const LOAD_TIME: Duration = Duration::from_mins(16);
/// The largest file takes less on the slowest line; pauses have a limit of their own.
const FILE_TIME: Duration = Duration::from_hours(24);
/// A master that was started a moment ago listens within this time, also on a slow disk.
const START_TIME: Duration = Duration::from_secs(5);
/// A master that is upgraded or restarted is back within this time; whoever follows a build waits for it.
const RESTART_TIME: Duration = Duration::from_mins(2);
/// Between two tries.
const TRY_EVERY: Duration = Duration::from_millis(100);

/// A master's API.
#[derive(Clone, Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    base: String,
    wait: MasterWait,
}

/// How long to wait for a master that does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MasterWait {
    /// It may just be starting: only a refused connection is tried again, so nothing is done twice.
    Start,
    /// It was there and may be restarting: reading goes on when it is back.
    Restart,
}

/// What a name on the command line means.
#[derive(Clone, Debug)]
pub(super) enum BuildTarget {
    /// A build's record; and a step, if the name goes on after the number.
    Build { build: Json, step: Option<String> },
    /// A builder.
    Builder { name: String, id: u64 },
}

impl Client {
    pub(super) fn new(master: &MasterAddress) -> Result<Self, CliError> {
        let base = base_of(&master.url);
        let headers = authorization(master, &base)?;
        Self::with(base, headers)
    }

    /// One that presents nothing: for somebody who logs in.
    pub(super) fn without_login(master: &MasterAddress) -> Result<Self, CliError> {
        Self::with(base_of(&master.url), HeaderMap::new())
    }

    fn with(base: String, headers: HeaderMap) -> Result<Self, CliError> {
        super::worker::install_tls();
        let http = reqwest::Client::builder()
            .timeout(ANSWER_TIME)
            .user_agent(crate::web::COMMAND_LINE)
            .default_headers(headers)
            .build()
            .map_err(|error| CliError::environment(format!("failed to prepare HTTP: {}", chain(&error))))?;
        Ok(Self { http, base, wait: MasterWait::Start })
    }

    /// The address of the master.
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    /// The same, for following something across a restart of the master.
    pub(super) fn patient(self) -> Self {
        Self { wait: MasterWait::Restart, ..self }
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
                    _ => Err(CliError::bug(format!("the response of {url} has no `{plural}`"))),
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
        match status {
            200 => Ok(answer.get_mut("result").map(Json::take).unwrap_or_default()),
            500.. => Err(CliError::environment(control_error(&answer))),
            _ => Err(CliError::user(control_error(&answer))),
        }
    }

    /// A call of our own API.
    pub(super) async fn own_post(&self, path: &str, body: &Json) -> Result<(u16, Json), CliError> {
        let url = format!("{}/{BASE}{path}", self.base);
        self.own_answer(self.http.post(&url).json(body), &url).await
    }

    /// The same for an order to load a configuration, which may be large.
    pub(super) async fn own_reload(&self, body: &Json) -> Result<(u16, Json), CliError> {
        let url = format!("{}/{BASE}reload", self.base);
        self.own_answer(self.http.post(&url).json(body).timeout(LOAD_TIME), &url).await
    }

    /// A path of our own API whose answer is a file, from this byte on. It is read piece by piece.
    pub(super) async fn own_stream(&self, path: &str, from: u64) -> Result<reqwest::Response, CliError> {
        let url = format!("{}/{BASE}{path}", self.base);
        let mut request = self.http.get(&url).timeout(FILE_TIME);
        if from > 0 {
            request = request.header("Range", format!("bytes={from}-"));
        }
        let failed = |error: reqwest::Error| self.unreachable(&chain(&error.without_url()));
        let answer = request.send().await.map_err(failed)?;
        match (answer.status().as_u16(), from) {
            (200, 0) | (206, _) => Ok(answer),
            (status, _) => {
                let body = answer.text().await.unwrap_or_default();
                Err(CliError::environment(format!("{url} answered {status}: {}", error_text(&body))))
            }
        }
    }

    async fn own_answer(&self, request: reqwest::RequestBuilder, url: &str) -> Result<(u16, Json), CliError> {
        let (status, body) = self.send(request).await?;
        match status {
            500.. => Err(CliError::environment(error_text(&body))),
            _ => Ok((status, parse(&body, url)?)),
        }
    }

    /// What our own API tells at a path.
    pub(super) async fn own_get(&self, path: &str) -> Result<Json, CliError> {
        let url = format!("{}/{BASE}{path}", self.base);
        let (status, body) = self.send(self.http.get(&url)).await?;
        match status {
            200 => parse(&body, &url),
            _ => Err(CliError::environment(format!("{url} answered {status}: {}", error_text(&body)))),
        }
    }

    /// Finds a build by `BUILDER`, `BUILDER/NUMBER` or id.
    pub(super) async fn build(&self, name: &str) -> Result<Json, CliError> {
        match self.named(name).await? {
            BuildTarget::Build { build, step: None } => Ok(build),
            BuildTarget::Builder { name, id } => self.newest_build(&name, id).await,
            BuildTarget::Build { step: Some(step), .. } => {
                Err(CliError::user(format!("`{name}` names step `{step}` of a build; name a build only")))
            }
        }
    }

    /// Finds a builder by its name, a build by `BUILDER/NUMBER` or id, and a step by `BUILDER/NUMBER/STEP`. Names of
    /// builders and steps may hold slashes and end in numbers. A name that can be read in two ways is refused.
    pub(super) async fn named(&self, name: &str) -> Result<BuildTarget, CliError> {
        let builders = self.list("builders", "builders").await?.unwrap_or_default();
        let known =
            builders.iter().filter_map(|builder| Some((builder["name"].as_str()?, builder["builderid"].as_u64()?)));
        let after = |builder: &str| match name.strip_prefix(builder)? {
            "" => Some(""),
            rest => rest.strip_prefix('/'),
        };
        let mut matching: Vec<(&str, u64, &str)> =
            known.filter_map(|(builder, id)| Some((builder, id, after(builder)?))).collect();
        matching.sort_by_key(|(builder, ..)| std::cmp::Reverse(builder.len()));
        let Some((first, others)) = matching.split_first() else {
            return match name.parse::<u64>() {
                Ok(id) => Ok(BuildTarget::Build { build: self.build_by_id(id).await?, step: None }),
                Err(_) => Err(no_builder(without_number(name), &builders)),
            };
        };
        for (builder, id, rest) in others {
            let number = rest.split('/').next().unwrap_or_default();
            if let (Ok(number), true) = (number.parse::<u64>(), first.2.is_empty() || starts_with_number(first.2)) {
                self.refuse_if_build(name, first.0, (builder, *id, number)).await?;
            }
        }
        let (builder, id, rest) = *first;
        let (number, step) = rest.split_once('/').map_or((rest, None), |(number, step)| (number, Some(step)));
        let step = step.filter(|step| !step.is_empty()).map(str::to_owned);
        match number.parse::<u64>() {
            Ok(number) => Ok(BuildTarget::Build { build: self.build_by_number(builder, id, number).await?, step }),
            Err(_) if rest.is_empty() => Ok(BuildTarget::Builder { name: builder.to_owned(), id }),
            Err(_) => Err(no_builder(name, &builders)),
        }
    }

    /// Refuses a name that means builder `longer`, if it could mean a build of a builder with a shorter name as well.
    async fn refuse_if_build(
        &self,
        name: &str,
        longer: &str,
        (builder, id, number): (&str, u64, u64),
    ) -> Result<(), CliError> {
        let found = self.list(&format!("builders/{id}/builds/{number}"), "builds").await?;
        let Some(build) = found.and_then(|mut items| items.pop()) else { return Ok(()) };
        let text = format!("`{name}` can mean builder `{longer}`, and build {number} of builder `{builder}`");
        Err(CliError::user(text).hint(format!(
            "the id of that build is {}; builds of `{longer}` are listed by `starwright builds --builder {}`",
            build["buildid"],
            shell_word(longer)
        )))
    }

    /// The build with this id.
    pub(super) async fn build_by_id(&self, id: u64) -> Result<Json, CliError> {
        let found = self.list(&format!("builds/{id}"), "builds").await?.and_then(|mut items| items.pop());
        found.ok_or_else(|| {
            CliError::environment(format!("there is no build with id {id}")).hint("`starwright builds` lists them")
        })
    }

    async fn build_by_number(&self, builder: &str, id: u64, number: u64) -> Result<Json, CliError> {
        let found = self.list(&format!("builders/{id}/builds/{number}"), "builds").await?;
        found.and_then(|mut items| items.pop()).ok_or_else(|| {
            CliError::environment(format!("builder `{builder}` has no build {number}"))
                .hint(format!("`starwright builds --builder {}` lists them", shell_word(builder)))
        })
    }

    /// The newest build of a builder.
    pub(super) async fn newest_build(&self, builder: &str, id: u64) -> Result<Json, CliError> {
        self.newest_build_if_any(id).await?.ok_or_else(|| {
            CliError::environment(format!("builder `{builder}` has no builds yet"))
                .hint(format!("`starwright force {}` starts one", shell_word(builder)))
        })
    }

    /// The same; none if there is none yet.
    pub(super) async fn newest_build_if_any(&self, id: u64) -> Result<Option<Json>, CliError> {
        let newest = self.list(&format!("builders/{id}/builds?order=-number&limit=1"), "builds").await?;
        Ok(newest.and_then(|mut items| items.pop()))
    }

    /// The request of a builder that has waited longest.
    pub(super) async fn oldest_waiting(&self, builder: u64) -> Result<Option<u64>, CliError> {
        let waiting = "complete=false&claimed=false&order=buildrequestid&limit=1";
        let found = self.list(&format!("builders/{builder}/buildrequests?{waiting}"), "buildrequests").await?;
        Ok(found.and_then(|mut items| items.pop()).and_then(|request| request["buildrequestid"].as_u64()))
    }

    /// The build requests of a new buildset, by builder, from the answer that made it.
    pub(super) fn request_in(result: &Json, builder: u64) -> Result<u64, CliError> {
        let request = result[1][builder.to_string()].as_u64();
        request.ok_or_else(|| CliError::bug("the response of the master names no build request".to_owned()))
    }

    /// The id of a builder.
    pub(super) async fn builder_id(&self, name: &str) -> Result<u64, CliError> {
        let builders = self.list("builders", "builders").await?.unwrap_or_default();
        let found = builders.iter().find(|builder| builder["name"] == name);
        if let Some(id) = found.and_then(|builder| builder["builderid"].as_u64()) {
            return Ok(id);
        }
        Err(no_builder(name, &builders))
    }

    /// Sends a request, again and again while the master may be on its way.
    async fn send(&self, request: reqwest::RequestBuilder) -> Result<(u16, String), CliError> {
        let began = Instant::now();
        let mut told = false;
        loop {
            let trial = request.try_clone().ok_or_else(|| CliError::bug("a request cannot be repeated"))?;
            let failure = match exchange(trial).await {
                Ok(answer) if !(self.wait == MasterWait::Restart && is_absence(answer.0)) => {
                    if told && self.wait == MasterWait::Restart {
                        errln!("the master is back");
                    }
                    return if answer.0 == 401 { Err(self.unknown_user(&answer.1)) } else { Ok(answer) };
                }
                Ok(answer) => Failure { text: format!("it answered {}", answer.0), refused: false, late: false },
                Err(failure) => failure,
            };
            let limit = if self.wait == MasterWait::Restart { RESTART_TIME } else { START_TIME };
            let may_come = failure.refused || self.wait == MasterWait::Restart;
            if !may_come || began.elapsed() >= limit {
                return Err(if failure.late { self.late() } else { self.unreachable(&failure.text) });
            }
            if !std::mem::replace(&mut told, true) {
                self.tell_wait(limit);
            }
            sleep(TRY_EVERY).await;
        }
    }

    fn tell_wait(&self, limit: Duration) {
        let seconds = limit.as_secs();
        match self.wait {
            MasterWait::Start => errln!("nothing is listening at {} yet; waiting up to {seconds} s", self.base),
            MasterWait::Restart => {
                errln!("the master at {} is not responding; waiting up to {seconds} s for it to come back", self.base);
            }
        }
    }

    fn unknown_user(&self, body: &str) -> CliError {
        let text = format!("the master at {} does not know you: {}", self.base, error_text(body));
        CliError::user(text).hint("log in with `starwright login`, or set STARWRIGHT_TOKEN")
    }

    fn late(&self) -> CliError {
        CliError::environment(format!("the master at {} has not answered in time", self.base))
            .hint("its log says what it is busy with; what was asked for may still take effect")
    }

    fn unreachable(&self, why: &str) -> CliError {
        CliError::environment(format!("failed to reach a master at {}: {why}", self.base))
            .hint("start one with `starwright up CONFIG`, or name another with `--master URL`")
    }
}

fn base_of(url: &str) -> String {
    let base = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
    base.trim_end_matches('/').to_owned()
}

/// What every request presents.
fn authorization(master: &MasterAddress, base: &str) -> Result<HeaderMap, CliError> {
    let mut headers = HeaderMap::new();
    if let Some(key) = key_for(master, base)? {
        let value = HeaderValue::from_str(&format!("Bearer {key}"));
        let mut value = value.map_err(|_| CliError::user("the token has characters that no token has"))?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    Ok(headers)
}

/// Why there is no answer.
struct Failure {
    text: String,
    /// Nobody listens at the address: nothing was sent.
    refused: bool,
    /// It was sent, and no answer came in time.
    late: bool,
}

async fn exchange(request: reqwest::RequestBuilder) -> Result<(u16, String), Failure> {
    let failure = |error: reqwest::Error| Failure {
        refused: error.is_connect() && is_refused(&error),
        late: error.is_timeout() && !error.is_connect(),
        text: chain(&error.without_url()),
    };
    let answer = request.send().await.map_err(failure)?;
    let status = answer.status().as_u16();
    Ok((status, answer.text().await.map_err(failure)?))
}

fn is_refused(error: &(dyn std::error::Error + 'static)) -> bool {
    let own = error.downcast_ref::<std::io::Error>();
    own.is_some_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused)
        || error.source().is_some_and(is_refused)
}

/// Whether a status is what a proxy, or a master that ends, says when nobody is there.
const fn is_absence(status: u16) -> bool {
    matches!(status, 502..=504)
}

/// Who runs this: what a master is told about who wanted something.
pub(super) fn user() -> Option<String> {
    ["STARWRIGHT_USER", "USER", "LOGNAME"]
        .into_iter()
        .filter_map(variable)
        .find(|name| !name.trim().is_empty())
        .or_else(system_user)
}

/// The name that the system has for the user who runs this.
#[cfg(unix)]
fn system_user() -> Option<String> {
    let users = std::fs::read_to_string("/etc/passwd").ok()?;
    name_of_user(&users, rustix::process::getuid().as_raw()).map(str::to_owned)
}

#[cfg(not(unix))]
fn system_user() -> Option<String> {
    variable("USERNAME")
}

/// The name of a user in the system's list: `NAME:PASSWORD:ID:…` on each line.
#[cfg(unix)]
fn name_of_user(users: &str, id: u32) -> Option<&str> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(id) && !name.is_empty()).then_some(name)
    })
}

/// A name as one part of a path of the API.
pub(super) fn path_part(name: &str) -> String {
    encode(name)
}

/// `BUILDER/NUMBER` without its number, for a message about the builder.
fn without_number(name: &str) -> &str {
    match name.rsplit_once('/') {
        Some((builder, number)) if number.parse::<u64>().is_ok() => builder,
        _ => name,
    }
}

/// Whether what follows a builder's name is the number of a build.
fn starts_with_number(rest: &str) -> bool {
    rest.split('/').next().is_some_and(|number| number.parse::<u64>().is_ok())
}

fn no_builder(name: &str, builders: &[Json]) -> CliError {
    let names: Vec<&str> = builders.iter().filter_map(|builder| builder["name"].as_str()).collect();
    let error = CliError::user(format!("there is no builder `{name}`"));
    match nearest(name, names.iter().copied()) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None if names.is_empty() => error.hint("the configuration declares no builders"),
        None => error.hint(format!("builders are: {}", names.join(", "))),
    }
}

/// The outcome in a record of the API: none while it runs or waits.
pub(super) fn outcome_of(record: &Json) -> Option<Outcome> {
    let code = record["results"].as_i64()?;
    Outcome::ALL.into_iter().find(|outcome| outcome.code() == code)
}

fn parse(body: &str, url: &str) -> Result<Json, CliError> {
    serde_json::from_str(body)
        .map_err(|_| CliError::environment(format!("{url} is not a Starwright master")).hint("check the address"))
}

fn error_text(body: &str) -> String {
    let parsed: Option<Json> = serde_json::from_str(body).ok();
    parsed.and_then(|json| json["error"].as_str().map(str::to_owned)).unwrap_or_else(|| body.trim().to_owned())
}

/// A control error is a text, or for a force form an object of field to text.
fn control_error(answer: &Json) -> String {
    match &answer["error"]["message"] {
        Json::Object(fields) => {
            let lines: Vec<String> =
                fields.iter().map(|(field, text)| format!("{field}: {}", text.as_str().unwrap_or_default())).collect();
            lines.join("\n       ")
        }
        Json::String(text) => text.clone(),
        // Before a call is looked at, the answer is that of any other address.
        _ => answer["error"].as_str().map_or_else(|| answer.to_string(), str::to_owned),
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_users_name_is_found_by_its_number() {
        let users = "root:x:0:0:root:/root:/bin/bash\n# nobody\nann:x:1000:1000::/home/ann:/bin/sh\n";
        assert_eq!(name_of_user(users, 1000), Some("ann"));
        assert_eq!(name_of_user(users, 100), None);
    }
}
