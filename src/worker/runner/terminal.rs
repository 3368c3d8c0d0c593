//! Pseudo-terminals. A command gets one as the terminal of a session of its own; that must be arranged in its process
//! before it starts, so our own program goes there first and then gives way ([`enter`]).

use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::base::process::ChildSpec;

/// Size of the terminal: what programs expect that ask.
const SIZE: Winsize = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };

/// What a shell says of a program that it cannot start.
const NOT_STARTED: i32 = 126;

/// A new terminal: our side, and the path of the command's.
pub(super) fn open() -> io::Result<(OwnedFd, PathBuf)> {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    grantpt(&ours)?;
    unlockpt(&ours)?;
    let path = ptsname(&ours, Vec::new())?;
    tcsetwinsize(&ours, SIZE)?;
    Ok((ours, PathBuf::from(OsStr::from_bytes(path.as_bytes()))))
}

/// Makes the terminal that of our session and our standard streams, then becomes the program. We are the leader of a
/// session already. Returns only on failure, with the exit code.
pub(super) fn enter(terminal: &Path, program: &ChildSpec) -> i32 {
    // Opening it without more makes it ours, because our session has none yet.
    let Ok(theirs) = OpenOptions::new().read(true).write(true).open(terminal) else { return NOT_STARTED };
    let streams = rustix::stdio::dup2_stdin(&theirs)
        .and_then(|()| rustix::stdio::dup2_stdout(&theirs))
        .and_then(|()| rustix::stdio::dup2_stderr(&theirs));
    if streams.is_err() {
        return NOT_STARTED;
    }
    drop(theirs);
    let error = program.replace_us();
    let text = format!("failed to start `{}`: {error}\r\n", program.file.display());
    let _nobody_else_to_tell = io::Write::write_all(&mut io::stderr(), text.as_bytes());
    NOT_STARTED
}
