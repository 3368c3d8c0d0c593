//! From a mail in plain words to its wire form. The builder encodes whatever is not ASCII and folds long lines.

use std::time::{Duration, UNIX_EPOCH};

use lettre::Message;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};

use super::MailMessage;
use super::address::mailbox;

/// A mail as it goes over the wire.
pub(super) struct Composed {
    pub from: Mailbox,
    /// Never empty.
    pub to: Vec<Mailbox>,
    pub bytes: Vec<u8>,
}

/// The wire form, or why there can be none.
pub(super) fn compose(message: &MailMessage) -> Result<Composed, String> {
    let from = mailbox(&message.from)
        .ok_or_else(|| format!("the sender `{}` is no mail address; set `sender` to one", message.from))?;
    let to: Vec<Mailbox> = message.to.iter().filter_map(|text| mailbox(text)).collect();
    if to.is_empty() {
        return Err(
            "there is nobody to write to: `to` is empty, and no change of the build has an author with a mail address"
                .to_owned(),
        );
    }
    let millis = u64::try_from(message.date.as_millis()).unwrap_or(0);
    let mut builder = Message::builder()
        .message_id(Some(message.message_id.clone()))
        .date(UNIX_EPOCH + Duration::from_millis(millis))
        .from(from.clone())
        .subject(message.subject.clone());
    for recipient in &to {
        builder = builder.to(recipient.clone());
    }
    for (name, value) in &message.headers {
        let name = HeaderName::new_from_ascii(name.clone()).map_err(|_| format!("`{name}` is no name of a header"))?;
        builder = builder.raw_header(HeaderValue::new(name, value.clone()));
    }
    let built = match &message.html {
        Some(html) => builder.multipart(MultiPart::alternative_plain_html(message.text.clone(), html.clone())),
        None => builder.singlepart(SinglePart::plain(message.text.clone())),
    };
    let bytes = built.map_err(|error| format!("the mail cannot be written: {error}"))?.formatted();
    Ok(Composed { from, to, bytes })
}
