//! Somebody who gives an order.

use std::net::IpAddr;

use super::{Actor, Identity, LoginMethod, Via};

/// The name of the master's own user, who told none.
const ADMINISTRATOR: &str = "administrator";

/// Somebody who gives an order: who they are, and what facts say of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    pub identity: Identity,
    pub actor: Actor,
    /// Where they are; none: on the master's machine, or nobody knows.
    pub address: Option<IpAddr>,
}

impl Caller {
    /// A caller by page, API or command line. `told` is the name that they gave themselves, which only counts for those
    /// who proved none.
    #[must_use]
    pub fn new(identity: Identity, told: &str, via: Via) -> Self {
        let actor = match (&identity.grant, &identity.user) {
            (Some(grant), _) => Actor::Token { name: grant.token.clone(), class: identity.class },
            (None, Some(user)) => Actor::User { name: user.clone(), via, login: identity.login, class: identity.class },
            (None, None) if matches!(identity.login, LoginMethod::Machine) => {
                let name = Some(told.trim()).filter(|told| !told.is_empty()).unwrap_or(ADMINISTRATOR).to_owned();
                Actor::User { name, via, login: LoginMethod::Machine, class: identity.class }
            }
            (None, None) => Actor::person(told, via),
        };
        Self { identity, actor, address: None }
    }

    /// A caller of a hook.
    #[must_use]
    pub fn hook(dialect: impl Into<String>) -> Self {
        Self { identity: Identity::hook(), actor: Actor::Hook { dialect: dialect.into() }, address: None }
    }

    /// Somebody who acts on the machine of the master as its user.
    #[must_use]
    pub fn machine(told: &str, via: Via) -> Self {
        Self { identity: Identity::machine(), actor: Actor::person(told, via), address: None }
    }
}

/// An actor by themselves proves nothing: only a hook is known by how it came.
impl From<Actor> for Caller {
    fn from(actor: Actor) -> Self {
        let identity = match actor {
            Actor::Hook { .. } => Identity::hook(),
            Actor::Person { .. } | Actor::User { .. } | Actor::Token { .. } => Identity::anonymous(),
        };
        Self { identity, actor, address: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_was_only_told_is_not_that_of_a_user() {
        let told = Caller::new(Identity::anonymous(), "ann", Via::Api);
        assert_eq!(told.actor, Actor::person("ann", Via::Api));
        let ann = Identity::user("ann", LoginMethod::Password);
        let known = Caller::new(ann, "bob", Via::Page);
        assert_eq!(known.actor.name(), "ann", "what they told does not count");
        let here = Caller::new(Identity::machine(), "ann", Via::CommandLine);
        assert!(matches!(here.actor, Actor::User { login: LoginMethod::Machine, .. }), "it is not taken for ann");
    }
}
