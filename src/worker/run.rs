//! The worker's main task: one directory, one connection at a time, and a new one whenever it ends.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::address::Address;
use super::connect::connect;
use super::options::{Options, WorkerError};
use super::session::{SessionEnd, serve};
use super::table::Table;
use crate::base::files::{FileLock, LockError, keep_state_in};
use crate::base::{chain, random_fraction};

/// Pauses between connections grow from the first by a factor up to the last, and get up to a second of chance, so that
/// a hundred workers do not come back at the same moment.
const PAUSE_FIRST: f64 = 1.0;
const PAUSE_FACTOR: f64 = 1.5;
const PAUSE_LAST: f64 = 60.0;
const PAUSE_CHANCE: f64 = 1.0;
/// A connection that lasted this long was a good one. Two workers that share a name, or a copied directory, throw each
/// other out at once: their pauses have to grow.
const GOOD_AFTER: Duration = Duration::from_secs(10);

/// Connects, and connects again, until `stop` is cancelled or the master orders a shutdown. Running commands go on
/// without it and are taken up by the next one in the same directory.
pub async fn run(options: Options, stop: CancellationToken) -> Result<(), WorkerError> {
    if options.name.is_empty() || options.name.contains(':') {
        return Err(WorkerError::Name { name: options.name });
    }
    let address = Address::read(&options.master)?;
    let (dir, _lock) = open_directory(&options.dir)?;
    let directory_failed = |source| WorkerError::Directory { dir: dir.clone(), source };
    let (mut table, spares) = Table::open(&dir).map_err(directory_failed)?;
    let instance = table.instance().map_err(directory_failed)?;
    let spares = tokio::spawn(spares.run());
    serve_for_ever(&options, &address, &dir, &instance, &mut table, &stop).await;
    spares.abort();
    let _aborted = spares.await;
    Ok(())
}

async fn serve_for_ever(
    options: &Options,
    address: &Address,
    dir: &Path,
    instance: &str,
    table: &mut Table,
    stop: &CancellationToken,
) {
    let mut failures = 0;
    loop {
        let connected = tokio::select! {
            connected = connect(address, options) => connected,
            () = stop.cancelled() => return,
        };
        match connected {
            Ok(socket) => {
                tracing::info!(worker = options.name, master = address.url, "connected");
                let began = tokio::time::Instant::now();
                match serve(socket, dir, instance, table, stop).await {
                    SessionEnd::Stopped | SessionEnd::Shutdown => return,
                    SessionEnd::Lost { why, served } => {
                        failures = if served && began.elapsed() >= GOOD_AFTER { 0 } else { failures + 1 };
                        tracing::warn!(worker = options.name, why, "the connection to the master is lost");
                    }
                    SessionEnd::Refused { why } => {
                        failures += 1;
                        tracing::error!(worker = options.name, why, "this worker does not serve this master");
                    }
                }
            }
            Err(error) => {
                failures += 1;
                tracing::warn!(worker = options.name, "failed to {}", chain(&error));
            }
        }
        if wait(pause(failures, random_fraction()), table, stop).await {
            return;
        }
    }
}

/// How long to wait after this many failures in a row.
fn pause(failures: i32, chance: f64) -> Duration {
    let grown = PAUSE_FIRST * PAUSE_FACTOR.powi((failures - 1).clamp(0, 64));
    Duration::from_secs_f64(grown.min(PAUSE_LAST) + chance * PAUSE_CHANCE)
}

/// Waits; commands go on meanwhile. True if the worker is to end.
async fn wait(pause: Duration, table: &mut Table, stop: &CancellationToken) -> bool {
    let over = tokio::time::sleep(pause);
    tokio::pin!(over);
    loop {
        tokio::select! {
            () = &mut over => return false,
            () = stop.cancelled() => return true,
            () = table.command_over() => {}
        }
    }
}

/// Makes the base directory ours.
fn open_directory(dir: &Path) -> Result<(PathBuf, FileLock), WorkerError> {
    let failed = |source: io::Error| WorkerError::Directory { dir: dir.to_owned(), source };
    // All but the spool is of builds, which keep their own modes.
    keep_state_in(dir, |path| path.file_name().is_none_or(|name| name != "spool")).map_err(failed)?;
    let dir = dir.canonicalize().map_err(failed)?;
    match FileLock::take(&dir.join("worker.lock")) {
        Ok(mut lock) => {
            lock.sign(&format!("process {}", std::process::id())).map_err(failed)?;
            Ok((dir, lock))
        }
        Err(LockError::Held(holder)) => Err(WorkerError::InUse { dir, holder }),
        Err(LockError::Io(source)) => Err(failed(source)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_minute_and_differ() {
        let seconds = |failures, chance| pause(failures, chance).as_secs_f64();
        assert!((seconds(0, 0.0) - 1.0).abs() < 1e-9);
        assert!((seconds(1, 0.5) - 1.5).abs() < 1e-9);
        assert!((seconds(3, 0.0) - 2.25).abs() < 1e-9);
        assert!((seconds(1000, 0.9) - 60.9).abs() < 1e-9);
    }

    #[test]
    fn a_directory_takes_one_worker() {
        let dir = tempfile::tempdir().unwrap();
        let first = open_directory(dir.path()).unwrap();
        let error = open_directory(dir.path()).unwrap_err().to_string();
        let path = dir.path().canonicalize().unwrap();
        assert!(error.contains(&path.display().to_string()), "{error}");
        assert!(error.contains(&std::process::id().to_string()), "{error}");
        drop(first);
        assert!(open_directory(dir.path()).is_ok());
    }
}
