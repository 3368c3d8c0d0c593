//! `worker`: runs a worker until a signal.

use std::process::ExitCode;

use tokio_util::sync::CancellationToken;

use super::args::WorkerArgs;
use super::error::CliError;
use super::master::in_runtime;
use crate::base::{LogForm, chain, init_logging};
use crate::worker;

pub(super) fn run(args: &WorkerArgs, form: LogForm) -> Result<ExitCode, CliError> {
    init_logging(form, "info");
    let password = std::fs::read_to_string(&args.password_file).map_err(|error| {
        CliError::environment(format!("failed to read the password file `{}`: {error}", args.password_file.display()))
    })?;
    let password = password.trim_end_matches(['\r', '\n']).to_owned();
    if password.is_empty() {
        return Err(CliError::user(format!("the password file `{}` is empty", args.password_file.display())));
    }
    let options =
        worker::Options { master: args.master.clone(), name: args.name.clone(), password, dir: args.dir.clone() };
    in_runtime(async {
        let stop = CancellationToken::new();
        let on_signal = stop.clone();
        tokio::spawn(async move {
            end_signal().await;
            on_signal.cancel();
        });
        worker::run(options, stop).await.map_err(|error| CliError::environment(chain(&error)))?;
        Ok(ExitCode::SUCCESS)
    })
}

#[cfg(unix)]
async fn end_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
        (Ok(mut terminate), Ok(mut interrupt)) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        }
        // Without signals the default action ends the process.
        _ => std::future::pending().await,
    }
}

#[cfg(not(unix))]
async fn end_signal() {
    let _ended_or_never = tokio::signal::ctrl_c().await;
}

/// Chooses the TLS implementation of the whole process; the first call counts.
pub(super) fn install_tls() {
    let _already_chosen = rustls::crypto::ring::default_provider().install_default();
}
