//! What several integration tests share.

pub mod browser;
pub mod fake_http;
pub mod forge;
pub mod git;
pub mod git_source;
pub mod history;
pub mod hooks;
pub mod http;
pub mod https;
pub mod link;
pub mod node;
pub mod proxy;
pub mod python;
pub mod slapd;
pub mod smtp;
pub mod starwright;
pub mod stock_worker;
pub mod tier;
pub mod wire_fixtures;
