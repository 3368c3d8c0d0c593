//! Signatures that the other rooms use; bodies follow.
#![allow(clippy::missing_errors_doc, unused_variables, clippy::todo, clippy::unused_async)]

use std::path::PathBuf;

/// How to run a worker.
#[derive(Clone, Debug)]
pub struct Options {
    /// `HOST:PORT`, or `wss://…`/`ws://…`.
    pub master: String,
    pub name: String,
    pub password: String,
    /// Base folder: builders' folders and the spool.
    pub dir: PathBuf,
}

#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    #[error("placeholder")]
    Placeholder,
}

/// Connects, and connects again, until `stop` is cancelled or the master orders a shutdown. Running commands go on
/// without it and are taken up by the next one in the same folder.
pub async fn run(options: Options, stop: tokio_util::sync::CancellationToken) -> Result<(), WorkerError> {
    todo!()
}
