//! Buttons: forms that make the master do something, and redirect to a page that shows the result.
//!
//! [`dispatch::turn_away`](crate::web::dispatch::turn_away) has already checked that one of our own pages sent the form.

use std::sync::Arc;

use warp::http::StatusCode;
use warp::reply::Response;

use super::force::{SubmittedForm, params};
use super::page::{PageContext, PageError};
use super::show::{builder_href, capital};
use super::workers;
use super::{account, builder};
use crate::master::{OrderError, Reply};
use crate::model::{BuildId, BuilderRecord, Order, ReportId, RequestId, SchedulerPlan, Via};
use crate::web::api::{ForceCallError, force_order};
use crate::web::request::Request;
use crate::web::respond::see_other;
use crate::web::shared::Shared;

/// Answers a form.
pub async fn answer(shared: &Arc<Shared>, request: &Request, path: &[&str]) -> Result<Response, PageError> {
    if !request.body.is_empty() && !request.has_form() {
        let text = "This address expects a form (application/x-www-form-urlencoded). Nothing was done.";
        return Err(PageError { status: StatusCode::UNSUPPORTED_MEDIA_TYPE, text: text.to_owned() });
    }
    tracing::info!(path = %request.path, peer = %request.origin_address(), "received a form");
    match path {
        ["builders", builder, "force", scheduler] => force(shared, request, builder, scheduler).await,
        ["builds", id, "stop"] => {
            let build = BuildId(number(id)?);
            let back = super::build::place(&PageContext::new(shared, request), id)?;
            done(shared, request, Order::StopBuild { build, why: reason(request) }, &back).await
        }
        ["builds", id, "rebuild"] => {
            let order = Order::Rebuild { build: BuildId(number(id)?), of: None };
            // Also looks whether the visitor may see it.
            super::build::place(&PageContext::new(shared, request), id)?;
            done(shared, request, order, "/pending").await
        }
        ["requests", id, "cancel"] => {
            let request_id = RequestId(number(id)?);
            let found = PageContext::new(shared, request).store.request(request_id)?;
            found.ok_or_else(|| PageError::missing(format!("There is no build request {request_id}.")))?;
            let order = Order::CancelRequest { request: request_id, why: reason(request) };
            done(shared, request, order, &format!("/requests/{request_id}")).await
        }
        ["workers", name, what] => {
            let worker = workers::find(&PageContext::new(shared, request), name)?.name;
            let back = super::show::worker_href(&worker);
            let reason = Some(reason(request)).filter(|reason| !reason.is_empty());
            let order = match *what {
                "pause" => Order::PauseWorker { worker, paused: true, reason },
                "unpause" => Order::PauseWorker { worker, paused: false, reason: None },
                "stop" => Order::StopWorker { worker },
                "kill" => Order::KillWorker { worker, why: reason.unwrap_or_else(|| "killed on its page".to_owned()) },
                _ => return Err(PageError::missing("There is no such action.")),
            };
            done(shared, request, order, &back).await
        }
        ["deliveries", id, "resend"] => {
            let report = ReportId(number(id)?);
            let known = PageContext::new(shared, request).store.undelivered()?;
            if !known.iter().any(|record| record.report.id == report) {
                return Err(PageError::missing(format!("No report {report} was given up.")));
            }
            let order = Order::Resend { report, of: None };
            done(shared, request, order, "/deliveries").await
        }
        ["deliveries", id, what @ ("send" | "give-up")] => {
            let report = ReportId(number(id)?);
            let known = PageContext::new(shared, request).store.outbox()?;
            if !known.iter().any(|waiting| waiting.report.id == report) {
                return Err(PageError::missing(format!("No report {report} is waiting.")));
            }
            let order = if *what == "send" { Order::DeliverNow { report } } else { Order::GiveUpReport { report } };
            done(shared, request, order, "/deliveries").await
        }
        ["account" | "users", ..] => account::answer(shared, request, path).await,
        ["reload"] => reload(shared, request).await,
        _ => Err(PageError {
            status: StatusCode::METHOD_NOT_ALLOWED,
            text: "This page does not accept forms.".to_owned(),
        }),
    }
}

