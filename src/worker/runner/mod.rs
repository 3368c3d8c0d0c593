//! The process beside one command: starts it, spools what it prints, tells its end. Knows no network.
//!
//! ```text
//! stdin ──► job, then pokes ("look at `stop` and `acked`")
//!           │
//!       [ pump ] ◄── pipes or terminal of the command, log files, its end, time-outs
//!           │
//!           ├──► spool: started, out, end
//! stdout ◄──┘    a byte for each news; nobody may be there to read it
//! ```
//! Invariants: the command is started only by who created `started`; nothing a secret's value stands in reaches the
//! disk; the runner always ends, and with it every process that it is told to stop.

mod command;
mod environment;
mod header;
mod job;
mod logfile;
mod pump;
mod recorder;
mod stopping;
mod terminal;

pub(super) use environment::{MARKER, without_ours};
pub(super) use job::{Job, News};

use std::io;

use self::command::Command;
use self::pump::Pump;
use crate::base::files::LockError;
use crate::worker::order::Order;
use crate::worker::spool::{Ending, Folder, StoredEnd, StoredReport, read_frame};

/// The hidden subcommand: reads a job from standard input and does it. Returns the exit code.
pub fn run_command() -> i32 {
    // A session of our own, so that neither the worker's terminal nor its end reaches us. It fails only for the
    // leader of a group, who has what we want already.
    let _leader = rustix::process::setsid();
    match read_frame(io::stdin().lock()) {
        // A spare runner whose worker ended.
        Ok(None) => 0,
        Ok(Some(Job::Run { folder, order })) => run(&Folder::at(&folder), &order).map_or(1, |()| 0),
        Ok(Some(Job::Enter { terminal, program })) => terminal::enter(&terminal, &program),
        Err(_cut) => 1,
    }
}

/// Runs a command from its start to its end in the spool.
fn run(folder: &Folder, order: &Order) -> io::Result<()> {
    let Some(_lock) = lock(folder)? else { return Ok(()) };
    if !folder.claim_start(&std::process::id().to_string())? {
        return Ok(());
    }
    if order.withheld {
        let why = "the worker ended before it could hand the command's secrets to its runner";
        return folder.write_end(&Ending { parts: 0, report: StoredReport::of(StoredEnd::Lost, why) });
    }
    crate::base::process::tree::adopt_orphans()?;
    let mut news = News::new();
    let ending = Pump::new(folder, order)?.run(Command::new(order, folder.path()), &mut news)?;
    folder.write_end(&ending)?;
    news.ended();
    Ok(())
}

/// Takes the lock that says that a runner lives. A worker that looks whether one does holds it for a moment, so it is
/// tried again; who holds it for longer is another runner.
fn lock(folder: &Folder) -> io::Result<Option<crate::base::files::FileLock>> {
    const TRIES: u32 = 100;
    for _ in 0..TRIES {
        match folder.lock() {
            Ok(mut lock) => {
                lock.sign(&std::process::id().to_string())?;
                return Ok(Some(lock));
            }
            Err(LockError::Held(_)) => std::thread::sleep(std::time::Duration::from_millis(10)),
            Err(LockError::Io(error)) => return Err(error),
        }
    }
    Ok(None)
}
