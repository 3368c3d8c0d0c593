//! What files and functions `print`: for people who debug them, never part of what a build shows.
//!
//! Evaluation happens in processes that log nothing. So the texts are kept, within a bound, until the process takes them
//! along with its answer.

use std::cell::RefCell;

use starlark::PrintHandler;

/// Bytes that are kept of one evaluation: a page or two. A loop that prints more is of no use to anybody.
const PRINTED_BYTES_MAX: usize = 16 * 1024;

thread_local! {
    static PRINTED: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Keeps what is printed outside of build scripts.
pub(in crate::config) struct Printer;

impl PrintHandler for Printer {
    fn println(&self, text: &str) -> starlark::Result<()> {
        note(text);
        Ok(())
    }
}

/// Keeps one line.
pub(super) fn note(text: &str) {
    PRINTED.with_borrow_mut(|printed| {
        let room = PRINTED_BYTES_MAX.saturating_sub(printed.len());
        let end = text.floor_char_boundary(room.saturating_sub(1));
        if room > 0 {
            printed.push_str(&text[..end]);
            printed.push('\n');
        }
    });
}

/// What this thread's evaluations printed since the last call.
#[must_use]
pub fn take_printed() -> String {
    PRINTED.with_borrow_mut(std::mem::take)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_kept_within_a_bound() {
        note("ü");
        assert_eq!(take_printed(), "ü\n");
        (0..1000).for_each(|_| note(&"ü".repeat(100)));
        assert!((PRINTED_BYTES_MAX - 2..=PRINTED_BYTES_MAX).contains(&take_printed().len()));
        assert_eq!(take_printed(), "");
    }
}
