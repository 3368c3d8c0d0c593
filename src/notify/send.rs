//! Hands mails to a server. One connection a mail: reports are rare, and a kept connection is one more state.
//!
//! The transaction is driven here and not by the transport's own `send`, because that gives up a mail when the
//! first of its recipients is refused. A recipient that cannot be served costs nobody else the mail: who is left out is
//! told to the caller.

use std::time::Duration;

use lettre::message::Mailbox;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt, Rset};
use lettre::transport::smtp::extension::{ClientId, Extension, MailBodyParameter, MailParameter};

use super::compose::{Envelope, compose, envelope};
use super::smtp_error::{Stage, explain, is_lasting};
use super::wording::count;
use super::{DeliveryError, MailMessage};
use crate::model::{MailPlan, MailTls};

/// For the whole conversation. Servers may take a minute to look up names and check content; five minutes is
/// what the standard grants each command, but an outbox that tries again need not wait so long.
const TIMEOUT: Duration = Duration::from_mins(2);
/// The mail is taken by then; saying good-bye is courtesy.
const GOOD_BYE: Duration = Duration::from_secs(2);
/// Recipients of one transaction: servers must accept this many, and some accept no more (RFC 5321, 4.5.3.1.8).
const RECIPIENTS_MAX: usize = 100;
/// Shorter passwords are not looked for in errors: they would tear ordinary words apart.
const PASSWORD_CHARS_MIN: usize = 4;

/// How to send, beside what the plan says.
#[derive(Clone, Debug)]
pub struct SendOptions {
    /// For the whole conversation.
    pub timeout: Duration,
    /// Authorities to trust beside the system's: certificates in PEM form.
    pub authorities: Vec<String>,
}

impl Default for SendOptions {
    fn default() -> Self {
        Self { timeout: TIMEOUT, authorities: Vec::new() }
    }
}

/// Hands a mail to the server, within a time bound. `password` is the revealed one. Returns remarks on recipients that
/// do not get it.
pub async fn send_mail(
    plan: &MailPlan,
    password: Option<String>,
    message: &MailMessage,
) -> Result<Vec<String>, DeliveryError> {
    send_mail_with(plan, password, message, &SendOptions::default()).await
}

/// Hands a mail to the server, the caller says how.
pub async fn send_mail_with(
    plan: &MailPlan,
    password: Option<String>,
    message: &MailMessage,
    options: &SendOptions,
) -> Result<Vec<String>, DeliveryError> {
    let envelope = envelope(message).map_err(|message| DeliveryError { message, final_: true, pause: None })?;
    let server = format!("{}:{}", plan.host, plan.port);
    let mut talk = Talk { plan, server, message, stage: Stage::Connect, left_out: Vec::new(), given: 0, begun: false };
    let login = plan.user.clone().map(|user| Credentials::new(user, password.clone().unwrap_or_default()));
    let result = match tokio::time::timeout(options.timeout, talk.deliver(&envelope, login, options)).await {
        Ok(result) => result,
        Err(_) => Err(talk.timed_out(options.timeout)),
    };
    let hidden = |error| without(password.as_deref(), error);
    talk.outcome(result).map_err(hidden).map(|remarks| {
        let remarks =
            remarks.into_iter().map(|message| hidden(DeliveryError { message, final_: true, pause: None }).message);
        remarks.collect()
    })
}

/// One conversation with a server.
struct Talk<'a> {
    plan: &'a MailPlan,
    server: String,
    message: &'a MailMessage,
    /// What is being done, for the error.
    stage: Stage,
    /// Recipients that do not get the mail, and why.
    left_out: Vec<(String, DeliveryError)>,
    /// Recipients whose mail the server has taken.
    given: usize,
    /// A transaction was begun that came to nothing.
    begun: bool,
}

