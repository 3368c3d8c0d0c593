//! Keys that the command line keeps for its user, one for each master.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::state_file::{StateFile, StateFileError};

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct LoginList {
    /// By the address of the master.
    logins: BTreeMap<String, String>,
}

/// The keys of one user of the system.
#[derive(Debug)]
pub struct StoredLogins {
    file: StateFile<LoginList>,
}

impl StoredLogins {
    /// Those in a file, which only its owner can read.
    #[must_use]
    pub fn at(path: PathBuf) -> Self {
        Self { file: StateFile::new(path) }
    }

    /// The key for a master.
    pub fn find(&self, master: &str) -> Result<Option<String>, StateFileError> {
        Ok(self.file.read()?.logins.get(master).cloned())
    }

    /// Keeps a key.
    pub fn keep(&self, master: &str, key: &str) -> Result<(), StateFileError> {
        self.file.change(|list| drop(list.logins.insert(master.to_owned(), key.to_owned())))
    }

    /// Forgets the key for a master; whether there was one.
    pub fn forget(&self, master: &str) -> Result<bool, StateFileError> {
        self.file.change(|list| list.logins.remove(master).is_some())
    }
}
