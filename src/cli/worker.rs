//! `worker`: runs a worker until a signal.

use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::args::WorkerArgs;
use super::error::CliError;
use super::output::say;
use super::signals::Signals;
use crate::base::{LogForm, init_logging};
use crate::worker;

/// An orderly end, which tells the master good-bye, takes at most this long; the spool needs none.
const END_WITHIN: Duration = Duration::from_secs(10);
/// What still blocks in the background (a name look-up, a slow disk) must not keep the process longer.
const BACKGROUND_WITHIN: Duration = Duration::from_secs(1);

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
    install_tls();
    // One thread: all that a worker does by itself is short, and handing it from thread to thread costs more than it takes.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::environment(format!("failed to start: {error}")))?;
    let result = runtime.block_on(serve(options));
    runtime.shutdown_timeout(BACKGROUND_WITHIN);
    result
}

/// Runs the worker until it ends by itself or a signal ends it.
async fn serve(options: worker::Options) -> Result<ExitCode, CliError> {
    let mut signals = Signals::listen()?;
    let stop = CancellationToken::new();
    let mut running = pin!(worker::run(options, stop.clone()));
    tokio::select! {
        ended = &mut running => {
            ended.map_err(|error| CliError::of(&error))?;
            return Ok(ExitCode::SUCCESS);
        }
        () = signals.next() => stop.cancel(),
    }
    tokio::select! {
        // What is wrong now is not worth a word: the spool holds everything.
        _ended = &mut running => {}
        () = signals.next() => {}
        () = tokio::time::sleep(END_WITHIN) => {}
    }
    say("stopped; running commands continue, and the next worker in this directory picks them up");
    Ok(ExitCode::SUCCESS)
}

/// Chooses the TLS implementation of the whole process; the first call counts.
pub(super) fn install_tls() {
    let _already_chosen = rustls::crypto::ring::default_provider().install_default();
}
