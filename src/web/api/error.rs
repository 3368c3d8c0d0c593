//! Errors of the API: each has a status and a text for the caller; what failed inside goes to the log.

use warp::http::StatusCode;

use super::cell::{Cell, to_json};
use crate::store::StoreError;
use crate::web::respond::error_text;

/// Why a request has no other answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    pub status: StatusCode,
    pub text: String,
}

impl ApiError {
    /// The caller asked wrongly.
    pub fn bad(text: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, text: text.into() }
    }

    /// No such path.
    pub fn path(path: &str) -> Self {
        Self { status: StatusCode::NOT_FOUND, text: format!("Invalid path: {path}") }
    }

    /// The path is right, but there is no such thing.
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
            text: "failed to read the store; the log says why".to_owned(),
        }
    }
}
