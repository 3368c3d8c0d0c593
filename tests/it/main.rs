//! All integration tests in one binary.

mod protocol_fixtures;
mod support;
