//! The notifier `http`: where requests go, what they hold, and how the server knows the master.

use std::collections::BTreeMap;

use super::super::super::args::{Call, is_callable};
use super::super::super::convert::{kind_of, to_text};
use super::super::super::signature::optional;
use super::super::super::template::Template;
use super::super::kinds::KindOf;
use crate::base::Span;
use crate::model::{HttpLogin, HttpPlan, NotifierKind, Text};

pub(super) const HTTP: KindOf<NotifierKind> = KindOf {
    word: "http",
    params: &[
        optional(
            "url",
            "text or secret, or function of (message)",
            "None",
            "Where requests go. With `request`, the address below which its relative addresses lie.",
        ),
        optional("method", "text", "\"POST\"", "The method of the request."),
        optional("json", "function of (message)", "the message", "Makes the content as data, which is sent as JSON."),
        optional(
            "body",
            "function of (message), or a template",
            "None",
            "Makes the content as text, instead of `json`.",
        ),
        optional(
            "request",
            "function of (message)",
            "None",
            "Makes whole requests: a dict of `method`, `url`, `headers`, and `json` or `body`; a list of these, sent in \
             order; or None if there is nothing to say.",
        ),
        optional("headers", "dict of text", "{}", "Further headers."),
        optional("token", "text or secret", "None", "Sent as `Authorization: Bearer TOKEN`."),
        optional("user", "text", "None", "User name, with `password`."),
        optional("password", "text or secret", "None", "Password for the server."),
        optional("authorization", "text or secret", "None", "The whole header `Authorization`, instead of a token."),
        optional("ca_file", "text", "None", "A PEM file of authorities to trust, beside the configuration."),
        optional("client_certificate", "text or secret", "None", "The client's certificate in PEM form."),
        optional(
            "client_key",
            "text or secret",
            "None",
            "Its private key, if the certificate's text does not hold it.",
        ),
        optional("timeout", "length of time", "\"30s\"", "How long one request may take."),
        optional("accepted", "list of whole numbers", "[]", "Statuses that count as delivered, beside 200 to 299."),
        optional(
            "harmless",
            "regular expression",
            "None",
            "An answer whose text it matches counts as delivered, whatever its status.",
        ),
        optional(
            "log_lines",
            "whole number",
            "50",
            "How many lines to include from the end of each log of a failed step.",
        ),
    ],
    read,
};

/// A server that needs longer for one report has taken it, or never will.
const TIMEOUT_MAX: Span = Span::from_minutes(5);
const TIMEOUT: Span = Span::from_seconds(30);
const LOG_LINES_MAX: i64 = 2_000;

/// Headers that the request has anyway.
const RESERVED: [&str; 5] = ["host", "content-length", "transfer-encoding", "connection", "authorization"];

fn read(call: &mut Call<'_, '_, '_, '_, '_>) -> NotifierKind {
    let (url, url_fn) = address(call);
    let plan = HttpPlan {
        method: method(call),
        url,
        url_fn,
        headers: headers(call),
        json: call.function("json", &["message"]),
        body: call.maker("body", &["message"]),
        request: call.function("request", &["message"]),
        login: login(call),
        ca_file: call.string("ca_file"),
        client_certificate: call.text("client_certificate"),
        client_key: call.text("client_key"),
        timeout: timeout(call),
        accepted: accepted(call),
        harmless: call.regex("harmless"),
        log_lines: call.whole("log_lines", 0..=LOG_LINES_MAX).and_then(|n| u64::try_from(n).ok()).unwrap_or(50),
    };
    one_content(call, &plan);
    if call.value("client_key").is_some() && call.value("client_certificate").is_none() {
        call.wrong("client_key", "needs a `client_certificate`", None);
    }
    NotifierKind::Http(Box::new(plan))
}

/// The content comes from one place, and the address from somewhere.
fn one_content(call: &Call<'_, '_, '_, '_, '_>, plan: &HttpPlan) {
    let given: Vec<&'static str> =
        ["request", "json", "body"].into_iter().filter(|name| call.value(name).is_some()).collect();
    if let [first, second, ..] = given.as_slice() {
        call.wrong(second, &format!("cannot be given together with `{first}`"), None);
    }
    if call.value("url").is_none() && call.value("request").is_none() {
        let hint = "write `url = \"https://example.org/hook\"`, or a function `request` that returns it".to_owned();
        call.wrong("url", "is missing, so there is nowhere to send anything", Some(hint));
    }
    if plan.url_fn.is_some() && plan.request.is_some() {
        call.wrong("url", "must be a text if `request` is given", Some("let `request` return the `url`".to_owned()));
    }
}

