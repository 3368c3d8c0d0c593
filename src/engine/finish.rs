//! The body of a step is done, or its script has failed: the step is to end.

use super::in_flight::Finish;
use super::journal::write_note;
use super::turn::Turn;
use crate::model::{BuildId, Note, Outcome};

/// The step's body is done.
pub(super) fn finish_body(turn: &mut Turn<'_>, id: BuildId, outcome: Outcome, summary: Option<String>) {
    if turn.in_flight.finishing.begin(id, Finish { outcome, summary }) {
        turn.want_evaluation(id);
    }
}

/// The step's script failed: the step ends with an exception, and says why in a log.
pub(super) fn fail_script(turn: &mut Turn<'_>, id: BuildId, message: &str) {
    let step = turn.state.step(id);
    if let Some(step) = step.filter(|step| !step.notes.contains(&Note::ScriptFailed)) {
        write_note(turn, id, step.step_at_end(), Note::ScriptFailed, "error", message.to_owned());
    }
    let first = message.lines().next().unwrap_or_default().to_owned();
    finish_body(turn, id, Outcome::Exception, Some(first));
}
