//! The umask: which permissions new files do not get.
//!
//! Our own files are private, whatever umask we were started with, while files of builds follow the user's umask. So
//! our processes run with a umask of their own, and remember the user's for the commands that they start.

use std::sync::{Mutex, OnceLock, PoisonError};

/// No permissions for the group and for others.
#[cfg(unix)]
const OURS: u32 = 0o077;

static USERS: OnceLock<u32> = OnceLock::new();
/// A process has one umask, so one thread at a time may change it.
static CHANGING: Mutex<()> = Mutex::new(());

/// Makes all files and directories that this process creates from now on private to its user.
pub fn keep_private() {
    #[cfg(unix)]
    {
        let users = set(OURS);
        // The first call counts: later ones would find our own mask.
        let _ = USERS.set(users);
    }
}

/// The umask that this process was started with; none if it still has it.
#[must_use]
pub fn users_umask() -> Option<u32> {
    USERS.get().copied()
}

/// Does something with the given umask; with ours, if none is given.
pub fn with_umask<T>(mask: Option<u32>, work: impl FnOnce() -> T) -> T {
    let Some(mask) = mask else { return work() };
    let _alone = CHANGING.lock().unwrap_or_else(PoisonError::into_inner);
    let _restored = Restored::after(mask);
    work()
}

/// Restores the umask, also when the work panics.
struct Restored(#[cfg_attr(not(unix), expect(dead_code, reason = "there are no masks"))] u32);

impl Restored {
    fn after(mask: u32) -> Self {
        #[cfg(unix)]
        return Self(set(mask));
        #[cfg(not(unix))]
        Self(mask)
    }
}

impl Drop for Restored {
    fn drop(&mut self) {
        #[cfg(unix)]
        set(self.0);
    }
}

#[cfg(unix)]
fn set(mask: u32) -> u32 {
    rustix::process::umask(rustix::fs::Mode::from_bits_truncate(mask)).bits()
}
