//! The JSON forms of our own API, below `/api/starwright/v1/`, which the command line sends and reads. Documented in
//! `docs/reference/http-api.md`.
//!
//! Plain data. Times are milliseconds since 1970. Fields may be added to responses, so readers ignore
//! unknown ones. Unknown fields of requests are errors.

use serde::{Deserialize, Serialize};

use crate::model::{Alert, NewChange, PlanChange, Properties, Property, Value};

/// Where the API begins, below the address of the pages.
pub const BASE: &str = "api/starwright/v1/";

/// Body of `POST login`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoginRequest {
    pub user: String,
    pub password: String,
}

/// Answer to `POST login`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginResponse {
    /// The key of the session, to be sent as `Authorization: Bearer`.
    pub key: String,
    pub user: String,
}

/// Answer to `GET whoami`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhoamiResponse {
    /// None: nobody logged in.
    pub user: Option<String>,
    pub full_name: Option<String>,
    pub mail: Option<String>,
    #[serde(default)]
    pub groups: Vec<String>,
    /// `none`, `machine`, `password`, `token`, `proxy`, `provider` or `ldap`.
    pub login: String,
    /// The token that was sent.
    pub token: Option<String>,
}

/// Body of `POST reload`: the cause.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReloadRequest {
    /// For the record; none: `HTTP`.
    #[serde(default)]
    pub cause: Option<String>,
}

/// What a reload came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReloadOutcome {
    /// Nothing differs.
    Unchanged,
    /// In force now.
    Adopted,
    /// The old configuration stays.
    Refused,
}

/// Answer to `POST reload`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReloadResponse {
    pub outcome: ReloadOutcome,
    /// Of the configuration in force.
    pub digest: String,
    /// If adopted: what differs.
    #[serde(default)]
    pub changes: Vec<WirePlanChange>,
    /// If refused: why, for people.
    #[serde(default)]
    pub report: Option<String>,
}

/// Answer to `GET plan`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanResponse {
    pub title: String,
    pub digest: String,
    pub adopted_at: Option<i64>,
    /// What made the master look.
    pub cause: Option<String>,
    /// What differed from the one before.
    #[serde(default)]
    pub changes: Vec<WirePlanChange>,
    /// A newer one that was refused.
    pub refused: Option<RefusedPlan>,
}

/// A difference between two configurations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WirePlanChange {
    /// `builder`, `worker`, `scheduler`, `change source`, `notifier`, `lock`, `settings`, `scripts`.
    pub kind: String,
    /// Empty for the scripts.
    pub name: String,
    /// `added`, `removed`, `changed` or `replaced`, and perhaps more words.
    pub what: String,
}

impl From<&PlanChange> for WirePlanChange {
    fn from(change: &PlanChange) -> Self {
        let name = change.name().unwrap_or_default().to_owned();
        Self { kind: change.kind().to_owned(), name, what: change.in_words() }
    }
}

/// A configuration that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedPlan {
    pub at: i64,
    pub report: String,
}

/// `POST changes`: `{"changes": [change, …]}`, or one change alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ChangesRequest {
    pub changes: Vec<WireChange>,
    /// The name of this delivery: one that came before is not recorded again.
    pub delivery: Option<String>,
}

impl<'de> Deserialize<'de> for ChangesRequest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let serde_json::Value::Object(mut one) = serde_json::Value::deserialize(deserializer)? else {
            return Err(serde::de::Error::custom("want an object"));
        };
        let delivery = match one.remove("delivery") {
            None | Some(serde_json::Value::Null) => None,
            Some(serde_json::Value::String(name)) => Some(name),
            Some(_) => return Err(serde::de::Error::custom("`delivery` must be a text")),
        };
        let several = match one.remove("changes") {
            Some(serde_json::Value::Array(several)) if one.is_empty() => several,
            Some(_) => return Err(serde::de::Error::custom("`changes` must be a list, and stand alone")),
            None => vec![serde_json::Value::Object(one)],
        };
        let changes = several.into_iter().map(read_change).collect::<Result<_, _>>();
        changes.map(|changes| Self { changes, delivery }).map_err(serde::de::Error::custom)
    }
}

