//! The page for errors and missing pages: says what is wrong, and where to continue.

use askama::Template;
use warp::http::StatusCode;
use warp::reply::Response;

use super::page::{PageContext, PageError, PageFrame, page};

#[derive(Template)]
#[template(path = "error.html")]
struct Error {
    frame: PageFrame,
    status: u16,
    headline: &'static str,
    text: String,
    /// Where somebody logs in who may do it then.
    sign_in: Option<String>,
}

pub fn error(context: &PageContext<'_>, error: PageError) -> Response {
    let headline = match error.status {
        StatusCode::NOT_FOUND => "Nothing here",
        StatusCode::BAD_REQUEST => "That does not work",
        StatusCode::UNAUTHORIZED => "Log in first",
        StatusCode::FORBIDDEN => "Not allowed",
        StatusCode::METHOD_NOT_ALLOWED => "Not in this way",
        StatusCode::SERVICE_UNAVAILABLE => "Not now",
        _ => "Something broke",
    };
    let frame = context.frame(headline, "", "");
    let sign_in =
        frame.sign_in.clone().filter(|_| matches!(error.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN));
    let view = Error { frame, status: error.status.as_u16(), headline, text: error.text, sign_in };
    page(context.request, error.status, &view)
}
