//! The last result of a builder on each branch: what a new result is compared with.
//!
//! Two builds compare if they were built from the same branch of the same codebases. Results that say nothing about the
//! code are not remembered: cancelled, retried and skipped builds, and good builds that skipped what was broken before.
//! Bounded: of the branches, the one that was built longest ago is forgotten first.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use super::Build;
use crate::model::{Outcome, SourceStamp, StepId, normal_address};

/// Branches remembered for each builder, at about 100 bytes each: more than a team works on at a time. The first result
/// on a forgotten branch is like the first one ever: a failure is a new problem, a success is no recovery.
pub(in crate::engine) const BRANCHES_MAX: usize = 100;
/// Broken steps remembered for each branch; of a build that breaks more, the first ones.
const BROKEN_MAX: usize = 100;

/// The results of a builder, by branch; the one that ended last stands at the end.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(in crate::engine) struct Results(VecDeque<BranchResult>);

/// What the last build of a branch came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct BranchResult {
    sources: Vec<BuiltSource>,
    outcome: Outcome,
    /// Steps that failed and have not passed since.
    broken: Vec<String>,
}

/// A branch of a codebase.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct BuiltSource {
    codebase: String,
    /// In its normal form; empty if the build did not say.
    repository: String,
    branch: Option<String>,
}

/// What a build is compared with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::engine) struct Previous {
    pub outcome: Option<Outcome>,
    /// The build is good, but skipped what was broken: it neither repairs anything nor differs.
    pub unproven: bool,
}

impl Results {
    /// What a build that ends now is compared with.
    pub fn previous(&self, build: &Build, outcome: Outcome) -> Previous {
        let Some(found) = self.find(&sources(&build.stamps)) else { return Previous::default() };
        Previous { outcome: Some(found.outcome), unproven: says_nothing(build, outcome, found) }
    }

    /// Takes a result in.
    pub fn note(&mut self, build: &Build, outcome: Outcome, culprits: &[StepId]) {
        let counts = match outcome {
            Outcome::Success | Outcome::Warnings | Outcome::Failure | Outcome::Exception => true,
            Outcome::Skipped | Outcome::Retry | Outcome::Cancelled => false,
        };
        let sources = sources(&build.stamps);
        let before = self.find(&sources);
        if !counts || before.is_some_and(|before| says_nothing(build, outcome, before)) {
            return;
        }
        let broken = if is_bad(outcome) { broken(build, culprits, before) } else { Vec::new() };
        self.0.retain(|known| known.sources != sources);
        self.0.push_back(BranchResult { sources, outcome, broken });
        if self.0.len() > BRANCHES_MAX {
            self.0.pop_front();
        }
    }

    fn find(&self, sources: &[BuiltSource]) -> Option<&BranchResult> {
        sabotage!(BranchesCompared => return self.0.back());
        self.0.iter().rev().find(|known| is_same(&known.sources, sources))
    }
}

const fn is_bad(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Failure | Outcome::Exception)
}

/// The branches that a build was made from, in the order of its codebases.
fn sources(stamps: &[SourceStamp]) -> Vec<BuiltSource> {
    let mut sources: Vec<_> = stamps
        .iter()
        .map(|stamp| BuiltSource {
            codebase: stamp.spec.codebase.clone(),
            repository: normal_address(&stamp.spec.repository),
            branch: stamp.spec.branch.clone(),
        })
        .collect();
    sources.sort_by(|left, right| left.codebase.cmp(&right.codebase));
    sources
}

/// A build that names no repository, as a forced one may, is for whichever its codebase has.
fn is_same(known: &[BuiltSource], asked: &[BuiltSource]) -> bool {
    let fits = |(known, asked): (&BuiltSource, &BuiltSource)| {
        let either = known.repository.is_empty() || asked.repository.is_empty();
        known.codebase == asked.codebase
            && known.branch == asked.branch
            && (either || known.repository == asked.repository)
    };
    known.len() == asked.len() && known.iter().zip(asked).all(fits)
}

/// Whether a good build proves nothing after a bad one: it skipped a step that is broken, or every step.
fn says_nothing(build: &Build, outcome: Outcome, before: &BranchResult) -> bool {
    sabotage!(SkippedRepairs => return false);
    if is_bad(outcome) || !is_bad(before.outcome) {
        return false;
    }
    let (ran, skipped) = by_name(build);
    ran.is_empty() || before.broken.iter().any(|name| skipped.contains(name.as_str()))
}

/// Steps that are broken after a bad build: its culprits, and what was broken before and did not run in it.
fn broken(build: &Build, culprits: &[StepId], before: Option<&BranchResult>) -> Vec<String> {
    let (ran, _) = by_name(build);
    let names = first_names(build);
    let at_fault = build.done.iter().filter(|done| done.culprits.iter().any(|one| culprits.contains(&one.step)));
    let now = at_fault.filter_map(|done| names.get(&done.index).copied());
    let still = before.into_iter().flat_map(|before| &before.broken).map(String::as_str);
    now.chain(still.filter(|name| !ran.contains(name))).take(BROKEN_MAX).map(str::to_owned).collect()
}

/// Steps of the list that ran, and those that were skipped; an attempt that was repeated is neither.
fn by_name(build: &Build) -> (BTreeSet<&str>, BTreeSet<&str>) {
    let names = first_names(build);
    let counted = build.done.iter().filter(|done| !done.retried);
    let (skipped, ran): (Vec<_>, Vec<_>) = counted.partition(|done| done.outcome == Outcome::Skipped);
    let named = |index: usize| names.get(&index).copied();
    (
        ran.iter().filter_map(|done| named(done.index)).collect(),
        skipped.iter().filter_map(|done| named(done.index)).collect(),
    )
}

/// The name of each step of the list: that of its first attempt, for further ones have a number behind theirs.
fn first_names(build: &Build) -> BTreeMap<usize, &str> {
    let mut names = BTreeMap::new();
    for done in &build.done {
        names.entry(done.index).or_insert(done.name.as_str());
    }
    names
}