/// What is null was left out.
fn read_change(mut json: serde_json::Value) -> Result<WireChange, serde_json::Error> {
    if let serde_json::Value::Object(fields) = &mut json {
        fields.retain(|_, value| !value.is_null());
    }
    serde_json::from_value(json)
}

/// A change to be recorded. Everything may be left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WireChange {
    pub author: String,
    pub committer: Option<String>,
    pub comments: String,
    pub files: Vec<String>,
    pub branch: Option<String>,
    pub revision: Option<String>,
    pub revlink: Option<String>,
    pub category: Option<String>,
    pub repository: String,
    pub project: String,
    pub codebase: String,
    /// Milliseconds since 1970; none: when it arrives.
    pub when: Option<i64>,
    /// Values by name.
    pub properties: std::collections::BTreeMap<String, serde_json::Value>,
}

impl From<WireChange> for NewChange {
    fn from(wire: WireChange) -> Self {
        let properties = wire.properties.iter().map(|(name, value)| {
            (name.clone(), Property { value: Value::from_json(value), source: "Change".to_owned() })
        });
        Self {
            properties: Properties(properties.collect()),
            author: wire.author,
            committer: wire.committer,
            comments: wire.comments,
            files: wire.files,
            branch: wire.branch,
            revision: wire.revision,
            revlink: wire.revlink,
            category: wire.category,
            repository: wire.repository,
            project: wire.project,
            codebase: wire.codebase,
            when: wire.when.map(crate::base::Timestamp::from_millis),
        }
    }
}

/// Answer to `POST changes`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangesResponse {
    /// The numbers that they got, in order.
    pub changes: Vec<u64>,
    /// Why some of them are not recorded now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// `POST poll`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PollRequest {
    /// A change source; none: all.
    #[serde(default)]
    pub source: Option<String>,
}

/// An empty answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DoneResponse {}

/// Answer to `GET deliveries`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveriesResponse {
    /// Those that wait, oldest first.
    pub reports: Vec<WireReport>,
    /// The newest ones that were given up, or delivered to some only; newest first.
    #[serde(default)]
    pub undelivered: Vec<WireUndelivered>,
}

/// A report that did not arrive as it was meant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireUndelivered {
    /// Its `error` says why.
    #[serde(flatten)]
    pub report: WireReport,
    /// When it was given up or delivered.
    pub at: i64,
    /// Nobody got it.
    pub given_up: bool,
}

/// A report that waits to be delivered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireReport {
    pub id: u64,
    pub notifier: String,
    /// What it is about: `pending`, `start`, `end` or `set`.
    pub event: String,
    /// `failure`, `recovery`, ….
    pub reason: String,
    /// None for a buildset.
    pub builder: Option<String>,
    /// None for a request or a buildset.
    pub build: Option<u64>,
    /// `success`, `failure`, …; none for what has not ended.
    pub outcome: Option<String>,
    pub made_at: i64,
    /// How often it was tried.
    pub tries: u64,
    /// When it is tried again, if it was.
    pub retry_at: Option<i64>,
    /// Why it was not delivered when last tried.
    pub error: Option<String>,
}

/// Answer to `GET sources`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourcesResponse {
    pub sources: Vec<WireSource>,
}

/// A change source and how its last poll went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireSource {
    pub name: String,
    /// Whether the present configuration has it.
    pub active: bool,
    /// When it was last polled well; none if never.
    pub polled_at: Option<i64>,
    /// What is wrong since then.
    pub error: Option<String>,
}

/// Answer to `GET requests/N/waiting`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitingResponse {
    pub request: u64,
    /// Whether it waits for its build to start.
    pub waits: bool,
    /// Why, for people: one reason each, what matters most first.
    pub why: Vec<String>,
}

/// Answer to `GET alerts`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertsResponse {
    /// By subject.
    pub alerts: Vec<WireAlert>,
}

/// Something that needs a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireAlert {
    pub subject: WireSubject,
    /// What kind of trouble: a subject has at most one alert of a kind.
    pub kind: String,
    pub text: String,
    /// What would help.
    pub hint: Option<String>,
    /// When the trouble began, and when it was last seen.
    pub first: i64,
    pub last: i64,
}

/// What an alert is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireSubject {
    /// `source`, `worker`, `notifier`, `configuration`, ….
    pub kind: String,
    /// Its name or number; none for what there is only one of.
    pub name: Option<String>,
}

