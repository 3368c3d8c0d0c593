//! Ends this process when its parent is gone, even while it computes: nobody wants the result then.
//!
//! A death signal would not do: the kernel sends it when the *thread* ends that started us, not the parent.

use std::os::fd::OwnedFd;
use std::thread::JoinHandle;

use rustix::event::{PollFd, PollFlags, poll};

/// Held by the thread that works; its end shows at the other end of the pipe.
pub(super) struct Working {
    _end: OwnedFd,
}

/// Notices the end of that thread.
pub(super) struct Watch {
    done: OwnedFd,
}

/// Both ends; none where this process may open no more files: its parent is watched otherwise then.
pub(super) fn watch() -> Option<(Working, Watch)> {
    let (done, end) = rustix::pipe::pipe().ok()?;
    Some((Working { _end: end }, Watch { done }))
}

impl Watch {
    /// Waits for the end of the thread. Ends the process if the other end of standard input is closed before.
    pub fn join<T>(self, thread: JoinHandle<T>) -> Option<T> {
        loop {
            let input = rustix::stdio::stdin();
            // Nothing is asked for: a closed other end is told in any case.
            let mut both = [PollFd::new(&self.done, PollFlags::empty()), PollFd::new(&input, PollFlags::empty())];
            match poll(&mut both, None) {
                Err(rustix::io::Errno::INTR) => {}
                // A system that cannot tell leaves us to the limit of our processor time.
                Err(_) => return thread.join().ok(),
                Ok(_) if both[0].revents().is_empty() => std::process::exit(0),
                Ok(_) => return thread.join().ok(),
            }
        }
    }
}
