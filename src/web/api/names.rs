//! What the variable elements of a path name: numbers, and things in the store. For reading and for control alike.

use super::error::ApiError;
use crate::model::{BuildId, BuildRecord, BuilderId, BuilderRecord, WorkerId, WorkerRecord};
use crate::web::history::VisibleHistory;

/// The names in a path.
#[derive(Clone, Copy)]
pub struct Names<'a> {
    pub store: &'a VisibleHistory<'a>,
    /// Below `/api/v2/`, decoded; for texts.
    pub path: &'a str,
    /// The variable elements of the path by name, decoded.
    pub params: &'a [(String, String)],
}

impl<'a> Names<'a> {
    /// An element of the path.
    pub fn text(&self, name: &str) -> &'a str {
        self.params.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// Whether the path has such an element.
    pub fn has(&self, name: &str) -> bool {
        self.params.iter().any(|(key, _)| key == name)
    }

    /// An element that must be a number.
    pub fn number(&self, name: &str) -> Result<u64, ApiError> {
        self.text(name).parse().map_err(|_| ApiError::path(self.path))
    }

    /// The builder that the path names by id or name.
    pub fn builder(&self) -> Result<Option<BuilderRecord>, ApiError> {
        if self.has("builderid") {
            Ok(self.store.builder(BuilderId(self.number("builderid")?))?)
        } else {
            Ok(self.store.builder_named(self.text("buildername"))?)
        }
    }

    /// The build that the path names, under any of the three prefixes.
    pub fn build(&self) -> Result<Option<BuildRecord>, ApiError> {
        if self.has("buildid") {
            return Ok(self.store.build(BuildId(self.number("buildid")?))?);
        }
        let number = self.number("build_number")?;
        match self.builder()? {
            Some(builder) => Ok(self.store.build_by_number(builder.id, number)?),
            None => Ok(None),
        }
    }

    /// The worker that the path names by id or name.
    pub fn worker(&self) -> Result<Option<WorkerRecord>, ApiError> {
        if self.has("workerid") {
            Ok(self.store.worker(WorkerId(self.number("workerid")?))?)
        } else {
            Ok(self.store.worker_named(self.text("name"))?)
        }
    }
}
