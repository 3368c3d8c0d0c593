//! Two connections of one name: a worker that came back, or two workers that share a name?
//! (docs/design/worker-link.md, "Epochs"; docs/reference/worker-protocol.md#duplicates)

use super::greet::Newcomer;
use super::handle::LinkHandle;

/// Who may stay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The newcomer; cut the older connection with this reason.
    Replace { why: String },
    /// The older one: another worker uses its name. The reason names both, for log and page.
    Refuse { why: String },
}

/// Decides between a live link and a newcomer of its name; takes at most [`super::Limits::probe`]. The future does not
/// borrow the newcomer, whose socket only one task may touch.
pub fn arbitrate<'a>(old: &'a LinkHandle, newcomer: &Newcomer) -> impl Future<Output = Verdict> + Send + use<'a> {
    let (other, probe) = (newcomer.identity(), newcomer.limits.probe);
    async move {
        let present = old.identity();
        if present.is_same(&other) {
            return Verdict::Replace { why: "the worker connected again".to_owned() };
        }
        if !old.answers(probe).await {
            return Verdict::Replace {
                why: format!(
                    "replaced by {other}, which connected under the same name; the old connection had stopped responding"
                ),
            };
        }
        // The same spool at two places.
        let copied = if present.instance.is_some() && present.instance == other.instance {
            "; one's directory is a copy of the other's"
        } else {
            ""
        };
        let why = format!(
            "two workers share the name `{}`: {present} is connected, {other} was refused{copied}",
            old.worker()
        );
        Verdict::Refuse { why }
    }
}
