//! What all pages have in common: the frame around them, the path from a view to an answer, and the names of builders
//! and workers.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use askama::Template;
use askama::filters::HtmlSafe;
use warp::http::header::{self, HeaderValue};
use warp::http::{Method, StatusCode};
use warp::reply::Response;

use super::show::{Elapsed, Escaped, Moment, State, builder_href, capital, first_line, short_revision};
use super::{assets, sign_in};
use crate::auth::Accounts;
use crate::base::Timestamp;
use crate::model::{Action, BuildRecord, BuilderId, BuilderRecord, Object, Plan, RequestId, Value, WorkerId};
use crate::store::StoreError;
use crate::web::control::Control;
use crate::web::history::VisibleHistory;
use crate::web::request::Request;
use crate::web::respond;
use crate::web::shared::Shared;

/// What pages may load: our own files. Logs of HTML show in a frame of their own, which may do nothing.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; frame-src 'self'; \
     form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
);

/// Why there is no page: the status and a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageError {
    pub status: StatusCode,
    pub text: String,
}

/// What makes a page.
pub type PageResult = Result<Response, PageError>;

impl PageError {
    /// The thing does not exist.
    pub fn missing(text: impl Into<String>) -> Self {
        Self { status: StatusCode::NOT_FOUND, text: text.into() }
    }

    /// The visitor asked for something that makes no sense.
    pub fn bad(text: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, text: text.into() }
    }
}

impl From<StoreError> for PageError {
    fn from(error: StoreError) -> Self {
        tracing::error!(error = respond::error_text(&error), "failed to read the store for a page");
        Self {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            text: "The history could not be read. See the log of the master.".to_owned(),
        }
    }
}

/// A page's surroundings.
#[derive(Clone, Debug)]
pub struct PageFrame {
    /// Of the installation.
    pub brand: String,
    pub brand_href: Option<String>,
    pub title: String,
    /// The master's clock; a visitor's may differ.
    pub now: Timestamp,
    /// Which entry of the menu is this page's.
    pub place: &'static str,
    /// The address of the events that concern this page.
    pub events: String,
    /// Whether it changes without events (logs grow silently).
    pub polls: bool,
    /// Whether what it shows still changes: without scripts it is loaded again now and then.
    pub moves: bool,
    pub style: String,
    pub script: String,
    pub icon: String,
    pub version: &'static str,
    /// Who is logged in.
    pub user: Option<String>,
    /// Whether they can log out here.
    pub may_sign_out: bool,
    /// Where a visitor logs in.
    pub sign_in: Option<String>,
    /// Where they read the audit log, if they may.
    pub audit: Option<&'static str>,
}

/// Whether the visitor may do something here. Shows as the right that is missing, to those who are known: who is not logged in
/// is shown the way to do that instead.
#[derive(Clone, Debug)]
pub struct Permit {
    pub allowed: bool,
    why: String,
}

impl Permit {
    /// For what is not offered anyway.
    pub const fn silent() -> Self {
        Self { allowed: false, why: String::new() }
    }
}

impl fmt::Display for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.why.is_empty() { Ok(()) } else { write!(f, "<p class=\"quiet\">{}</p>", Escaped(&self.why)) }
    }
}

impl HtmlSafe for Permit {}

/// One request for a page: what to read from.
pub struct PageContext<'a> {
    pub control: &'a dyn Control,
    pub store: VisibleHistory<'a>,
    pub plan: Arc<Plan>,
    pub now: Timestamp,
    pub request: &'a Request,
    pub accounts: &'a Accounts,
}

impl<'a> PageContext<'a> {
    pub fn new(shared: &'a Shared, request: &'a Request) -> Self {
        let control = &*shared.control;
        Self {
            control,
            store: VisibleHistory::new(control, &request.identity),
            plan: control.plan(),
            now: shared.clock.now(),
            request,
            accounts: &shared.accounts,
        }
    }

    /// Whether the visitor may do something.
    pub fn permit(&self, action: Action, object: &Object) -> Permit {
        match self.control.may(&self.request.identity, action, object) {
            Ok(()) => Permit { allowed: true, why: String::new() },
            Err(denial) if denial.anonymous => Permit { allowed: false, why: String::new() },
            Err(denial) => Permit { allowed: false, why: format!("{}.", capital(&denial.to_string())) },
        }
    }

    /// Why these requests wait. A master that ends has no answer, and the page does without.
    pub fn why_waits(&self, requests: Vec<RequestId>) -> BTreeMap<RequestId, Vec<String>> {
        // Pages are made on a thread that may wait; the engine answers between two inputs.
        let why = tokio::runtime::Handle::current().block_on(self.control.why_waits(requests)).unwrap_or_default();
        self.store.visible_reasons(why)
    }

    /// The frame of a page that shows what `events` are about.
    pub fn frame(&self, title: impl Into<String>, place: &'static str, events: impl Into<String>) -> PageFrame {
        PageFrame {
            brand: self.plan.master.title.clone(),
            brand_href: self.plan.master.title_url.clone(),
            title: title.into(),
            now: self.now,
            place,
            events: events.into(),
            polls: false,
            moves: false,
            style: assets::STYLE.address(),
            script: assets::SCRIPT.address(),
            icon: assets::FAVICON.address(),
            version: env!("CARGO_PKG_VERSION"),
            user: self.request.identity.shown_name().map(str::to_owned),
            may_sign_out: self.request.session.is_some(),
            sign_in: self.sign_in(),
            audit: self.store.may_audit().is_ok().then_some("/audit"),
        }
    }

