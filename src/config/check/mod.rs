//! Checks of whole files and of the whole plan, beyond what single declarations see.

mod calls;
mod cycles;
mod directories;
mod known;
mod loads;
mod records;
mod references;
mod requests;
mod rights;
mod scope;
mod shell_text;
mod static_types;
mod step_words;
mod thrown_away;
mod unfilled;
mod unheard;
mod unused_sources;

pub(super) use calls::{Calls, Signatures};
pub(super) use loads::missing_symbols;
pub(super) use records::{CHANGE, Field, OBJECT, REQUEST, USER, WORKER};
pub(super) use references::finish_plan;
pub(super) use requests::requests;
pub(super) use shell_text::shell_texts;
pub(super) use static_types::{lint, types};
pub(super) use step_words::step_words;
pub(super) use unfilled::unfilled;
