//! Control: JSON-RPC by POST on the path of a resource (docs/reference/rest-api-v2.md#control).

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use serde_json::Value as Json;
use warp::http::StatusCode;
use warp::reply::Response;

use super::cell::{Cell, Layout, Writer, to_json};
use super::error::ApiError;
use super::force::{ForceCallError, force_order};
use super::names::Names;
use super::route::{Found, RpcMethods};
use crate::base::nearest;
use crate::master::Reply;
use crate::model::{Caller, Identity, Order, Plan, RequestId, SchedulerKind, Value, Via};
use crate::web::history::VisibleHistory;
use crate::web::request::Request;
use crate::web::respond;
use crate::web::shared::Shared;

const PARSE_ERROR: i64 = -32_700;
const INVALID_REQUEST: i64 = -32_600;
const METHOD_NOT_FOUND: i64 = -32_601;
const INVALID_PARAMS: i64 = -32_602;
const INTERNAL_ERROR: i64 = -32_603;

/// Why a call failed.
#[derive(Clone, Debug, PartialEq)]
struct RpcError {
    status: StatusCode,
    code: i64,
    message: Message,
}

#[derive(Clone, Debug, PartialEq)]
enum Message {
    Text(String),
    /// By field of a form.
    Fields(BTreeMap<String, String>),
}

/// A well-formed call.
#[derive(Clone, Debug)]
struct Call {
    id: Json,
    method: String,
    params: BTreeMap<String, Value>,
    via: Via,
    identity: Identity,
    address: Option<IpAddr>,
}

/// Serves one call. `found` is none if the path names nothing.
pub async fn answer(shared: &Arc<Shared>, request: &Request, path: &str, found: Option<Found>) -> Response {
    let call = match read(request) {
        Ok(call) => call,
        Err(error) => return refuse(None, &error),
    };
    let outcome = match found {
        None => Err(invalid(StatusCode::NOT_FOUND, format!("Invalid path: {path}"))),
        Some(found) => perform(shared, path, found, &call).await,
    };
    match outcome {
        Ok(result) => accept(&call.id, &result),
        Err(error) => refuse(Some(&call.id), &error),
    }
}

fn read(request: &Request) -> Result<Call, RpcError> {
    let bad = |text: String| invalid(StatusCode::BAD_REQUEST, text);
    if !request.has_json() {
        return Err(bad("Invalid content-type (use application/json)".to_owned()));
    }
    let json: Json = serde_json::from_slice(&request.body)
        .map_err(|error| RpcError { code: PARSE_ERROR, ..bad(format!("JSON parse error: {error}")) })?;
    let mut call = match json {
        Json::Object(call) => call,
        Json::Array(_) => return Err(bad("JSONRPC batch requests are not supported".to_owned())),
        _ => return Err(bad("JSONRPC root object must be an object".to_owned())),
    };
    if let Some(missing) = ["jsonrpc", "method", "id", "params"].iter().find(|key| !call.contains_key(**key)) {
        return Err(bad(format!("missing key '{missing}'")));
    }
    match call.get("jsonrpc") {
        Some(Json::String(version)) if version == "2.0" => {}
        Some(Json::String(_)) => return Err(bad("only JSONRPC 2.0 is supported".to_owned())),
        _ => return Err(bad("'jsonrpc' must be a string".to_owned())),
    }
    let Some(Json::String(method)) = call.remove("method") else {
        return Err(bad("'method' must be a string".to_owned()));
    };
    let id = call.remove("id").unwrap_or(Json::Null);
    let whole = matches!(&id, Json::Number(number) if number.is_i64() || number.is_u64());
    if !(whole || id.is_string() || id.is_null()) {
        return Err(bad("'id' must be a string, number, or null".to_owned()));
    }
    let Some(Json::Object(params)) = call.remove("params") else {
        return Err(bad("'params' must be an object".to_owned()));
    };
    let params = params.iter().map(|(name, value)| (name.clone(), Value::from_json(value))).collect();
    Ok(Call { id, method, params, via: request.via(), identity: request.identity.clone(), address: request.address() })
}

