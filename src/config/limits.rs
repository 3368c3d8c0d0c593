//! Bounds of evaluation, and what each says when it is reached.
//!
//! Every evaluation is bounded in ticks (a call or a turn of a loop), heap and call depth, and stops
//! when it is cancelled. What the evaluator only looks at between statements is bounded elsewhere:
//! `parse` refuses deep nesting, `guard` refuses huge ranges and repetitions.

use starlark::eval::Evaluator;

use super::Cancel;

/// Stack that evaluating threads need (native recursion of the Starlark parser and printer).
pub const STACK_BYTES: usize = 16 << 20;

/// How much one evaluation may do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    ticks: u64,
    heap_bytes: usize,
    frames: usize,
}

/// Loading: 10,000 builders of ten steps take some four million ticks and 60 MB.
pub(super) const LOAD: Limits = Limits { ticks: 20_000_000, heap_bytes: 1 << 30, frames: 200 };

/// One evaluation of a build script: a script with 1,000 effects takes some 20,000 ticks. Entries of
/// dicts are not counted as memory, so the bound of ticks bounds them, too.
pub(super) const SCRIPT: Limits = Limits { ticks: 1_000_000, heap_bytes: 256 << 20, frames: 200 };

/// A question or a template: the engine waits for the answer.
pub(super) const QUESTION: Limits = Limits { ticks: 100_000, heap_bytes: 64 << 20, frames: 100 };

impl Limits {
    /// Sets them on an evaluator that has none yet.
    pub(super) fn apply(self, eval: &mut Evaluator<'_, '_, '_>, cancel: Cancel) {
        const FRESH: &str = "limits are set once, on a new evaluator, to numbers above zero";
        eval.set_max_tick_count(self.ticks).expect(FRESH);
        eval.set_max_heap_size(self.heap_bytes).expect(FRESH);
        eval.set_max_callstack_size(self.frames).expect(FRESH);
        eval.set_check_cancelled(Box::new(move || cancel.is_set()));
    }

    /// The words for a limit that was reached, with what would do; none if the error is another one.
    pub(super) fn explain(self, error: &starlark::Error) -> Option<(String, String)> {
        let text = error.without_diagnostic().to_string();
        if matches!(error.kind(), starlark::ErrorKind::StackOverflow(_)) {
            return Some((
                format!("calls are nested more than {} deep", self.frames),
                "a function that calls itself needs an end; loops take less depth than recursion".to_owned(),
            ));
        }
        if text.contains("Execution duration limit") {
            return Some((
                format!("evaluation took more than {} steps (calls and turns of loops)", self.ticks),
                "make loops shorter, or move the work into a command on a worker".to_owned(),
            ));
        }
        if text.contains("Heap memory limit") {
            return Some((
                format!("evaluation needed more than {} MB of memory", self.heap_bytes >> 20),
                "keep less text and shorter lists, or move the work into a command on a worker".to_owned(),
            ));
        }
        if text.contains("Evaluation cancelled") {
            return Some(("evaluation was cancelled".to_owned(), "start it again".to_owned()));
        }
        None
    }
}
