//! Runner processes as the worker sees them: one spare, started ahead so that a command costs one start and not two,
//! and those that have a command.

use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::sync::{Mutex, mpsc};

use super::order::Order;
use super::runner::{Job, News};
use super::spool::{Folder, seal};
use crate::base::process::spawn_ourselves;

/// How often the files of a runner are looked at that is not our child, and so cannot tell us.
const LOOK_AT_ADOPTED: Duration = Duration::from_millis(50);

/// After a spare runner could not be started: time until the next try.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// A runner of ours.
#[derive(Debug)]
pub(super) struct Ours {
    child: Child,
    to: ChildStdin,
    from: ChildStdout,
}

/// Keeps a spare runner.
#[derive(Debug)]
pub(super) struct Spares {
    ready: Mutex<mpsc::Receiver<Ours>>,
}

/// The other half of [`Spares`]: starts them.
#[derive(Debug)]
pub(super) struct SpareMaker {
    to: mpsc::Sender<Ours>,
}

impl Spares {
    pub fn new() -> (Self, SpareMaker) {
        let (to, ready) = mpsc::channel(1);
        (Self { ready: Mutex::new(ready) }, SpareMaker { to })
    }

    /// Gives a command to a runner.
    pub async fn start(&self, folder: &Folder, order: &Order) -> io::Result<Runner> {
        let spare = self.ready.lock().await.try_recv().ok();
        let mut runner = spare.map_or_else(start_one, Ok)?;
        let job = seal(&Job::Run { folder: folder.path().to_owned(), order: Box::new(order.clone()) });
        // A spare that died in the meantime is found out like any runner that dies.
        let _broken_pipe = runner.to.write_all(&job).await;
        Ok(Runner::Ours(Box::new(runner)))
    }
}

impl SpareMaker {
    /// Keeps one ready until nobody can want one any more.
    pub async fn run(self) {
        while let Ok(slot) = self.to.reserve().await {
            match start_one() {
                Ok(runner) => slot.send(runner),
                Err(error) => {
                    drop(slot);
                    tracing::debug!(%error, "no spare runner");
                    tokio::time::sleep(AFTER_FAILURE).await;
                }
            }
        }
    }
}

fn start_one() -> io::Result<Ours> {
    let mut child = spawn_ourselves(&["run-command"])?;
    match (child.stdin.take(), child.stdout.take()) {
        (Some(to), Some(from)) => Ok(Ours { child, to, from }),
        _ => Err(io::ErrorKind::BrokenPipe.into()),
    }
}

/// The runner of a command.
#[derive(Debug)]
pub(super) enum Runner {
    /// Our child.
    Ours(Box<Ours>),
    /// One that an earlier worker started.
    Adopted,
    /// There is none.
    Gone,
}

/// What a runner did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RunnerEvent {
    /// There may be more output.
    Output,
    /// The end is written.
    End,
    /// Its process ended.
    Gone,
}

impl Runner {
    /// Waits for what it does next. May be dropped while it waits.
    pub async fn event(&mut self, folder: &Folder) -> RunnerEvent {
        match self {
            Self::Ours(ours) => {
                let mut news = [0; 256];
                match ours.from.read(&mut news).await {
                    Ok(count @ 1..) if news[..count].contains(&News::END) => RunnerEvent::End,
                    Ok(1..) => RunnerEvent::Output,
                    Ok(0) | Err(_) => {
                        let _how = ours.child.wait().await;
                        RunnerEvent::Gone
                    }
                }
            }
            Self::Adopted => {
                tokio::time::sleep(LOOK_AT_ADOPTED).await;
                adopted_event(folder)
            }
            Self::Gone => std::future::pending().await,
        }
    }

    /// Makes it look at the files that we write.
    pub async fn poke(&mut self) {
        if let Self::Ours(ours) = self {
            // Bounded, because a runner that does not read is one that looks by itself soon, or never.
            let _full_or_gone = tokio::time::timeout(Duration::from_millis(50), ours.to.write_all(b"!")).await;
        }
    }

    /// Waits until its process is gone; it has nothing more to do.
    pub async fn bury(&mut self) {
        if let Self::Ours(ours) = self {
            let _how = ours.child.wait().await;
        }
        *self = Self::Gone;
    }
}

fn adopted_event(folder: &Folder) -> RunnerEvent {
    if folder.end().is_some() {
        RunnerEvent::End
    } else if folder.runner().is_none() {
        RunnerEvent::Gone
    } else {
        RunnerEvent::Output
    }
}

/// The number of this start of the machine, as far as the system tells.
pub(super) fn boot() -> String {
    let path = Path::new("/proc/sys/kernel/random/boot_id");
    std::fs::read_to_string(path).map(|id| id.trim().to_owned()).unwrap_or_default()
}
