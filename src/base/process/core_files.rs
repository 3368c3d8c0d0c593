//! Core files: the memory of a process that crashed, written to the disk.
//!
//! Ours holds secrets, so our processes leave none. Commands of builds are another matter: whoever debugs a crash in a
//! test wants its core file, so commands get the limit that we were started with.

#[cfg(unix)]
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
#[cfg(unix)]
use std::sync::{Mutex, OnceLock, PoisonError};

/// The limit that this process was started with.
#[cfg(unix)]
static STARTED_WITH: OnceLock<Rlimit> = OnceLock::new();
/// A process has one limit, so one thread at a time may change it.
#[cfg(unix)]
static CHANGING: Mutex<()> = Mutex::new(());

/// From now on a crash of this process leaves no core file.
pub fn forgo_core_files() {
    #[cfg(unix)]
    {
        let limit = getrlimit(Resource::Core);
        // The first call counts: later ones would find our own limit.
        let _ = STARTED_WITH.set(limit);
        // A limit may always be lowered.
        let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: limit.maximum });
    }
}

/// Starts a process that may leave core files if we were allowed to.
pub(super) fn with_core_files<T>(start: impl FnOnce() -> T) -> T {
    #[cfg(unix)]
    {
        let Some(limit) = STARTED_WITH.get() else { return start() };
        if limit.current == Some(0) {
            return start();
        }
        let _alone = CHANGING.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = setrlimit(Resource::Core, *limit);
        let _lowered = Lowered(limit);
        start()
    }
    #[cfg(not(unix))]
    start()
}

/// Lowers the limit again, also when the work panics.
#[cfg(unix)]
struct Lowered<'a>(&'a Rlimit);

#[cfg(unix)]
impl Drop for Lowered<'_> {
    fn drop(&mut self) {
        let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: self.0.maximum });
    }
}
