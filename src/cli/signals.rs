//! The signals that end a process: SIGTERM and SIGINT, Ctrl-C elsewhere.
//!
//! Invariant: from [`Signals::listen`] on none is missed, so the second one counts, however soon it comes.

use super::error::CliError;

/// Where they arrive.
#[cfg(unix)]
pub(super) struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

/// Where they arrive.
#[cfg(not(unix))]
pub(super) struct Signals {}

impl Signals {
    /// From now on they end nothing by themselves.
    #[cfg(unix)]
    pub fn listen() -> Result<Self, CliError> {
        use tokio::signal::unix::SignalKind;
        Ok(Self { terminate: listen_for(SignalKind::terminate())?, interrupt: listen_for(SignalKind::interrupt())? })
    }

    /// From now on they end nothing by themselves.
    #[cfg(not(unix))]
    pub fn listen() -> Result<Self, CliError> {
        Ok(Self {})
    }

    /// Waits for the next one.
    #[cfg(unix)]
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Waits for the next one.
    #[cfg(not(unix))]
    pub async fn next(&mut self) {
        let _ended_or_never = tokio::signal::ctrl_c().await;
    }
}

/// Listens for one kind of signal.
#[cfg(unix)]
pub(super) fn listen_for(kind: tokio::signal::unix::SignalKind) -> Result<tokio::signal::unix::Signal, CliError> {
    tokio::signal::unix::signal(kind)
        .map_err(|error| CliError::environment(format!("failed to listen for signals: {error}")))
}
