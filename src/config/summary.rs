//! A configuration in one line.

use super::args::count;
use crate::model::Plan;

/// "3 workers, 5 builders, …" for people.
#[must_use]
pub fn summary(plan: &Plan) -> String {
    let parts = [
        (plan.workers.len(), "worker"),
        (plan.builders.len(), "builder"),
        (plan.schedulers.len(), "scheduler"),
        (plan.change_sources.len(), "change source"),
        (plan.notifiers.len(), "notifier"),
        (plan.locks.len(), "lock"),
        (plan.secrets.names.len(), "secret"),
    ];
    let named = parts.iter().filter(|(number, _)| *number > 0).map(|(number, word)| count(*number, word));
    let text = named.collect::<Vec<_>>().join(", ");
    if text.is_empty() { "nothing declared".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::WorkerPlan;

    #[test]
    fn counts_what_there_is() {
        let mut plan = Plan::default();
        assert_eq!(summary(&plan), "nothing declared");
        plan.workers.insert("w1".to_owned(), WorkerPlan::default());
        plan.workers.insert("w2".to_owned(), WorkerPlan::default());
        plan.secrets.names.push("token".to_owned());
        assert_eq!(summary(&plan), "2 workers, 1 secret");
    }
}
