//! Answers: status, type, body, and the headers that every answer carries.
//!
//! Invariant: every answer has `nosniff`, so that a browser never takes a log for a page.

use bytes::Bytes;
use futures_util::Stream;
use warp::Reply;
use warp::http::header::{self, HeaderName, HeaderValue};
use warp::http::{Method, StatusCode};
use warp::reply::Response;

use super::request::Request;

pub const JSON: &str = "application/json; charset=utf-8";
pub const TEXT: &str = "text/plain; charset=utf-8";
pub const HTML: &str = "text/html; charset=utf-8";

/// Below this, compressing costs more than it saves (a segment of TCP holds some 1,400 bytes).
const COMPRESS_FROM: usize = 1_400;
/// Fast, and already a tenth of the size for lists of builds.
const COMPRESS_LEVEL: i32 = 3;

/// An answer with a body.
pub fn body(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Response {
    let mut response = Response::new(body.into().into());
    *response.status_mut() = status;
    set(&mut response, header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// An answer without a body.
pub fn bare(status: StatusCode) -> Response {
    let mut response = Response::default();
    *response.status_mut() = status;
    response
}

/// An answer whose body comes piece by piece.
pub fn stream<S, E>(kind: &'static str, pieces: S) -> Response
where
    S: Stream<Item = Result<Bytes, E>> + Send + Sync + 'static,
    E: std::error::Error + Send + Sync + 'static,
{
    let mut response = warp::reply::stream(pieces).into_response();
    set(&mut response, header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// After a form: look there, with GET.
pub fn see_other(place: &str) -> Response {
    let mut response = bare(StatusCode::SEE_OTHER);
    set_text(&mut response, header::LOCATION, place);
    response
}

/// The same thing has another address.
pub fn redirect(place: &str) -> Response {
    let mut response = bare(StatusCode::FOUND);
    set_text(&mut response, header::LOCATION, place);
    response
}

/// Sets a header.
pub fn set(response: &mut Response, name: HeaderName, value: HeaderValue) {
    response.headers_mut().insert(name, value);
}

/// Sets a header from a text; letters that no header can hold are replaced.
pub fn set_text(response: &mut Response, name: HeaderName, text: &str) {
    let clean: String = text.chars().map(|c| if c.is_ascii() && !c.is_ascii_control() { c } else { '_' }).collect();
    if let Ok(value) = HeaderValue::from_str(&clean) {
        set(response, name, value);
    }
}

/// What every answer carries.
pub fn finish(mut response: Response) -> Response {
    set(&mut response, header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if !response.headers().contains_key(header::REFERRER_POLICY) {
        set(&mut response, header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    }
    response
}

/// A complete body, compressed if the client accepts it and it is worthwhile.
pub fn compressed(request: &Request, status: StatusCode, kind: &'static str, content: Vec<u8>) -> Response {
    let wanted = content.len() >= COMPRESS_FROM && request.method != Method::HEAD && request.accepts_encoding("zstd");
    let packed = if wanted { zstd::bulk::compress(&content, COMPRESS_LEVEL).ok() } else { None };
    let encoded = packed.is_some();
    let mut response = body(status, kind, packed.unwrap_or(content));
    if encoded {
        set(&mut response, header::CONTENT_ENCODING, HeaderValue::from_static("zstd"));
    }
    set(&mut response, header::VARY, HeaderValue::from_static("Accept, Accept-Encoding, Origin"));
    response
}

/// An error and its causes in one line.
pub fn error_text(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let more = inner.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = inner.source();
    }
    text
}
