//! Which part of an ordered list a reader wants.

use super::backend::Direction;

/// Which part of an ordered list to read.
#[derive(Clone, Copy, Debug)]
pub struct Scan {
    /// Start after this key (in the direction of reading); none: at the end the direction starts from.
    pub after: Option<u64>,
    /// Whether to read from the highest key down.
    pub descending: bool,
    /// How many to read at most.
    pub limit: usize,
}

impl Scan {
    /// In which direction the list is read.
    pub(crate) fn direction(&self) -> Direction {
        if self.descending { Direction::Descending } else { Direction::Ascending }
    }
}
