//! Which changes are built together: those of one line of history.
//!
//! A repository's branch is a line. What waits in two of them is never joined into one build, because the build would
//! be of one of them only. Lines of different codebases are: a build has a source tree of each.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::model::{Change, SchedulerKind, SchedulerPlan};

/// Where a change comes from: codebase, repository, project, branch.
pub(super) type ChangeLine = (String, String, String, Option<String>);

/// The changes of one buildset, oldest first.
pub(super) type ChangeSet = Vec<Arc<Change>>;

/// A line finds others to be built with among so many sets at most: nobody has that many branches at a time in several
/// codebases, and looking at all of them would cost the square of their number.
const PARTNERS_MAX: usize = 64;

/// The line that keeps a quiet period of its own for a change. With several codebases, a scheduler of one branch has
/// one quiet period for all: they are built together.
pub(super) fn line_of(plan: &SchedulerPlan, change: &Change) -> Option<ChangeLine> {
    sabotage!(BranchesJoined => return None);
    let is_own = matches!(plan.kind, SchedulerKind::AnyBranch { .. }) || plan.codebases.len() == 1;
    is_own.then(|| origin(change))
}

fn origin(change: &Change) -> ChangeLine {
    let data = &change.data;
    (data.codebase.clone(), data.repository.clone(), data.project.clone(), data.branch.clone())
}

/// The buildsets to make of changes that are due together: one for each line, but lines of different codebases share
/// one, by preference those of the same branch.
pub(super) fn sets_of(plan: &SchedulerPlan, changes: &[Arc<Change>]) -> Vec<ChangeSet> {
    sabotage!(BranchesJoined => return vec![changes.to_vec()]);
    let lines = lines_of(changes);
    if plan.codebases.len() == 1 {
        return lines;
    }
    let mut by_branch: BTreeMap<Option<String>, Vec<ChangeSet>> = BTreeMap::new();
    for line in lines {
        let branch = line.first().and_then(|change| change.data.branch.clone());
        join(by_branch.entry(branch).or_default(), line);
    }
    let mut of_branches: Vec<ChangeSet> = by_branch.into_values().flatten().collect();
    of_branches.sort_by_key(|set| set.first().map(|change| change.id));
    let mut sets = Vec::new();
    for set in of_branches {
        join(&mut sets, set);
    }
    sets
}

/// The changes of each line, in the order of their first ones.
fn lines_of(changes: &[Arc<Change>]) -> Vec<ChangeSet> {
    let mut places: BTreeMap<ChangeLine, usize> = BTreeMap::new();
    let mut lines: Vec<ChangeSet> = Vec::new();
    for change in changes {
        let place = *places.entry(origin(change)).or_insert(lines.len());
        match lines.get_mut(place) {
            Some(line) => line.push(Arc::clone(change)),
            None => lines.push(vec![Arc::clone(change)]),
        }
    }
    lines
}

/// Puts a set to the first one that has nothing of its codebases, or beside the others.
fn join(sets: &mut Vec<ChangeSet>, set: ChangeSet) {
    let codebases = |set: &ChangeSet| set.iter().map(|change| change.data.codebase.clone()).collect::<BTreeSet<_>>();
    let own = codebases(&set);
    match sets.iter_mut().take(PARTNERS_MAX).find(|other| codebases(other).is_disjoint(&own)) {
        Some(partner) => {
            partner.extend(set);
            partner.sort_by_key(|change| change.id);
        }
        None => sets.push(set),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Span, Timestamp};
    use crate::model::{
        ChangeFilter, ChangeId, CodebasePlan, NewChange, SourcePlace, SourceStamp, SourceStampId, StampSpec,
    };

    fn scheduler(codebases: &[&str]) -> SchedulerPlan {
        let codebase =
            |name: &&str| CodebasePlan { stamp: StampSpec { codebase: (*name).to_owned(), ..StampSpec::default() } };
        SchedulerPlan {
            name: "s".into(),
            builders: vec![],
            properties: crate::model::Properties::default(),
            properties_fn: None,
            codebases: codebases.iter().map(codebase).collect(),
            priority: None,
            reason: None,
            kind: SchedulerKind::Branch {
                filter: ChangeFilter::default(),
                quiet: Span::ZERO,
                important: None,
                only_important: false,
            },
            place: SourcePlace::default(),
        }
    }

    /// Changes `codebase:branch`, numbered from 1.
    fn sets(codebases: &[&str], changes: &[&str]) -> Vec<Vec<u64>> {
        let change = |(number, text): (usize, &&str)| {
            let (codebase, branch) = text.split_once(':').unwrap();
            Arc::new(Change {
                id: ChangeId(number as u64 + 1),
                data: NewChange { codebase: codebase.into(), branch: Some(branch.into()), ..NewChange::default() },
                parent: None,
                stamp: SourceStamp {
                    id: SourceStampId(1),
                    spec: StampSpec::default(),
                    created: Timestamp::from_seconds(0),
                },
                arrived: Timestamp::from_seconds(0),
                source: None,
            })
        };
        let changes: Vec<Arc<Change>> = changes.iter().enumerate().map(change).collect();
        let ids = |set: ChangeSet| set.iter().map(|change| change.id.0).collect();
        sets_of(&scheduler(codebases), &changes).into_iter().map(ids).collect()
    }

    #[test]
    fn each_branch_is_built_on_its_own() {
        assert_eq!(sets(&[""], &[":main", ":dev", ":main"]), [vec![1, 3], vec![2]]);
    }

    #[test]
    fn codebases_are_built_together() {
        assert_eq!(sets(&["a", "b"], &["a:main", "b:master", "a:main"]), [[1, 2, 3]]);
    }

    #[test]
    fn codebases_are_joined_by_branch_first() {
        let joined = sets(&["a", "b"], &["a:main", "b:dev", "a:dev", "b:main"]);
        assert_eq!(joined, [[1, 4], [2, 3]]);
        assert_eq!(sets(&["a", "b"], &["a:main", "a:dev", "b:dev"]), [vec![1], vec![2, 3]]);
    }
}
