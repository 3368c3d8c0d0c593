//! Why a mail was not taken, in words, and whether trying again can help.
//!
//! Only what the server says of this very mail is final: its sender, its recipients, its content. A server
//! that is away, a certificate that ran out, a password that was changed can be put right while the mail
//! waits in the outbox.

use lettre::transport::smtp::Error;

use super::DeliveryError;
use crate::base::chain;

/// What was being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Connect,
    Secure,
    LogIn,
    Sender,
    Recipient,
    Content,
}

impl Stage {
    /// To follow "while".
    pub(super) const fn doing(self) -> &'static str {
        match self {
            Self::Connect => "connecting",
            Self::Secure => "agreeing on encryption",
            Self::LogIn => "logging in",
            Self::Sender => "naming the sender",
            Self::Recipient => "naming the recipients",
            Self::Content => "handing over the mail",
        }
    }
}

/// Whether a server's refusal of the mail itself will stay.
pub(super) fn is_lasting(error: &Error) -> bool {
    // 530, 534, 535 and 538 ask for another login or for encryption: set-up, not the mail.
    let about_set_up =
        error.status().is_some_and(|code| matches!(code.to_string().as_str(), "530" | "534" | "535" | "538"));
    error.is_permanent() && !about_set_up
}

/// The words for an error of the transport; `server` is `host:port`.
pub(super) fn explain(server: &str, stage: Stage, error: &Error) -> DeliveryError {
    let final_ = matches!(stage, Stage::Sender | Stage::Recipient | Stage::Content) && is_lasting(error);
    DeliveryError { message: format!("the mail server `{server}` {}", words(stage, error)), final_, pause: None }
}

fn words(stage: Stage, error: &Error) -> String {
    let doing = stage.doing();
    if let Some(answer) = answer(error) {
        let hint = hint(stage, error);
        return format!("refused while {doing}: {answer}{hint}");
    }
    let cause = cause(error);
    if error.is_tls() || stage == Stage::Secure || cause.contains("certificate") {
        return format!("cannot be trusted while {doing}: {cause}{}", certificate_hint(&cause));
    }
    if cause.contains("failed to lookup") || cause.contains("Name or service not known") {
        return format!("is not known to the name service; check `host`: {cause}");
    }
    let hint = if cause.contains("refused") { "; is it running, and is `port` right?" } else { "" };
    format!("failed while {doing}: {cause}{hint}")
}

/// The server's own answer: code and text.
fn answer(error: &Error) -> Option<String> {
    let code = error.status()?;
    let text = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    Some(format!("{code} {}", super::wording::one_line(&text, 300)).trim_end().to_owned())
}

fn hint(stage: Stage, error: &Error) -> &'static str {
    let code = error.status().map(|code| code.to_string()).unwrap_or_default();
    match (stage, code.as_str()) {
        (Stage::LogIn, "535") => "; check `user` and `password`",
        (_, "530") => "; it wants a login or encryption: set `user` and `password`, or `tls`",
        (_, "534" | "538") => "; it wants encryption before the login: set `tls`",
        _ => "",
    }
}

fn cause(error: &Error) -> String {
    let source = std::error::Error::source(error);
    super::wording::one_line(&source.map_or_else(|| error.to_string(), chain), 300)
}

fn certificate_hint(cause: &str) -> &'static str {
    if cause.contains("UnknownIssuer") || cause.contains("CaUsedAsEndEntity") {
        "; its certificate is not signed by an authority that this machine knows: add the authority to the system's, \
         or name its file in the variable SSL_CERT_FILE of the master"
    } else if cause.contains("NotValidForName") {
        "; its certificate is for another name: set `host` to the name in it"
    } else if cause.contains("Expired") {
        "; its certificate ran out"
    } else if cause.contains("STARTTLS is not supported") {
        "; it offers no STARTTLS: set `tls` to what it has"
    } else {
        ""
    }
}
