//! Evaluations of build scripts: ordered, wanted, or waiting for a pause to end. One at a time for each build.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::Timestamp;
use crate::model::{BuildContext, BuildId, EvalPart, StepId};

/// The evaluation of a build's script.
#[derive(Clone, Debug, Default)]
struct Evaluation {
    /// Counts the orders; answers to older ones are void.
    number: u64,
    /// What the newest order was for, as long as it is not answered.
    ordered: Option<EvalPart>,
    /// Something changed: evaluate, now or after the one that is ordered.
    wanted: bool,
}

/// Those of all builds.
#[derive(Clone, Debug, Default)]
pub(in crate::engine) struct Evaluations {
    by_build: BTreeMap<BuildId, Evaluation>,
    contexts: BTreeMap<BuildId, (StepId, Arc<BuildContext>)>,
    /// Those whose process was lost are ordered again then.
    paused: BTreeMap<BuildId, Timestamp>,
}

impl Evaluations {
    /// Something changed that a build's script waits for.
    pub fn want(&mut self, build: BuildId) {
        self.by_build.entry(build).or_default().wanted = true;
    }

    /// Whether something changed since the last order.
    pub fn is_wanted(&self, build: BuildId) -> bool {
        self.by_build.get(&build).is_some_and(|evaluation| evaluation.wanted)
    }

    /// Whether the script has told all that it has to tell.
    pub fn is_quiet(&self, build: BuildId) -> bool {
        self.by_build.get(&build).is_some_and(|evaluation| evaluation.ordered.is_none() && !evaluation.wanted)
    }

    /// Orders an evaluation, unless one is under way or nothing changed since the last. Gives its number.
    pub fn order(&mut self, build: BuildId, part: EvalPart) -> Option<u64> {
        // A build unknown here is one that an earlier process drove: it may have anything to be told.
        let fresh = || Evaluation { wanted: true, ..Evaluation::default() };
        let evaluation = self.by_build.entry(build).or_insert_with(fresh);
        if evaluation.ordered.is_some() || !evaluation.wanted || self.paused.contains_key(&build) {
            return None;
        }
        *evaluation = Evaluation { number: evaluation.number + 1, ordered: Some(part), wanted: false };
        Some(evaluation.number)
    }

    /// An evaluation is done. What it was for; none if it is not the newest order's.
    pub fn returned(&mut self, build: BuildId, number: u64) -> Option<EvalPart> {
        let evaluation = self.by_build.get_mut(&build).filter(|evaluation| evaluation.number == number)?;
        evaluation.ordered.take()
    }

    /// A script whose process was lost is evaluated again only then.
    pub fn pause(&mut self, build: BuildId, until: Timestamp) {
        self.paused.insert(build, until);
    }

    /// When its pause ends.
    pub fn paused_until(&self, build: BuildId) -> Option<Timestamp> {
        self.paused.get(&build).copied()
    }

    /// Its pause is over.
    pub fn resume(&mut self, build: BuildId) {
        self.paused.remove(&build);
    }

    /// What the script of a step reads: the same for all of its evaluations.
    pub fn context(&self, build: BuildId, step: StepId) -> Option<&Arc<BuildContext>> {
        self.contexts.get(&build).filter(|(known, _)| *known == step).map(|(_, context)| context)
    }

    /// Keeps it for the next one.
    pub fn keep_context(&mut self, build: BuildId, step: StepId, context: &Arc<BuildContext>) {
        self.contexts.insert(build, (step, Arc::clone(context)));
    }

    /// A step ended: what is still told of it is void.
    pub fn step_ended(&mut self, build: BuildId) {
        if let Some(evaluation) = self.by_build.get_mut(&build) {
            evaluation.ordered = None;
        }
        self.contexts.remove(&build);
    }

    /// A build ended.
    pub fn build_ended(&mut self, build: BuildId) {
        self.by_build.remove(&build);
        self.contexts.remove(&build);
        self.paused.remove(&build);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUILD: BuildId = BuildId(1);

    #[test]
    fn one_is_ordered_at_a_time_and_only_when_something_changed() {
        let mut all = Evaluations::default();
        let first = all.order(BUILD, EvalPart::Body).expect("an unknown build may have anything to be told");
        all.want(BUILD);
        assert_eq!(all.order(BUILD, EvalPart::Body), None);
        assert_eq!(all.returned(BUILD, first), Some(EvalPart::Body));
        assert!(all.order(BUILD, EvalPart::Body).is_some_and(|second| second > first));
        assert!(!all.is_wanted(BUILD) && !all.is_quiet(BUILD));
    }

    #[test]
    fn an_answer_after_its_step_has_ended_is_void() {
        let mut all = Evaluations::default();
        let first = all.order(BUILD, EvalPart::DoIf).unwrap();
        all.step_ended(BUILD);
        assert_eq!(all.returned(BUILD, first), None);
        all.want(BUILD);
        let second = all.order(BUILD, EvalPart::Body).unwrap();
        assert_eq!((all.returned(BUILD, first), all.returned(BUILD, second)), (None, Some(EvalPart::Body)));
    }

    #[test]
    fn a_paused_one_is_not_ordered() {
        let mut all = Evaluations::default();
        all.want(BUILD);
        all.pause(BUILD, Timestamp::from_seconds(9));
        assert_eq!(all.order(BUILD, EvalPart::Body), None);
        all.resume(BUILD);
        assert!(all.order(BUILD, EvalPart::Body).is_some());
    }
}
