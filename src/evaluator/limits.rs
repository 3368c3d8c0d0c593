//! How much a child may take. Processor time is counted by the kernel, which ends a child that has spent it; the wall
//! clock is the backstop for a child that does not even run.

use std::time::Duration;

/// Loading. 10,000 builders of ten steps take some 3 s of an unoptimised build; what takes a minute does not end.
pub(super) const LOAD_TIME: Duration = Duration::from_mins(1);
/// Inferring the types of one file: that is milliseconds for what people write, and has no bound of its own.
pub(super) const TYPES_TIME: Duration = Duration::from_secs(2);
/// One evaluation of a build script: it takes some 20 µs for a hundred recorded results.
pub(super) const TURN_TIME: Duration = Duration::from_secs(10);
/// One decision: the engine waits for it, so it has to be short; a loop of 100,000 steps takes some 20 ms.
pub(super) const DECISION_TIME: Duration = Duration::from_millis(250);
/// One template of a report. It may go over every line of a log, and nobody but the report waits.
pub(super) const RENDER_TIME: Duration = Duration::from_secs(1);

/// Backstops by the wall clock: a machine that gives a child a fortieth of a core is still waited for.
pub(super) const LOAD_WALL: Duration = Duration::from_mins(15);
/// The same for one evaluation of a build script, or one template.
pub(super) const TURN_WALL: Duration = Duration::from_mins(3);
/// The same for decisions. The engine waits meanwhile, and so does everybody who asks it for something.
pub(super) const DECISION_WALL: Duration = Duration::from_secs(10);
/// The same for a template process that is to fork or to end an evaluator, which takes it a millisecond.
pub(super) const CONTROL_WALL: Duration = Duration::from_secs(30);

/// Stack of a load. The parser and the compiler recurse: a chain of 4,000 `elif` takes some 20 MB.
pub(super) const LOAD_STACK: usize = 256 << 20;
/// Stack of an evaluator: printing and comparing deep values recurses. Values nested 50,000 deep fit, and nobody
/// means deeper ones.
pub(super) const WORK_STACK: usize = 16 << 20;

/// Address space of a load: four times the heap that its own limit allows, for syntax trees, types and the plan.
pub(super) const LOAD_SPACE: u64 = 4 << 30;
/// Address space of an evaluator beyond what it shares with its template: four times the heap of a script.
pub(super) const WORK_SPACE: u64 = 1 << 30;

/// Bytes of one message: the plan of 10,000 builders has some 30 MB.
pub(super) const FRAME_BYTES_MAX: usize = 256 << 20;
/// Bytes of what a dying child says that are kept: the first lines name the cause.
pub(super) const LAST_WORDS_MAX: usize = 8 * 1024;
/// Files that one load may ask for; the loader's own bound is lower.
pub(super) const FILES_ASKED_MAX: usize = 5_000;

/// Processor time of each kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// A load.
    pub load: Duration,
    /// Inferring the types of one file.
    pub types: Duration,
    /// One evaluation of a build script.
    pub turn: Duration,
    /// One decision.
    pub decision: Duration,
    /// One template of a report.
    pub render: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { load: LOAD_TIME, types: TYPES_TIME, turn: TURN_TIME, decision: DECISION_TIME, render: RENDER_TIME }
    }
}
