//! Hands mails to a server. One connection a mail: reports are rare, and a kept connection is one more state.
//!
//! The transaction is driven here and not by the transport's own `send`, because that gives up a mail when the
//! first of its recipients is refused.

use std::time::Duration;

use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailBodyParameter, MailParameter};

use super::compose::{Composed, compose};
use super::smtp_error::{Stage, explain, is_lasting};
use super::wording::count;
use super::{DeliveryError, MailMessage};
use crate::model::{MailPlan, MailTls};

/// For the whole conversation. Servers may take a minute to look up names and check content; five minutes is
/// what the standard grants each command, but an outbox that tries again need not wait so long.
const TIMEOUT: Duration = Duration::from_mins(2);
/// The mail is taken by then; saying good-bye is courtesy.
const GOOD_BYE: Duration = Duration::from_secs(2);
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

/// Hands a mail to the server, within a time bound. `password` is the revealed one.
pub async fn send_mail(plan: &MailPlan, password: Option<String>, message: &MailMessage) -> Result<(), DeliveryError> {
    send_mail_with(plan, password, message, &SendOptions::default()).await
}

/// Hands a mail to the server, the caller says how.
pub async fn send_mail_with(
    plan: &MailPlan,
    password: Option<String>,
    message: &MailMessage,
    options: &SendOptions,
) -> Result<(), DeliveryError> {
    let mail = compose(message).map_err(|message| DeliveryError { message, final_: true })?;
    let mut talk = Talk { plan, server: format!("{}:{}", plan.host, plan.port), stage: Stage::Connect };
    let login = plan.user.clone().map(|user| Credentials::new(user, password.clone().unwrap_or_default()));
    let result =
        match tokio::time::timeout(options.timeout, talk.deliver(&mail, login, message.wait_for_all, options)).await {
            Ok(result) => result,
            Err(_) => Err(talk.timed_out(options.timeout)),
        };
    result.map_err(|error| without(password.as_deref(), error))
}

/// One conversation with a server.
struct Talk<'a> {
    plan: &'a MailPlan,
    server: String,
    /// What is being done, for the error.
    stage: Stage,
}

impl Talk<'_> {
    async fn deliver(
        &mut self,
        mail: &Composed,
        login: Option<Credentials>,
        wait_for_all: bool,
        options: &SendOptions,
    ) -> Result<(), DeliveryError> {
        let mut connection = self.connect(options).await?;
        if let Some(login) = &login {
            self.stage = Stage::LogIn;
            let answer = connection.auth(DEFAULT_MECHANISMS, login).await;
            self.told(answer)?;
        }
        self.envelope(&mut connection, mail, wait_for_all).await?;
        self.stage = Stage::Content;
        let answer = connection.command(Data).await;
        self.told(answer)?;
        let answer = connection.message(&mail.bytes).await;
        self.told(answer)?;
        // From here on the mail is the server's, whatever happens to the connection.
        let _ = tokio::time::timeout(GOOD_BYE, connection.quit()).await;
        Ok(())
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

    /// Names sender and recipients. Recipients that are refused for good do not keep the others from the mail.
    async fn envelope(
        &mut self,
        connection: &mut AsyncSmtpConnection,
        mail: &Composed,
        wait_for_all: bool,
    ) -> Result<(), DeliveryError> {
        self.stage = Stage::Sender;
        let parameters = self.parameters(connection, mail)?;
        let answer = connection.command(Mail::new(Some(mail.from.email.clone()), parameters)).await;
        self.told(answer)?;
        self.stage = Stage::Recipient;
        let mut refusals: Vec<(String, DeliveryError)> = Vec::new();
        for recipient in &mail.to {
            if let Err(error) = connection.command(Rcpt::new(recipient.email.clone(), Vec::new())).await {
                let explained = explain(&self.server, self.stage, &error);
                let for_now = error.is_transient() && wait_for_all;
                if error.status().is_none() || for_now || (error.is_permanent() && !is_lasting(&error)) {
                    return Err(about(recipient.email.as_ref(), &explained));
                }
                refusals.push((recipient.email.to_string(), explained));
            }
        }
        self.judge(&refusals, mail.to.len())
    }

    /// All refused: an error, final if each refusal is. Some refused: a warning in the master's log.
    fn judge(&self, refusals: &[(String, DeliveryError)], recipients: usize) -> Result<(), DeliveryError> {
        if refusals.len() < recipients {
            for (recipient, error) in refusals {
                tracing::warn!(server = %self.server, recipient, "a recipient was refused, the others get the mail: {error}");
            }
            return Ok(());
        }
        let Some((first, error)) = refusals.first() else { return Ok(()) };
        let others = match recipients {
            1 => String::new(),
            n => format!(" and {}", count(n - 1, "other")),
        };
        let final_ = refusals.iter().all(|(_, error)| error.final_);
        Err(DeliveryError { final_, ..about(&format!("{first}{others}"), error) })
    }

    fn parameters(
        &self,
        connection: &AsyncSmtpConnection,
        mail: &Composed,
    ) -> Result<Vec<MailParameter>, DeliveryError> {
        let mut parameters = Vec::new();
        let mut addresses = mail.to.iter().chain([&mail.from]).map(|mailbox| mailbox.email.to_string());
        if let Some(address) = addresses.find(|address| !address.is_ascii()) {
            if !connection.server_info().supports_feature(Extension::SmtpUtfEight) {
                let error = self.failed(&format!("takes no address with letters beyond ASCII, as in `{address}`"));
                return Err(DeliveryError { final_: true, ..error });
            }
            parameters.push(MailParameter::SmtpUtfEight);
        }
        if !mail.bytes.is_ascii() && connection.server_info().supports_feature(Extension::EightBitMime) {
            parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
        }
        Ok(parameters)
    }

    fn told<T>(&self, answer: Result<T, Error>) -> Result<T, DeliveryError> {
        answer.map_err(|error| explain(&self.server, self.stage, &error))
    }

    fn failed(&self, what: &str) -> DeliveryError {
        DeliveryError { message: format!("the mail server `{}` {what}", self.server), final_: false }
    }

    fn timed_out(&self, after: Duration) -> DeliveryError {
        let span = crate::base::Span::from(after);
        self.failed(&format!("did not answer within {span} while {}", self.stage.doing()))
    }
}

fn about(recipient: &str, error: &DeliveryError) -> DeliveryError {
    DeliveryError { message: format!("{}, for {recipient}", error.message), final_: error.final_ }
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
