//! Reports to people: what they say (pure) and how they travel (I/O), fed by the outbox.
//!
//! This room knows no store and no clock: whoever calls collects the [`BuildFacts`] first.

mod address;
pub mod channel;
mod compose;
mod excerpt;
mod facts;
mod header;
mod html;
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

pub use channel::Letter;
pub use facts::{BuildFacts, Excerpt, ReportFacts};
pub use message::MailMessage;
pub use render::render_mail;
pub use send::{SendOptions, send_mail, send_mail_with};
pub use smtp_error::DeliveryError;
pub use story::guilty_steps;
