//! Runner processes as the worker sees them: spare ones, so that a command costs one start and not two, and those that
//! have a command. A runner that has done its command and kept nothing of it becomes a spare again.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::sync::Notify;

use super::order::Order;
use super::runner::{Job, POKE, WorkerNotifier};
use super::spool::Spooled;
use crate::base::environment;
use crate::base::process::spawn_ourselves;

/// How often the files of a runner are looked at that is not our child, and so cannot tell us.
const LOOK_AT_ADOPTED: Duration = Duration::from_millis(50);

/// A runner that has told the end is free, or gone, within milliseconds. One that is not (somebody stopped it) is left
/// alone: it ends by itself when it finds its pipe closed.
const FREE_WITHIN: Duration = Duration::from_secs(10);

/// After a spare runner could not be started: time until the next try.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// Spares that are kept: there are never more runners than commands at once and one, and with fewer than that kept, a
/// worker that is busy starts one again and again, which costs as much as some commands. Each takes a few megabytes, most
/// of them shared.
const SPARES_MAX: usize = 16;

/// A runner that this worker started.
#[derive(Debug)]
pub(super) struct OwnRunner {
    child: Child,
    to: ChildStdin,
    from: ChildStdout,
    /// It said that it can take another command.
    free: bool,
}

/// Keeps spare runners.
#[derive(Clone, Debug, Default)]
pub(super) struct Spares {
    ready: Arc<Mutex<Vec<OwnRunner>>>,
    taken: Arc<Notify>,
}

/// The other half of [`Spares`]: starts one when none is left.
#[derive(Debug)]
pub(super) struct SpareMaker {
    spares: Spares,
}

impl Spares {
    pub fn new() -> (Self, SpareMaker) {
        let spares = Self::default();
        (spares.clone(), SpareMaker { spares })
    }

    /// Gives a command to a runner.
    pub async fn start(&self, spooled: &Spooled, order: &Order) -> io::Result<Runner> {
        let spare = self.ready().pop();
        self.taken.notify_one();
        let mut runner = spare.map_or_else(start_one, Ok)?;
        let job = Job::Run { spooled: spooled.path().to_owned(), order: Box::new(order.clone()) }.sealed();
        // A spare that died in the meantime is found out like any runner that dies.
        let _broken_pipe = runner.to.write_all(&job).await;
        Ok(Runner::Own(Box::new(runner)))
    }

    /// Keeps a runner that is free again; one too many ends by itself when its pipe is closed.
    fn keep(&self, runner: OwnRunner) {
        let mut ready = self.ready();
        if ready.len() < SPARES_MAX {
            ready.push(OwnRunner { free: false, ..runner });
        }
    }

    fn ready(&self) -> MutexGuard<'_, Vec<OwnRunner>> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SpareMaker {
    /// Keeps at least one ready; never ends.
    pub async fn run(self) {
        loop {
            if self.spares.ready().is_empty() {
                match start_one() {
                    Ok(runner) => self.spares.keep(runner),
                    Err(error) => {
                        tracing::debug!(%error, "no spare runner");
                        tokio::time::sleep(AFTER_FAILURE).await;
                        continue;
                    }
                }
            }
            self.spares.taken.notified().await;
        }
    }
}

fn start_one() -> io::Result<OwnRunner> {
    let mut child = spawn_ourselves(&["run-command"])?;
    match (child.stdin.take(), child.stdout.take()) {
        (Some(to), Some(from)) => Ok(OwnRunner { child, to, from, free: false }),
        _ => Err(io::ErrorKind::BrokenPipe.into()),
    }
}

/// The runner of a command.
#[derive(Debug)]
pub(super) enum Runner {
    /// Our child.
    Own(Box<OwnRunner>),
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
    pub async fn event(&mut self, spooled: &Spooled) -> RunnerEvent {
        match self {
            Self::Own(own) => {
                let mut news = [0; 256];
                match own.from.read(&mut news).await {
                    Ok(count @ 1..) => {
                        let news = &news[..count];
                        own.free |= news.contains(&WorkerNotifier::FREE);
                        if news.contains(&WorkerNotifier::END) { RunnerEvent::End } else { RunnerEvent::Output }
                    }
                    Ok(0) | Err(_) => {
                        let _how = own.child.wait().await;
                        RunnerEvent::Gone
                    }
                }
            }
            Self::Adopted => {
                tokio::time::sleep(LOOK_AT_ADOPTED).await;
                adopted_event(spooled)
            }
            Self::Gone => std::future::pending().await,
        }
    }

    /// Makes it look at the files that we write.
    pub async fn poke(&mut self) {
        if let Self::Own(own) = self {
            // Bounded, because a runner that does not read is one that looks by itself soon, or never.
            let _full_or_gone = tokio::time::timeout(Duration::from_millis(50), own.to.write_all(&[POKE])).await;
        }
    }

    /// Waits until it is free, and keeps it as a spare, or until its process is gone; it has nothing more to do here.
    pub async fn retire(self, spares: &Spares) {
        let Self::Own(mut own) = self else { return };
        if matches!(tokio::time::timeout(FREE_WITHIN, own.becomes_free()).await, Ok(true)) {
            spares.keep(*own);
        }
    }
}

impl OwnRunner {
    /// Waits until it said that it is free; false if it ended instead.
    async fn becomes_free(&mut self) -> bool {
        let mut news = [0; 256];
        while !self.free {
            match self.from.read(&mut news).await {
                Ok(count @ 1..) => self.free = news[..count].contains(&WorkerNotifier::FREE),
                Ok(0) | Err(_) => {
                    let _how = self.child.wait().await;
                    return false;
                }
            }
        }
        true
    }
}

fn adopted_event(spooled: &Spooled) -> RunnerEvent {
    if spooled.end().is_some() {
        RunnerEvent::End
    } else if spooled.runner().is_none() {
        RunnerEvent::Gone
    } else {
        RunnerEvent::Output
    }
}

/// The number of this start of the machine, as far as the system tells.
pub(super) fn boot() -> String {
    environment::boot_id().unwrap_or_default()
}
