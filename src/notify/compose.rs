//! From a mail in plain words to its wire form. The recipients depend on whom the server accepts, so the envelope comes first.

use std::time::{Duration, UNIX_EPOCH};

use lettre::message::header::{Date, Headers};
use lettre::message::{Mailbox, MultiPart, SinglePart};

use super::address::mailbox;
use super::{MailMessage, header};

/// Sender and recipients.
pub(super) struct Envelope {
    pub from: Mailbox,
    /// Never empty.
    pub to: Vec<Mailbox>,
}

/// Who a mail goes to, or why it can go to nobody.
pub(super) fn envelope(message: &MailMessage) -> Result<Envelope, String> {
    let from = mailbox(&message.from)
        .ok_or_else(|| format!("the sender `{}` is not a valid mail address; set `sender` to one", message.from))?;
    let to: Vec<Mailbox> = message.to.iter().filter_map(|text| mailbox(text)).collect();
    if to.is_empty() {
        return Err(
            "there is nobody to write to: `to` is empty, and no change of the build has an author with a mail address"
                .to_owned(),
        );
    }
    Ok(Envelope { from, to })
}

/// The wire form. It is ASCII unless one of these addresses is not.
pub(super) fn compose(message: &MailMessage, from: &Mailbox, to: &[Mailbox]) -> Vec<u8> {
    let millis = u64::try_from(message.date.as_millis()).unwrap_or(0);
    let mut date = Headers::new();
    date.set(Date::new(UNIX_EPOCH + Duration::from_millis(millis)));
    let mut head = header::text("Message-ID", &message.message_id);
    head += &date.to_string();
    head += &header::mailboxes("From", std::slice::from_ref(from));
    head += &header::mailboxes("To", to);
    head += &header::text("Subject", &message.subject);
    for (name, value) in &message.headers {
        head += &header::text(name, value);
    }
    head += "MIME-Version: 1.0\r\n";
    let mut bytes = head.into_bytes();
    // Chooses an encoding that keeps lines short and the mail ASCII.
    let text = SinglePart::plain(message.text.clone());
    bytes.extend(match &message.html {
        Some(html) => MultiPart::alternative().singlepart(text).singlepart(SinglePart::html(html.clone())).formatted(),
        None => text.formatted(),
    });
    bytes
}