async fn force(shared: &Arc<Shared>, request: &Request, named: &str, scheduler: &str) -> Result<Response, PageError> {
    let context = PageContext::new(shared, request);
    let builder = context.builder(named)?;
    let plan = context.plan.schedulers.get(scheduler).cloned();
    let plan = plan.ok_or_else(|| PageError::missing(format!("There is no force scheduler “{scheduler}”.")))?;
    let missing = || PageError::missing(format!("There is no force scheduler “{scheduler}”."));
    let plan = context.store.visible_form(&plan).ok_or_else(missing)?;
    let mut fields = request.form();
    fields.insert("builderid".to_owned(), vec![builder.id.to_string()]);
    let (order, name) = match force_order(&context.store, &plan, &params(&plan, &fields)) {
        Ok(force) => force,
        Err(ForceCallError::Wrong(text)) => return Err(PageError::bad(text)),
        Err(ForceCallError::NoSuchBuilder) => return Err(PageError::missing("There is no such builder.")),
        Err(ForceCallError::Store(error)) => return Err(error.into()),
    };
    let by = request.caller(name.as_deref().unwrap_or_default(), Via::Page);
    match shared.order(Order::Force(order), by).await.map_err(unavailable)? {
        Reply::Buildset { requests, .. } => {
            let request = requests.values().next().map(|request| format!("/requests/{request}"));
            Ok(see_other(&request.unwrap_or_else(|| builder_href(&builder))))
        }
        reply => refused_form(&context, &builder, &plan, fields, reply),
    }
}

/// The page again, with what was typed and what is wrong with it.
fn refused_form(
    context: &PageContext<'_>,
    builder: &BuilderRecord,
    plan: &SchedulerPlan,
    fields: std::collections::BTreeMap<String, Vec<String>>,
    reply: Reply,
) -> Result<Response, PageError> {
    let (problems, problem) = match reply {
        Reply::Invalid(problems) => (problems, "Please look at the marked fields.".to_owned()),
        Reply::Refused(text) | Reply::Denied(text) | Reply::Unknown(text) => (std::collections::BTreeMap::new(), text),
        Reply::Done | Reply::Changes(_) | Reply::Buildset { .. } | Reply::Adopted { .. } | Reply::Scheduler(_) => {
            return Ok(see_other(&builder_href(builder)));
        }
    };
    let typed = SubmittedForm { scheduler: plan.name.clone(), values: fields, problems, problem };
    builder::show(context, builder, StatusCode::BAD_REQUEST, Some(&typed))
}

async fn done(shared: &Shared, request: &Request, order: Order, back: &str) -> Result<Response, PageError> {
    match shared.order(order, request.caller("", Via::Page)).await.map_err(unavailable)? {
        Reply::Buildset { requests, .. } => {
            let request = requests.values().next().map(|request| format!("/requests/{request}"));
            Ok(see_other(request.as_deref().unwrap_or(back)))
        }
        Reply::Done | Reply::Changes(_) | Reply::Adopted { .. } | Reply::Scheduler(_) => Ok(see_other(back)),
        Reply::Refused(text) => Err(PageError::bad(text)),
        Reply::Denied(text) => Err(PageError { status: StatusCode::FORBIDDEN, text }),
        Reply::Unknown(text) => Err(PageError::missing(text)),
        Reply::Invalid(fields) => {
            let texts: Vec<String> = fields.into_iter().map(|(field, text)| format!("{field}: {text}")).collect();
            Err(PageError::bad(texts.join("; ")))
        }
    }
}

async fn reload(shared: &Shared, request: &Request) -> Result<Response, PageError> {
    let order = Order::Reload { why: "a button".to_owned() };
    match shared.order(order, request.caller("", Via::Page)).await.map_err(unavailable)? {
        Reply::Denied(text) => Err(PageError { status: StatusCode::FORBIDDEN, text }),
        // The first page shows what was wrong.
        _ => Ok(see_other("/")),
    }
}

fn reason(request: &Request) -> String {
    let reason = request.form().remove("reason").and_then(|values| values.into_iter().next());
    reason.map(|reason| reason.trim().to_owned()).unwrap_or_default()
}

fn number(text: &str) -> Result<u64, PageError> {
    text.parse().map_err(|_| PageError::missing(format!("“{text}” is not a number.")))
}

fn unavailable(error: OrderError) -> PageError {
    PageError { status: StatusCode::SERVICE_UNAVAILABLE, text: format!("{}.", capital(&error.to_string())) }
}
