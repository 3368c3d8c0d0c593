//! `notifier`: who is told about builds that ended.

use std::collections::BTreeMap;

use starlark::environment::GlobalsBuilder;
use starlark::eval::{Arguments, Evaluator};
use starlark::starlark_module;
use starlark::values::none::NoneType;

use super::super::args::Call;
use super::super::collect::{Kind, Wanted};
use super::super::convert::{items_of, kind_of};
use super::super::signature::{Native, optional, required};
use crate::model::{MailPlan, MailTls, NotifierKind, NotifierPlan, NotifyOn, Recipients};

pub(super) static NOTIFIER: Native = Native {
    name: "notifier",
    doc: "Tells people about builds. Use `mail` of @stdlib//notify.star, which calls this one.",
    example: "notifier(\"team\", \"mail\", on = [\"failure\", \"recovery\"], to = [\"dev@example.org\"])",
    positional: 2,
    params: &[
        required("name", "text", "Its name; several may not share one."),
        required("kind", "\"mail\"", "How it speaks."),
        required(
            "on",
            "list of text",
            "When: \"success\", \"failure\", \"warnings\", \"exception\", \"cancelled\", \"problem\" (newly broken), \"recovery\" (back to green), \"change\", \"always\".",
        ),
        optional("builders", "list of text", "all", "Only builds of these builders."),
        optional("tags", "list of text", "all", "Only builders with one of these tags."),
        optional("branches", "list of text or None", "all", "Only builds of these branches."),
        optional("host", "text", "\"localhost\"", "The mail server."),
        optional("port", "whole number", "25; with \"starttls\" 587, with \"tls\" 465", "Its port."),
        optional("tls", "\"none\", \"starttls\" or \"tls\"", "\"none\"", "How the connection is secured."),
        optional("user", "text", "None", "Name for the mail server."),
        optional("password", "text or secret", "None", "Password for the mail server."),
        optional("sender", "text", "\"starwright@localhost\"", "The mail's From."),
        optional("to", "list of text", "[]", "Who always gets it."),
        optional("blame", "bool", "False", "Also those whose changes are new in the build, and who forced it."),
        optional("domain", "text", "None", "Appended to authors without an address of their own."),
        optional("headers", "dict of text", "{}", "Further headers."),
        optional("subject", "function of (message), or a template", "ours", "Makes the subject."),
        optional("body", "function of (message), or a template", "ours", "Makes the text."),
        optional("html", "function of (message)", "ours", "Makes the HTML."),
        optional("log_lines", "whole number", "50", "How many last lines of a failed step to include."),
    ],
};

/// When a notifier speaks.
const ON: [(&str, NotifyOn); 9] = [
    ("success", NotifyOn::Success),
    ("failure", NotifyOn::Failure),
    ("warnings", NotifyOn::Warnings),
    ("exception", NotifyOn::Exception),
    ("cancelled", NotifyOn::Cancelled),
    ("problem", NotifyOn::Problem),
    ("recovery", NotifyOn::Recovery),
    ("change", NotifyOn::Change),
    ("always", NotifyOn::Always),
];

const TLS: [(&str, MailTls); 3] = [("none", MailTls::None), ("starttls", MailTls::StartTls), ("tls", MailTls::Tls)];

/// Lines of log in a mail: more make it unreadable and large.
const LOG_LINES_MAX: i64 = 2_000;

#[starlark_module]
pub(super) fn functions(builder: &mut GlobalsBuilder) {
    fn notifier<'v>(args: &Arguments<'v, '_>, eval: &mut Evaluator<'v, '_, '_>) -> starlark::Result<NoneType> {
        let mut call = Call::open(&NOTIFIER, args, eval)?;
        let name = call.subject("notifier");
        call.collector.declare(Kind::Notifier, &name, &call.spot);
        let is_mail = call.word("kind", &[("mail", ())]).is_some();
        let mut on = call.words("on", &ON).unwrap_or_default();
        on.sort_unstable();
        on.dedup();
        if call.value("on").and_then(items_of).is_some_and(<[_]>::is_empty) {
            call.wrong("on", "is empty", Some("it would never speak; write for example [\"failure\"]".to_owned()));
        }
        if !is_mail {
            // Of another kind nothing is known that could be wrong.
            return Ok(NoneType);
        }
        let plan = NotifierPlan {
            name: name.clone(),
            on,
            builders: call.value("builders").map(|_| call.references("builders", Wanted::Builder)),
            tags: call.value("tags").map(|_| call.references("tags", Wanted::BuilderTag)).unwrap_or_default(),
            branches: branches(&call),
            kind: NotifierKind::Mail(Box::new(mail(&mut call))),
            place: call.place(),
        };
        call.collector.plan.borrow_mut().notifiers.entry(name).or_insert(plan);
        Ok(NoneType)
    }
}

fn branches(call: &Call<'_, '_, '_, '_, '_>) -> Option<Vec<Option<String>>> {
    let mut branches = Vec::new();
    for (index, item) in call.list("branches")?.into_iter().enumerate() {
        match item.unpack_str() {
            Some(branch) => branches.push(Some(branch.to_owned())),
            None if item.is_none() => branches.push(None),
            None => {
                let message = format!("{}: a branch must be a text or None, not {}", call.title, kind_of(item));
                call.problem(call.arg("branches").item(index), message, None);
            }
        }
    }
    Some(branches)
}

fn mail(call: &mut Call<'_, '_, '_, '_, '_>) -> MailPlan {
    let tls = call.word("tls", &TLS).unwrap_or_default();
    let usual_port = match tls {
        MailTls::None => 25,
        MailTls::StartTls => 587,
        MailTls::Tls => 465,
    };
    let from = call.string("sender").unwrap_or_else(|| "starwright@localhost".to_owned());
    if !is_mail_address(&from) {
        call.wrong("sender", &format!("is no mail address: `{from}`"), None);
    }
    let log_lines = call.whole("log_lines", 0..=LOG_LINES_MAX).and_then(|n| u64::try_from(n).ok());
    MailPlan {
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
    }
}

fn recipients(call: &Call<'_, '_, '_, '_, '_>) -> Recipients {
    let to = call.strings("to").unwrap_or_default();
    for (index, address) in to.iter().enumerate().filter(|(_, address)| !is_mail_address(address)) {
        let message = format!("{}: `{address}` is no mail address", call.title);
        call.problem(call.arg("to").item(index), message, None);
    }
    let blame = call.boolean("blame", false);
    if !blame && call.value("to").and_then(items_of).is_none_or(<[_]>::is_empty) {
        let hint = "write `to = [\"dev@example.org\"]`, or `blame = True` for the authors of the changes".to_owned();
        call.wrong("to", "is empty: nobody would get the mail", Some(hint));
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
