//! The notifier `mail`: a server, recipients, and who writes the text.

use std::collections::BTreeMap;

use super::super::super::args::Call;
use super::super::super::convert::items_of;
use super::super::super::signature::optional;
use super::super::kinds::KindOf;
use crate::model::{MailPlan, MailTls, NotifierKind, Recipients};

pub(super) const MAIL: KindOf<NotifierKind> = KindOf {
    word: "mail",
    params: &[
        optional("host", "text", "\"localhost\"", "The mail server."),
        optional("port", "whole number", "25; with \"starttls\" 587, with \"tls\" 465", "The mail server's port."),
        optional("tls", "\"none\", \"starttls\" or \"tls\"", "\"none\"", "How the connection is encrypted."),
        optional("user", "text", "None", "User name for the mail server."),
        optional("password", "text or secret", "None", "Password for the mail server."),
        optional("sender", "text", "\"starwright@localhost\"", "The sender (`From`)."),
        optional("to", "list of text", "[]", "Addresses that get every mail."),
        optional(
            "blame",
            "bool",
            "False",
            "Also sends mail to the authors of the build's new changes, and to the person who forced it.",
        ),
        optional(
            "domain",
            "text",
            "None",
            "Completes the address of an author who has none: with \"example.org\", `ann` becomes `ann@example.org`.",
        ),
        optional("headers", "dict of text", "{}", "Further headers."),
        optional("subject", "function of (message), or a template", "ours", "Makes the subject."),
        optional("body", "function of (message), or a template", "ours", "Makes the plain text."),
        optional("html", "function of (message)", "ours", "Makes the HTML."),
        optional(
            "log_lines",
            "whole number",
            "50",
            "How many lines to include from the end of each log of a failed step.",
        ),
    ],
    read,
};

const TLS: [(&str, MailTls); 3] = [("none", MailTls::None), ("starttls", MailTls::StartTls), ("tls", MailTls::Tls)];

/// Lines of log in a mail: more make it unreadable and large.
const LOG_LINES_MAX: i64 = 2_000;

fn read(call: &mut Call<'_, '_, '_, '_, '_>) -> NotifierKind {
    let tls = call.word("tls", &TLS).unwrap_or_default();
    let usual_port = match tls {
        MailTls::None => 25,
        MailTls::StartTls => 587,
        MailTls::Tls => 465,
    };
    let from = call.string("sender").unwrap_or_else(|| "starwright@localhost".to_owned());
    if !is_mail_address(&from) {
        call.wrong("sender", &format!("is not a valid mail address: `{from}`"), None);
    }
    let log_lines = call.whole("log_lines", 0..=LOG_LINES_MAX).and_then(|n| u64::try_from(n).ok());
    note_port_in_host(call);
    let plan = MailPlan {
        host: call.string("host").unwrap_or_else(|| "localhost".to_owned()),
        port: call.whole("port", 1..=65_535).and_then(|port| u16::try_from(port).ok()).unwrap_or(usual_port),
        tls,
        user: call.string("user"),
        password: call.text("password"),
        from,
        recipients: recipients(call),
        headers: headers(call),
        subject: call.maker("subject", &["message"]),
        body: call.maker("body", &["message"]),
        html: call.function("html", &["message"]),
        log_lines: log_lines.unwrap_or(50),
    };
    NotifierKind::Mail(Box::new(plan))
}

/// `host = "mail:2525"` would be looked up as a name.
fn note_port_in_host(call: &Call<'_, '_, '_, '_, '_>) {
    let Some(text) = call.value("host").and_then(starlark::values::Value::unpack_str) else { return };
    if let Some((host, port)) = text.split_once(':')
        && !port.is_empty()
        && port.chars().all(|letter| letter.is_ascii_digit())
    {
        let hint = format!("write host = \"{host}\", port = {port}");
        call.wrong("host", &format!("is a name or an address without a port, not `{text}`"), Some(hint));
    }
}

fn recipients(call: &Call<'_, '_, '_, '_, '_>) -> Recipients {
    let to = call.strings("to").unwrap_or_default();
    for (index, address) in to.iter().enumerate().filter(|(_, address)| !is_mail_address(address)) {
        let message = format!("{}: `{address}` is not a valid mail address", call.title);
        call.problem(call.arg("to").item(index), message, None);
    }
    let blame = call.boolean("blame", false);
    if !blame && call.value("to").and_then(items_of).is_none_or(<[_]>::is_empty) {
        let hint = "write `to = [\"dev@example.org\"]`, or `blame = True` for the authors of the changes".to_owned();
        call.wrong("to", "is empty, so nobody would get the mail", Some(hint));
    }
    Recipients { to, blame, domain: call.string("domain") }
}

fn headers(call: &Call<'_, '_, '_, '_, '_>) -> BTreeMap<String, String> {
    let mut headers = BTreeMap::new();
    for (name, value) in call.dict("headers").unwrap_or_default() {
        let right = !name.is_empty() && name.chars().all(|c| c.is_ascii_graphic() && c != ':');
        match value.unpack_str().filter(|text| right && !text.contains(['\r', '\n'])) {
            Some(text) => drop(headers.insert(name, text.to_owned())),
            None => {
                let message = format!("{}: header `{name}` is not a name with one line of text", call.title);
                call.problem(call.arg("headers").key(&name), message, None);
            }
        }
    }
    headers
}

/// `a@b` or `Name <a@b>`, on one line.
fn is_mail_address(text: &str) -> bool {
    let address = match text.split_once('<') {
        Some((_, rest)) => rest.strip_suffix('>').unwrap_or_default(),
        None => text,
    };
    let parts = address.split_once('@');
    !text.contains(['\r', '\n'])
        && !address.contains(char::is_whitespace)
        && parts.is_some_and(|(user, host)| !user.is_empty() && !host.is_empty() && !host.contains('@'))
}
