//! What goes through the pipes between worker and runner. The files of the spool tell the truth; the pipes only say
//! when to look, and what to do next.
//!
//! To the runner: jobs, each [`JOB`] and a frame, and between them pokes, each [`POKE`]. From it: bytes of [`WorkerNotifier`].

use std::io::{self, Read};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::base::process::ChildSpec;
use crate::worker::order::Order;
use crate::worker::spool::{read_frame, seal};

/// At the head of a job.
const JOB: u8 = b'j';
/// "Look at your files."
pub(in crate::worker) const POKE: u8 = b'!';

/// What a runner is started for.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::worker) enum Job {
    /// Run the command with this file in the spool. The order here has the secrets that the stored one lacks.
    Run { spooled: PathBuf, order: Box<Order> },
    /// Make this terminal the one of our session, then give way to the program.
    Enter { terminal: PathBuf, program: Box<ChildSpec> },
}

impl Job {
    /// As bytes for a runner.
    pub fn sealed(&self) -> Vec<u8> {
        let mut bytes = vec![JOB];
        bytes.extend(seal(self));
        bytes
    }

    /// The next one; none when the worker has gone, or wants no more.
    pub fn next(mut from: impl Read) -> io::Result<Option<Self>> {
        loop {
            let mut byte = [0];
            match from.read(&mut byte) {
                Ok(0) => return Ok(None),
                Ok(_) if byte[0] == POKE => {}
                Ok(_) if byte[0] == JOB => return read_frame(from),
                Ok(_) => return Err(io::ErrorKind::InvalidData.into()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Tells the worker, if it is there, that there is news in the spool.
#[derive(Debug)]
pub(in crate::worker) struct WorkerNotifier {
    listened_to: bool,
}

impl WorkerNotifier {
    /// There is more output.
    pub const OUTPUT: u8 = b'o';
    /// The end is written.
    pub const END: u8 = b'e';
    /// It can take another job.
    pub const FREE: u8 = b'f';

    pub fn new() -> Self {
        // A worker that is slow to read must not hold the command up; it looks at all files when it reads at all.
        let flags = rustix::fs::fcntl_getfl(std::io::stdout()).unwrap_or(rustix::fs::OFlags::empty());
        let _stays_blocking = rustix::fs::fcntl_setfl(std::io::stdout(), flags | rustix::fs::OFlags::NONBLOCK);
        Self { listened_to: true }
    }

    pub fn output(&mut self) {
        self.tell(&[Self::OUTPUT]);
    }

    pub fn ended(&mut self) {
        self.tell(&[Self::END]);
    }

    /// Both as one, so that the worker is woken once.
    pub fn ended_and_free(&mut self) {
        self.tell(&[Self::END, Self::FREE]);
    }

    fn tell(&mut self, what: &[u8]) {
        // A full pipe says "look" already.
        if self.listened_to && rustix::io::write(std::io::stdout(), what) == Err(rustix::io::Errno::PIPE) {
            self.listened_to = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entering(terminal: &str) -> Vec<u8> {
        let program = ChildSpec {
            file: "/bin/sh".into(),
            words: vec![],
            directory: "/".into(),
            env: std::collections::BTreeMap::default(),
            umask: None,
        };
        Job::Enter { terminal: terminal.into(), program: Box::new(program) }.sealed()
    }

    #[test]
    fn jobs_come_one_by_one_and_late_pokes_are_passed_over() {
        let bytes = [entering("/dev/one"), b"!!".to_vec(), entering("/dev/two"), b"!".to_vec()].concat();
        let mut stream = &bytes[..];
        for wanted in ["/dev/one", "/dev/two"] {
            let job = Job::next(&mut stream).unwrap();
            assert!(matches!(job, Some(Job::Enter { terminal, .. }) if terminal.to_str() == Some(wanted)));
        }
        assert!(Job::next(&mut stream).unwrap().is_none());
    }

    #[test]
    fn a_job_that_is_cut_or_none_is_refused() {
        let bytes = entering("/dev/one");
        assert!(Job::next(&bytes[..bytes.len() - 1]).is_err());
        assert!(Job::next(&b"x"[..]).is_err());
    }
}
