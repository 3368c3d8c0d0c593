//! The texts that a load has read so far: each file once, whoever asks for it.
//!
//! The loader reads Starlark files through it, and `data` reads data files while a file is evaluated. What was read is
//! what the configuration consists of: it goes into the digest, is kept, and is watched.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::files::{Files, ReadError};
use super::library;

/// Files of one configuration, library included: more is a loop in somebody's generator.
const FILES_MAX: usize = 1_000;
/// All of them together. A kept configuration is sent to each process that evaluates it.
const BYTES_MAX: usize = 64 << 20;

/// What a load is doing, so that whoever watches can say what it was that did not end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Text to syntax tree.
    Parse,
    /// Inferring types. Its absence changes no plan, so it may be given up.
    Types,
    /// Running the file's statements, and fixing their values.
    Evaluate,
    /// Adding the declarations up.
    Finish,
}

/// What a load needs of the process that ordered it.
pub trait LoadHost: Send {
    /// The text of a file of the configuration's directory.
    ///
    /// # Errors
    /// When it cannot be read.
    fn read(&mut self, name: &str) -> Result<String, ReadError>;
    /// The load begins something.
    fn begins(&mut self, phase: Phase, file: &str);
}

/// Where texts come from, and those that were read.
pub(super) struct Texts {
    files: Files,
    pub(super) host: Box<dyn LoadHost>,
    read: BTreeMap<String, String>,
    bytes: usize,
}

impl fmt::Debug for Texts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Texts").field("files", &self.files).field("read", &self.read.len()).finish_non_exhaustive()
    }
}

impl Texts {
    pub(super) fn new(files: Files, host: Box<dyn LoadHost>) -> Self {
        Self { files, host, read: BTreeMap::new(), bytes: 0 }
    }

    /// Where they come from.
    pub(super) const fn files(&self) -> &Files {
        &self.files
    }

    /// The load begins something.
    pub(super) fn begins(&mut self, phase: Phase, file: &str) {
        self.host.begins(phase, file);
    }

    /// The text of a file of this whole name.
    pub(super) fn read(&mut self, name: &str) -> Result<String, ReadError> {
        if let Some(text) = self.read.get(name) {
            return Ok(text.clone());
        }
        if self.read.len() >= FILES_MAX {
            return Err(ReadError::new(format!("there are more than {FILES_MAX} files"), None));
        }
        let text = match &self.files {
            Files::Asked { .. } if !library::is_library(name) => self.host.read(name)?,
            files => files.read(name)?,
        };
        self.bytes += text.len();
        if self.bytes > BYTES_MAX {
            let message = format!("with `{name}`, the configuration's files have more than {} MB", BYTES_MAX >> 20);
            return Err(ReadError::new(message, Some("keep large files outside; a step can read them".to_owned())));
        }
        self.read.insert(name.to_owned(), text.clone());
        Ok(text)
    }

    /// Everything that was read.
    pub(super) fn take(&mut self) -> BTreeMap<String, String> {
        std::mem::take(&mut self.read)
    }
}
