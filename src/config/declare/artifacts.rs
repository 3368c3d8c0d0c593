//! What `builder` and `database` say of artifacts.

use starlark::values::UnpackValue as _;

use super::super::args::Call;
use super::super::convert::kind_of;
use crate::base::nearest;
use crate::model::{ArtifactLimits, ArtifactRules, Outcome};

/// Bytes of one MiB.
const MIB: u64 = 1 << 20;

/// What the argument `artifacts` of `builder` may have beside words of outcomes.
const KEEP_DAYS: &str = "keep_days";
const MAX_MIB: &str = "max_mib";

/// The argument `artifacts` of `builder`.
pub(super) fn rules(call: &Call<'_, '_, '_, '_, '_>) -> Option<ArtifactRules> {
    let mut rules = ArtifactRules::default();
    for (key, value) in call.dict("artifacts")? {
        let number = i64::unpack_value(value).ok().flatten().and_then(|number| u64::try_from(number).ok());
        let Some(number) = number.filter(|number| *number > 0) else {
            let text = format!("has {key:?}, which must be a whole number above 0, not {}", kind_of(value));
            call.wrong("artifacts", &text, None);
            continue;
        };
        match (key.as_str(), Outcome::from_word(&key)) {
            (KEEP_DAYS, _) => rules.days = Some(number),
            (MAX_MIB, _) => rules.bytes_max = Some(number.saturating_mul(MIB)),
            (_, Some(outcome)) => drop(rules.days_after.insert(outcome, number)),
            (other, None) => {
                let words = Outcome::ALL.iter().map(|outcome| outcome.word()).chain([KEEP_DAYS, MAX_MIB]);
                let hint = nearest(other, words).map_or_else(
                    || format!("it may have \"{KEEP_DAYS}\", \"{MAX_MIB}\" and outcomes such as \"failure\""),
                    |known| format!("did you mean \"{known}\"?"),
                );
                call.wrong("artifacts", &format!("has {other:?}, which is not known"), Some(hint));
            }
        }
    }
    Some(rules)
}

/// The limits that `database` sets.
pub(super) fn limits(call: &Call<'_, '_, '_, '_, '_>) -> ArtifactLimits {
    let usual = ArtifactLimits::default();
    let mib = |name| call.count_of(name, 1).map(|number| number.saturating_mul(MIB));
    ArtifactLimits {
        upload_bytes: mib("artifact_upload_mib").unwrap_or(usual.upload_bytes),
        build_bytes: mib("artifact_build_mib").unwrap_or(usual.build_bytes),
        builder_bytes: mib("artifact_builder_mib"),
        total_bytes: mib("artifact_total_mib"),
    }
}
