//! Signatures that the other rooms use; bodies follow.
#![allow(clippy::missing_errors_doc, unused_variables, clippy::todo)]

use std::borrow::Cow;
use std::path::Path;

use crate::model::{SecretsPlan, Text};

/// A secret cannot be had; the text names it and where it was looked for, never its value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SecretError {
    pub message: String,
}

/// Finds values of secrets; reads files and variables anew each time, so that a changed secret works at once.
#[derive(Clone, Debug)]
pub struct Secrets {}

impl Secrets {
    /// `base` is the folder of the configuration.
    pub fn new(plan: &SecretsPlan, base: &Path) -> Self {
        todo!()
    }
    pub fn get(&self, name: &str) -> Result<String, SecretError> {
        todo!()
    }
    /// Fills a text's secrets in; also says which values it used (for a [`Redactor`]).
    pub fn reveal(&self, text: &Text) -> Result<(String, Vec<(String, String)>), SecretError> {
        todo!()
    }
}

/// Replaces values of secrets (also base64, URL-encoded and single lines of multi-line ones) by `<name>`.
#[derive(Clone, Debug, Default)]
pub struct Redactor {}

impl Redactor {
    /// Pairs of name and value. Values shorter than 4 characters are not looked for.
    pub fn new(secrets: impl IntoIterator<Item = (String, String)>) -> Self {
        todo!()
    }
    pub fn is_empty(&self) -> bool {
        todo!()
    }
    /// Whole lines.
    pub fn redact<'a>(&self, text: &'a [u8]) -> Cow<'a, [u8]> {
        todo!()
    }
    pub fn redact_str<'a>(&self, text: &'a str) -> Cow<'a, str> {
        todo!()
    }
}
