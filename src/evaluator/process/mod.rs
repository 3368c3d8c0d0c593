//! What runs in the child. It reads orders from its standard input and needs nothing else of the world.

#[cfg(unix)]
mod confine;
mod load;
#[cfg(unix)]
mod orphan;
mod serve;
#[cfg(unix)]
mod sys;
#[cfg(target_os = "linux")]
mod template;

use std::io::{self, BufReader, Read, Write};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use super::frame;
use super::limits::{LOAD_STACK, WORK_STACK};
use super::message::{ChildReply, ChildRequest};

/// `starwright evaluator`: one process that loads and serves over its standard streams. With `template`, standard input
/// is a socket, over which it loads and forks evaluators.
pub fn main(template: bool) -> ExitCode {
    #[cfg(unix)]
    confine::at_start();
    #[cfg(target_os = "linux")]
    if template {
        return template::run();
    }
    if template {
        return ExitCode::FAILURE;
    }
    let pipes = Pipes { from: Box::new(BufReader::new(io::stdin())), to: Box::new(io::stdout()) };
    let pipes = Arc::new(Mutex::new(pipes));
    let theirs = Arc::clone(&pipes);
    let Some(loaded) = on_stack(LOAD_STACK, move || load::load(&theirs)) else { return ExitCode::FAILURE };
    let Some(loaded) = loaded else { return ExitCode::SUCCESS };
    let served = on_stack(WORK_STACK, move || {
        #[cfg(unix)]
        confine::to_work();
        serve::serve(&loaded.scripts, &mut load::lock(&pipes));
    });
    served.map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS)
}

/// Does work on a thread with so much stack, and waits for it; none if it panicked or there is no thread.
#[cfg(unix)]
fn on_stack<T: Send + 'static>(stack: usize, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let Some((working, watch)) = orphan::watch() else { return start(stack, work)?.join().ok() };
    let thread = start(stack, move || {
        let _working = working;
        work()
    });
    watch.join(thread?)
}

#[cfg(not(unix))]
fn on_stack<T: Send + 'static>(stack: usize, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    start(stack, work)?.join().ok()
}

fn start<T: Send + 'static>(
    stack: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<std::thread::JoinHandle<T>> {
    std::thread::Builder::new().name("evaluator".to_owned()).stack_size(stack).spawn(work).ok()
}

/// Where orders come from and replies go.
struct Pipes {
    from: Box<dyn Read + Send>,
    to: Box<dyn Write + Send>,
}

impl Pipes {
    /// The next order; none when nobody is there to give one.
    fn hear(&mut self) -> Option<ChildRequest<'static>> {
        frame::read(&mut self.from).ok().flatten()
    }

    /// Says something; false if nobody hears it.
    fn say(&mut self, reply: &ChildReply) -> bool {
        frame::encode(reply).is_ok_and(|bytes| self.send(&bytes))
    }

    fn send(&mut self, bytes: &[u8]) -> bool {
        self.to.write_all(bytes).and_then(|()| self.to.flush()).is_ok()
    }
}

/// The processor time that this process may spend from now on; 0: any.
fn allow(micros: u64) {
    #[cfg(unix)]
    sys::limit_processor_time(micros);
    #[cfg(not(unix))]
    let _ = micros;
}

/// The processor time that this process spent, in microseconds.
fn spent() -> u64 {
    #[cfg(unix)]
    {
        let spent = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        u64::try_from(spent.tv_sec).unwrap_or(0) * 1_000_000 + u64::try_from(spent.tv_nsec).unwrap_or(0) / 1_000
    }
    #[cfg(not(unix))]
    0
}
