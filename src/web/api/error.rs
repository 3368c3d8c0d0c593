//! Errors of the API. Each has a status and a text for the caller; internal details go to the log.

use warp::http::StatusCode;

use super::cell::{Cell, to_json};
use crate::store::StoreError;
use crate::web::respond::error_text;

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    pub status: StatusCode,
    pub text: String,
}

impl ApiError {
    /// The request is wrong.
    pub fn bad(text: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, text: text.into() }
    }

    /// No such path.
    pub fn path(path: &str) -> Self {
        Self { status: StatusCode::NOT_FOUND, text: format!("Invalid path: {path}") }
    }

    /// The path is valid, but the resource does not exist.
    pub fn missing(path: &str) -> Self {
        Self { status: StatusCode::NOT_FOUND, text: format!("not found while getting from {path}") }
    }

    /// Too much at once.
    pub fn busy(text: impl Into<String>) -> Self {
        Self { status: StatusCode::SERVICE_UNAVAILABLE, text: text.into() }
    }

    /// The body of the answer.
    pub fn json(&self) -> String {
        to_json(&Cell::Object(vec![("error".into(), Cell::from(self.text.as_str()))]))
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        tracing::error!(error = error_text(&error), "failed to read the store for the API");
        Self {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            text: "failed to read the store; see the log of the master".to_owned(),
        }
    }
}
