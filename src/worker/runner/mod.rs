//! The process beside one command: starts it, spools what it prints, tells its end. Knows no network.
//!
//! ```text
//! stdin ──► a job, then pokes ("look at `stop` and `acked`"); perhaps a further job
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
pub(super) use job::{Job, News, POKE};

use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;

use self::command::Command;
use self::pump::Pump;
use crate::base::files::LockError;
use crate::base::process::tree;
use crate::worker::order::Order;
use crate::worker::spool::{Ending, Folder, StoredEnd, StoredReport};

/// The hidden subcommand: reads jobs from standard input and does them, one after the other. Returns the exit code.
pub fn run_command() -> i32 {
    // A session of our own, so that neither the worker's terminal nor its end reaches us. It fails only for the
    // leader of a group, who has what we want already.
    let _leader = rustix::process::setsid();
    // Not through the standard library's buffer: what follows a job is for the pump.
    let Ok(stdin) = io::stdin().as_fd().try_clone_to_owned() else { return 1 };
    let mut jobs = File::from(stdin);
    let mut news = News::new();
    loop {
        match Job::next(&mut jobs) {
            // A spare runner whose worker ended.
            Ok(None) => return 0,
            Ok(Some(Job::Run { folder, order })) => match run(&Folder::at(&folder), &order, &mut news) {
                // Another command must find neither a secret of this one in our memory nor a process of it below us.
                Ok(true) if order.secrets.is_empty() && tree::is_childless() => news.free(),
                Ok(_) => return 0,
                Err(_told_nobody) => return 1,
            },
            Ok(Some(Job::Enter { terminal, program })) => return terminal::enter(&terminal, &program),
            Err(_cut) => return 1,
        }
    }
}

/// Runs a command from its start to its end in the spool. False if there is nothing to run.
fn run(folder: &Folder, order: &Order, news: &mut News) -> io::Result<bool> {
    let Some(_lock) = lock(folder)? else { return Ok(false) };
    if !folder.claim_start(&std::process::id().to_string())? {
        return Ok(false);
    }
    if order.withheld {
        let why = "the worker ended before it could hand the command's secrets to its runner";
        folder.write_end(&Ending { parts: 0, report: StoredReport::of(StoredEnd::Lost, why) })?;
        return Ok(false);
    }
    tree::adopt_orphans()?;
    let ending = Pump::new(folder, order)?.run(Command::new(order, folder.path()), news)?;
    folder.write_end(&ending)?;
    news.ended();
    Ok(true)
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
