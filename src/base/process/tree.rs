//! Finds and ends whole process trees.
//!
//! A process group is not enough, because a child that starts a session of its own leaves it. On Linux the tree is read
//! from `/proc`. Below a sub-reaper nothing gets lost, because orphans become its children. The remains of a tree whose
//! root is gone are found by a variable in their environment. On other systems only the group is known.
//!
//! Invariant: a signal reaches the process that was meant, never a new one that reuses its id.

use std::io;

use rustix::process::{Pid, Signal};

/// A process as `/proc` shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    pid: Pid,
    parent: i32,
    group: i32,
    /// A zombie: dead, but not yet reaped.
    zombie: bool,
    /// When it started, in ticks since boot. Distinguishes a process from a later one with the same id.
    started: u64,
}

/// Makes us the new parent of orphans below us, so that we can still find them.
pub fn adopt_orphans() -> io::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    Ok(())
}

/// Sends a signal to a process group; fine if it is empty.
pub fn signal_group(leader: Pid, signal: Signal) {
    let _nobody_left = rustix::process::kill_process_group(leader, signal);
}

/// Sends a signal to every living process below us; returns how many there were.
#[must_use]
pub fn signal_descendants(signal: Signal) -> usize {
    let below = below(&processes(), rustix::process::getpid());
    below.iter().for_each(|entry| send(entry, signal));
    below.len()
}

/// Sends a signal to every living process below us that is not in this group; returns how many there were.
#[must_use]
pub fn signal_descendants_outside(group: Pid, signal: Signal) -> usize {
    let mut below = below(&processes(), rustix::process::getpid());
    below.retain(|entry| entry.group != group.as_raw_nonzero().get());
    below.iter().for_each(|entry| send(entry, signal));
    below.len()
}

/// Kills one process; fine if it is gone.
pub fn kill_process(number: u32) {
    if let Some(pid) = i32::try_from(number).ok().and_then(Pid::from_raw) {
        let _gone = rustix::process::kill_process(pid, Signal::KILL);
    }
}

/// Whether a living process is below us.
#[must_use]
pub fn has_descendants() -> bool {
    !below(&processes(), rustix::process::getpid()).is_empty()
}

/// Whether we have no child left, alive or dead. Reaps the dead ones.
#[must_use]
pub fn is_childless() -> bool {
    loop {
        match rustix::process::waitpid(None, rustix::process::WaitOptions::NOHANG) {
            Ok(Some(_dead)) => {}
            Ok(None) => return false,
            Err(error) => return error == rustix::io::Errno::CHILD,
        }
    }
}

/// Reaps dead children other than `except`.
pub fn bury_orphans(except: Pid) {
    let us = rustix::process::getpid().as_raw_nonzero().get();
    for entry in processes().iter().filter(|entry| entry.parent == us && entry.zombie && entry.pid != except) {
        let _gone = rustix::process::waitpid(Some(entry.pid), rustix::process::WaitOptions::NOHANG);
    }
}

/// Kills every process with this entry (`NAME=value`) in its environment, and everything below it, until none is left
/// or `rounds` are over. Returns whether none is left.
#[must_use]
pub fn kill_marked(entry: &str, rounds: u32) -> bool {
    let mut looks = 0;
    let mut round = 0;
    while round < rounds {
        let all = processes();
        let marks: Vec<(Entry, Option<bool>)> = all
            .iter()
            .filter(|process| !process.zombie)
            .map(|process| (*process, has_marker(process, entry)))
            .collect();
        let mut found: Vec<Entry> =
            marks.iter().filter(|(_, marked)| *marked == Some(true)).map(|(process, _)| *process).collect();
        if found.is_empty() {
            if looks == LOOKS_MAX || marks.iter().all(|(_, marked)| marked.is_some()) {
                return true;
            }
            looks += 1;
            std::thread::sleep(LOOK_AGAIN);
            continue;
        }
        for root in found.clone() {
            found.extend(below(&all, root.pid));
        }
        found.iter().for_each(|process| send(process, Signal::KILL));
        std::thread::yield_now();
        round += 1;
    }
    false
}

/// A process that is calling exec shows no environment for a moment, which is far shorter than this.
const LOOK_AGAIN: std::time::Duration = std::time::Duration::from_millis(2);
/// How often to look again because of processes without an environment; some were started without one.
const LOOKS_MAX: u32 = 5;

/// The signal of this name (without `SIG`, as in the worker protocol).
#[must_use]
pub fn signal_named(name: &str) -> Option<Signal> {
    SIGNALS.iter().find(|(known, _)| *known == name).map(|(_, signal)| *signal)
}

/// The name of a signal's number, without `SIG`.
#[must_use]
pub fn signal_name(number: i64) -> Option<&'static str> {
    SIGNALS.iter().find(|(_, signal)| i64::from(signal.as_raw()) == number).map(|(name, _)| *name)
}

