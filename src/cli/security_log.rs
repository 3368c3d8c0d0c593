//! What commands that change users and tokens leave in the log of the state directory.

use std::path::Path;
use std::sync::Arc;

use crate::auth::{SecurityEvent, SecurityLog};
use crate::base::SystemClock;

/// Who may write in the state directory may do anything to the master.
const WHO: &str = "the administrator on the master's machine";

/// Takes note of a change.
pub(super) fn note(data: &Path, what: SecurityEvent, about: &str) {
    SecurityLog::of(data, Arc::new(SystemClock)).note(what, WHO, None, (about, ""));
}
