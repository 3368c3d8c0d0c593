//! The key by which commands on the master's own machine act as its administrator: whoever can read the state directory
//! can do everything to the master anyway.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::secret_key::{draw, same};
use super::state_file::{private_dir, write_private};

/// What such keys begin with.
pub const MACHINE_PREFIX: &str = "swm_";
/// Longer than such a file is.
const FILE_BYTES_MAX: u64 = 4_096;

/// A key, and the address of the master that takes it: no other one ever gets to see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineKey {
    pub url: String,
    pub key: String,
}

impl MachineKey {
    /// Draws a key for a master that listens at `url`, and leaves it in the state directory.
    pub fn make(data: &Path, url: &str) -> std::io::Result<Self> {
        let made = Self { url: url.to_owned(), key: format!("{MACHINE_PREFIX}{}", draw()) };
        private_dir(&data.join("auth"))?;
        write_private(&place(data), &serde_json::to_vec(&made).map_err(std::io::Error::from)?)?;
        Ok(made)
    }

    /// That of the master whose state directory this is, if we may read it.
    #[must_use]
    pub fn of(data: &Path) -> Option<Self> {
        let path = place(data);
        let is_small = fs::metadata(&path).is_ok_and(|data| data.len() <= FILE_BYTES_MAX);
        serde_json::from_slice(&fs::read(path).ok().filter(|_| is_small)?).ok()
    }

    pub(super) fn is(&self, key: &str) -> bool {
        same(&self.key, key)
    }
}

fn place(data: &Path) -> PathBuf {
    data.join("auth").join("machine.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_left_for_those_who_can_read_it() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(MachineKey::of(dir.path()), None);
        let made = MachineKey::make(dir.path(), "http://127.0.0.1:8010").unwrap();
        assert_eq!(MachineKey::of(dir.path()), Some(made.clone()));
        assert!(made.is(&made.key.clone()) && !made.is("swm_") && !made.is(""));
        let next = MachineKey::make(dir.path(), "http://127.0.0.1:8010").unwrap();
        assert!(!next.is(&made.key), "each start has its own");
    }
}
