//! Where our own worker does not run yet. A stock worker does.

use tokio_util::sync::CancellationToken;

use super::options::{Options, WorkerError};

/// Says that it cannot run here.
pub async fn run(_options: Options, _stop: CancellationToken) -> Result<(), WorkerError> {
    Err(WorkerError::Unsupported)
}

/// Never started here.
pub fn run_command() -> i32 {
    1
}
