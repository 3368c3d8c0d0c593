//! Orders to a child and replies from it, each within a bound of time. Unix: the descriptors never block.

use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::super::frame::{self, FrameError};
use super::super::limits::LAST_WORDS_MAX;

/// Bytes that are asked for at once: what a pipe holds.
const READ_BYTES: usize = 64 * 1024;

/// Why an exchange came to nothing.
#[derive(Debug)]
pub(super) enum LinkError {
    /// The child is gone.
    Closed,
    /// It did not answer in time.
    Late,
    /// What it said, or should hear, is not a message.
    Garbled(FrameError),
}

/// Both directions.
#[derive(Debug)]
pub(super) struct Link {
    to: std::fs::File,
    from: std::fs::File,
    /// What was read beyond the last message.
    ahead: Vec<u8>,
    /// A message that is being sent, and how much of it is.
    unsent: Vec<u8>,
    sent: usize,
}

/// A descriptor to wait for.
#[derive(Clone, Copy, Debug)]
pub enum Awaited<'a> {
    /// Until it can be written to.
    Room(BorrowedFd<'a>),
    /// Until it can be read from.
    Reply(BorrowedFd<'a>),
}

impl Link {
    /// Over pipes, or two handles of one socket.
    pub fn new(to: OwnedFd, from: OwnedFd) -> io::Result<Self> {
        for end in [&to, &from] {
            rustix::io::ioctl_fionbio(end, true)?;
        }
        Ok(Self { to: to.into(), from: from.into(), ahead: Vec::new(), unsent: Vec::new(), sent: 0 })
    }

    /// Whether the child's end is closed, or it says what nobody asked.
    pub fn is_closed(&self) -> bool {
        let mut waiting = [PollFd::new(&self.from, PollFlags::IN)];
        poll(&mut waiting, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) != Ok(0)
    }

    /// Sends one message.
    pub fn send<T: Serialize>(&mut self, message: &T, until: Instant) -> Result<(), LinkError> {
        self.begin_send(message)?;
        while !self.flush()? {
            wait(&self.to, PollFlags::OUT, until)?;
        }
        Ok(())
    }

    /// Begins to send one message: what the pipe holds goes at once, the rest with [`Link::try_receive`].
    pub fn begin_send<T: Serialize>(&mut self, message: &T) -> Result<(), LinkError> {
        (self.unsent, self.sent) = (frame::encode(message).map_err(LinkError::Garbled)?, 0);
        self.flush().map(|_all| ())
    }

    /// Sends what the pipe takes; true when all is sent.
    fn flush(&mut self) -> Result<bool, LinkError> {
        while self.sent < self.unsent.len() {
            match self.to.write(&self.unsent[self.sent..]) {
                Ok(0) => return Err(LinkError::Closed),
                Ok(written) => self.sent += written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Err(LinkError::Closed),
            }
        }
        (self.unsent, self.sent) = (Vec::new(), 0);
        Ok(true)
    }

    /// Waits for the next message.
    pub fn receive<T: DeserializeOwned>(&mut self, until: Instant) -> Result<T, LinkError> {
        loop {
            if let Some(message) = self.try_receive()? {
                return Ok(message);
            }
            wait(&self.from, PollFlags::IN, until)?;
        }
    }

    /// The next message, if it is there; otherwise look again when [`Link::awaited`] is ready.
    pub fn try_receive<T: DeserializeOwned>(&mut self) -> Result<Option<T>, LinkError> {
        if !self.flush()? {
            return Ok(None);
        }
        loop {
            if let Some(end) = self.whole()? {
                let message = frame::decode(&self.ahead[4..end]).map_err(LinkError::Garbled)?;
                self.ahead.drain(..end);
                self.ahead.shrink_to(READ_BYTES);
                return Ok(Some(message));
            }
            if !self.read_more()? {
                return Ok(None);
            }
        }
    }

    /// What is waited for: that the child takes more, or that it replies.
    pub fn awaited(&self) -> Awaited<'_> {
        if self.unsent.is_empty() { Awaited::Reply(self.from.as_fd()) } else { Awaited::Room(self.to.as_fd()) }
    }

    /// Where the first message ends, if it is there.
    fn whole(&self) -> Result<Option<usize>, LinkError> {
        let Some(head) = self.ahead.first_chunk::<4>() else { return Ok(None) };
        let end = 4 + frame::length(*head).map_err(LinkError::Garbled)?;
        Ok((self.ahead.len() >= end).then_some(end))
    }

    /// Reads what there is; false if there is nothing now.
    fn read_more(&mut self) -> Result<bool, LinkError> {
        self.ahead.reserve(READ_BYTES);
        match rustix::io::read(&self.from, rustix::buffer::spare_capacity(&mut self.ahead)) {
            Ok(0) => Err(LinkError::Closed),
            Ok(_) | Err(Errno::INTR) => Ok(true),
            Err(Errno::WOULDBLOCK) => Ok(false),
            Err(_) => Err(LinkError::Closed),
        }
    }
}

/// Waits until something can be read or written.
fn wait(end: &std::fs::File, what: PollFlags, until: Instant) -> Result<(), LinkError> {
    let rest = until.saturating_duration_since(Instant::now());
    if rest.is_zero() {
        return Err(LinkError::Late);
    }
    let rest = Timespec { tv_sec: rest.as_secs().cast_signed(), tv_nsec: rest.subsec_nanos().into() };
    match poll(&mut [PollFd::from_borrowed_fd(end.as_fd(), what)], Some(&rest)) {
        Ok(0) => Err(LinkError::Late),
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(_) => Err(LinkError::Closed),
    }
}

/// Where a child complains.
#[derive(Debug)]
pub(super) struct Errors(std::fs::File);

impl Errors {
    pub fn new(from: OwnedFd) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&from, true)?;
        Ok(Self(from.into()))
    }

    /// The beginning of what a child that is dead now said.
    pub fn read(&mut self) -> String {
        let mut said = vec![0; LAST_WORDS_MAX];
        let mut length = 0;
        while length < said.len() {
            match self.0.read(&mut said[length..]) {
                Ok(0) | Err(_) => break,
                Ok(read) => length += read,
            }
        }
        String::from_utf8_lossy(&said[..length]).into_owned()
    }
}

/// A moment so far from now.
pub(super) fn within(length: Duration) -> Instant {
    Instant::now() + length
}
