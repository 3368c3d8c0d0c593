//! Our own API, for what Buildbot's cannot express. The forms are in [`super::wire`].

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use warp::http::{Method, StatusCode, header};
use warp::reply::Response;

use super::artifacts::{self, BuildNamed};
use super::audit::{self, AuditLine};
use super::history::VisibleHistory;
use super::identify::turned_away;
use super::origin::{self, Origin};
use super::request::{Request, decode};
use super::respond::{self, error_text};
use super::shared::Shared;
use super::wire::{
    AlertsResponse, ArtifactsResponse, AuditResponse, ChangesRequest, ChangesResponse, DeliveriesResponse,
    DoneResponse, ErrorResponse, HealthResponse, LoginRequest, LoginResponse, PlanResponse, PollRequest, RefusedPlan,
    ReloadOutcome, ReloadRequest, ReloadResponse, SecurityResponse, SourcesResponse, WaitingResponse, WhoamiResponse,
    WireArtifact, WireAudit, WireReport, WireSecurity, WireSecurityCount, WireSource, WireUndelivered,
};
use crate::auth::{SecurityCount, SecurityEntry};
use crate::base::Timestamp;
use crate::master::{Reply, SubmissionResult};
use crate::model::{
    BuildId, BuilderId, Caller, ConfigDigest, Event, Identity, Intake, Order, Report, ReportId, RequestId,
};
use crate::store::StoreError;

/// Why a request has no other answer.
struct ApiFailure {
    status: StatusCode,
    text: String,
}

type ApiResult = Result<Response, ApiFailure>;

/// Answers a request below `/api/starwright/`.
pub async fn answer(shared: &Arc<Shared>, request: &Request, path: &str) -> Response {
    let judged = origin::judge(request, &shared.control.url(), &shared.control.plan().web.allowed_origins);
    let answered = match (&judged, path.strip_prefix("v1/")) {
        (Origin::Foreign, _) => Err(refused(StatusCode::FORBIDDEN, "invalid origin")),
        (_, None) => Err(refused(StatusCode::NOT_FOUND, "no such version of the API")),
        (_, Some(path)) => dispatch(shared, request, path).await,
    };
    let mut response = answered.unwrap_or_else(|refused| json(refused.status, &ErrorResponse { error: refused.text }));
    if let Origin::Allowed(origin) = &judged {
        origin::allow(&mut response, origin);
    }
    response
}

/// Whether a path below `/api/` is one of ours that takes a body.
pub fn takes_body(path: &str) -> bool {
    let Some(path) = path.strip_prefix("starwright/v1/") else { return false };
    !READS.iter().any(|(read, _)| *read == path)
}

/// The answer to a call from a page that may not call us.
pub fn foreign() -> Response {
    json(StatusCode::FORBIDDEN, &ErrorResponse { error: "invalid origin".to_owned() })
}

/// What is read: of the history as the visitor may see it.
type ReadPath = fn(&Shared, &VisibleHistory<'_>) -> Result<Response, StoreError>;

/// Paths that are only read, beside that of a waiting request.
static READS: &[(&str, ReadPath)] = &[
    ("alerts", |shared, history| Ok(json(StatusCode::OK, &alerts(shared, history)))),
    ("deliveries", |_, history| Ok(json(StatusCode::OK, &deliveries(history)?))),
    ("health", |_, history| Ok(json(StatusCode::OK, &health(history)?))),
    ("plan", |shared, history| Ok(json(StatusCode::OK, &plan(shared, history)?))),
    ("sources", |_, history| Ok(json(StatusCode::OK, &sources(history)?))),
];

/// All paths that are read.
pub fn paths() -> impl Iterator<Item = &'static str> {
    READS.iter().map(|(path, _)| *path).chain([
        "requests/:request/waiting",
        "builds/:build/artifacts",
        "builds/:build/artifacts/:artifact",
        "audit",
        "audit.ndjson",
        "security",
        "whoami",
    ])
}

