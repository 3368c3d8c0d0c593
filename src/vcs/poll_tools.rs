//! What a poll may use of its surroundings.

use std::path::Path;

use crate::base::Clock;

/// What a poll may use.
#[derive(Clone, Copy, Debug)]
pub struct PollTools<'a> {
    /// A directory of this source alone, for what it keeps between polls.
    pub cache: &'a Path,
    /// What the kind's `token` reveals.
    pub token: Option<&'a str>,
    pub clock: &'a dyn Clock,
}