fn address(call: &mut Call<'_, '_, '_, '_, '_>) -> (Option<Text>, Option<crate::model::FnId>) {
    let Some(value) = call.value("url") else { return (None, None) };
    if let Ok(url) = to_text(value) {
        let shown = url.masked();
        // What begins with a secret is known when it is used.
        if !shown.starts_with('<') && !shown.starts_with("https://") && !shown.starts_with("http://") {
            let hint = "write the whole address, for example \"https://example.org/hook\"".to_owned();
            call.wrong("url", "must begin with `https://` or `http://`", Some(hint));
        }
        return (Some(url), None);
    }
    if Template::from_value(value).is_some() || is_callable(value) {
        return (None, call.maker("url", &["message"]));
    }
    call.wrong("url", &format!("must be a text or a function of (message), not {}", kind_of(value)), None);
    (None, None)
}

fn method(call: &Call<'_, '_, '_, '_, '_>) -> String {
    let method = call.string("method").unwrap_or_else(|| "POST".to_owned());
    if method.is_empty() || !method.bytes().all(|byte| byte.is_ascii_uppercase()) {
        call.wrong("method", &format!("must be a method in upper case such as \"POST\", not `{method}`"), None);
    }
    method
}

fn headers(call: &Call<'_, '_, '_, '_, '_>) -> BTreeMap<String, Text> {
    let mut headers = BTreeMap::new();
    for (name, value) in call.dict("headers").unwrap_or_default() {
        let is_name =
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.!#$%&'*+^`|~".contains(&b));
        let fault = match to_text(value) {
            _ if !is_name => "is not a valid name for a header".to_owned(),
            _ if RESERVED.contains(&name.to_ascii_lowercase().as_str()) => {
                "cannot be set here; for `Authorization` use `token`, `user` or `authorization`".to_owned()
            }
            Ok(text) if !text.masked().contains(['\r', '\n']) => {
                headers.insert(name, text);
                continue;
            }
            Ok(_) => "must have one line of text".to_owned(),
            Err(why) => why,
        };
        call.problem(call.arg("headers").key(&name), format!("{}: header `{name}` {fault}", call.title), None);
    }
    headers
}

fn login(call: &Call<'_, '_, '_, '_, '_>) -> HttpLogin {
    let given: Vec<&'static str> =
        ["token", "user", "authorization"].into_iter().filter(|name| call.value(name).is_some()).collect();
    if let [first, second, ..] = given.as_slice() {
        call.wrong(second, &format!("cannot be given together with `{first}`"), None);
    }
    if call.value("password").is_some() != call.value("user").is_some() {
        let (has, lacks) = if call.value("user").is_some() { ("user", "password") } else { ("password", "user") };
        call.wrong(has, &format!("needs a `{lacks}`"), None);
    }
    match (call.text("token"), call.string("user"), call.text("authorization")) {
        (Some(token), _, _) => HttpLogin::Token(token),
        (None, Some(user), _) => HttpLogin::User { user, password: call.text("password").unwrap_or_default() },
        (None, None, Some(header)) => HttpLogin::Header(header),
        (None, None, None) => HttpLogin::None,
    }
}

fn timeout(call: &Call<'_, '_, '_, '_, '_>) -> Span {
    let timeout = call.span_above_zero("timeout").unwrap_or(TIMEOUT);
    if timeout > TIMEOUT_MAX {
        call.wrong("timeout", &format!("must be at most {TIMEOUT_MAX}"), None);
    }
    timeout
}

fn accepted(call: &Call<'_, '_, '_, '_, '_>) -> Vec<u16> {
    let mut statuses = Vec::new();
    for (index, item) in call.list("accepted").unwrap_or_default().into_iter().enumerate() {
        match item.unpack_i32().and_then(|status| u16::try_from(status).ok()) {
            Some(status @ 200..=599) => statuses.push(status),
            _ => {
                let message = format!("{}: a status is a number from 200 to 599, not {}", call.title, kind_of(item));
                call.problem(call.arg("accepted").item(index), message, None);
            }
        }
    }
    statuses
}
