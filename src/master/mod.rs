//! The shell: one task owns the engine; worker links, effects, reload, outbox, shutdown.
//!
//! The tasks and their queues stand in `docs/design/tasks.md`; what survives which crash, and how, in
//! `docs/design/recovery.md`.

mod admission;
mod alert_survey;
mod alert_watch;
mod alert_workers;
mod alerts;
mod artifact_room;
mod authorize;
mod configurations;
mod decisions;
mod declared_place;
mod deliveries;
mod disk_full;
mod effects;
mod end_build;
mod engine_task;
mod error;
mod evaluators;
mod gerrit_streams;
mod handle;
mod hook_functions;
mod hooks;
mod housekeeping;
mod inbox;
mod keyed_queue;
mod large_stack;
pub mod link;
mod log_writes;
mod missing_branches;
mod options;
mod order_bounds;
mod plan_in_force;
mod polls;
mod reading;
mod reload;
mod renders;
mod report_facts;
mod rights;
mod socket;
mod start;
mod stuck;
mod tasks;
mod watch;
mod workers;

pub use admission::{HookAccess, Refusal, RefusalKind, RefusedWorker};
pub use alerts::Alerts;
pub use end_build::{EndBuildError, end_build_offline};
pub use error::{MasterError, OrderError, ShuttingDown, StartError};
pub use handle::Handle;
pub use hooks::HookAnswer;
pub use options::{Options, Reach};
pub use socket::{Frame, Socket};
pub use start::{Master, load};
pub use workers::AdmittedWorker;

use reload::Reload;

pub use crate::engine::{Reply, SubmissionResult};
pub use crate::evaluator::{Launcher, Load};
pub use crate::vcs::{HookCall, HookError};
