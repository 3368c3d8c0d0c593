//! The texts that a configuration consists of, and its name by content.
//!
//! Knows no Starlark and no disk. Besides files it keeps *facts* (names that begin with `@fact//`): what
//! a configuration asked about its surroundings, so that loading the kept texts again gives the same plan.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::Digest as _;

use crate::model::ConfigDigest;

/// Opens the hashed form; a later form of it would get another number.
const DIGEST_HEAD: &[u8] = b"starwright configuration 1\0";

/// The fact that `config_dir()` answers.
pub(super) const CONFIG_DIR_FACT: &str = "@fact//config_dir";

/// The text of every file that a configuration consists of, library files included: enough to load it
/// again without the disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sources {
    /// The first file's name.
    pub main: String,
    /// Text by name: `master.star`, `lib/x.star`, `@stdlib//steps.star`.
    pub files: BTreeMap<String, String>,
}

impl Sources {
    /// SHA-256 over the names and texts, in hex.
    #[must_use]
    pub fn digest(&self) -> ConfigDigest {
        let mut hash = sha2::Sha256::new();
        hash.update(DIGEST_HEAD);
        let mut part = |text: &str| {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text);
        };
        part(&self.main);
        for (name, text) in &self.files {
            part(name);
            part(text);
        }
        ConfigDigest(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The stored form.
    ///
    /// # Panics
    /// Never: texts always serialize.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        rmp_serde::to_vec_named(self).expect("texts always serialize")
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// When the bytes are something else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        rmp_serde::from_slice(bytes).map_err(|error| format!("the kept configuration cannot be read: {error}"))
    }

    /// A fact that was recorded when the configuration was loaded from disk.
    pub(super) fn fact(&self, name: &str) -> Option<&str> {
        self.files.get(name).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(files: &[(&str, &str)]) -> Sources {
        Sources {
            main: "master.star".to_owned(),
            files: files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect(),
        }
    }

    #[test]
    fn digest_tells_where_one_text_ends_and_the_next_begins() {
        let one = sources(&[("a.star", "x = 1"), ("b.star", "")]);
        let other = sources(&[("a.star", "x = "), ("b.star", "1")]);
        assert_eq!(one.digest().0.len(), 64);
        assert_ne!(one.digest(), other.digest());
        assert_ne!(one.digest(), sources(&[("b.star", "x = 1"), ("a.star", "")]).digest());
    }

    #[test]
    fn stored_form_reads_back() {
        let kept = sources(&[("master.star", "worker(\"ü\")")]);
        assert_eq!(Sources::from_bytes(&kept.to_bytes()), Ok(kept));
        assert!(Sources::from_bytes(b"nonsense").is_err());
    }
}
