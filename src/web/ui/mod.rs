//! Pages.

use std::sync::Arc;

use warp::http::StatusCode;
use warp::reply::Response;

use super::request::Request;
use super::respond;
use super::site::Site;

pub async fn answer(_site: &Arc<Site>, _request: Request, _path: &str) -> Response {
    respond::bare(StatusCode::NOT_FOUND)
}
