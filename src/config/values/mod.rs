//! Starlark value types of our own.

pub(super) mod access;
pub(super) mod filter;
pub(super) mod secret;
pub(super) mod secret_functions;
pub(super) mod step;
