//! The process beside one command: starts it, spools what it prints, tells its end. Knows no network.
//!
//! ```text
//! stdin ──► a job, then pokes ("look at `stop` and `acked`"); perhaps a further job
//!           │
//!       [ pump ] ◄── pipes or terminal of the command, log files, its end, time-outs
//!           │
//!           ├──► spool: claim, output, ending
//! stdout ◄──┘    a byte for each news; nobody may be there to read it
//! ```
//! Invariants: the command is started only by who claimed its start; nothing a secret's value stands in reaches the
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
pub(super) use job::{Job, POKE, WorkerNotifier};

use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;

use self::command::Command;
use self::pump::Pump;
use crate::base::SystemClock;
use crate::base::process::tree;
use crate::worker::order::Order;
use crate::worker::spool::{Claim, Claimed, Ending, Spooled, StoredEnd, StoredReport};

/// The hidden subcommand: reads jobs from standard input and does them, one after the other. Returns the exit code.
pub fn run_command() -> i32 {
    // A session of our own, so that neither the worker's terminal nor its end reaches us. It fails only for the
    // leader of a group, who has what we want already.
    let _leader = rustix::process::setsid();
    // Not through the standard library's buffer: what follows a job is for the pump.
    let Ok(stdin) = io::stdin().as_fd().try_clone_to_owned() else { return 1 };
    let mut jobs = File::from(stdin);
    let mut notifier = WorkerNotifier::new();
    loop {
        match Job::next(&mut jobs) {
            // A spare runner whose worker ended.
            Ok(None) => return 0,
            Ok(Some(Job::Run { spooled, order })) => match run(&Spooled::at(&spooled), &order, &mut notifier) {
                Ok(true) => {
                    // Another command must find neither a secret of this one in our memory nor a process of it below us.
                    if !order.masks.is_empty() || !tree::is_childless() {
                        notifier.ended();
                        return 0;
                    }
                    notifier.ended_and_free();
                }
                Ok(false) => return 0,
                Err(_told_nobody) => return 1,
            },
            Ok(Some(Job::Enter { terminal, program })) => return terminal::enter(&terminal, &program),
            Err(_cut) => return 1,
        }
    }
}

/// Runs a command from its start to its end in the spool, which the worker is still to be told. False if there is nothing to
/// run.
fn run(spooled: &Spooled, order: &Order, notifier: &mut WorkerNotifier) -> io::Result<bool> {
    let Some(claim) = claim(spooled)? else { return Ok(false) };
    if order.withheld {
        let why = "the worker ended before it could hand the command's secrets to its runner";
        claim.end(&Ending { parts: 0, report: StoredReport::of(StoredEnd::Lost, why) })?;
        return Ok(false);
    }
    tree::adopt_orphans()?;
    let ending = match Command::new(order, spooled.path()) {
        Ok(command) => Pump::new(spooled, order, &SystemClock)?.run(command, notifier)?,
        Err(why) => Ending { parts: 0, report: StoredReport::of(StoredEnd::Broken, why) },
    };
    claim.end(&ending)?;
    Ok(true)
}

/// Claims the start; none if somebody did before. A worker that looks whether a runner lives holds the lock for a moment, so
/// it is tried again; who holds it for longer is another runner.
fn claim(spooled: &Spooled) -> io::Result<Option<Claim>> {
    const TRIES: u32 = 100;
    for _ in 0..TRIES {
        match spooled.claim(std::process::id())? {
            Claimed::Ours(claim) => return Ok(Some(claim)),
            Claimed::Taken => return Ok(None),
            Claimed::Busy => std::thread::sleep(std::time::Duration::from_millis(10)),
        }
    }
    Ok(None)
}
