//! Templates: texts whose places are filled in when a build needs them.
//!
//! `parse` reads the text into segments, without any Starlark; `value` is the opaque Starlark value, which
//! joins and nests but is never a plain text; `fill` looks the values up; `path` keeps them from leading out of directories. What surrounds a value in a line for
//! a shell is the business of [`shell`](super::shell).

mod author_text;
mod check;
mod fill;
mod functions;
mod parse;
mod path;
mod value;

pub(super) use author_text::AuthorText;
pub(super) use check::check_literal;
pub(super) use fill::{message_text, parts_of, text_of, text_of_parts};
pub(super) use functions::template_functions;
pub(super) use value::Template;
