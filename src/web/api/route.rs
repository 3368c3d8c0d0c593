//! A path of the API: what answers it, and which control methods it accepts.

use warp::reply::Response;

use super::error::ApiError;
use super::kind::Kind;
use super::read_request::{ReadRequest, ReadResult};

/// How a path is read.
#[derive(Clone, Copy, Debug)]
pub enum Read {
    /// As JSON.
    Rows(fn(&mut ReadRequest<'_>) -> ReadResult),
    /// As a log's text, to be saved.
    Raw,
    /// As a log's text, to be shown.
    RawInline,
    /// As a text to be saved.
    Value(fn(&ReadRequest<'_>) -> Result<Response, ApiError>),
}

/// A path.
#[derive(Debug)]
pub struct Route {
    pub pattern: String,
    pub kind: &'static Kind,
    pub read: Read,
    pub methods: RpcMethods,
}

/// A route and the decoded values of its variable elements.
pub type Found = (&'static Route, Vec<(String, String)>);

/// The control methods of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RpcMethods {
    /// Nothing.
    Nobody,
    /// `stop`, `rebuild`.
    Build,
    /// `cancel`, `set_priority`.
    Request,
    /// `enable`.
    Scheduler,
    /// `force`.
    Force,
    /// `pause`, `unpause`, `stop`, `kill`.
    Worker,
}