impl Talk<'_> {
    async fn deliver(
        &mut self,
        envelope: &Envelope,
        login: Option<Credentials>,
        options: &SendOptions,
    ) -> Result<(), DeliveryError> {
        let mut connection = self.connect(options).await?;
        if let Some(login) = &login {
            self.stage = Stage::LogIn;
            let answer = connection.auth(DEFAULT_MECHANISMS, login).await;
            self.told(answer)?;
        }
        let served = self.servable(&connection, envelope)?;
        for part in served.chunks(RECIPIENTS_MAX) {
            self.transaction(&mut connection, envelope, part).await?;
        }
        if self.given == 0 {
            return Err(self.all_refused());
        }
        // From here on the mail is the server's, whatever happens to the connection.
        let _ = tokio::time::timeout(GOOD_BYE, connection.quit()).await;
        Ok(())
    }

    /// What it came to. Those who have the mail have it, so what failed afterwards is a remark and no error: another try
    /// would give it to them twice.
    fn outcome(self, result: Result<(), DeliveryError>) -> Result<Vec<String>, DeliveryError> {
        let mut remarks: Vec<String> =
            self.left_out.iter().map(|(who, why)| format!("`{who}` did not get it: {why}.")).collect();
        match result {
            Err(error) if self.given == 0 => return Err(error),
            Err(error) => remarks.push(format!("only the first {} got it: {error}.", count(self.given, "recipient"))),
            Ok(()) => {}
        }
        Ok(remarks)
    }

    /// The recipients whose addresses this server can take: letters beyond ASCII before the `@` need an extension.
    fn servable(
        &mut self,
        connection: &AsyncSmtpConnection,
        envelope: &Envelope,
    ) -> Result<Vec<Mailbox>, DeliveryError> {
        self.stage = Stage::Recipient;
        if connection.server_info().supports_feature(Extension::SmtpUtfEight) {
            return Ok(envelope.to.clone());
        }
        if !is_ascii(&envelope.from) {
            return Err(DeliveryError { final_: true, ..self.takes_no(&envelope.from) });
        }
        let (served, odd): (Vec<Mailbox>, Vec<Mailbox>) = envelope.to.iter().cloned().partition(is_ascii);
        for mailbox in &odd {
            let why = DeliveryError { final_: true, ..self.takes_no(mailbox) };
            self.left_out.push((mailbox.email.to_string(), why));
        }
        if served.is_empty() { Err(self.all_refused()) } else { Ok(served) }
    }

    fn takes_no(&self, mailbox: &Mailbox) -> DeliveryError {
        self.failed(&format!("takes no address with letters beyond ASCII, as in `{}`", mailbox.email))
    }

    async fn connect(&mut self, options: &SendOptions) -> Result<AsyncSmtpConnection, DeliveryError> {
        let hello = ClientId::default();
        let server = (self.plan.host.as_str(), self.plan.port);
        let wrapped = match self.plan.tls {
            MailTls::Tls => Some(self.tls(options).await?),
            MailTls::None | MailTls::StartTls => None,
        };
        let connected = AsyncSmtpConnection::connect_tokio1(server, Some(options.timeout), &hello, wrapped, None).await;
        let mut connection = self.told(connected)?;
        if self.plan.tls == MailTls::StartTls {
            self.stage = Stage::Secure;
            let parameters = self.tls(options).await?;
            let answer = connection.starttls(parameters, &hello).await;
            self.told(answer)?;
        }
        Ok(connection)
    }

    /// Reads the system's authorities from disk, hence not on the async thread.
    async fn tls(&self, options: &SendOptions) -> Result<TlsParameters, DeliveryError> {
        let (host, authorities) = (self.plan.host.clone(), options.authorities.clone());
        let build = move || {
            let mut builder = TlsParameters::builder(host);
            for authority in authorities {
                builder = builder.add_root_certificate(Certificate::from_pem(authority.as_bytes())?);
            }
            builder.build_rustls()
        };
        let built = tokio::task::spawn_blocking(build).await;
        self.told(built.map_err(|error| self.failed(&format!("the certificates cannot be read: {error}")))?)
    }

    /// Gives the mail to these recipients, but for those that the server refuses.
    async fn transaction(
        &mut self,
        connection: &mut AsyncSmtpConnection,
        envelope: &Envelope,
        recipients: &[Mailbox],
    ) -> Result<(), DeliveryError> {
        self.stage = Stage::Sender;
        let bytes = compose(self.message, &envelope.from, recipients);
        let needs_utf8 = recipients.iter().chain([&envelope.from]).any(|mailbox| !is_ascii(mailbox));
        if std::mem::take(&mut self.begun) {
            let answer = connection.command(Rset).await;
            self.told(answer)?;
        }
        let parameters = parameters(connection, needs_utf8, bytes.is_ascii());
        let answer = connection.command(Mail::new(Some(envelope.from.email.clone()), parameters)).await;
        self.told(answer)?;
        let taken = self.recipients(connection, recipients).await?;
        if taken == 0 {
            // Others may be; the next transaction begins with a clean slate.
            self.begun = true;
            return Ok(());
        }
        self.stage = Stage::Content;
        let answer = connection.command(Data).await;
        self.told(answer)?;
        let answer = connection.message(&bytes).await;
        self.told(answer)?;
        self.given += taken;
        Ok(())
    }

    /// Names the recipients; how many were taken. Those that are refused for good do not keep the others from the mail.
    async fn recipients(
        &mut self,
        connection: &mut AsyncSmtpConnection,
        recipients: &[Mailbox],
    ) -> Result<usize, DeliveryError> {
        self.stage = Stage::Recipient;
        let mut taken = 0;
        for recipient in recipients {
            let Err(error) = connection.command(Rcpt::new(recipient.email.clone(), Vec::new())).await else {
                taken += 1;
                continue;
            };
            let explained = explain(&self.server, self.stage, &error);
            // Once somebody has it there is no waiting for others.
            let for_now = error.is_transient() && self.message.wait_for_all && self.given == 0;
            if error.status().is_none() || for_now || (error.is_permanent() && !is_lasting(&error)) {
                return Err(about(recipient.email.as_ref(), &explained));
            }
            self.left_out.push((recipient.email.to_string(), explained));
        }
        Ok(taken)
    }

    /// The error for a mail that nobody gets; final if each refusal is.
    fn all_refused(&self) -> DeliveryError {
        let Some((first, error)) = self.left_out.first() else { return self.failed("took no recipient") };
        let others = match self.left_out.len() {
            1 => String::new(),
            n => format!(" and {}", count(n - 1, "other")),
        };
        let final_ = self.left_out.iter().all(|(_, error)| error.final_);
        DeliveryError { final_, ..about(&format!("{first}{others}"), error) }
    }

    fn told<T>(&self, answer: Result<T, Error>) -> Result<T, DeliveryError> {
        answer.map_err(|error| explain(&self.server, self.stage, &error))
    }

    fn failed(&self, what: &str) -> DeliveryError {
        DeliveryError { message: format!("the mail server `{}` {what}", self.server), final_: false, pause: None }
    }

    fn timed_out(&self, after: Duration) -> DeliveryError {
        let span = crate::base::Span::from(after);
        self.failed(&format!("did not answer within {span} while {}", self.stage.doing()))
    }
}

fn is_ascii(mailbox: &Mailbox) -> bool {
    AsRef::<str>::as_ref(&mailbox.email).is_ascii()
}

fn parameters(connection: &AsyncSmtpConnection, needs_utf8: bool, ascii: bool) -> Vec<MailParameter> {
    let mut parameters = Vec::new();
    if needs_utf8 {
        parameters.push(MailParameter::SmtpUtfEight);
    }
    if !ascii && connection.server_info().supports_feature(Extension::EightBitMime) {
        parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
    }
    parameters
}

fn about(recipient: &str, error: &DeliveryError) -> DeliveryError {
    DeliveryError { message: format!("{}, for {recipient}", error.message), ..error.clone() }
}

/// Servers may repeat what they were told; the password does not go into an error all the same.
fn without(password: Option<&str>, error: DeliveryError) -> DeliveryError {
    match password {
        Some(password) if password.chars().count() >= PASSWORD_CHARS_MIN => {
            DeliveryError { message: error.message.replace(password, "***"), ..error }
        }
        _ => error,
    }
}
