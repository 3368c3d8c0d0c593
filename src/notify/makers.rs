//! What the caller does for this room: it calls the user's functions and fills in secrets.

use crate::model::{FnId, Text, Value};

/// Calls the user's functions that make a text.
pub type Templates<'a> = &'a dyn Fn(FnId, &Value) -> Result<String, String>;

/// Calls the user's functions.
pub struct Makers<'a> {
    /// Those that make a text.
    pub text: Templates<'a>,
    /// Those that make plain data.
    pub data: &'a dyn Fn(FnId, &Value) -> Result<Value, String>,
}

/// Fills in the secrets of a text.
pub type Reveal<'a> = &'a mut dyn FnMut(&Text) -> Result<String, String>;
