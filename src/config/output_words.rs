//! Words about the output of commands that declarations and `ctx.run` share: encodings, sizes of logs.

use crate::base::{parse_size, size_text};

/// The size of a log: a smaller one would not hold what explains a failure, a larger one no disk.
pub(super) fn log_bytes(text: &str) -> anyhow::Result<u64> {
    const SMALLEST: u64 = 1 << 20;
    const LARGEST: u64 = 64 << 30;
    let bytes = parse_size(text).map_err(|error| anyhow::anyhow!("`log_max`: {error}"))?;
    let (least, most) = (size_text(SMALLEST), size_text(LARGEST));
    anyhow::ensure!(
        (SMALLEST..=LARGEST).contains(&bytes),
        "`log_max` must be between {least} and {most}, not \"{text}\""
    );
    Ok(bytes)
}

/// The name of an encoding as the rest of the house knows it; none for UTF-8.
pub(super) fn encoding_name(label: &str) -> anyhow::Result<String> {
    let found = encoding_rs::Encoding::for_label(label.as_bytes());
    let found = found.filter(|found| found.is_ascii_compatible());
    found.map(|found| found.name().to_owned()).ok_or_else(|| {
        anyhow::anyhow!(
            "`encoding`: \"{label}\" is not known here; write for example \"utf-8\", \"cp1252\", \"latin1\", \"cp866\", \
             \"shift_jis\" or \"gbk\""
        )
    })
}
