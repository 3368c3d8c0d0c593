//! What hooks told of changes that pollers have yet to see.
//!
//! Bounded in number and time: what is forgotten costs a change the words of its hook, never the change.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::recent::Fingerprint;
use crate::base::{Span, Timestamp};
use crate::model::{NewChange, normal_address};

/// So many wait at a time: more than pushes come between two polls, and each is some hundred bytes.
const ANNOUNCED_MAX: usize = 1_000;
/// So long: a mirror that a poller looks at may be some hours behind.
const ANNOUNCED_FOR: Span = Span::from_minutes(24 * 60);

/// Announcements by repository, branch and revision.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Announced {
    order: VecDeque<(Fingerprint, Timestamp)>,
    changes: BTreeMap<Fingerprint, NewChange>,
}

/// What it is of, whichever of its addresses is named. Without a revision it is of nothing that could be found.
fn print(change: &NewChange) -> Option<Fingerprint> {
    let revision = change.revision.as_ref()?.to_ascii_lowercase();
    Some(Fingerprint::of(&(normal_address(&change.repository), &change.branch, revision)))
}

impl Announced {
    /// What was told of this change. A hook that names no branch means any.
    pub fn get(&self, change: &NewChange) -> Option<&NewChange> {
        let of = |change: &NewChange| self.changes.get(&print(change)?);
        of(change).or_else(|| of(&NewChange { branch: None, ..key(change) }))
    }

    /// Takes one in; a later one of the same change replaces it.
    pub fn put(&mut self, change: &NewChange, at: Timestamp) {
        let Some(print) = print(change) else { return };
        while let Some((oldest, told)) = self.order.front().copied() {
            // A clock that went back does not keep them for longer than their number allows.
            if self.order.len() < ANNOUNCED_MAX && at.since(told) < ANNOUNCED_FOR {
                break;
            }
            self.order.pop_front();
            self.changes.remove(&oldest);
        }
        if self.changes.insert(print, change.clone()).is_none() {
            self.order.push_back((print, at));
        }
    }
}

fn key(change: &NewChange) -> NewChange {
    NewChange { repository: change.repository.clone(), revision: change.revision.clone(), ..NewChange::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(revision: &str) -> NewChange {
        let (repository, branch) = ("https://example.org/r.git".into(), Some("main".into()));
        NewChange { repository, branch, revision: Some(revision.into()), ..NewChange::default() }
    }

    #[test]
    fn any_address_of_a_repository_finds_it() {
        let mut announced = Announced::default();
        announced.put(&change("AB12"), Timestamp::from_seconds(0));
        let seen = NewChange { repository: "git@example.org:r".into(), ..change("ab12") };
        assert!(announced.get(&seen).is_some());
        assert!(announced.get(&NewChange { branch: Some("dev".into()), ..seen }).is_none());
    }

    #[test]
    fn they_are_few_and_grow_old() {
        let mut announced = Announced::default();
        for number in 0..=ANNOUNCED_MAX {
            announced.put(&change(&number.to_string()), Timestamp::from_seconds(0));
        }
        assert!(announced.get(&change("0")).is_none() && announced.get(&change("1")).is_some());
        assert_eq!(announced.changes.len(), ANNOUNCED_MAX);
        announced.put(&change("late"), Timestamp::from_seconds(86_400));
        assert_eq!((announced.changes.len(), announced.order.len()), (1, 1));
    }
}
