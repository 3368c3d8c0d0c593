//! Branches that a change source names and its repository does not have. Polling of the others goes on, so no poll fails
//! of it: without an alert a misspelt name would never be noticed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use crate::base::Timestamp;
use crate::model::{Alert, AlertSubject, ChangeSourcePlan, Cursor, Plan};

/// Branches named in an alert.
const NAMED_MAX: usize = 10;

/// What the last poll of each source missed; cheap to clone. Not durable: the next poll notes it again.
#[derive(Clone, Debug, Default)]
pub(super) struct MissingBranches(Arc<Mutex<BTreeMap<String, BTreeSet<String>>>>);

impl MissingBranches {
    /// Notes what a poll that went well has seen.
    pub fn note(&self, source: &ChangeSourcePlan, seen: &Cursor) {
        let missing = named(source).filter(|name| !seen.contains_key(name)).collect();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(source.name.clone(), missing);
    }

    /// An alert for each source of the configuration that misses branches it still names.
    pub fn alerts(&self, plan: &Plan, now: Timestamp) -> Vec<Alert> {
        let mut missing = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        missing.retain(|name, _| plan.change_sources.contains_key(name));
        let of = |source: &ChangeSourcePlan| {
            let noted = missing.get(&source.name)?;
            let names: Vec<String> = named(source).filter(|name| noted.contains(name)).collect();
            (!names.is_empty()).then(|| alert(&source.name, &names, now))
        };
        plan.change_sources.values().filter_map(of).collect()
    }
}

/// The names of the branches that a source looks at, if it names them.
fn named(source: &ChangeSourcePlan) -> impl Iterator<Item = String> {
    source.kind.named_branches().into_iter().map(str::to_owned)
}

fn alert(source: &str, names: &[String], now: Timestamp) -> Alert {
    let quoted: Vec<String> = names.iter().take(NAMED_MAX).map(|name| format!("`{name}`")).collect();
    let more = match names.len().saturating_sub(NAMED_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let branches = if names.len() == 1 { "branch" } else { "branches" };
    Alert {
        subject: AlertSubject::Source(source.to_owned()),
        kind: "branches".to_owned(),
        text: format!("the repository has no {branches} {}{more}", quoted.join(", ")),
        hint: Some("correct the name in `branches`, or push the branch; the other branches are polled".to_owned()),
        first: now,
        last: now,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Span;
    use crate::model::{BranchChoice, ChangeSourceKind, GitPlan};

    fn source(branches: &[&str]) -> ChangeSourcePlan {
        ChangeSourcePlan {
            name: "app".to_owned(),
            project: String::new(),
            codebase: String::new(),
            category: None,
            every: Span::from_minutes(5),
            timeout: Span::from_minutes(5),
            changes_max: 100,
            kind: ChangeSourceKind::Git(GitPlan {
                repository: "/srv/app.git".to_owned(),
                branches: BranchChoice::Names(branches.iter().map(|&name| name.to_owned()).collect()),
                tags: Vec::new(),
            }),
            place: crate::model::SourcePlace::default(),
        }
    }

    fn plan(branches: &[&str]) -> Plan {
        Plan { change_sources: [("app".to_owned(), source(branches))].into(), ..Plan::default() }
    }

    #[test]
    fn a_branch_that_the_server_does_not_have_is_told_until_it_comes_or_nobody_names_it() {
        let (missing, at) = (MissingBranches::default(), Timestamp::from_millis(7));
        let seen = Cursor::from([("main".to_owned(), "1".to_owned())]);
        missing.note(&source(&["main", "refs/heads/relaese"]), &seen);
        let alerts = missing.alerts(&plan(&["main", "refs/heads/relaese"]), at);
        assert_eq!(alerts[0].text, "the repository has no branch `relaese`");
        assert_eq!(missing.alerts(&plan(&["main", "release"]), at), []);
        let seen = Cursor::from([("main".to_owned(), "1".to_owned()), ("release".to_owned(), "2".to_owned())]);
        missing.note(&source(&["main", "release"]), &seen);
        assert_eq!(missing.alerts(&plan(&["main", "release"]), at), []);
        missing.note(&source(&["main", "gone"]), &seen);
        assert_eq!(missing.alerts(&Plan::default(), at), []);
        assert_eq!(missing.alerts(&plan(&["main", "gone"]), at), [], "a source that was removed is forgotten");
    }
}