const SIGNALS: [(&str, Signal); 21] = [
    ("HUP", Signal::HUP),
    ("INT", Signal::INT),
    ("QUIT", Signal::QUIT),
    ("ILL", Signal::ILL),
    ("TRAP", Signal::TRAP),
    ("ABRT", Signal::ABORT),
    ("BUS", Signal::BUS),
    ("FPE", Signal::FPE),
    ("KILL", Signal::KILL),
    ("USR1", Signal::USR1),
    ("SEGV", Signal::SEGV),
    ("USR2", Signal::USR2),
    ("PIPE", Signal::PIPE),
    ("ALRM", Signal::ALARM),
    ("TERM", Signal::TERM),
    ("CONT", Signal::CONT),
    ("STOP", Signal::STOP),
    ("TSTP", Signal::TSTP),
    ("XCPU", Signal::XCPU),
    ("XFSZ", Signal::XFSZ),
    ("SYS", Signal::SYS),
];

/// Sends a signal, unless the id belongs to another process by now.
fn send(entry: &Entry, signal: Signal) {
    #[cfg(target_os = "linux")]
    {
        // A handle pins the process; what the number means is asked after that.
        let Ok(handle) = rustix::process::pidfd_open(entry.pid, rustix::process::PidfdFlags::empty()) else { return };
        if read_entry(entry.pid).is_some_and(|now| now.started == entry.started) {
            let _gone = rustix::process::pidfd_send_signal(&handle, signal);
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (entry, signal);
}

/// The living processes below `root`, without itself.
fn below(all: &[Entry], root: Pid) -> Vec<Entry> {
    let mut parents = vec![root.as_raw_nonzero().get()];
    let mut found: Vec<Entry> = Vec::new();
    while let Some(parent) = parents.pop() {
        for entry in all.iter().filter(|entry| entry.parent == parent) {
            parents.push(entry.pid.as_raw_nonzero().get());
            found.push(*entry);
        }
    }
    found.retain(|entry| !entry.zombie);
    found
}

/// Every process of the machine; none where there is no `/proc`.
fn processes() -> Vec<Entry> {
    let Ok(directory) = std::fs::read_dir("/proc") else { return Vec::new() };
    let numbers =
        directory.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok().and_then(Pid::from_raw));
    numbers.filter_map(read_entry).collect()
}

fn read_entry(pid: Pid) -> Option<Entry> {
    let stat = std::fs::read(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    // The name stands in parentheses and may hold anything, parentheses too: count from the last one.
    let after_name = stat.iter().rposition(|byte| *byte == b')')? + 1;
    let text = std::str::from_utf8(&stat[after_name..]).ok()?;
    let mut fields = text.split_ascii_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    let group = fields.next()?.parse().ok()?;
    let started = fields.nth(16)?.parse().ok()?;
    Some(Entry { pid, parent, group, zombie: matches!(state, "Z" | "X"), started })
}

/// Whether a process's environment has this entry; none if it shows no environment at all. Processes of other users
/// cannot be read, and are not ours. Kernel threads (below process 2) have no environment.
fn has_marker(process: &Entry, entry: &str) -> Option<bool> {
    let pid = process.pid.as_raw_nonzero();
    let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_else(|_| b"unreadable".to_vec());
    if environment.is_empty() && process.parent != 2 && pid.get() != 2 {
        return None;
    }
    Some(environment.split(|byte| *byte == 0).any(|found| found == entry.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn we_find_ourselves_with_our_parent() {
        let us = read_entry(rustix::process::getpid()).unwrap();
        assert_eq!(Pid::from_raw(us.parent), rustix::process::getppid());
        assert!(!us.zombie && us.started > 0);
    }

    #[test]
    fn below_follows_children_of_children() {
        let entry =
            |pid, parent, zombie| Entry { pid: Pid::from_raw(pid).unwrap(), parent, group: parent, zombie, started: 1 };
        let all = [entry(1, 0, false), entry(5, 1, false), entry(6, 5, true), entry(7, 6, false), entry(9, 1, false)];
        let found: Vec<i32> =
            below(&all, Pid::from_raw(5).unwrap()).iter().map(|entry| entry.pid.as_raw_nonzero().get()).collect();
        assert_eq!(found, [7], "a zombie is left out, but what is below it is not");
    }

    #[test]
    fn a_marked_process_is_killed_even_out_of_its_group() {
        let marker = format!("STARWRIGHT_TEST={}", crate::base::unique_id());
        let (name, value) = marker.split_once('=').unwrap();
        #[expect(clippy::disallowed_methods, reason = "this room starts processes")]
        let mut child = std::process::Command::new("setsid").args(["sleep", "600"]).env(name, value).spawn().unwrap();
        // It gives way to `sleep` any moment now, and shows no environment meanwhile.
        assert!(kill_marked(&marker, 10_000));
        assert!(!child.wait().unwrap().success());
        assert!(kill_marked(&marker, 1));
    }

    #[test]
    fn signals_have_names() {
        assert_eq!(signal_named("TERM"), Some(Signal::TERM));
        assert_eq!(signal_named("SIGTERM"), None);
        assert_eq!(signal_name(9), Some("KILL"));
        assert_eq!(signal_name(1000), None);
    }
}
