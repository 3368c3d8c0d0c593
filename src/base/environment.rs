//! The one place that reads environment variables.
//!
//! Everything else asks here, so it is clear where the outside world comes in.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

/// The variable of this name; none when it is unset or not UTF-8.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The variable of this name as the system keeps it.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
pub fn variable_os(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// All variables, as the system keeps them.
#[must_use]
pub fn variables_os() -> BTreeMap<OsString, OsString> {
    std::env::vars_os().collect()
}

/// Names this start of the machine; none where the system does not say.
#[must_use]
pub fn boot_id() -> Option<String> {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(id.trim().to_owned()).filter(|id| !id.is_empty())
}

/// The home directory of the user that runs us.
#[must_use]
pub fn home() -> Option<PathBuf> {
    std::env::home_dir().filter(|path| !path.as_os_str().is_empty())
}
