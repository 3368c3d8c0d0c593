//! Reports to people: what they say (pure) and how they travel (I/O), fed by the outbox.
//!
//! This room knows no store and no clock: whoever calls collects the [`BuildFacts`] first.

mod address;
mod compose;
mod excerpt;
mod facts;
mod header;
mod html;
mod message;
mod recipients;
mod render;
mod send;
mod smtp_error;
mod story;
mod template;
mod text;
mod wording;

pub use facts::{BuildFacts, Excerpt};
pub use message::MailMessage;
pub use render::{Templates, render_mail};
pub use send::{SendOptions, send_mail, send_mail_with};
pub use smtp_error::DeliveryError;
pub use story::{build_page, guilty_steps};
