//! How much an order of a person or script may say. What it says stays with builds for good and is shown in lists.

use std::collections::BTreeMap;

use crate::engine::Reply;
use crate::model::{Actor, ForceOrder, Order};

/// Of a reason: a paragraph.
pub(super) const REASON_BYTES_MAX: usize = 4_096;
/// A name, a branch, a revision, a repository.
const FIELD_BYTES_MAX: usize = 1_024;
/// A parameter of a force form: a long text may be pasted into one.
const PARAM_BYTES_MAX: usize = 64 << 10;
/// All of them; each build of the set carries them.
const PARAMS_BYTES_MAX: usize = 256 << 10;
/// What is logged and recorded of the cause of a reload.
const CAUSE_CHARS_MAX: usize = 200;

/// The answer to an order that says too much.
pub(super) fn refusal(order: &Order, by: &Actor) -> Option<Reply> {
    let who = by.name().len();
    match order {
        Order::Force(force_order) => {
            let wrong = force(force_order, who);
            (!wrong.is_empty()).then_some(Reply::Invalid(wrong))
        }
        Order::AddChanges { delivery, .. } => delivery_refused(delivery.as_deref()).map(Reply::Refused),
        // One that is too long is cut.
        Order::Reload { .. } => None,
        _ if who > FIELD_BYTES_MAX => Some(Reply::Refused(format!("`username` is {}", too_long(who, FIELD_BYTES_MAX)))),
        order => reason(order.reason()?).map(Reply::Refused),
    }
}

/// Names of deliveries are remembered by their digest, so that the length only has to be bearable in a fact.
const DELIVERY_CHARS_MAX: usize = 200;

/// Why a delivery cannot have this name.
fn delivery_refused(name: Option<&str>) -> Option<String> {
    let name = name?;
    (name.is_empty() || name.chars().count() > DELIVERY_CHARS_MAX)
        .then(|| format!("the name of a delivery has 1 to {DELIVERY_CHARS_MAX} characters"))
}

/// What is too long in a force order, by field; `who` are the bytes of the name of the one who gives it.
fn force(ask: &ForceOrder, who: usize) -> BTreeMap<String, String> {
    let mut wrong = BTreeMap::new();
    let mut note = |field: &str, bytes: usize, most: usize| {
        if bytes > most {
            wrong.insert(field.to_owned(), too_long(bytes, most));
        }
    };
    note("reason", ask.reason.len(), REASON_BYTES_MAX);
    note("username", who, FIELD_BYTES_MAX);
    for stamp in &ask.stamps {
        for (field, text) in [
            ("branch", stamp.branch.as_deref().unwrap_or_default()),
            ("revision", stamp.revision.as_deref().unwrap_or_default()),
            ("repository", &stamp.repository),
            ("project", &stamp.project),
        ] {
            let name = if stamp.codebase.is_empty() { field.to_owned() } else { format!("{}_{field}", stamp.codebase) };
            note(&name, text.len(), FIELD_BYTES_MAX);
        }
    }
    let mut whole = 0;
    for (name, value) in &ask.params {
        let bytes = value.to_json().to_string().len();
        whole += bytes;
        note(name, bytes, PARAM_BYTES_MAX);
    }
    if whole > PARAMS_BYTES_MAX && wrong.is_empty() {
        wrong.insert("params".to_owned(), too_long(whole, PARAMS_BYTES_MAX));
    }
    wrong
}

/// Why a reason cannot be taken, if so.
fn reason(reason: &str) -> Option<String> {
    (reason.len() > REASON_BYTES_MAX).then(|| format!("`reason` is {}", too_long(reason.len(), REASON_BYTES_MAX)))
}

/// The cause of a reload, in one line of a bounded length.
pub(super) fn cause(cause: &str) -> String {
    cause.chars().map(|c| if c.is_control() { ' ' } else { c }).take(CAUSE_CHARS_MAX).collect()
}

fn too_long(bytes: usize, most: usize) -> String {
    format!("too long: {bytes} bytes; the limit is {most}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{StampSpec, Value};

    #[test]
    fn what_is_too_long_is_named() {
        let long = "x".repeat(70_000);
        let ask = ForceOrder {
            reason: long.clone(),
            params: [("text".to_owned(), Value::from(long.as_str())), ("small".to_owned(), Value::Int(1))].into(),
            stamps: vec![StampSpec { codebase: "lib".to_owned(), branch: Some(long), ..StampSpec::default() }],
            ..ForceOrder::default()
        };
        let wrong: Vec<String> = force(&ask, 70_000).into_keys().collect();
        assert_eq!(wrong, ["lib_branch", "reason", "text", "username"]);
        assert!(force(&ForceOrder::default(), 0).is_empty());
    }

    #[test]
    fn all_parameters_together_are_bounded() {
        let params = (0..5).map(|n| (n.to_string(), Value::from("x".repeat(60_000).as_str()))).collect();
        let wrong = force(&ForceOrder { params, ..ForceOrder::default() }, 0);
        assert_eq!(wrong.into_keys().collect::<Vec<_>>(), ["params"]);
    }

    #[test]
    fn a_cause_is_one_short_line() {
        assert_eq!(cause("a\nb"), "a b");
        assert_eq!(cause(&"x".repeat(1_000)).len(), CAUSE_CHARS_MAX);
        assert!(reason("short").is_none() && reason(&"x".repeat(5_000)).is_some());
    }
}
