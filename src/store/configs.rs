//! Configurations by digest: files of their own, because open builds need theirs whatever becomes of the database.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::StoreError;
use super::directory::{make_dir, write_whole};
use super::frame::{self, Magic};
use crate::model::ConfigDigest;

const MAGIC: Magic = *b"SwC1";

/// Where configurations are kept.
#[derive(Debug)]
pub(crate) enum Configs {
    Files(PathBuf),
    Memory(Mutex<BTreeMap<ConfigDigest, Vec<u8>>>),
}

impl Configs {
    /// Keeps a configuration durably; one that is there already is left as it is.
    pub fn put(&self, digest: &ConfigDigest, bytes: &[u8]) -> Result<(), StoreError> {
        match self {
            Self::Files(dir) => {
                if self.get(digest).is_ok_and(|found| found.is_some()) {
                    return Ok(());
                }
                make_dir(dir)?;
                let mut framed = Vec::new();
                frame::push(&mut framed, MAGIC, bytes);
                write_whole(&path(dir, digest), &framed)
            }
            Self::Memory(map) => {
                map.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .entry(digest.clone())
                    .or_insert_with(|| bytes.to_vec());
                Ok(())
            }
        }
    }

    /// A configuration, if it is kept.
    pub fn get(&self, digest: &ConfigDigest) -> Result<Option<Vec<u8>>, StoreError> {
        match self {
            Self::Files(dir) => load(&path(dir, digest)),
            Self::Memory(map) => Ok(map.lock().unwrap_or_else(PoisonError::into_inner).get(digest).cloned()),
        }
    }

    /// The digests of all configurations kept.
    pub fn digests(&self) -> Result<Vec<ConfigDigest>, StoreError> {
        match self {
            Self::Files(dir) if dir.exists() => {
                let mut digests = Vec::new();
                for entry in fs::read_dir(dir).map_err(StoreError::io("list", dir))? {
                    let name = entry.map_err(StoreError::io("list", dir))?.file_name();
                    digests.extend(name.to_str().and_then(digest_of));
                }
                digests.sort();
                Ok(digests)
            }
            Self::Files(_) => Ok(Vec::new()),
            Self::Memory(map) => Ok(map.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()),
        }
    }
}

fn load(path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StoreError::io("read", path)(error)),
    };
    let payload = frame::payload(&bytes, MAGIC).ok_or_else(|| {
        StoreError::corrupt(format!("the configuration `{}`", path.display()), "its check sum is wrong")
    })?;
    Ok(Some(payload.to_vec()))
}

/// The file of a digest. Digests are hexadecimal; anything else is written out in hex, so that no name
/// can leave the directory.
fn path(dir: &Path, digest: &ConfigDigest) -> PathBuf {
    let plain =
        !digest.0.is_empty() && digest.0.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    if plain {
        dir.join(&digest.0)
    } else {
        let hex: String = digest.0.bytes().map(|byte| format!("{byte:02x}")).collect();
        dir.join(format!("x{hex}"))
    }
}

fn digest_of(name: &str) -> Option<ConfigDigest> {
    let Some(hex) = name.strip_prefix('x') else {
        return (!name.contains('.')).then(|| ConfigDigest(name.to_owned()));
    };
    let bytes: Option<Vec<u8>> =
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok()).collect();
    String::from_utf8(bytes?).ok().map(ConfigDigest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configurations_are_found_by_digest() {
        let dir = tempfile::tempdir().unwrap();
        for configs in [Configs::Files(dir.path().join("configs")), Configs::Memory(Mutex::default())] {
            let odd = ConfigDigest("../../etc/passwd".to_owned());
            let usual = ConfigDigest("0af3".to_owned());
            assert_eq!(configs.get(&usual).unwrap(), None);
            configs.put(&usual, b"one").unwrap();
            configs.put(&usual, b"other").unwrap();
            configs.put(&odd, b"two").unwrap();
            assert_eq!(configs.get(&usual).unwrap(), Some(b"one".to_vec()));
            assert_eq!(configs.get(&odd).unwrap(), Some(b"two".to_vec()));
            assert_eq!(configs.digests().unwrap(), [odd, usual]);
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is written outside its directory");
    }

    #[test]
    fn a_damaged_configuration_is_told_and_can_be_put_again() {
        let dir = tempfile::tempdir().unwrap();
        let configs = Configs::Files(dir.path().to_owned());
        let digest = ConfigDigest("aa".to_owned());
        configs.put(&digest, b"bytes").unwrap();
        fs::write(dir.path().join("aa"), b"rubbish").unwrap();
        assert!(matches!(configs.get(&digest), Err(StoreError::Corrupt { .. })));
        configs.put(&digest, b"bytes").unwrap();
        assert_eq!(configs.get(&digest).unwrap(), Some(b"bytes".to_vec()));
    }
}
