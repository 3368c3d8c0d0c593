//! How a step, build, request or buildset ended.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The seven outcomes, with Buildbot's numbers (docs/reference/rest-api-v2.md#results).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Outcome {
    /// All well.
    Success,
    /// Well, with something to look at.
    Warnings,
    /// What was built is broken.
    Failure,
    /// Not run.
    Skipped,
    /// The CI system or its set-up is broken.
    Exception,
    /// Will run again, for example because the worker was lost.
    Retry,
    /// Somebody stopped it.
    Cancelled,
}

impl Outcome {
    /// All of them, in order of their numbers.
    pub const ALL: [Self; 7] =
        [Self::Success, Self::Warnings, Self::Failure, Self::Skipped, Self::Exception, Self::Retry, Self::Cancelled];

    /// The number in the HTTP API.
    #[must_use]
    pub const fn code(self) -> i64 {
        match self {
            Self::Success => 0,
            Self::Warnings => 1,
            Self::Failure => 2,
            Self::Skipped => 3,
            Self::Exception => 4,
            Self::Retry => 5,
            Self::Cancelled => 6,
        }
    }

    /// The word for people and scripts.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Warnings => "warnings",
            Self::Failure => "failure",
            Self::Skipped => "skipped",
            Self::Exception => "exception",
            Self::Retry => "retry",
            Self::Cancelled => "cancelled",
        }
    }

    /// The outcome of a word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.word() == word)
    }

    /// The worse of two: cancelled, retry, exception, failure, warnings, success, skipped.
    #[must_use]
    pub const fn worse(self, other: Self) -> Self {
        if self.badness() >= other.badness() { self } else { other }
    }

    /// Whether what was built may be used: success, warnings, skipped.
    #[must_use]
    pub const fn is_ok(self) -> bool {
        matches!(self, Self::Success | Self::Warnings | Self::Skipped)
    }

    const fn badness(self) -> u8 {
        match self {
            Self::Skipped => 0,
            Self::Success => 1,
            Self::Warnings => 2,
            Self::Failure => 3,
            Self::Exception => 4,
            Self::Retry => 5,
            Self::Cancelled => 6,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
