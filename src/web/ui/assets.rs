//! Style sheet, script and icons: embedded in the program, and named by their content, so that browsers may cache them.

use warp::http::StatusCode;
use warp::http::header::{self, HeaderValue};
use warp::reply::Response;

use crate::web::request::Request;
use crate::web::respond;

/// A file.
#[derive(Debug)]
pub struct Asset {
    name: &'static str,
    kind: &'static str,
    content: &'static str,
}

pub static STYLE: Asset =
    Asset { name: "starwright.css", kind: "text/css; charset=utf-8", content: include_str!("assets/starwright.css") };
pub static SCRIPT: Asset = Asset {
    name: "starwright.js",
    kind: "text/javascript; charset=utf-8",
    content: include_str!("assets/starwright.js"),
};
pub static ICONS: Asset = Asset { name: "icons.svg", kind: "image/svg+xml", content: include_str!("assets/icons.svg") };
pub static FAVICON: Asset = Asset { name: "icon.svg", kind: "image/svg+xml", content: include_str!("assets/icon.svg") };

static ALL: [&Asset; 4] = [&STYLE, &SCRIPT, &ICONS, &FAVICON];

/// A year.
const KEEP: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
const LOOK_AGAIN: HeaderValue = HeaderValue::from_static("no-cache");

impl Asset {
    /// Where it is; the address changes with the content.
    pub fn address(&self) -> String {
        format!("/assets/{}?v={:08x}", self.name, crc32fast::hash(self.content.as_bytes()))
    }
}

/// Answers `/assets/…` and the names that browsers look for by themselves.
pub fn answer(request: &Request, name: &str) -> Option<Response> {
    let name = if name == "favicon.ico" { FAVICON.name } else { name };
    let asset = ALL.into_iter().find(|asset| asset.name == name)?;
    let mut response = respond::compressed(request, StatusCode::OK, asset.kind, asset.content.as_bytes().to_vec());
    let keep = if request.query.starts_with("v=") { KEEP } else { LOOK_AGAIN };
    respond::set(&mut response, header::CACHE_CONTROL, keep);
    Some(response)
}
