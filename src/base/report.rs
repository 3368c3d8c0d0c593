//! Shows an error to people: the chain of causes on one line, a hint on the next.

use std::error::Error;

/// Whose turn it is when something failed; exit codes and log levels follow from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Configuration or arguments.
    User,
    /// Disk, network, forge, worker.
    Environment,
    /// Us.
    Bug,
}

/// An error that people read: whose turn it is, and what would help.
pub trait Explained: Error {
    /// Whose turn it is. Exit codes follow from it.
    fn fault(&self) -> Fault;

    /// What to do about it, if the text does not say so.
    fn hint(&self) -> Option<String> {
        None
    }
}

/// An error and its causes, joined by `: `. A cause is skipped if the text before it already ends with it.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.ends_with(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("read `x`")]
    struct Outer(#[source] Inner);

    #[derive(Debug, thiserror::Error)]
    #[error("no such file")]
    struct Inner;

    #[test]
    fn causes_follow_their_effect() {
        assert_eq!(chain(&Outer(Inner)), "read `x`: no such file");
    }
}
