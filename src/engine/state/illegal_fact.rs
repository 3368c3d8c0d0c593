//! Why a fact does not fit the state.

/// Why a fact does not fit.
pub(in crate::engine) type IllegalFact = String;

/// The fault of a fact about something that is not open.
pub(super) fn unknown(kind: &str, id: &dyn std::fmt::Display) -> IllegalFact {
    format!("there is no open {kind} `{id}`")
}
