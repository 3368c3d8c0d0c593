//! Artifacts: files that a build leaves behind, and the orders that move files between master and worker.

use serde::{Deserialize, Serialize};

use super::{BuildId, Text};
use crate::base::Timestamp;

/// Bytes of a text that a script writes to a file: the facts keep it. Larger files are artifacts.
pub const WRITTEN_BYTES_MAX: usize = 1 << 20;

/// Files of one upload. Each is a record of its own, and the answer of the upload lists them all: a directory of more
/// files is packed into one first.
pub const UPLOAD_FILES_MAX: usize = 5_000;

/// Bytes of an artifact's name: it is a path below the build, as long as paths are.
pub const ARTIFACT_NAME_MAX: usize = 1_024;

/// Bytes between two slashes of it: file systems take no longer names.
const ARTIFACT_NAME_PART_MAX: usize = 255;

/// The SHA-256 of a content, in hexadecimal digits.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ContentDigest(pub String);

impl std::fmt::Display for ContentDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// A file of a build.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// A path below the build's artifacts, with slashes.
    pub name: String,
    /// In bytes.
    pub size: u64,
    pub digest: ContentDigest,
    /// Permission bits on the worker, where it told them.
    pub mode: Option<u32>,
    /// When the file was last changed, in seconds since 1970.
    pub modified: Option<u64>,
}

/// What a transfer came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Moved {
    /// An upload kept these.
    Kept(Vec<Artifact>),
    /// A download put this onto the worker.
    Downloaded(Artifact),
}

/// An artifact in the history.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactRecord {
    pub build: BuildId,
    pub artifact: Artifact,
    /// When it was recorded.
    pub at: Timestamp,
}

/// A text to write to a file on the worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteSpec {
    pub path: String,
    pub content: Text,
    /// Permission bits; none: what the worker's umask leaves.
    pub mode: Option<u32>,
}

/// A file or directory of the worker to keep as artifacts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadSpec {
    pub path: String,
    /// The artifact's name; for a directory, what the names of its files begin with.
    pub name: String,
    /// Whether it is a directory, as the worker said just before.
    pub is_directory: bool,
    /// The most bytes that the script allows.
    pub bytes_max: Option<u64>,
    /// What the worker said of a file.
    pub mode: Option<u32>,
    pub modified: Option<u64>,
}

/// An artifact to put onto the worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DownloadSpec {
    pub from: ArtifactSource,
    /// The artifact's name.
    pub name: String,
    pub path: String,
    /// Permission bits; none: those that the file had when it was uploaded.
    pub mode: Option<u32>,
}

/// Whose artifact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ArtifactSource {
    /// The build's own.
    ThisBuild,
    /// Of the build with this number.
    Build { builder: String, number: u64 },
    /// Of the build that led to this one by triggers, or else of the newest build that ended well.
    LastSuccessful { builder: String },
}

/// What is wrong with an artifact's name, if anything: it becomes part of addresses, and of paths wherever people keep
/// what they downloaded.
pub fn check_artifact_name(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("is empty".to_owned());
    }
    if name.len() > ARTIFACT_NAME_MAX {
        return Err(format!("has more than {ARTIFACT_NAME_MAX} bytes"));
    }
    if name.starts_with('/') {
        return Err("begins with a slash; it is a path below the build's artifacts".to_owned());
    }
    if name.chars().any(|letter| letter.is_control() || letter == '\\') {
        return Err("has control characters or backslashes in it".to_owned());
    }
    for part in name.split('/') {
        match part {
            "" => return Err("has an empty part; write one slash between two names".to_owned()),
            "." | ".." => return Err(format!("has the part `{part}`, which is not a name")),
            _ if part.len() > ARTIFACT_NAME_PART_MAX => {
                return Err(format!("has a part of more than {ARTIFACT_NAME_PART_MAX} bytes"));
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_paths_that_stay_below_their_build() {
        for name in ["a", "dist/app-1.0.whl", "a b/ü.txt", "..a", "a../b", ".hidden"] {
            assert_eq!(check_artifact_name(name), Ok(()), "{name}");
        }
        let long = "x".repeat(256);
        for name in ["", "/etc/passwd", "..", "a/../b", "a/./b", "a//b", "a/", "a\\b", "a\nb", "a\u{7f}", &long] {
            assert!(check_artifact_name(name).is_err(), "{name:?}");
        }
    }
}