async fn dispatch(shared: &Arc<Shared>, request: &Request, path: &str) -> ApiResult {
    let posts = request.method == Method::POST;
    if let Some(number) = path.strip_prefix("requests/").and_then(|rest| rest.strip_suffix("/waiting")) {
        return waiting(shared, request, number).await;
    }
    if let Some((build, name)) = path.strip_prefix("builds/").and_then(|rest| rest.split_once("/artifacts")) {
        return artifact(shared, request, build, name).await;
    }
    if let Some(number) = path.strip_prefix("deliveries/").and_then(|rest| rest.strip_suffix("/resend")) {
        return resend(shared, request, number).await;
    }
    for (ending, order) in CHANGES_OF_WAITING {
        if let Some(number) = path.strip_prefix("deliveries/").and_then(|rest| rest.strip_suffix(ending)) {
            return change_waiting(shared, request, number, *order).await;
        }
    }
    if matches!(path, "audit" | "audit.ndjson") && Shared::reads(request) {
        return audit_log(shared, request, path == "audit.ndjson").await;
    }
    if path == "security" && Shared::reads(request) && request.query.is_empty() {
        return security(shared, request).await;
    }
    if let (Some((name, _)), true) = (request.query_pairs().first(), Shared::reads(request)) {
        return Err(refused(StatusCode::BAD_REQUEST, format!("unknown parameter `{name}`: this path takes none")));
    }
    if let Some((_, endpoint)) = READS.iter().find(|(read, _)| *read == path) {
        if Shared::reads(request) {
            return read(shared, request.identity.clone(), *endpoint).await;
        }
        return Err(refused(StatusCode::METHOD_NOT_ALLOWED, "this path accepts GET only"));
    }
    match path {
        "reload" if posts => reload(shared, parse_body(request)?, by(request)).await,
        "changes" if posts => changes(shared, parse_body(request)?, by(request)).await,
        "poll" if posts => poll(shared, parse_body(request)?, by(request)).await,
        "login" if posts => login(shared, request, parse_body(request)?).await,
        "logout" if posts => Ok(logout(shared, request)),
        "whoami" if Shared::reads(request) => Ok(json(StatusCode::OK, &whoami(request))),
        "reload" | "changes" | "poll" | "login" | "logout" => {
            Err(refused(StatusCode::METHOD_NOT_ALLOWED, "this path accepts POST only"))
        }
        "whoami" => Err(refused(StatusCode::METHOD_NOT_ALLOWED, "this path accepts GET only")),
        _ => Err(refused(StatusCode::NOT_FOUND, format!("no such path: `{path}`"))),
    }
}

