//! Signatures that the other rooms use; bodies follow.
#![allow(clippy::missing_errors_doc, unused_variables, clippy::todo, clippy::unused_async)]

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::Timestamp;
use crate::model::{
    BuildRecord, BuilderRecord, BuildsetRecord, Change, FnId, MailPlan, Outcome, Report, StepRecord, Value,
};

/// Everything a message about a build can tell; collected from the store by the master.
#[derive(Clone, Debug)]
pub struct BuildFacts {
    pub report: Report,
    pub installation: String,
    pub title: String,
    /// Address of the pages, ends with `/`.
    pub url: String,
    pub builder: BuilderRecord,
    pub worker: String,
    pub build: BuildRecord,
    pub buildset: Option<BuildsetRecord>,
    pub changes: Vec<Change>,
    pub steps: Vec<StepRecord>,
    pub previous: Option<Outcome>,
    /// The last lines of each failed step's log: step name, log name, lines (decoded, plain).
    pub excerpts: Vec<Excerpt>,
    pub now: Timestamp,
}

/// The end of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt {
    pub step: String,
    pub log: String,
    pub lines: Vec<String>,
    /// Lines before these.
    pub before: u64,
}

/// A mail, rendered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailMessage {
    pub message_id: String,
    pub from: String,
    pub to: Vec<String>,
    pub subject: String,
    pub text: String,
    pub html: Option<String>,
    pub headers: BTreeMap<String, String>,
}

/// Calls the user's template functions.
pub type Templates<'a> = &'a dyn Fn(FnId, &Value) -> Result<String, String>;

/// The message for a build. Pure. A user's template that fails gives our own text with a remark in it.
pub fn render_mail(plan: &MailPlan, facts: &BuildFacts, templates: Templates<'_>) -> MailMessage {
    todo!()
}

/// Why a mail was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct DeliveryError {
    pub message: String,
    /// Trying again cannot help.
    pub final_: bool,
}

/// Hands a mail to the server, within a time bound. `password` is the revealed one.
pub async fn send_mail(plan: &MailPlan, password: Option<String>, message: &MailMessage) -> Result<(), DeliveryError> {
    todo!()
}

/// Kept for callers that share plans.
pub type SharedMailPlan = Arc<MailPlan>;
