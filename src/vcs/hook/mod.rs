//! Change hooks: what others tell us by HTTP, from the bytes of a call to changes. Pure: the caller has the secret and the
//! plan, and decides what becomes of the changes.
//!
//! ```text
//!   call ──► proof (signature over the raw bytes) ──► JSON ──► dialect ──► ping, changes, or ignored with a reason
//! ```
//! A dialect is a file, and a line of [`reader`]. It is lenient in what may be missing (a change without a message is still
//! a change) and strict in what must be there: the error names the place in the JSON.

mod base;
mod bitbucket;
mod bitbucketserver;
mod call;
mod generic;
mod gitea;
mod github;
mod gitlab;
mod json;
mod listed;
mod proof;
mod pull;
mod push;
mod records;

pub use base::base_hook;
pub use call::{Heard, HookCall, HookError, Meaning};
pub(super) use listed::{ListedPull, listed};
pub use proof::check_proof;
pub(super) use pull::{Comment, Pull};
pub use records::{change_of, record_of};

use crate::model::{HookDialect, HookPlan, HookSettings};

/// Reads a call of a hook that may be called.
///
/// # Errors
/// When it is not what the dialect's forge sends; the text says where.
pub fn hear(plan: &HookPlan, call: &HookCall) -> Result<Heard, HookError> {
    reader(plan.dialect)(call, &plan.settings)
}

type Reader = fn(&HookCall, &HookSettings) -> Result<Heard, HookError>;

/// One line a dialect.
const fn reader(dialect: HookDialect) -> Reader {
    match dialect {
        HookDialect::Base => base::read,
        HookDialect::GitHub => github::read,
        HookDialect::GitLab => gitlab::read,
        HookDialect::Gitea => gitea::read,
        HookDialect::Bitbucket => bitbucket::read,
        HookDialect::BitbucketServer => bitbucketserver::read,
        HookDialect::Generic => generic::read,
    }
}
