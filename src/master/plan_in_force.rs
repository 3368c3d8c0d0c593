//! The configuration in force, for everybody who only looks.

use std::sync::Arc;

use tokio::sync::watch;

use crate::model::Plan;

/// The plan whose adoption is durable; cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct PlanInForce {
    plan: watch::Sender<Arc<Plan>>,
}

impl PlanInForce {
    pub fn new(plan: Arc<Plan>) -> Self {
        Self { plan: watch::Sender::new(plan) }
    }

    /// The plan now.
    pub fn get(&self) -> Arc<Plan> {
        Arc::clone(&self.plan.borrow())
    }

    /// Tells of each newer one.
    pub fn watch(&self) -> watch::Receiver<Arc<Plan>> {
        self.plan.subscribe()
    }

    /// A newer one came into force.
    pub fn set(&self, plan: Arc<Plan>) {
        self.plan.send_replace(plan);
    }
}