/// The body as JSON; an empty one stands for an empty object. The content type is required, because a foreign
/// page can send anything else without asking.
fn parse_body<T: DeserializeOwned>(request: &Request) -> Result<T, ApiFailure> {
    if !request.has_json() {
        return Err(refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the request body must be of type application/json"));
    }
    let text: &[u8] = if request.body.is_empty() { b"{}" } else { &request.body };
    serde_json::from_slice(text)
        .map_err(|error| refused(StatusCode::BAD_REQUEST, format!("invalid request body: {error}")))
}

/// Who calls: nobody tells a name here.
fn by(request: &Request) -> Caller {
    request.caller("", request.via())
}

async fn login(shared: &Shared, request: &Request, body: LoginRequest) -> ApiResult {
    let LoginRequest { user, password } = body;
    match shared.accounts.log_in(&shared.control.plan(), (&user, &password), shared.share_of(request)).await {
        Ok((_, key)) => Ok(json(StatusCode::OK, &LoginResponse { key, user })),
        Err(error) => Ok(turned_away(request, error)),
    }
}

/// Ends the session whose key was sent.
fn logout(shared: &Shared, request: &Request) -> Response {
    let sent =
        request.header(header::AUTHORIZATION).and_then(|header| header.split_once(' ')).map(|(_, key)| key.trim());
    for key in sent.into_iter().chain(request.session.as_deref()) {
        shared.accounts.log_out(key, request.address());
    }
    json(StatusCode::OK, &DoneResponse {})
}

fn whoami(request: &Request) -> WhoamiResponse {
    let Identity { user, full_name, mail, groups, login, grant, class: _ } = request.identity.clone();
    WhoamiResponse {
        user,
        full_name,
        mail,
        groups: groups.into_iter().collect(),
        login: login.word().to_owned(),
        token: grant.map(|grant| grant.token),
    }
}

async fn reload(shared: &Shared, body: ReloadRequest, by: Caller) -> ApiResult {
    let order = Order::Reload { why: body.cause.unwrap_or_else(|| "HTTP".to_owned()) };
    let reply = shared.order(order, by).await.map_err(unavailable)?;
    let in_force = || shared.control.plan().digest.to_string();
    let answer = match reply {
        Reply::Done => reloaded(ReloadOutcome::Unchanged, in_force()),
        Reply::Adopted { digest, changes } => {
            let changes = changes.iter().map(Into::into).collect();
            ReloadResponse { changes, ..reloaded(ReloadOutcome::Adopted, digest.to_string()) }
        }
        Reply::Refused(report) => {
            ReloadResponse { report: Some(report), ..reloaded(ReloadOutcome::Refused, in_force()) }
        }
        reply => return done(reply),
    };
    Ok(json(StatusCode::OK, &answer))
}

fn reloaded(outcome: ReloadOutcome, digest: String) -> ReloadResponse {
    ReloadResponse { outcome, digest, changes: Vec::new(), report: None }
}

async fn changes(shared: &Shared, body: ChangesRequest, by: Caller) -> ApiResult {
    let changes = body.changes.into_iter().map(Into::into).collect();
    let order = Order::AddChanges { changes, delivery: body.delivery, intake: Intake::Report };
    match shared.order(order, by).await.map_err(unavailable)? {
        Reply::Changes(intake) => {
            let recorded = intake.iter().filter_map(SubmissionResult::recorded).map(|id| id.0).collect();
            let others = intake.iter().filter(|one| one.recorded().is_none());
            let notes = others.map(ToString::to_string).collect();
            Ok(json(StatusCode::OK, &ChangesResponse { changes: recorded, notes }))
        }
        reply => done(reply),
    }
}

/// Why a request waits.
async fn waiting(shared: &Arc<Shared>, request: &Request, number: &str) -> ApiResult {
    if !Shared::reads(request) {
        return Err(refused(StatusCode::METHOD_NOT_ALLOWED, "this path accepts GET only"));
    }
    let missing = || refused(StatusCode::NOT_FOUND, format!("there is no request `{number}`"));
    let id = number.parse().map(RequestId).map_err(|_| missing())?;
    let mut why = shared.control.why_waits(vec![id]).await.map_err(unavailable)?;
    let (shared, identity) = (Arc::clone(shared), request.identity.clone());
    let seen = tokio::task::spawn_blocking(move || {
        let history = VisibleHistory::new(&*shared.control, &identity);
        let found = history.request(id)?.is_some();
        why = history.visible_reasons(why);
        Ok::<_, StoreError>(found.then_some(why))
    });
    let Ok(Ok(Some(mut why))) = seen.await else { return Err(missing()) };
    let why = why.remove(&id).unwrap_or_default();
    Ok(json(StatusCode::OK, &WaitingResponse { request: id.0, waits: !why.is_empty(), why }))
}

/// The artifacts of a build, or one of them.
async fn artifact(shared: &Arc<Shared>, request: &Request, build: &str, name: &str) -> ApiResult {
    if !Shared::reads(request) {
        return Err(refused(StatusCode::METHOD_NOT_ALLOWED, "this path accepts GET only"));
    }
    let missing = || refused(StatusCode::NOT_FOUND, format!("there is no build `{build}`"));
    let id = build.parse().map(BuildId).map_err(|_| missing())?;
    if let Some(name) = name.strip_prefix('/').filter(|name| !name.is_empty()) {
        let name: Vec<String> = name.split('/').map(decode).collect();
        let name = name.join("/");
        let text = format!("build `{build}` has no artifact `{name}`");
        let missing = || json(StatusCode::NOT_FOUND, &ErrorResponse { error: text });
        return Ok(artifacts::answer(shared, request, BuildNamed::Id(id), name, missing).await);
    }
    let (shared, identity) = (Arc::clone(shared), request.identity.clone());
    let reading = tokio::task::spawn_blocking(move || {
        let history = VisibleHistory::new(&*shared.control, &identity);
        history.build(id)?.map(|_| history.artifacts(id)).transpose()
    });
    let found = finished(reading.await)?.ok_or_else(missing)?;
    let artifacts = found.into_iter().map(|record| WireArtifact {
        name: record.artifact.name,
        size: record.artifact.size,
        sha256: record.artifact.digest.0,
        mode: record.artifact.mode,
        modified_at: record.artifact.modified,
        at: record.at.as_millis(),
    });
    Ok(json(StatusCode::OK, &ArtifactsResponse { artifacts: artifacts.collect() }))
}

/// The audit log: one page of it, or all of it, one object a line.
async fn audit_log(shared: &Arc<Shared>, request: &Request, whole: bool) -> ApiResult {
    let mut last = None;
    for (name, value) in request.query_pairs() {
        match name.as_str() {
            "before" if !whole => {
                let wrong = |_| refused(StatusCode::BAD_REQUEST, "`before` must be a number");
                last = Some(value.parse().map_err(wrong)?);
            }
            _ => return Err(refused(StatusCode::BAD_REQUEST, format!("unknown parameter `{name}`"))),
        }
    }
    let (shared, identity) = (Arc::clone(shared), request.identity.clone());
    let reading = tokio::task::spawn_blocking(move || {
        let history = VisibleHistory::new(&*shared.control, &identity);
        if let Err(denial) = history.may_audit() {
            let status = if denial.anonymous { StatusCode::UNAUTHORIZED } else { StatusCode::FORBIDDEN };
            return Ok(Err(refused(status, denial.to_string())));
        }
        if whole {
            let mut text = String::new();
            audit::all(&history, |line| {
                text += &serde_json::to_string(&wire_audit(line)).unwrap_or_default();
                text.push('\n');
            })?;
            return Ok(Ok(respond::body(StatusCode::OK, "application/x-ndjson", text)));
        }
        let (lines, more) = audit::before(&history, last)?;
        Ok(Ok(json(StatusCode::OK, &AuditResponse { entries: lines.into_iter().map(wire_audit).collect(), more })))
    });
    finished(reading.await).and_then(|answer| answer)
}

/// Who came in, who was kept out, and who was denied what.
async fn security(shared: &Arc<Shared>, request: &Request) -> ApiResult {
    let (shared, identity) = (Arc::clone(shared), request.identity.clone());
    let reading = tokio::task::spawn_blocking(move || {
        let history = VisibleHistory::new(&*shared.control, &identity);
        history.may_audit().map(|()| shared.accounts.log().read())
    });
    let record = match reading.await {
        Ok(Ok(record)) => record,
        Ok(Err(denial)) => {
            let status = if denial.anonymous { StatusCode::UNAUTHORIZED } else { StatusCode::FORBIDDEN };
            return Err(refused(status, denial.to_string()));
        }
        Err(_) => return Err(refused(StatusCode::INTERNAL_SERVER_ERROR, "the response was lost")),
    };
    let entry = |entry: &SecurityEntry| WireSecurity {
        at: entry.at.as_millis(),
        what: entry.what.word().to_owned(),
        who: entry.who.clone(),
        address: entry.address.map(|address| address.to_string()),
        about: entry.about.clone(),
    };
    let count = |count: &SecurityCount| WireSecurityCount {
        what: count.what.word().to_owned(),
        who: count.who.clone(),
        about: count.about.clone(),
        times: count.times,
        first: count.first.as_millis(),
        last: count.last.as_millis(),
    };
    let response = SecurityResponse {
        entries: record.entries.iter().rev().map(entry).collect(),
        counts: record.most_frequent().into_iter().map(count).collect(),
        samples: record.samples.iter().rev().map(entry).collect(),
    };
    Ok(json(StatusCode::OK, &response))
}

fn wire_audit(line: AuditLine) -> WireAudit {
    let AuditLine { seq, at, who, how, action, text, href: _ } = line;
    WireAudit { seq, at: at.as_millis(), who, how, action: action.to_owned(), text }
}

/// What makes an order about a report.
type OrderOfReport = fn(ReportId) -> Order;

/// What is done to a waiting report, by the end of its path.
static CHANGES_OF_WAITING: &[(&str, OrderOfReport)] =
    &[("/send", |report| Order::DeliverNow { report }), ("/give-up", |report| Order::GiveUpReport { report })];

async fn change_waiting(shared: &Arc<Shared>, request: &Request, number: &str, order: OrderOfReport) -> ApiResult {
    if request.method != Method::POST {
        return Err(refused(StatusCode::METHOD_NOT_ALLOWED, "this path accepts POST only"));
    }
    let DoneResponse {} = parse_body(request)?;
    let missing = || refused(StatusCode::NOT_FOUND, format!("no report {number} is waiting"));
    let report = number.parse().map(ReportId).map_err(|_| missing())?;
    let (reader, identity) = (Arc::clone(shared), request.identity.clone());
    let reading = tokio::task::spawn_blocking(move || VisibleHistory::new(&*reader.control, &identity).outbox());
    if !finished(reading.await)?.iter().any(|waiting| waiting.report.id == report) {
        return Err(missing());
    }
    done(shared.order(order(report), by(request)).await.map_err(unavailable)?)
}

/// Sends a report again that was given up.
async fn resend(shared: &Arc<Shared>, request: &Request, number: &str) -> ApiResult {
    if request.method != Method::POST {
        return Err(refused(StatusCode::METHOD_NOT_ALLOWED, "this path accepts POST only"));
    }
    let DoneResponse {} = parse_body(request)?;
    let missing = || refused(StatusCode::NOT_FOUND, format!("no report {number} was given up"));
    let report = number.parse().map(ReportId).map_err(|_| missing())?;
    let (reader, identity) = (Arc::clone(shared), request.identity.clone());
    let reading = tokio::task::spawn_blocking(move || VisibleHistory::new(&*reader.control, &identity).undelivered());
    if !finished(reading.await)?.iter().any(|record| record.report.id == report) {
        return Err(missing());
    }
    done(shared.order(Order::Resend { report, of: None }, by(request)).await.map_err(unavailable)?)
}

async fn poll(shared: &Shared, body: PollRequest, by: Caller) -> ApiResult {
    done(shared.order(Order::Poll { source: body.source }, by).await.map_err(unavailable)?)
}

fn done(reply: Reply) -> ApiResult {
    match reply {
        Reply::Refused(text) => Err(refused(StatusCode::BAD_REQUEST, text)),
        Reply::Denied(text) => Err(refused(StatusCode::FORBIDDEN, text)),
        Reply::Unknown(text) => Err(refused(StatusCode::NOT_FOUND, text)),
        Reply::Invalid(fields) => {
            let text: Vec<String> = fields.into_iter().map(|(field, text)| format!("{field}: {text}")).collect();
            Err(refused(StatusCode::BAD_REQUEST, text.join("; ")))
        }
        Reply::Done | Reply::Changes(_) | Reply::Buildset { .. } | Reply::Adopted { .. } | Reply::Scheduler(_) => {
            Ok(json(StatusCode::OK, &DoneResponse {}))
        }
    }
}

/// What is read from the store, on a thread that may wait.
async fn read(shared: &Arc<Shared>, identity: Identity, endpoint: ReadPath) -> ApiResult {
    let shared = Arc::clone(shared);
    let reading =
        tokio::task::spawn_blocking(move || endpoint(&shared, &VisibleHistory::new(&*shared.control, &identity)));
    finished(reading.await)
}

/// What came of reading the store on another thread.
fn finished<T>(read: Result<Result<T, StoreError>, tokio::task::JoinError>) -> Result<T, ApiFailure> {
    match read {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(error)) => {
            tracing::error!(error = error_text(&error), "failed to read the store for the API");
            Err(refused(StatusCode::INTERNAL_SERVER_ERROR, "failed to read the store; see the log of the master"))
        }
        Err(_) => Err(refused(StatusCode::INTERNAL_SERVER_ERROR, "the response was lost")),
    }
}

