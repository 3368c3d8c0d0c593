//! Two connections of one name: a worker that came back, or two workers that share a name?
//! (docs/design/worker-link.md, "Epochs"; docs/reference/worker-protocol.md#duplicates)

use super::greet::Newcomer;
use super::handle::LinkHandle;
use super::identity::Identity;

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
        if is_same(present, &other) {
            return Verdict::Replace { why: "the worker connected again".to_owned() };
        }
        if !old.answers(probe).await {
            return Verdict::Replace {
                why: format!(
                    "replaced by {}, which connected under the same name; the old connection had stopped responding",
                    shown(&other)
                ),
            };
        }
        let why = format!(
            "two workers share the name `{}`: {} is connected, {} was refused",
            old.worker(),
            shown(present),
            shown(&other)
        );
        Verdict::Refuse { why }
    }
}

/// Our workers are identified by their spools, stock ones by base directory and address.
fn is_same(present: &Identity, other: &Identity) -> bool {
    match (&present.instance, &other.instance) {
        (Some(present), Some(other)) => present == other,
        (None, None) => present.basedir == other.basedir && present.address == other.address,
        (Some(_), None) | (None, Some(_)) => false,
    }
}

fn shown(identity: &Identity) -> String {
    let folder = if identity.basedir.is_empty() { "an unknown folder" } else { &identity.basedir };
    match identity.address {
        Some(address) => format!("the one in `{folder}` at {address}"),
        None => format!("the one in `{folder}`"),
    }
}