impl From<Alert> for WireAlert {
    fn from(alert: Alert) -> Self {
        Self {
            subject: WireSubject { kind: alert.subject.kind().to_owned(), name: alert.subject.name() },
            kind: alert.kind,
            text: alert.text,
            hint: alert.hint,
            first: alert.first.as_millis(),
            last: alert.last.as_millis(),
        }
    }
}

/// Answer to `GET security`: who came in, and who was kept out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecurityResponse {
    /// Logins, logouts and changes of users and tokens, newest first.
    pub entries: Vec<WireSecurity>,
    /// How often something was refused, the most frequent first.
    pub counts: Vec<WireSecurityCount>,
    /// The newest refusals, newest first.
    pub samples: Vec<WireSecurity>,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireSecurity {
    pub at: i64,
    /// `login`, `failed_login`, `logout`, `user_added`, `user_removed`, `password_set`, `token_created`, `token_revoked`,
    /// `session_ended` or `denied`.
    pub what: String,
    pub who: String,
    /// None: from the master's machine.
    pub address: Option<String>,
    pub about: String,
}

/// How often something was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireSecurityCount {
    /// `failed_login` or `denied`.
    pub what: String,
    pub who: String,
    /// The right that was missing, or the way of logging in.
    pub about: String,
    pub times: u64,
    pub first: i64,
    pub last: i64,
}

/// Answer to `GET audit`: the newest entries before `before`, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditResponse {
    pub entries: Vec<WireAudit>,
    /// There are older ones: ask with `before` and the number of the last entry.
    pub more: bool,
}

/// An order that was carried out; a line of `GET audit.ndjson`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireAudit {
    /// Number of the fact that tells of it.
    pub seq: u64,
    /// Milliseconds since 1970.
    pub at: i64,
    pub who: String,
    pub how: String,
    /// `force`, `stop`, `reload`, ….
    pub action: String,
    pub text: String,
}

/// Answer to `GET builds/:build/artifacts`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactsResponse {
    /// By name.
    pub artifacts: Vec<WireArtifact>,
}

/// A file that a build left behind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireArtifact {
    /// A path below the build's artifacts. Its address is that of the list with this added.
    pub name: String,
    /// In bytes.
    pub size: u64,
    /// In hexadecimal digits.
    pub sha256: String,
    /// Permission bits on the worker, where they are known.
    pub mode: Option<u32>,
    /// When the file was last changed, in seconds since 1970, where that is known.
    pub modified_at: Option<u64>,
    /// When it was recorded, in milliseconds since 1970.
    pub at: i64,
}

/// Answer to `GET health`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthResponse {
    /// `ok`, or what is wrong.
    pub status: String,
    pub version: String,
    /// Drawn when the store was made.
    pub installation: String,
    pub workers_connected: u64,
    pub builds_running: u64,
}

/// The answer to a request that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorResponse {
    pub error: String,
}

/// One message of `GET /events`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveEvent {
    /// `build_started`, `step_ended`, ….
    pub kind: String,
    /// The fact's number.
    pub seq: u64,
    pub at: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub builder: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_needs_no_fields_but_takes_no_unknown_ones() {
        let request: ChangesRequest = serde_json::from_str(r#"{"changes": [{}]}"#).unwrap();
        assert_eq!(NewChange::from(request.changes[0].clone()), NewChange::default());
        let one: ChangesRequest = serde_json::from_str(r#"{"author": "x", "branch": null, "project": null}"#).unwrap();
        assert_eq!(one.changes[0].author, "x");
        let error = serde_json::from_str::<ChangesRequest>(r#"{"changes": [{"autor": "x"}]}"#).unwrap_err().to_string();
        assert!(error.contains("autor"), "{error}");
    }

    #[test]
    fn properties_of_a_change_come_from_the_change() {
        let wire = r#"{"properties": {"n": 1, "f": 1.5, "l": ["a"]}}"#;
        let change = NewChange::from(serde_json::from_str::<WireChange>(wire).unwrap());
        assert_eq!(change.properties.get("n"), Some(&Value::Int(1)));
        assert_eq!(change.properties.get("f"), Some(&Value::Float(1.5)));
        assert_eq!(change.properties.0["l"].source, "Change");
    }
}
