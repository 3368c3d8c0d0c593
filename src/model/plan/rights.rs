//! Who may do what, as the configuration says it: `access`, `role`, `allow` and `rights`.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::super::{Action, FnId};

/// The rights of an installation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RightsPlan {
    /// `access("open")`: everybody may do everything, and it is meant so.
    pub open: bool,
    /// What is allowed, in the order of the file. There is nothing that forbids.
    pub rules: Vec<RulePlan>,
    /// Roles by name: who has them beside the members of a group of the same name.
    pub roles: BTreeMap<String, RolePlan>,
    /// Asked before the rules: a function of (user, action, object) that returns True, False or None.
    pub function: Option<FnId>,
}

/// `role(...)`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolePlan {
    pub users: BTreeSet<String>,
    pub groups: BTreeSet<String>,
}

/// `allow(...)`: a user with one of `users`, or with one of `roles`, may do `actions`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RulePlan {
    pub roles: BTreeSet<String>,
    pub users: BTreeSet<String>,
    pub actions: BTreeSet<Action>,
    /// What it is limited to; none: everything.
    pub only: Option<Only>,
}

/// Shell patterns of the things that a rule is about. A kind of thing without patterns is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Only {
    pub builders: Vec<String>,
    pub workers: Vec<String>,
    pub projects: Vec<String>,
}

/// What to write in a configuration that others can reach and that says nothing about rights.
pub const DECLARE_RIGHTS: &str = "say who may do what, for example allow(roles = [\"anyone\"], actions = [\"read\"]) and \
                                  role(\"admin\", users = [\"ada\"]); or write access(\"open\") if everybody who \
                                  reaches the master may do everything";

impl RightsPlan {
    /// Whether the configuration says who may do what.
    #[must_use]
    pub fn is_declared(&self) -> bool {
        self.open || !self.rules.is_empty() || self.function.is_some()
    }

    /// Whether everybody may do everything: because it says so, or because it says nothing, which goes where only this
    /// machine can reach the master.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.open || !self.is_declared()
    }
}
