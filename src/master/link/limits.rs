//! Limits of a link: how long it waits, and how much it holds. Tests use shorter times.

use std::time::Duration;

/// Time limits of a link.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long `get_worker_info` may take. A stock worker with a variable that is not UTF-8 never answers
    /// (docs/reference/worker-protocol.md#info); a busy one takes some seconds.
    pub info: Duration,
    /// How long other requests of ours may take, if something waits for the response.
    pub answer: Duration,
    /// Pause between our pings.
    pub ping: Duration,
    /// A connection that is silent for this long is dead. It takes minutes, because a stock worker's only thread is
    /// busy while it packs large directories (docs/reference/worker-protocol.md#liveness).
    pub silence: Duration,
    /// How long an older connection has to answer when a second one with its name arrives.
    pub probe: Duration,
    /// How long output and ends that arrived before the connection ended have to become durable.
    pub drain: Duration,
    /// How long the closing handshake may take.
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

/// Orders that wait for a link. A build has few commands at a time, so when this is reached, the worker is not taking
/// anything any more: the connection is cut, and the next one is told what is still wanted.
pub(super) const ORDERS_MAX: usize = 4096;
/// Bytes of messages whose content is not yet durable. Above this, the socket is not read. Twice what one of our
/// workers sends ahead, so that a single worker never reaches it.
pub(super) const UNSYNCED_BYTES_MAX: usize = 16 << 20;
/// The same for the number of messages: each costs some hundred bytes besides its content.
pub(super) const UNSYNCED_MESSAGES_MAX: usize = 8192;
/// Frames that wait to be sent. Above this, neither orders nor messages are taken.
pub(super) const OUTBOX_MAX: usize = 1024;
/// Parts of one command that are written at the same time. More are not faster.
pub(super) const APPENDS_MAX: usize = 64;
/// How much text of headers and failures is kept to explain an end.
pub(super) const NOTE_BYTES_MAX: usize = 4096;
/// Bytes of file names that a command may return. They are stored in the journal of the build as well.
pub(super) const FILES_BYTES_MAX: usize = 1 << 20;
