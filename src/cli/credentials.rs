//! Which key a command presents to a master: the one that it is given, else that of `starwright login`, else the one that
//! the master left for its own machine.

use std::path::{Path, PathBuf};

use super::args::MasterAddress;
use super::error::CliError;
use crate::auth::{MachineKey, StoredLogins};
use crate::base::environment::{home, variable, variable_os};
use crate::base::{Authority, chain};

/// The state directory of a master that was started here.
const USUAL_DATA: &str = ".starwright";

/// The key for a master; none: it is called without one.
pub(super) fn key_for(master: &MasterAddress, base: &str) -> Result<Option<String>, CliError> {
    if let Some(token) = &master.token {
        return Ok(Some(token.trim().to_owned()));
    }
    // Without a home directory there is nothing kept.
    if let Ok(stored) = stored()
        && let Some(key) = stored.find(base).map_err(|error| CliError::environment(chain(&error)))?
    {
        return Ok(Some(key));
    }
    let data = variable_os("STARWRIGHT_DATA").map_or_else(|| PathBuf::from(USUAL_DATA), PathBuf::from);
    Ok(machine_key(&data, base))
}

/// The keys that this user keeps.
pub(super) fn stored() -> Result<StoredLogins, CliError> {
    let unknown = || CliError::environment("your home directory is not known, so no login can be kept there");
    let config = variable("XDG_CONFIG_HOME").or_else(|| variable("APPDATA")).filter(|dir| !dir.is_empty());
    let config = match config {
        Some(dir) => PathBuf::from(dir),
        None => home().ok_or_else(unknown)?.join(".config"),
    };
    Ok(StoredLogins::at(config.join("starwright").join("logins.json")))
}

/// The key that the master of a state directory left, if it is this master: no other one gets to see it.
fn machine_key(data: &Path, base: &str) -> Option<String> {
    let MachineKey { url, key } = MachineKey::of(data)?;
    is_same(&url, base).then_some(key)
}

fn is_same(one: &str, other: &str) -> bool {
    let (Some(one), Some(other)) = (Authority::of_url(one), Authority::of_url(other)) else { return false };
    one.port == other.port && (one.host == other.host || (one.host.is_loopback() && other.host.is_loopback()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_master_that_left_a_key_gets_it() {
        let dir = tempfile::tempdir().unwrap();
        let made = MachineKey::make(dir.path(), "http://127.0.0.1:8010").unwrap();
        for ours in ["http://127.0.0.1:8010", "http://localhost:8010", "http://[::1]:8010"] {
            assert_eq!(machine_key(dir.path(), ours), Some(made.key.clone()), "{ours}");
        }
        for other in ["http://127.0.0.1:8011", "http://ci.example.org:8010", "https://localhost", "x"] {
            assert_eq!(machine_key(dir.path(), other), None, "{other}");
        }
    }
}
