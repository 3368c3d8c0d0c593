//! Which schedulers of a configuration have to do with what, worked out once for each configuration.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::filter::filter_of;
use crate::model::Plan;

/// Which schedulers of a configuration have to do with what, so that nothing has to look at all of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Links {
    /// Those that look at changes, in order of their names.
    pub listeners: Arc<[String]>,
    /// By the scheduler that they wait for, in order of their names.
    pub dependents: BTreeMap<String, Arc<[String]>>,
}

impl Links {
    /// Those of a configuration.
    pub fn of(plan: &Plan) -> Self {
        let listeners = plan.schedulers.values().filter(|scheduler| filter_of(scheduler).is_some());
        let mut dependents: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for scheduler in plan.schedulers.values() {
            if let Some(upstream) = scheduler.kind.upstream() {
                dependents.entry(upstream.to_owned()).or_default().push(scheduler.name.clone());
            }
        }
        Self {
            listeners: listeners.map(|scheduler| scheduler.name.clone()).collect(),
            dependents: dependents.into_iter().map(|(upstream, names)| (upstream, names.into())).collect(),
        }
    }
}
