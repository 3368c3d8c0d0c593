//! Reports to people: what they say (pure) and how they travel (I/O), fed by the outbox.
//!
//! This room knows no store and no clock: whoever calls collects the [`ReportFacts`] first.

mod address;
pub mod channel;
mod compose;
mod delivery_error;
mod excerpt;
mod facts;
mod header;
mod html;
mod http;
mod makers;
mod message;
#[cfg(test)]
mod paper;
mod recipients;
mod render;
mod send;
mod smtp_error;
mod story;
mod template;
mod text;
mod wording;

pub use channel::{Credentials, Letter};
pub use delivery_error::{DeliveryError, Pause};
pub use facts::{BuildFacts, Excerpt, ReportFacts, RequestFacts, SetBuild, SetFacts};
pub use makers::{Makers, Templates};
pub use message::MailMessage;
pub use render::render_mail;
pub use send::{SendOptions, send_mail, send_mail_with};
pub use story::guilty_steps;
