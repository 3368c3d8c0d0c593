//! Fact files: the copy of the history that does not depend on the database.
//!
//! Each fact is appended to its build's folder, or, if it belongs to no build, to the segments of `facts/`.
//! From these files alone the database can be made again. They reach the system before a commit is
//! acknowledged (so they survive the death of the process), and the disk a little later (at a build's end,
//! when a segment is full, and after some amount of writing).

mod fence;
mod files;
mod group;
mod reader;
mod removals;

pub(crate) use fence::Fences;
pub(crate) use files::{FactFiles, SegmentWriter, ToSync, newest_flush, segments};
pub(crate) use reader::{FactReader, builds};
pub(crate) use removals::{
    end as end_of_removals, read as read_removals, read_from as read_removals_from, write as write_removals,
};
