//! Ways in which a script's evaluation ends before its last line. They travel as errors of the
//! evaluator; scripts cannot catch errors, so nothing swallows them.

use starlark::ErrorKind;

use crate::model::{Key, Outcome};

/// Why an evaluation ends here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Stop {
    /// An answer is not there yet.
    #[error("the script waits")]
    Suspend,
    /// The step in progress ends with this; none: with what its children came to.
    #[error("the step ends")]
    End { outcome: Option<Outcome>, summary: Option<String> },
    /// The script asks for something else than it did before.
    #[error("the script changed or is not deterministic: its call {} asked for {recorded}, now for {now}", path(key))]
    Changed { key: Key, recorded: String, now: String },
}

impl Stop {
    /// The error that ends the evaluation.
    pub(super) fn error(self) -> starlark::Error {
        starlark::Error::new_other(anyhow::Error::new(self))
    }

    /// The stop behind an error, if it is one.
    pub(super) fn of(error: &starlark::Error) -> Option<&Self> {
        match error.kind() {
            ErrorKind::Native(inner) | ErrorKind::Other(inner) => inner.downcast_ref(),
            _ => None,
        }
    }
}

fn path(key: &Key) -> String {
    key.0.iter().map(u32::to_string).collect::<Vec<_>>().join(".")
}
