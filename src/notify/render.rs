//! From the facts of a report to a mail: our own words, or those of the user's functions.
//!
//! Pure: the same facts give the same mail, so a mail that is sent again after a crash is the same one.

use std::collections::BTreeMap;

use super::makers::Templates;
use super::recipients::recipients;
use super::story::{Story, tell};
use super::template::template_facts;
use super::wording::{cut, one_line};
use super::{MailMessage, ReportFacts, facts::Head, html::html, text::text};
use crate::base::Span;
use crate::model::{FnId, MailPlan, Outcome, Value};

/// Longer subjects are cut by every mail reader anyway.
const SUBJECT_CHARS_MAX: usize = 200;
/// What a template function may write. Mail servers refuse beyond some 10 MB; nobody reads even one.
const TEMPLATE_CHARS_MAX: usize = 1_000_000;
/// An error of a template function, with its excerpt.
const REMARK_CHARS_MAX: usize = 4_000;
/// As long as this a server may refuse some recipients for the moment before the others get the mail without
/// them. Servers that defer unknown senders do so for minutes.
const WAIT_FOR_ALL: Span = Span::from_minutes(60);

/// Headers that the mail has anyway, or that would change who gets it.
const RESERVED: [&str; 13] = [
    "from",
    "to",
    "cc",
    "bcc",
    "sender",
    "subject",
    "date",
    "message-id",
    "mime-version",
    "content-type",
    "content-transfer-encoding",
    "content-disposition",
    "return-path",
];

/// The message of a report. A user's template that fails gives our own text with a remark in it.
pub fn render_mail(plan: &MailPlan, facts: &ReportFacts, templates: Templates<'_>) -> MailMessage {
    let mut story = tell(plan.log_lines, facts);
    let head = facts.head();
    let (to, remarks) = recipients(&plan.recipients, &head);
    story.remarks.extend(remarks);
    let headers = headers(plan, &head, &mut story);
    let words = words(plan, facts, &mut story, templates);
    MailMessage {
        message_id: format!("<{}@starwright>", head.id()),
        date: head.report.made,
        from: one_line(&plan.from, usize::MAX),
        to: to.iter().map(ToString::to_string).collect(),
        subject: words.subject,
        text: words.text,
        html: words.html,
        headers,
        remarks: story.remarks,
        wait_for_all: head.now.since(head.report.made) < WAIT_FOR_ALL,
    }
}

struct Words {
    subject: String,
    text: String,
    html: Option<String>,
}

/// Subject and parts. Ours are written last, so that they hold the remarks on templates that failed.
fn words(plan: &MailPlan, facts: &ReportFacts, story: &mut Story, templates: Templates<'_>) -> Words {
    let wanted = [(plan.subject, "subject"), (plan.body, "body"), (plan.html, "html")];
    let [subject, body, page] = if wanted.iter().all(|(function, _)| function.is_none()) {
        [None, None, None]
    } else {
        let known = template_facts(story, facts, &text(story), &html(story));
        wanted.map(|(function, what)| call(function?, what, &known, story, templates))
    };
    let text = match &body {
        Some(body) => with_remarks(body, &story.remarks),
        None => text(story),
    };
    let html = match (page, &body) {
        (Some(page), _) => Some(page),
        // Our page beside the user's text would tell another story than the text.
        (None, Some(_)) => None,
        (None, None) => Some(html(story)),
    };
    let subject = one_line(subject.as_deref().unwrap_or(&story.subject), SUBJECT_CHARS_MAX);
    Words { subject, text, html }
}

fn call(function: FnId, what: &str, known: &Value, story: &mut Story, templates: Templates<'_>) -> Option<String> {
    match templates(function, known) {
        Ok(words) => Some(cut(&readable(&words), TEMPLATE_CHARS_MAX)),
        Err(error) => {
            let error = cut(readable(&error).trim_end(), REMARK_CHARS_MAX);
            story.remarks.push(format!("the function given as `{what}` failed, so this is the usual one: {error}"));
            None
        }
    }
}

fn with_remarks(body: &str, remarks: &[String]) -> String {
    remarks.iter().fold(body.to_owned(), |text, remark| format!("{text}\n\nRemark: {remark}\n"))
}

/// Text without control characters other than line ends and tabs.
fn readable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect()
}

/// The user's headers and ours, one line each.
fn headers(plan: &MailPlan, head: &Head<'_>, story: &mut Story) -> BTreeMap<String, String> {
    // Tells other machines not to answer, and lets people sort without reading the subject.
    let ours = [
        ("Auto-Submitted", "auto-generated"),
        ("X-Starwright-Builder", head.builder.map_or("", |builder| builder.name.as_str())),
        ("X-Starwright-Outcome", head.outcome().map_or(head.report.subject.word(), Outcome::word)),
    ];
    let mut headers: BTreeMap<String, String> =
        ours.into_iter().map(|(name, value)| (name.to_owned(), one_line(value, usize::MAX))).collect();
    for (name, value) in &plan.headers {
        if let Some(fault) = header_fault(name) {
            story.remarks.push(format!("the header `{}` was left out: {fault}.", one_line(name, 80)));
        } else {
            headers.retain(|known, _| !known.eq_ignore_ascii_case(name));
            headers.insert(name.clone(), one_line(value, usize::MAX));
        }
    }
    headers
}

fn header_fault(name: &str) -> Option<&'static str> {
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':');
    if !is_name {
        Some("that is not a valid name for a header")
    } else if RESERVED.contains(&name.to_ascii_lowercase().as_str()) {
        Some("the mail has one of its own")
    } else {
        None
    }
}
