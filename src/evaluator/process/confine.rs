//! Takes away from a child what it does not need. What cannot be taken away on some system is left: each limit is one
//! of several.

use std::path::Path;

use rustix::process::{Resource, Rlimit, setrlimit};

use super::super::limits::{LOAD_SPACE, WORK_SPACE};

/// Open files of a template: its streams, and a forked evaluator's three pipes twice over.
const FILES_MAX: u64 = 16;

/// Before anything is loaded.
pub(super) fn at_start() {
    #[cfg(target_os = "linux")]
    super::sys::close_inherited();
    no_new_privileges();
    // What we hold must reach no disk, and nothing is to be written anywhere but to pipes.
    limit(Resource::Core, 0);
    limit(Resource::Fsize, 0);
    limit(Resource::Nofile, FILES_MAX);
    limit(Resource::As, LOAD_SPACE);
}

/// Before work begins: no more files, no more processes, and a bound on memory beyond what is there.
pub(super) fn to_work() {
    let present = present_space().unwrap_or(LOAD_SPACE);
    limit(Resource::As, present + WORK_SPACE);
    limit(Resource::Nofile, 0);
}

/// Ends this process with its parent.
#[cfg(target_os = "linux")]
pub(super) fn end_with_parent(parent: rustix::process::Pid) {
    // Where the kernel refuses, the end of our standard input ends us.
    let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
    if rustix::process::getppid() != Some(parent) {
        std::process::exit(0);
    }
}

/// Sets a limit, never above what somebody else set.
fn limit(resource: Resource, wanted: u64) {
    let known = rustix::process::getrlimit(resource);
    let value = known.maximum.map_or(wanted, |maximum| maximum.min(wanted));
    // A limit that cannot be set leaves the others.
    let _ = setrlimit(resource, Rlimit { current: Some(value), maximum: Some(value) });
}

fn no_new_privileges() {
    #[cfg(target_os = "linux")]
    // Old kernels do not know it.
    let _ = rustix::thread::set_no_new_privs(true);
}

/// The address space that is in use, in bytes.
fn present_space() -> Option<u64> {
    let pages: u64 = std::fs::read_to_string(Path::new("/proc/self/statm")).ok()?.split(' ').next()?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}
