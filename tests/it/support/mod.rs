//! What several test files share.

pub mod wire_fixtures;
