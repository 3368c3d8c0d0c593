//! What several integration tests share.

pub mod git;
pub mod history;
pub mod http;
pub mod proxy;
pub mod starwright;
pub mod wire_fixtures;
