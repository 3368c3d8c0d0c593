//! How much of a log is kept.

/// How much of a log is kept, in bytes on disk (compressed): its beginning and its end; the middle of one that grows
/// beyond both is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLimits {
    /// Kept of the beginning.
    pub head_bytes: u64,
    /// Kept of the end: at least three quarters of this.
    pub tail_bytes: u64,
}

impl Default for LogLimits {
    fn default() -> Self {
        Self { head_bytes: 64 << 20, tail_bytes: 16 << 20 }
    }
}