    /// Where somebody who is not logged in does it, to come back to where they are: to the page that a form is on.
    fn sign_in(&self) -> Option<String> {
        if !self.request.identity.is_anonymous() || self.plan.logins.ways.is_empty() {
            return None;
        }
        let here = match (&self.request.method, self.request.path.as_str()) {
            (_, "/login") => return Some("/login".to_owned()),
            (&Method::GET | &Method::HEAD, path) if self.request.query.is_empty() => path.to_owned(),
            (&Method::GET | &Method::HEAD, path) => format!("{path}?{}", self.request.query),
            // The page of the thing that the form is about.
            (_, path) => path.rsplit_once('/').map_or("/", |(page, _)| page).to_owned(),
        };
        Some(sign_in::href(&here))
    }

    /// A moment.
    pub fn moment(&self, at: Timestamp) -> Moment {
        Moment::new(at, self.now)
    }

    /// A parameter of the query that is a number.
    pub fn number(&self, name: &str) -> Result<Option<u64>, PageError> {
        let value = self.request.query_value(name).filter(|value| !value.trim().is_empty());
        let wrong = |_| PageError::bad(format!("`{name}` must be a whole number."));
        value.map(|value| value.trim().parse().map_err(wrong)).transpose()
    }

    /// The builder that a part of the path names: by id, or else by name.
    pub fn builder(&self, named: &str) -> Result<BuilderRecord, PageError> {
        let by_id = match named.parse() {
            Ok(id) => self.store.builder(BuilderId(id))?,
            Err(_) => None,
        };
        let found = match by_id {
            Some(builder) => Some(builder),
            None => self.store.builder_named(named)?,
        };
        found.ok_or_else(|| PageError::missing(format!("There is no builder called “{named}”.")))
    }

    /// Names of builders and workers.
    pub fn names(&self) -> Result<Names, PageError> {
        let builders = self.store.builders()?.into_iter().map(|builder| (builder.id, builder)).collect();
        let workers = self.store.workers()?.into_iter().map(|worker| (worker.id, worker.name)).collect();
        Ok(Names { builders, workers })
    }

    /// A build as a row of a list.
    pub fn row(&self, build: &BuildRecord, builder: &BuilderRecord, worker: Option<&str>) -> BuildRow {
        let builder_page = builder_href(builder);
        BuildRow {
            builder: builder.name.clone(),
            href: format!("{builder_page}/builds/{}", build.number),
            builder_href: builder_page,
            number: build.number,
            state: State::of(build.outcome),
            text: build.state.clone(),
            started: self.moment(build.started),
            elapsed: Elapsed::between(Some(build.started), build.completed, self.now),
            source: source(build),
            worker: worker.unwrap_or_default().to_owned(),
            worker_href: worker.map(super::show::worker_href).unwrap_or_default(),
        }
    }
}

/// Names by id.
#[derive(Debug)]
pub struct Names {
    pub builders: BTreeMap<BuilderId, BuilderRecord>,
    pub workers: BTreeMap<WorkerId, String>,
}

impl Names {
    /// The name of a worker.
    pub fn worker(&self, id: WorkerId) -> Option<&str> {
        self.workers.get(&id).map(String::as_str)
    }

    /// A builder; one that is not known shows as its id.
    pub fn builder(&self, id: BuilderId) -> BuilderRecord {
        let unknown = || BuilderRecord { id, name: format!("#{id}"), ..BuilderRecord::default() };
        self.builders.get(&id).cloned().unwrap_or_else(unknown)
    }
}

/// A build in a list.
#[derive(Clone, Debug)]
pub struct BuildRow {
    pub builder: String,
    pub builder_href: String,
    pub href: String,
    pub number: u64,
    pub state: State,
    pub text: String,
    pub started: Moment,
    pub elapsed: Elapsed,
    /// Branch and revision.
    pub source: String,
    pub worker: String,
    pub worker_href: String,
}

/// What a build is of, in two words.
pub fn source(build: &BuildRecord) -> String {
    let text = |name: &str| build.properties.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let revision = text("got_revision").or_else(|| text("revision")).map(short_revision);
    let parts: Vec<&str> = [text("branch"), revision].into_iter().flatten().collect();
    first_line(&parts.join(" "), 60)
}

/// A page as an answer.
pub fn page(request: &Request, status: StatusCode, view: &impl Template) -> Response {
    let html = match view.render() {
        Ok(html) => html,
        Err(error) => {
            tracing::error!(%error, "failed to render a page");
            return respond::body(StatusCode::INTERNAL_SERVER_ERROR, respond::TEXT, "the page could not be rendered");
        }
    };
    let mut response = respond::compressed(request, status, respond::HTML, html.into_bytes());
    respond::set(&mut response, header::CONTENT_SECURITY_POLICY, POLICY);
    respond::set(&mut response, header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
