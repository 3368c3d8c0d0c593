//! Force schedulers whose branch and revision no step uses: the engine refuses them when somebody forces a build, and
//! whoever writes the configuration should know before.

use super::super::collect::{Collector, Kind};
use crate::model::{BuilderPlan, Plan, SchedulerKind, SchedulerPlan};

/// Warns of each builder for which a form has a branch and a revision that have no effect.
pub(super) fn warn_unused(collector: &Collector, plan: &Plan) {
    let forces = plan.schedulers.values().filter(|it| matches!(it.kind, SchedulerKind::Force { .. }));
    // Looked up once: a configuration may have thousands of both.
    let upstreams = plan.upstreams();
    for scheduler in forces.filter(|it| !upstreams.contains(it.name.as_str())) {
        let builders: Vec<&BuilderPlan> =
            scheduler.builders.iter().filter_map(|name| plan.builders.get(name)).collect();
        for builder in &builders {
            let unused = unused(scheduler, builder, &builders);
            if unused.is_empty() {
                continue;
            }
            let word = if unused.len() == 1 { "codebase" } else { "codebases" };
            let message = format!(
                "force scheduler `{}` gives branch and revision to the {word} `{}`, which no step of `{}` uses",
                scheduler.name,
                unused.join("`, `"),
                builder.name
            );
            let used: Vec<String> = builder.codebases.iter().map(|codebase| format!("\"{codebase}\": {{}}")).collect();
            let hint = format!("name the codebases of its steps: codebases = {{{}}}", used.join(", "));
            collector.warn(collector.spot_of(Kind::Scheduler, &scheduler.name), message, Some(hint));
        }
    }
}

/// The codebases of a scheduler that a builder ignores: those that nobody uses, or all, if it uses none of them.
fn unused<'p>(scheduler: &'p SchedulerPlan, builder: &BuilderPlan, builders: &[&BuilderPlan]) -> Vec<&'p str> {
    let names = || scheduler.codebases.iter().map(|codebase| codebase.stamp.codebase.as_str());
    if names().all(|codebase| builder.ignores(codebase)) {
        return names().collect();
    }
    let is_known = !builder.codebases.is_empty();
    names().filter(|codebase| is_known && builders.iter().all(|builder| builder.ignores(codebase))).collect()
}