fn plan(shared: &Shared, store: &VisibleHistory<'_>) -> Result<PlanResponse, StoreError> {
    let plan = shared.control.plan();
    let adopted = store.plans_adopted(1)?.into_iter().next();
    let refused = store.plan_refused()?.map(|(at, report)| RefusedPlan { at: at.as_millis(), report });
    let mut answer = PlanResponse {
        title: plan.master.title.clone(),
        digest: plan.digest.to_string(),
        adopted_at: None,
        cause: None,
        changes: Vec::new(),
        refused,
    };
    if let Some(fact) = adopted
        && let Event::PlanAdopted { digest: ConfigDigest(digest), why, changes, .. } = fact.event
    {
        answer = PlanResponse { digest, adopted_at: Some(fact.at.as_millis()), cause: Some(why), ..answer };
        answer.changes = changes.iter().map(Into::into).collect();
    }
    Ok(answer)
}

fn deliveries(store: &VisibleHistory<'_>) -> Result<DeliveriesResponse, StoreError> {
    let names: BTreeMap<BuilderId, String> =
        store.builders()?.into_iter().map(|builder| (builder.id, builder.name)).collect();
    let reports = store.outbox()?.into_iter().map(|waiting| WireReport {
        tries: waiting.tries,
        retry_at: waiting.retry.map(Timestamp::as_millis),
        error: waiting.error,
        ..wire_report(&waiting.report, &names)
    });
    let undelivered = store.undelivered()?.into_iter().map(|record| WireUndelivered {
        report: WireReport { tries: record.tries, error: Some(record.why), ..wire_report(&record.report, &names) },
        at: record.at.as_millis(),
        given_up: record.given_up,
    });
    Ok(DeliveriesResponse { reports: reports.collect(), undelivered: undelivered.collect() })
}