async fn perform(shared: &Arc<Shared>, path: &str, found: Found, call: &Call) -> Result<Cell<'static>, RpcError> {
    let (on, path, asked) = (Arc::clone(shared), path.to_owned(), call.clone());
    let finding = tokio::task::spawn_blocking(move || {
        let history = VisibleHistory::new(&*on.control, &asked.identity);
        order(&on.control.plan(), &history, &path, &found, &asked)
    });
    let lost = |_| RpcError {
        code: INTERNAL_ERROR,
        ..invalid(StatusCode::INTERNAL_SERVER_ERROR, "the response was lost".to_owned())
    };
    let Some((order, by)) = finding.await.map_err(lost)?? else { return Ok(Cell::Null) };
    match shared.order(order, by).await {
        Ok(reply) => result(reply),
        Err(error) => {
            Err(RpcError { code: INTERNAL_ERROR, ..invalid(StatusCode::SERVICE_UNAVAILABLE, error.to_string()) })
        }
    }
}

/// What is to be done, and who wants it; none if there is nothing to do.
fn order(
    plan: &Plan,
    history: &VisibleHistory<'_>,
    path: &str,
    found: &Found,
    call: &Call,
) -> Result<Option<(Order, Caller)>, RpcError> {
    let (route, params) = found;
    let names = Names { store: history, path, params };
    if let Some(known) = params_of(route.methods, &call.method) {
        call.check_params(known)?;
    }
    let order = match (route.methods, call.method.as_str()) {
        (RpcMethods::Build, "stop") => stop(names, call)?,
        (RpcMethods::Build, "rebuild") => {
            let build = names.build()?.ok_or_else(|| missing(path))?;
            Some(Order::Rebuild { build: build.id, of: None })
        }
        (RpcMethods::Request, "cancel") => Some(Order::CancelRequest { request: request(names)?, why: call.reason() }),
        (RpcMethods::Request, "set_priority") => {
            let priority = whole(call.params.get("priority")).ok_or_else(|| wrong("priority", "a whole number"))?;
            Some(Order::SetPriority { request: request(names)?, priority })
        }
        (RpcMethods::Scheduler, "enable") => Some(enable(names, call)?),
        (RpcMethods::Force, "force") => return force(plan, names, call).map(Some),
        (RpcMethods::Worker, method) => Some(worker(names, method, call)?),
        _ => return Err(unsupported(&call.method)),
    };
    Ok(order.map(|order| (order, call.by())))
}

fn stop(names: Names<'_>, call: &Call) -> Result<Option<Order>, RpcError> {
    let build = names.build()?.ok_or_else(|| missing(names.path))?;
    // A page may be older than the end of the build, so to stop it again is fine.
    Ok(build.completed.is_none().then(|| Order::StopBuild { build: build.id, why: call.reason() }))
}

/// The build request that the path names.
fn request(names: Names<'_>) -> Result<RequestId, RpcError> {
    let id = RequestId(names.number("buildrequestid")?);
    let found = names.store.request(id).map_err(ApiError::from)?;
    found.map(|request| request.id).ok_or_else(|| missing(names.path))
}

/// What every order may say: who gives it, and why. Buildbot's clients say `owner` and `results`, too.
const COMMON: [&str; 4] = ["username", "reason", "owner", "results"];

/// The parameters of a method; none if it has fields of its own, or does not exist.
fn params_of(methods: RpcMethods, method: &str) -> Option<&'static [&'static str]> {
    Some(match (methods, method) {
        (RpcMethods::Build, "stop" | "rebuild")
        | (RpcMethods::Request, "cancel")
        | (RpcMethods::Worker, "pause" | "unpause" | "stop" | "kill") => &[],
        (RpcMethods::Request, "set_priority") => &["priority"],
        (RpcMethods::Scheduler, "enable") => &["enabled"],
        _ => return None,
    })
}

