//! The ways to people: what each kind of notifier needs to know, what it writes, and how that travels. One line a kind in
//! each function; what is behind the lines is in files of its own.
//!
//! A delivery opens what it needs and closes it again. A kind that keeps a connection (a chat) hands its letters to a task
//! that owns it; the outbox bounds how many are under way and tries again what failed.

use std::fmt;
use std::path::Path;

use super::http::{self, HttpRequest, HttpSecrets};
use super::makers::{Makers, Reveal};
use super::render::render_mail;
use super::send::send_mail;
use super::story::tell;
use super::template::template_facts;
use super::{DeliveryError, MailMessage, ReportFacts, html::html, text::text};
use crate::model::{HttpPlan, MailPlan, NotifierKind};

/// How many last lines of a failed step's log a notifier includes.
pub fn log_lines(kind: &NotifierKind) -> u64 {
    match kind {
        NotifierKind::Mail(mail) => mail.log_lines,
        NotifierKind::Http(http) => http.log_lines,
        #[cfg(test)]
        NotifierKind::Paper(_) => 0,
    }
}

/// What delivering takes that nobody may see.
#[derive(Clone, Default)]
pub enum Credentials {
    #[default]
    Nothing,
    Password(String),
    Http(HttpSecrets),
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials")
    }
}

/// Looks up what delivering takes. `base` is the directory of the configuration.
///
/// # Errors
/// What is missing.
pub fn credentials(kind: &NotifierKind, base: &Path, reveal: Reveal<'_>) -> Result<Credentials, String> {
    Ok(match kind {
        NotifierKind::Mail(mail) => match &mail.password {
            Some(password) => Credentials::Password(reveal(password)?),
            None => Credentials::Nothing,
        },
        NotifierKind::Http(http) => Credentials::Http(HttpSecrets::of(http, base, reveal)?),
        #[cfg(test)]
        NotifierKind::Paper(_) => Credentials::Nothing,
    })
}

/// Writes a report as this kind of notifier says it. Pure.
///
/// # Errors
/// When a user's function makes nothing that can be sent.
pub fn write(kind: &NotifierKind, facts: &ReportFacts, makers: &Makers<'_>) -> Result<Letter, String> {
    match kind {
        NotifierKind::Mail(plan) => {
            let message = Box::new(render_mail(plan, facts, makers.text));
            Ok(Letter::Mail { message, plan: plan.clone() })
        }
        NotifierKind::Http(plan) => {
            let story = tell(plan.log_lines, facts);
            let message = template_facts(&story, facts, &text(&story), &html(&story));
            Ok(Letter::Http { requests: http::write(plan, &message, makers)?, plan: plan.clone() })
        }
        #[cfg(test)]
        NotifierKind::Paper(plan) => Ok(Letter::Paper(super::paper::write(plan, facts, makers.text))),
    }
}

/// Something written, with what its way takes.
#[derive(Clone, Debug)]
pub enum Letter {
    Mail {
        plan: Box<MailPlan>,
        message: Box<MailMessage>,
    },
    Http {
        plan: Box<HttpPlan>,
        requests: Vec<HttpRequest>,
    },
    #[cfg(test)]
    Paper(super::paper::Note),
}

impl Letter {
    /// Delivers it, within a bound of time. Returns remarks on what is wrong with it although it arrived.
    ///
    /// # Errors
    /// When nobody got it; whether trying again can help is said.
    pub async fn deliver(&self, credentials: Credentials) -> Result<Vec<String>, DeliveryError> {
        match self {
            Self::Mail { plan, message } => {
                let password = match credentials {
                    Credentials::Password(password) => Some(password),
                    Credentials::Nothing | Credentials::Http(_) => None,
                };
                let left_out = send_mail(plan, password, message).await?;
                Ok(message.remarks.iter().cloned().chain(left_out).collect())
            }
            Self::Http { plan, requests } => {
                let secrets = match credentials {
                    Credentials::Http(secrets) => secrets,
                    Credentials::Nothing | Credentials::Password(_) => HttpSecrets::default(),
                };
                http::send(plan, &secrets, requests).await?;
                Ok(Vec::new())
            }
            #[cfg(test)]
            Self::Paper(note) => note.deliver().await,
        }
    }
}
