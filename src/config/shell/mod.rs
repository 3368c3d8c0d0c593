//! Lines for a shell that have values filled in: each value is quoted as the text around it needs it, so that
//! it arrives as it is, or its place is refused.
//!
//! `lexer` reads a line as a POSIX shell does and says what surrounds each place; `nested` finds words that
//! another shell or interpreter will read as code; `line` puts both together. Knows no Starlark.

mod git_words;
mod lexer;
mod line;
mod nested;
#[cfg(test)]
mod real_shells;
mod word;

pub(super) use line::{
    Part, check_input, check_input_of_words, check_windows_words, check_words, has_places, places, render,
};
