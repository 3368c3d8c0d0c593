//! How a child ended, in words.

use std::time::Duration;

use super::link::LinkError;

/// Signals by number, the same on every Unix.
const SIGKILL: i32 = 9;
const SIGSEGV: i32 = 11;
const SIGPROF: i32 = 27;

/// Characters of a panic's text that are shown.
const PANIC_CHARS_MAX: usize = 300;

/// What the allocator and the libraries say when memory is used up.
const MEMORY_WORDS: [&str; 4] = ["memory allocation of", "Out of memory", "out of memory", "capacity overflow"];

/// Why a child did not finish its work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum AbnormalExit {
    /// Deep recursion of the program itself.
    Stack,
    /// Memory.
    Memory,
    /// The limit of processor time.
    Processor(Duration),
    /// The backstop by the wall clock.
    Wall(Duration),
    /// From outside, or for want of memory of the machine.
    Killed,
    /// A fault of ours, or of a library.
    Fault(String),
}

/// Exit code or signal.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Exit {
    pub code: Option<i32>,
    pub signal: Option<i32>,
}

/// The limits of what the child did.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub processor: Duration,
    pub wall: Duration,
}

impl AbnormalExit {
    /// From what broke, how the process ended, and what it said.
    pub fn of(broken: &LinkError, exit: Exit, said: &str, bounds: Bounds) -> Self {
        if said.contains("has overflowed its stack") {
            return Self::Stack;
        }
        if MEMORY_WORDS.iter().any(|words| said.contains(words)) {
            return Self::Memory;
        }
        match (broken, exit.signal) {
            (LinkError::Garbled(error), _) => Self::Fault(crate::base::chain(error)),
            (LinkError::Late, _) => Self::Wall(bounds.wall),
            (LinkError::Closed, Some(SIGPROF)) => Self::Processor(bounds.processor),
            (LinkError::Closed, Some(SIGSEGV)) => Self::Stack,
            (LinkError::Closed, Some(SIGKILL)) => Self::Killed,
            (LinkError::Closed, Some(signal)) => Self::Fault(format!("signal {signal}; {}", first_line(said))),
            (LinkError::Closed, None) if said.is_empty() && exit.code.is_none() => Self::Killed,
            (LinkError::Closed, None) => {
                Self::Fault(format!("exit code {}; {}", exit.code.unwrap_or_default(), panic_text(said)))
            }
        }
    }

    /// "ran out of memory": fits after the work that was under way.
    pub fn words(&self) -> String {
        match self {
            Self::Stack => "overflowed its stack".to_owned(),
            Self::Memory => "ran out of memory".to_owned(),
            Self::Processor(limit) => format!("took longer than {} of processor time", shown(*limit)),
            Self::Wall(limit) => format!("did not end within {}", shown(*limit)),
            Self::Killed => "was killed from outside".to_owned(),
            Self::Fault(what) => format!("failed in a way that it should not ({what})"),
        }
    }

    /// What would do.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Stack => Some(
                "something is nested too deeply: a value inside itself many times, or an expression of thousands of parts; use lists and loops",
            ),
            Self::Memory => Some("make texts, lists and numbers smaller, or move the work into a command on a worker"),
            Self::Processor(_) => Some("look for a loop over a huge value, or a search in one, inside a loop"),
            Self::Wall(_) | Self::Killed => None,
            Self::Fault(_) => Some("please report this with the configuration"),
        }
    }
}

fn shown(limit: Duration) -> String {
    match limit.as_millis() {
        millis if millis < 1_000 => format!("{millis} ms"),
        millis if millis % 60_000 == 0 && millis > 60_000 => format!("{} minutes", millis / 60_000),
        millis => format!("{} s", millis / 1_000),
    }
}

fn first_line(said: &str) -> String {
    said.lines()
        .find(|line| !line.trim().is_empty())
        .unwrap_or("it said nothing")
        .chars()
        .take(PANIC_CHARS_MAX)
        .collect()
}

/// The text of a panic stands in the line after its place.
fn panic_text(said: &str) -> String {
    let mut lines = said.lines().filter(|line| !line.trim().is_empty());
    let text = match lines.find(|line| line.contains("panicked at")) {
        Some(place) => format!("{}: {}", without_build_paths(place.trim()), lines.next().unwrap_or_default()),
        None => first_line(said),
    };
    text.chars().take(PANIC_CHARS_MAX).collect()
}

/// A place in a library without the directories of the machine that compiled it: `name-1.2.3/src/lib.rs:4:5`.
fn without_build_paths(place: &str) -> String {
    let short = |word: &str| match word.split_once("/registry/src/").and_then(|(_, path)| path.split_once('/')) {
        Some((_, path)) => path.to_owned(),
        None => word.to_owned(),
    };
    place.split(' ').map(short).collect::<Vec<_>>().join(" ")
}

/// A child died, or was killed because it was late. The text says of what, for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Lost {
    /// "the evaluation overflowed its stack", and what would do.
    pub message: String,
    /// It was killed from outside, so that the same work may well succeed.
    pub killed: bool,
}

impl Lost {
    /// `work` names what was under way: "the evaluation".
    pub(super) fn of(work: &str, exit: &AbnormalExit) -> Self {
        let mut message = format!("{work} {}", exit.words());
        if let Some(hint) = exit.hint() {
            message += &format!("\nhint: {hint}");
        }
        Self { message, killed: *exit == AbnormalExit::Killed }
    }

    /// There is no child to do it.
    pub(super) fn absent(why: impl std::fmt::Display) -> Self {
        Self { message: format!("no process can be had for it: {why}"), killed: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { processor: Duration::from_millis(250), wall: Duration::from_mins(3) };

    fn words(broken: &LinkError, signal: Option<i32>, code: Option<i32>, said: &str) -> String {
        AbnormalExit::of(broken, Exit { code, signal }, said, BOUNDS).words()
    }

    #[test]
    fn each_way_to_die_has_its_words() {
        let closed = LinkError::Closed;
        let said = "\nthread 'evaluator' (7) has overflowed its stack\nfatal runtime error: stack overflow";
        assert_eq!(words(&closed, Some(6), None, said), "overflowed its stack");
        assert_eq!(words(&closed, Some(6), None, "memory allocation of 99 bytes failed"), "ran out of memory");
        assert_eq!(words(&closed, Some(SIGPROF), None, ""), "took longer than 250 ms of processor time");
        assert_eq!(words(&LinkError::Late, None, None, ""), "did not end within 3 minutes");
        assert_eq!(words(&closed, Some(SIGKILL), None, ""), "was killed from outside");
        let panic = "\nthread 'evaluator' (7) panicked at src/x.rs:1:2:\noops\nnote: run with";
        assert!(words(&closed, None, Some(101), panic).contains("panicked at src/x.rs:1:2:: oops"));
        let arena = "\nthread 'evaluator' (7) panicked at /x/registry/src/y/arena-3.2.1/src/lib.rs:1:2:\nout of memory";
        assert_eq!(words(&closed, None, Some(101), arena), "ran out of memory");
        let library = arena.replace("out of memory", "oops");
        assert!(words(&closed, None, Some(101), &library).contains("panicked at arena-3.2.1/src/lib.rs:1:2:: oops"));
    }
}
