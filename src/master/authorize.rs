//! Who may give which order. The only place that decides it, for pages, API, command line and hooks alike.
//!
//! As long as nobody can log in, people and tokens may do everything; a hook only tells of changes.

use crate::model::{Actor, Order};

/// Whether somebody may give an order.
///
/// # Errors
/// Why not, for the one who gave it.
pub(super) fn authorize(by: &Actor, order: &Order) -> Result<(), String> {
    match (by, order) {
        (Actor::Person { .. } | Actor::Token { .. }, _) | (Actor::Hook { .. }, Order::AddChanges { .. }) => Ok(()),
        (Actor::Hook { .. }, _) => Err(format!("{by} may only tell of changes")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Via;

    #[test]
    fn a_hook_may_only_tell_of_changes() {
        let hook = Actor::Hook { dialect: "base".to_owned() };
        let poll = Order::Poll { source: None };
        assert_eq!(authorize(&hook, &poll), Err("hook `base` may only tell of changes".to_owned()));
        let changes = Order::AddChanges { changes: Vec::new(), delivery: None };
        assert_eq!(authorize(&hook, &changes), Ok(()));
        assert_eq!(authorize(&Actor::person("", Via::Page), &poll), Ok(()));
    }
}
