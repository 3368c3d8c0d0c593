//! The notifier `http`: reports as requests to a web server.

mod answer;
mod request;
mod send;

pub(super) use request::{HttpRequest, write};
pub(super) use send::{HttpSecrets, send};