fn force(plan: &Plan, names: Names<'_>, call: &Call) -> Result<(Order, Caller), RpcError> {
    let plan = plan.schedulers.get(names.text("schedulername"));
    let plan =
        plan.filter(|plan| matches!(plan.kind, SchedulerKind::Force { .. })).ok_or_else(|| missing(names.path))?;
    let plan = names.store.visible_form(plan).ok_or_else(|| missing(names.path))?;
    match force_order(names.store, &plan, &call.params) {
        Ok((force, name)) => Ok((Order::Force(force), call.caller(name.as_deref().unwrap_or_default()))),
        Err(ForceCallError::NoSuchBuilder) => {
            Err(invalid(StatusCode::NOT_FOUND, "there is no builder with this id".to_owned()))
        }
        Err(ForceCallError::Wrong(text)) => {
            Err(RpcError { code: INVALID_PARAMS, ..invalid(StatusCode::BAD_REQUEST, text) })
        }
        Err(ForceCallError::Store(error)) => Err(ApiError::from(error).into()),
    }
}

fn enable(names: Names<'_>, call: &Call) -> Result<Order, RpcError> {
    let Some(Value::Bool(enabled)) = call.params.get("enabled") else { return Err(wrong("enabled", "true or false")) };
    let id = names.number("schedulerid")?;
    let schedulers = names.store.schedulers().map_err(ApiError::from)?;
    let scheduler = schedulers.into_iter().find(|scheduler| scheduler.id.0 == id);
    let scheduler = scheduler.ok_or_else(|| missing(names.path))?;
    Ok(Order::EnableScheduler { scheduler: scheduler.name, enabled: *enabled })
}

fn worker(names: Names<'_>, method: &str, call: &Call) -> Result<Order, RpcError> {
    if !matches!(method, "pause" | "unpause" | "stop" | "kill") {
        return Err(unsupported(method));
    }
    let worker = names.worker()?.ok_or_else(|| missing(names.path))?.name;
    let reason = Some(call.reason()).filter(|reason| !reason.is_empty());
    Ok(match method {
        "pause" => Order::PauseWorker { worker, paused: true, reason },
        "unpause" => Order::PauseWorker { worker, paused: false, reason: None },
        "stop" => Order::StopWorker { worker },
        _ => Order::KillWorker { worker, why: call.reason() },
    })
}

impl Call {
    /// Refuses parameters that the method does not have, and texts that are none.
    fn check_params(&self, own: &[&str]) -> Result<(), RpcError> {
        let known = || own.iter().chain(&COMMON).copied();
        if let Some(unknown) = self.params.keys().find(|name| !known().any(|known| known == *name)) {
            let hint = match nearest(unknown, known()) {
                Some(near) => format!("did you mean '{near}'?"),
                None => format!(
                    "it takes {}",
                    own.iter().chain(&COMMON[..2]).map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ")
                ),
            };
            let text = format!("'{}' has no parameter '{unknown}': {hint}", self.method);
            return Err(RpcError { code: INVALID_PARAMS, ..invalid(StatusCode::BAD_REQUEST, text) });
        }
        for name in &COMMON[..2] {
            if !matches!(self.params.get(*name), None | Some(Value::Null | Value::Str(_))) {
                return Err(wrong(name, "a text"));
            }
        }
        Ok(())
    }

    /// Who wants this. Nobody checks the name that visitors tell.
    fn by(&self) -> Caller {
        self.caller(self.params.get("username").and_then(Value::as_str).unwrap_or_default())
    }

    fn caller(&self, told: &str) -> Caller {
        Caller { address: self.address, ..Caller::new(self.identity.clone(), told, self.via) }
    }

    fn reason(&self) -> String {
        self.params.get("reason").and_then(Value::as_str).unwrap_or_default().to_owned()
    }
}

fn whole(value: Option<&Value>) -> Option<i64> {
    match value? {
        Value::Int(number) => Some(*number),
        Value::Str(text) => text.trim().parse().ok(),
        _ => None,
    }
}

