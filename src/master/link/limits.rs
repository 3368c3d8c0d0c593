//! How long a link waits, and how much it holds. Tests use shorter times.

use std::time::Duration;

/// Times of a link.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long `get_worker_info` may take. A stock worker with a variable that is not UTF-8 never answers
    /// (docs/reference/worker-protocol.md#info); one that is busy takes some seconds.
    pub info: Duration,
    /// How long other requests of ours may go unanswered where something waits for them.
    pub answer: Duration,
    /// Pause between our pings.
    pub ping: Duration,
    /// A connection without a byte for so long is dead. Minutes: a stock worker's only thread is busy while
    /// it packs large directories (docs/reference/worker-protocol.md#liveness).
    pub silence: Duration,
    /// How long an older connection has to show that it lives when a second one of its name arrives.
    pub probe: Duration,
    /// How long output and ends that arrived before the connection ended have to become durable.
    pub drain: Duration,
    /// How long saying goodbye may take.
    pub goodbye: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            info: Duration::from_secs(30),
            answer: Duration::from_mins(2),
            ping: Duration::from_secs(30),
            silence: Duration::from_mins(3),
            probe: Duration::from_secs(5),
            drain: Duration::from_secs(10),
            goodbye: Duration::from_secs(2),
        }
    }
}

/// Orders that wait for a link. A build has one or a few commands at a time, so this is a worker that takes
/// nothing any more: the connection is cut, and the next one is told what is still wanted.
pub(super) const ORDERS_MAX: usize = 4096;
/// Bytes of messages whose content is not yet durable; above, the socket is not read. Twice what one of our
/// workers has under way, so that it alone never meets this bound.
pub(super) const UNSYNCED_BYTES_MAX: usize = 16 << 20;
/// The same for the number of messages: each costs some hundred bytes beside its content.
pub(super) const UNSYNCED_MESSAGES_MAX: usize = 8192;
/// Frames that wait to be sent; above, neither orders nor messages are taken.
pub(super) const OUTBOX_MAX: usize = 1024;
/// Parts of one command that are on their way to the disk at a time; more do not make it faster.
pub(super) const APPENDS_MAX: usize = 64;
/// Head of stdout and of stderr that a script can ask for. Results are kept in the journal of the build, which
/// is read at each of its turns.
pub(super) const OUTPUT_HEAD_MAX: usize = 64 << 10;
/// Text of headers and failures that is kept to explain an end.
pub(super) const NOTE_BYTES_MAX: usize = 4096;
/// Names of files that a command may tell: they are kept in the journal of the build, too.
pub(super) const FILES_BYTES_MAX: usize = 1 << 20;
