//! `log_max` of builders and of the master: how much text a log keeps.

use super::super::args::Call;
use super::super::output_words::log_bytes;

/// The argument `log_max` of `builder` and `master`.
pub(super) fn log_bytes_max(call: &Call<'_, '_, '_, '_, '_>) -> Option<u64> {
    match log_bytes(&call.string("log_max")?) {
        Ok(bytes) => Some(bytes),
        Err(why) => {
            let why = why.to_string();
            let what = why.trim_start_matches("`log_max`").trim_start_matches(':').trim_start();
            let (what, hint) = what.split_once("; ").map_or((what, None), |(what, hint)| (what, Some(hint.to_owned())));
            call.wrong("log_max", what, hint);
            None
        }
    }
}
