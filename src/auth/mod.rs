//! Who is asking: users, tokens and sessions of a state directory, and what requests present.
//!
//! Passwords are kept as Argon2id hashes, keys of sessions and tokens as digests. Knows no HTTP, and does not decide who
//! may do what.

mod accounts;
mod forge_login;
mod htpasswd;
mod ldap;
mod machine;
mod oidc;
mod password;
mod provider_http;
mod providers;
mod secret_key;
mod security_log;
mod self_service;
mod sessions;
mod state_file;
mod stored_logins;
mod tokens;
mod users;

pub use accounts::{Accounts, LoginError, Presented, ProxyUser};
pub use machine::MachineKey;
pub use providers::ReturnedLogin;
pub use security_log::{SecurityCount, SecurityEntry, SecurityEvent, SecurityLog};
pub use self_service::{Doer, PasswordError};
pub use stored_logins::StoredLogins;
pub use tokens::{NewToken, TokenError, TokenRecord, Tokens};
pub use users::{NewUser, UserError, UserRecord, Users};
