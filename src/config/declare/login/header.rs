//! The login `header`: a proxy in front of the master has checked who it is, and says so in headers.

use super::super::super::args::Call;
use super::super::super::signature::{optional, required};
use super::super::kinds::KindOf;
use crate::model::{HeaderLogin, LoginKind};

pub(super) const HEADER: KindOf<LoginKind> = KindOf {
    word: "header",
    params: &[
        required(
            "user_header",
            "text",
            "The header with the user's name, for example `X-Remote-User`. It only counts if the request comes from one \
             of `web(trusted_proxies = …)`; from anybody else it is removed.",
        ),
        optional("groups_header", "text", "None", "The header with the user's groups, separated by commas."),
        optional("mail_header", "text", "None", "The header with the user's mail address."),
        optional("full_name_header", "text", "None", "The header with the user's full name."),
    ],
    read,
};

/// Headers that mean something else to the master or to HTTP.
const TAKEN: [&str; 8] =
    ["host", "cookie", "authorization", "origin", "referer", "forwarded", "x-forwarded-for", "x-forwarded-host"];

fn read(call: &mut Call<'_, '_, '_, '_, '_>) -> LoginKind {
    LoginKind::Header(HeaderLogin {
        user: header(call, "user_header").unwrap_or_default(),
        groups: header(call, "groups_header"),
        mail: header(call, "mail_header"),
        full_name: header(call, "full_name_header"),
    })
}

fn header(call: &Call<'_, '_, '_, '_, '_>, name: &'static str) -> Option<String> {
    let header = call.string(name)?.to_ascii_lowercase();
    let is_token = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if header.is_empty() || !header.chars().all(is_token) {
        call.wrong(name, "must be the name of a header", Some("for example \"X-Remote-User\"".to_owned()));
    } else if TAKEN.contains(&header.as_str()) {
        call.wrong(name, &format!("cannot be `{header}`, which has a meaning of its own"), None);
    }
    Some(header)
}
