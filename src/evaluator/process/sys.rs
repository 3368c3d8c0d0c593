//! The system calls that no safe crate offers. Linux and the like only.
#![expect(unsafe_code, reason = "fork and setitimer have no safe form; each call has its proof beside it")]

use std::io;

/// Has the kernel end this process (`SIGPROF`, which nobody here handles) once it spent this much more processor time; 0
/// takes the limit back.
pub(super) fn limit_processor_time(micros: u64) {
    let length = libc::timeval {
        tv_sec: libc::time_t::try_from(micros / 1_000_000).unwrap_or(libc::time_t::MAX),
        tv_usec: (micros % 1_000_000) as libc::suseconds_t,
    };
    let timer = libc::itimerval { it_interval: libc::timeval { tv_sec: 0, tv_usec: 0 }, it_value: length };
    // SAFETY: `timer` is a valid value that lives during the call; the old value is not wanted, for which null stands.
    let set = unsafe { libc::setitimer(libc::ITIMER_PROF, &raw const timer, std::ptr::null_mut()) };
    debug_assert_eq!(set, 0, "only a wrong value can be refused");
}

/// Closes everything but the three standard streams: whoever started our parent may have left files open in it.
#[cfg(target_os = "linux")]
pub(super) fn close_inherited() {
    let (first, last): (libc::c_uint, libc::c_uint) = (3, libc::c_uint::MAX);
    // SAFETY: this is called before anything else in the only thread of the process, when nothing of ours is open beyond
    // the streams, so no descriptor that somebody owns is closed. An old kernel answers with an error and closes nothing.
    let _ = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
}

/// How often a joined thread may still be seen. The kernel reports a thread's end a little before it removes the thread; a
/// busy machine may let other processes run in between. Each look costs some microseconds, so this is about a second.
#[cfg(target_os = "linux")]
const LOOKS_MAX: u32 = 100_000;

/// Whether only the calling thread is left, once the joined ones are gone. True where `/proc` is missing.
#[cfg(target_os = "linux")]
fn is_single_threaded() -> bool {
    (0..LOOKS_MAX).any(|look| {
        if look > 0 {
            std::thread::yield_now();
        }
        std::fs::read_dir("/proc/self/task").map_or(true, |tasks| tasks.count() == 1)
    })
}

/// Splits this process in two: none in the new one, its number in the old one.
#[cfg(target_os = "linux")]
pub(super) fn fork() -> io::Result<Option<i32>> {
    if !is_single_threaded() {
        return Err(io::Error::other("there is more than one thread"));
    }
    // SAFETY: the process has one thread (looked at above where /proc is there; `template` joins the only other one
    // before), so no lock is held by a thread that the new process lacks, and the new one may do whatever the old one may.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(None),
        pid => Ok(Some(pid)),
    }
}
