//! The extensions that both sides have agreed on (docs/reference/worker-protocol.md#negotiation).

use rmpv::Value;

use super::fields::{Fields, array, map, natural};

/// The version of `resume` that this program speaks. It goes up with every change that the other side must know of, also
/// of [`crate::model::CommandSpec`], which is sent as it is.
pub const RESUME_VERSION: u64 = 2;

/// Extensions as one side states them. The default value is a stock peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Caps {
    /// Resumes commands of an earlier connection, with their output byte by byte.
    pub resume: bool,
    /// The peer speaks `resume`, but only this version, which is not ours. It is refused: served as a stock peer, it
    /// would silently promise less than either side expects.
    pub unsupported: Option<u64>,
}

impl Caps {
    /// Everything that this program supports.
    pub const OURS: Self = Self { resume: true, unsupported: None };

    /// What both sides support.
    #[must_use]
    pub const fn both(self, other: Self) -> Self {
        Self { resume: self.resume && other.resume, unsupported: None }
    }

    /// Why the two sides cannot work together, if they cannot; `peer` is `master` or `worker`.
    #[must_use]
    pub fn incompatibility(self, peer: &str) -> Option<String> {
        self.unsupported.map(|version| {
            let this = if peer == "worker" { "master" } else { "worker" };
            let older = if version < RESUME_VERSION { peer } else { this };
            format!(
                "the {peer} speaks version {version} of `resume`, and this {this} speaks version {RESUME_VERSION}; update \
                 starwright on the {older}"
            )
        })
    }

    fn version(self) -> Option<u64> {
        self.resume.then_some(RESUME_VERSION).or(self.unsupported)
    }

    fn of_versions(versions: impl Iterator<Item = u64> + Clone) -> Self {
        let resume = versions.clone().any(|version| version == RESUME_VERSION);
        Self { resume, unsupported: if resume { None } else { versions.max() } }
    }

    /// `{"offer": {"resume": {"v": [2]}}}`
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

    /// `{"resume": {"v": 2}}`; none for a stock peer.
    pub(super) fn write_chosen(self) -> Option<Value> {
        self.version().map(|version| map([("resume", map([("v", version)]))]))
    }

    pub(super) fn read_chosen(value: &Value) -> Self {
        let version = |name| natural(Fields::of(Fields::of(value)?.get(name)?)?.get("v")?);
        Self::of_versions(version("resume").into_iter())
    }
}