fn sources(store: &VisibleHistory<'_>) -> Result<SourcesResponse, StoreError> {
    let sources = store.change_sources()?.into_iter().map(|source| WireSource {
        name: source.name,
        active: source.active,
        polled_at: source.polled.map(Timestamp::as_millis),
        error: source.error,
    });
    Ok(SourcesResponse { sources: sources.collect() })
}

fn alerts(shared: &Shared, store: &VisibleHistory<'_>) -> AlertsResponse {
    let alerts = shared.control.alerts().list().into_iter();
    AlertsResponse { alerts: alerts.filter_map(|alert| store.visible_alert(alert)).map(Into::into).collect() }
}

fn wire_report(report: &Report, names: &BTreeMap<BuilderId, String>) -> WireReport {
    let subject = &report.subject;
    WireReport {
        id: report.id.0,
        notifier: report.notifier.clone(),
        event: subject.word().to_owned(),
        reason: report.reason.word().to_owned(),
        builder: subject.builder().map(|builder| names.get(&builder).cloned().unwrap_or_default()),
        build: subject.build().map(|build| build.0),
        outcome: subject.outcome().map(|outcome| outcome.word().to_owned()),
        made_at: report.made.as_millis(),
        tries: 0,
        retry_at: None,
        error: None,
    }
}

fn health(store: &VisibleHistory<'_>) -> Result<HealthResponse, StoreError> {
    let connected = store.workers()?.iter().filter(|worker| worker.connected).count();
    Ok(HealthResponse {
        status: "ok".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        installation: store.installation(),
        workers_connected: connected as u64,
        builds_running: store.builds_running()?.len() as u64,
    })
}

fn json(status: StatusCode, form: &impl Serialize) -> Response {
    let text = serde_json::to_string(form).unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}"));
    respond::body(status, respond::JSON, text)
}

fn refused(status: StatusCode, text: impl Into<String>) -> ApiFailure {
    ApiFailure { status, text: text.into() }
}

/// The master cannot answer now; the text says why, and what becomes of what was ordered.
fn unavailable(error: impl std::fmt::Display) -> ApiFailure {
    refused(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
}
