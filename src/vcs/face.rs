//! Signatures that the other rooms use; bodies follow.
#![allow(clippy::missing_errors_doc, unused_variables, clippy::todo, clippy::unused_async)]

use std::collections::BTreeMap;
use std::path::Path;

use crate::model::{ChangeSourcePlan, Cursor, NewChange};

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct PollError {
    /// For people: what failed, of which repository, and what would do.
    pub message: String,
}

/// Polls a source once. `cache` is a folder of this source alone, for what it keeps between polls.
pub async fn poll(
    source: &ChangeSourcePlan,
    cursor: Option<Cursor>,
    cache: &Path,
) -> Result<(Vec<NewChange>, Cursor), PollError> {
    todo!()
}

/// Why a hook was refused: status (400 or 500) and text (REST specification, section 15.4).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct HookError {
    pub status: u16,
    pub message: String,
}

/// The `base` dialect of `/change_hook`: parameters of a form or query. `PropValue`s as JSON.
pub fn base_hook(params: &BTreeMap<String, Vec<String>>) -> Result<Vec<NewChange>, HookError> {
    todo!()
}