fn result(reply: Reply) -> Result<Cell<'static>, RpcError> {
    match reply {
        Reply::Buildset { buildset, requests } => {
            let requests: Vec<_> =
                requests.into_iter().map(|(b, r)| (b.to_string().into(), Cell::number(r.0))).collect();
            Ok(Cell::List(vec![Cell::number(buildset.0), Cell::object(requests)]))
        }
        Reply::Done | Reply::Changes(_) | Reply::Adopted { .. } | Reply::Scheduler(_) => Ok(Cell::Null),
        Reply::Refused(text) => Err(RpcError { code: INVALID_PARAMS, ..invalid(StatusCode::BAD_REQUEST, text) }),
        Reply::Denied(text) => Err(invalid(StatusCode::FORBIDDEN, text)),
        Reply::Unknown(text) => Err(invalid(StatusCode::NOT_FOUND, text)),
        Reply::Invalid(fields) => {
            Err(RpcError { status: StatusCode::BAD_REQUEST, code: INVALID_PARAMS, message: Message::Fields(fields) })
        }
    }
}

fn invalid(status: StatusCode, text: String) -> RpcError {
    RpcError { status, code: INVALID_REQUEST, message: Message::Text(text) }
}

fn missing(path: &str) -> RpcError {
    invalid(StatusCode::NOT_FOUND, format!("there is no `{path}`"))
}

fn wrong(param: &str, want: &str) -> RpcError {
    let text = format!("'{param}' must be {want}");
    RpcError { code: INVALID_PARAMS, ..invalid(StatusCode::BAD_REQUEST, text) }
}

fn unsupported(method: &str) -> RpcError {
    let text = format!("action: {method} is not supported");
    RpcError { code: METHOD_NOT_FOUND, ..invalid(StatusCode::NOT_IMPLEMENTED, text) }
}

impl From<ApiError> for RpcError {
    fn from(error: ApiError) -> Self {
        let code = match error.status {
            StatusCode::INTERNAL_SERVER_ERROR => INTERNAL_ERROR,
            StatusCode::NOT_FOUND => INVALID_REQUEST,
            _ => INVALID_PARAMS,
        };
        Self { code, ..invalid(error.status, error.text) }
    }
}

fn accept(id: &Json, result: &Cell<'_>) -> Response {
    let mut writer = Writer::new(Layout::Compact);
    writer.open('{');
    write_id(&mut writer, true, id);
    writer.key(false, "jsonrpc");
    writer.text("2.0");
    writer.key(false, "result");
    writer.cell(result);
    writer.close('}', false);
    respond::body(StatusCode::OK, "application/json", writer.out)
}

fn refuse(id: Option<&Json>, error: &RpcError) -> Response {
    let message = match &error.message {
        Message::Text(text) => Cell::from(text.as_str()),
        Message::Fields(fields) => Cell::Object(
            fields.iter().map(|(field, text)| (field.as_str().into(), Cell::from(text.as_str()))).collect(),
        ),
    };
    let error_cell = Cell::Object(vec![("code".into(), error.code.into()), ("message".into(), message)]);
    let mut writer = Writer::new(Layout::Compact);
    writer.open('{');
    writer.key(true, "error");
    writer.cell(&error_cell);
    if let Some(id) = id {
        write_id(&mut writer, false, id);
    }
    writer.key(false, "jsonrpc");
    writer.text("2.0");
    writer.close('}', false);
    respond::body(error.status, "application/json", writer.out)
}

fn write_id(writer: &mut Writer, first: bool, id: &Json) {
    writer.key(first, "id");
    match id {
        Json::String(text) => writer.text(text),
        // Numbers keep the digits that they came with.
        other => writer.out.push_str(&other.to_string()),
    }
}

/// The answer to a call from a page that may not call us.
pub fn foreign() -> Response {
    let inner = Cell::Object(vec![("message".into(), Cell::from("invalid origin"))]);
    let text = to_json(&Cell::Object(vec![("error".into(), inner)]));
    respond::body(StatusCode::BAD_REQUEST, respond::TEXT, text)
}
