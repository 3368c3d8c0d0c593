//! Change sources whose changes no scheduler can take: nothing would ever be built for them, and nothing would say so.
//!
//! Only what is known without a change counts: its codebase, project, repository and category, and branches that the
//! source names. What a function or a pattern of files decides is left to it.

use regex::Regex;

use super::super::collect::{Collector, Kind};
use crate::model::{ChangeFilter, ChangeSourcePlan, Matcher, Plan, SchedulerKind, SchedulerPlan, without_login};

/// Warns of each source that nobody listens to, and of branches that are polled for nothing.
pub(super) fn warn_unheard(collector: &Collector, plan: &Plan) {
    let listeners: Vec<_> = plan.schedulers.values().filter_map(|it| Some((it, filter_of(&it.kind)?))).collect();
    // Without builders it is a part of a configuration, or one that only shows changes.
    for source in plan.change_sources.values().filter(|_| !plan.builders.is_empty()) {
        let site = || collector.spot_of(Kind::ChangeSource, &source.name);
        let reasons: Vec<Option<String>> =
            listeners.iter().map(|(scheduler, filter)| obstacle(source, scheduler, filter)).collect();
        if reasons.iter().all(Option::is_some) {
            let hint = reasons.into_iter().flatten().next();
            let hint =
                hint.unwrap_or_else(|| "on_change(…) of @stdlib//schedulers.star starts builds for changes".to_owned());
            let message = format!("change source `{}`: no scheduler takes its changes", source.name);
            collector.warn(site(), message, Some(hint));
            continue;
        }
        let heard = |branch: &&str| {
            let mut willing = listeners.iter().zip(&reasons).filter(|(_, reason)| reason.is_none());
            willing.any(|((_, filter), _)| fits(filter.branch.as_ref(), Some(*branch)))
        };
        for branch in source.kind.named_branches().into_iter().filter(|branch| !heard(branch)) {
            let message = format!("change source `{}`: no scheduler takes changes of branch `{branch}`", source.name);
            let hint = "is the name right? Else add it to `branches` of a scheduler".to_owned();
            collector.warn(site(), message, Some(hint));
        }
    }
}

/// The filter of a scheduler that starts builds for changes.
const fn filter_of(kind: &SchedulerKind) -> Option<&ChangeFilter> {
    match kind {
        SchedulerKind::Branch { filter, .. }
        | SchedulerKind::AnyBranch { filter, .. }
        | SchedulerKind::Periodic { filter, only_if_changed: true, .. }
        | SchedulerKind::Nightly { filter, only_if_changed: true, .. } => Some(filter),
        SchedulerKind::Periodic { .. }
        | SchedulerKind::Nightly { .. }
        | SchedulerKind::Dependent { .. }
        | SchedulerKind::Triggerable
        | SchedulerKind::Force { .. } => None,
    }
}

/// Why a scheduler can never take a change of a source; none if it may.
fn obstacle(source: &ChangeSourcePlan, scheduler: &SchedulerPlan, filter: &ChangeFilter) -> Option<String> {
    let name = &scheduler.name;
    if !scheduler.codebases.iter().any(|codebase| codebase.stamp.codebase == source.codebase) {
        return Some(match source.codebase.as_str() {
            "" => format!("they have no codebase, and scheduler `{name}` takes changes of its `codebases` only"),
            codebase => format!(
                "they have the codebase `{codebase}`, which is not among the `codebases` of scheduler `{name}`: add it there, codebases = {{\"{codebase}\": {{}}}}"
            ),
        });
    }
    let (repository, has_tags) = (without_login(source.kind.repository()), source.kind.follows_tags());
    let own = source.category.as_deref();
    let categories = own.map_or_else(|| source.kind.categories(), |own| vec![Some(own)]);
    let branches = source.kind.named_branches();
    let tests = [
        ("codebase", fits(filter.codebase.as_ref(), Some(source.codebase.as_str()))),
        ("project", fits(filter.project.as_ref(), Some(source.project.as_str()))),
        ("repository", fits(filter.repository.as_ref(), Some(repository.as_str()))),
        ("category", categories.iter().any(|category| fits(filter.category.as_ref(), *category))),
        (
            "branch",
            branches.is_empty()
                || has_tags
                || branches.iter().any(|branch| fits(filter.branch.as_ref(), Some(*branch))),
        ),
    ];
    let (attribute, _) = tests.into_iter().find(|(_, fits)| !fits)?;
    Some(format!("scheduler `{name}` does not take their {attribute}"))
}

fn fits(matcher: Option<&Matcher>, value: Option<&str>) -> bool {
    let is = |one: &Option<String>| one.as_deref() == value;
    match matcher {
        None => true,
        Some(Matcher::OneOf(values)) => values.iter().any(is),
        Some(Matcher::NoneOf(values)) => !values.iter().any(is),
        // A pattern that does not compile is a problem already.
        Some(Matcher::Regex(pattern)) => Regex::new(&format!("^(?:{pattern})"))
            .map_or(true, |regex| value.is_some_and(|value| regex.is_match(value))),
    }
}
