//! How far long work is, on standard error: a line that changes on a terminal, else a line now and then.

use std::io::{self, IsTerminal as _, Write as _};

use super::output::{check, errln, grouped};
use crate::base::{Clock as _, Span, SystemClock, Timestamp};
use crate::store::maintain::Progress;

/// Between two changes of the line on a terminal: often enough to look alive.
const TERMINAL_EVERY: Span = Span::from_millis(100);
/// Between two lines elsewhere: a log stays readable.
const LINE_EVERY: Span = Span::from_seconds(5);

/// Shows progress; says nothing about work that is quick.
#[derive(Debug)]
pub(super) struct ProgressBar {
    verb: &'static str,
    is_terminal: bool,
    shown: Timestamp,
    /// A line stands on the terminal that the next one has to overwrite.
    is_open: bool,
}

impl ProgressBar {
    pub(super) fn new(verb: &'static str) -> Self {
        Self { verb, is_terminal: io::stderr().is_terminal(), shown: SystemClock.now(), is_open: false }
    }

    pub(super) fn show(&mut self, progress: Progress) {
        let now = SystemClock.now();
        let every = if self.is_terminal { TERMINAL_EVERY } else { LINE_EVERY };
        if now.since(self.shown) < every {
            return;
        }
        self.shown = now;
        let text = format!("{} {} {}", self.verb, grouped(progress.done), progress.what);
        if self.is_terminal {
            // Clears what is left of a longer line.
            check(write!(io::stderr(), "\r{text}\x1b[K"));
            let _nobody_looks = io::stderr().flush();
            self.is_open = true;
        } else {
            errln!("{text}");
        }
    }

    /// Takes the line away, so that what follows stands alone.
    pub(super) fn end(&mut self) {
        if std::mem::take(&mut self.is_open) {
            check(write!(io::stderr(), "\r\x1b[K"));
        }
    }
}

impl Drop for ProgressBar {
    fn drop(&mut self) {
        self.end();
    }
}
