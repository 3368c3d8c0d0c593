//! Which of our additions both sides agreed on (docs/reference/worker-protocol.md#negotiation).

use rmpv::Value;

use super::fields::{Fields, array, map, natural};

/// The version of `resume` that this program speaks.
pub const RESUME_VERSION: u64 = 1;

/// Capabilities as one side names them. An empty value says: a stock peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Caps {
    /// Takes up commands of an earlier connection, with the output byte by byte.
    pub resume: bool,
    /// The peer speaks `resume`, but only this version, which is not ours. Serving it as a stock peer would silently promise
    /// less than either side does, so it is refused.
    pub strange: Option<u64>,
}

impl Caps {
    /// All that this program can do.
    pub const OURS: Self = Self { resume: true, strange: None };

    /// What both have.
    #[must_use]
    pub const fn both(self, other: Self) -> Self {
        Self { resume: self.resume && other.resume, strange: None }
    }

    /// Why the two of us cannot work together, if so; `peer` is `master` or `worker`.
    #[must_use]
    pub fn quarrel(self, peer: &str) -> Option<String> {
        self.strange.map(|version| {
            format!(
                "the {peer} speaks version {version} of `resume`, and this program speaks version {RESUME_VERSION}; use the \
                 same version of starwright on both sides"
            )
        })
    }

    fn version(self) -> Option<u64> {
        self.resume.then_some(RESUME_VERSION).or(self.strange)
    }

    fn of_versions(versions: impl Iterator<Item = u64> + Clone) -> Self {
        let resume = versions.clone().any(|version| version == RESUME_VERSION);
        Self { resume, strange: if resume { None } else { versions.max() } }
    }

    /// `{"offer": {"resume": {"v": [1]}}}`
    pub(super) fn write_offer(self) -> Value {
        let names = self.version().map(|version| ("resume", map([("v", array([version]))])));
        map([("offer", map(names))])
    }

    pub(super) fn read_offer(value: &Value) -> Self {
        let offers = |name| {
            let versions = Fields::of(Fields::of(Fields::of(value)?.get("offer")?)?.get(name)?)?.get("v")?;
            Some(Self::of_versions(versions.as_array()?.iter().filter_map(natural)))
        };
        offers("resume").unwrap_or_default()
    }

    /// `{"resume": {"v": 1}}`; none if there is nothing to say.
    pub(super) fn write_chosen(self) -> Option<Value> {
        self.version().map(|version| map([("resume", map([("v", version)]))]))
    }

    pub(super) fn read_chosen(value: &Value) -> Self {
        let version = |name| natural(Fields::of(Fields::of(value)?.get(name)?)?.get("v")?);
        Self::of_versions(version("resume").into_iter())
    }
}
