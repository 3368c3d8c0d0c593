//! The reference model of results: what a build is compared with, worked out from the facts of its steps.

use std::collections::{BTreeMap, BTreeSet};

use super::reference::Reference;
use super::reference_builds::BuildView;
use crate::model::{BuilderId, Event, NotifyOn, Outcome, StepId};

/// The top steps of a build, as facts tell them.
#[derive(Clone, Debug, Default)]
pub struct TopSteps {
    /// By place in the list: the name of the first attempt, and how the last one ended; none while it is open or to be
    /// repeated.
    list: BTreeMap<usize, (String, Option<Outcome>)>,
    /// The place of each step, children included.
    places: BTreeMap<StepId, usize>,
}

/// Codebase, repository, branch.
type Source = (String, String, Option<String>);

/// The last result of a branch that says something.
#[derive(Clone, Debug)]
pub struct BranchView {
    sources: BTreeSet<Source>,
    outcome: Outcome,
    broken: BTreeSet<String>,
}

impl TopSteps {
    pub fn take(&mut self, event: &Event) {
        match event {
            Event::StepStarted { step, name, parent, index, .. } => {
                let inside = parent.and_then(|parent| self.places.get(&parent).copied());
                let Some(place) = index.or(inside) else { return };
                self.places.insert(*step, place);
                if parent.is_none() {
                    self.list.entry(place).or_insert_with(|| (name.clone(), None)).1 = None;
                }
            }
            Event::StepEnded { step, outcome, .. } => self.set(*step, Some(*outcome)),
            Event::StepRetried { step, .. } => self.set(*step, None),
            _ => {}
        }
    }

    fn set(&mut self, step: StepId, outcome: Option<Outcome>) {
        let Some(place) = self.places.get(&step) else { return };
        // Children end before the step around them: the last end is its own.
        if let Some(known) = self.list.get_mut(place) {
            known.1 = outcome;
        }
    }

    fn which(&self, fits: impl Fn(Outcome) -> bool) -> BTreeSet<String> {
        let ended = self.list.values().filter(|(_, outcome)| outcome.is_some_and(&fits));
        ended.map(|(name, _)| name.clone()).collect()
    }
}

impl Reference {
    /// Occasions that the end of a build is, beside its predecessor on the same branch; and takes the result in.
    pub fn compare(&mut self, build: &BuildView, outcome: Outcome, culprits: &[StepId]) -> BTreeSet<NotifyOn> {
        let set = self.request(build.requests[0]).set;
        let sources: BTreeSet<Source> = (self.sets[&set].record.stamps.iter())
            .map(|stamp| (stamp.spec.codebase.clone(), stamp.spec.repository.clone(), stamp.spec.branch.clone()))
            .collect();
        let before = self.results.entry(build.builder).or_default();
        let known = before.iter().rposition(|known| alike(&known.sources, &sources));
        let previous = known.map(|at| before[at].clone());
        let skipped = build.top.which(|outcome| outcome == Outcome::Skipped);
        let ran = build.top.which(|outcome| outcome != Outcome::Skipped);
        let was_bad = previous.as_ref().is_some_and(|previous| bad(previous.outcome));
        let open = previous.as_ref().map(|previous| previous.broken.clone()).unwrap_or_default();
        let proves = bad(outcome) || !was_bad || (!ran.is_empty() && open.is_disjoint(&skipped));
        let occasions = occasions(outcome, previous.map(|previous| previous.outcome), proves);
        if (bad(outcome) || good(outcome)) && proves {
            let mut broken = BTreeSet::new();
            if bad(outcome) {
                let places = culprits.iter().filter_map(|step| build.top.places.get(step));
                broken.extend(places.map(|place| build.top.list[place].0.clone()));
                broken.extend(open.difference(&ran).cloned());
            }
            before.retain(|known| known.sources != sources);
            before.push(BranchView { sources, outcome, broken });
        }
        occasions
    }
}

pub type Results = BTreeMap<BuilderId, Vec<BranchView>>;

/// The same branches; a build that names no repository is for any.
fn alike(one: &BTreeSet<Source>, other: &BTreeSet<Source>) -> bool {
    one.len() == other.len()
        && one.iter().all(|(codebase, repository, branch)| {
            other.iter().any(|other| {
                other.0 == *codebase
                    && other.2 == *branch
                    && (other.1 == *repository || repository.is_empty() || other.1.is_empty())
            })
        })
}

fn bad(outcome: Outcome) -> bool {
    outcome == Outcome::Failure || outcome == Outcome::Exception
}

fn good(outcome: Outcome) -> bool {
    outcome == Outcome::Success || outcome == Outcome::Warnings
}

/// All occasions that an end is.
fn occasions(outcome: Outcome, previous: Option<Outcome>, proves: bool) -> BTreeSet<NotifyOn> {
    let was_bad = previous.is_some_and(bad);
    let differs = previous.is_some_and(|previous| previous != outcome);
    [
        (NotifyOn::Always, true),
        (NotifyOn::Success, outcome == Outcome::Success),
        (NotifyOn::Warnings, outcome == Outcome::Warnings),
        (NotifyOn::Failure, outcome == Outcome::Failure),
        (NotifyOn::Exception, outcome == Outcome::Exception),
        (NotifyOn::Cancelled, outcome == Outcome::Cancelled),
        (NotifyOn::Problem, bad(outcome) && !was_bad),
        (NotifyOn::Recovery, good(outcome) && was_bad && proves),
        (NotifyOn::Change, (bad(outcome) || good(outcome)) && differs && proves),
    ]
    .into_iter()
    .filter_map(|(on, is)| is.then_some(on))
    .collect()
}
