//! The ways to people: what each kind of notifier needs to know, what it writes, and how that travels. One line a kind in
//! each function; what is behind the lines is in files of its own.
//!
//! A delivery opens what it needs and closes it again. A kind that keeps a connection (a chat) hands its letters to a task
//! that owns it; the outbox bounds how many are under way and tries again what failed.

use super::render::{Templates, render_mail};
use super::send::send_mail;
use super::{DeliveryError, MailMessage, ReportFacts};
use crate::model::{MailPlan, NotifierKind, Text};

/// How many last lines of a failed step's log a notifier includes.
pub fn log_lines(kind: &NotifierKind) -> u64 {
    match kind {
        NotifierKind::Mail(mail) => mail.log_lines,
        #[cfg(test)]
        NotifierKind::Paper(_) => 0,
    }
}

/// The password that delivering takes, to be revealed by the caller.
pub fn password(kind: &NotifierKind) -> Option<&Text> {
    match kind {
        NotifierKind::Mail(mail) => mail.password.as_ref(),
        #[cfg(test)]
        NotifierKind::Paper(_) => None,
    }
}

/// Writes a report as this kind of notifier says it. Pure.
pub fn write(kind: &NotifierKind, facts: &ReportFacts, templates: Templates<'_>) -> Letter {
    match (kind, facts) {
        (NotifierKind::Mail(plan), ReportFacts::Build(facts)) => {
            Letter::Mail { message: Box::new(render_mail(plan, facts, templates)), plan: plan.clone() }
        }
        #[cfg(test)]
        (NotifierKind::Paper(plan), facts) => Letter::Paper(super::paper::write(plan, facts, templates)),
    }
}

/// Something written, with what its way takes.
#[derive(Clone, Debug)]
pub enum Letter {
    Mail {
        plan: Box<MailPlan>,
        message: Box<MailMessage>,
    },
    #[cfg(test)]
    Paper(super::paper::Note),
}

impl Letter {
    /// Delivers it, within a bound of time. Returns remarks on what is wrong with it although it arrived.
    ///
    /// # Errors
    /// When nobody got it; whether trying again can help is said.
    pub async fn deliver(&self, password: Option<String>) -> Result<Vec<String>, DeliveryError> {
        match self {
            Self::Mail { plan, message } => {
                let left_out = send_mail(plan, password, message).await?;
                Ok(message.remarks.iter().cloned().chain(left_out).collect())
            }
            #[cfg(test)]
            Self::Paper(note) => note.deliver().await,
        }
    }
}
