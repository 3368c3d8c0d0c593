//! Reading files of logs without the store, to check or copy them.

use std::fs::File;
use std::path::Path;

use super::block::Block;
use super::log::{FILE_PREFIX, file_names};
use super::packed::PackedLog;
use super::segment::{MAGIC, Segment, body_of_frame};
use crate::store::StoreError;
use crate::store::frame::{self, Found, Scanner};
use crate::store::packs::LogFile;

/// The names of the files of logs in a build's directory, in order.
pub(crate) fn log_files(dir: &Path) -> Result<Vec<String>, StoreError> {
    let mut names = file_names(dir)?;
    names.retain(|name| is_log_file(name));
    names.sort();
    Ok(names)
}

/// Whether this is the name of a file of a log, and of nothing else.
pub(crate) fn is_log_file(name: &str) -> bool {
    numbers(name).is_some()
}

/// The log and the number that the name of a file tells.
fn numbers(name: &str) -> Option<(u64, u64)> {
    let (log, number) = name.strip_prefix(FILE_PREFIX)?.split_once('.')?;
    Some((log.parse().ok()?, number.parse().ok()?))
}

/// What is known of a file of a log by its path, and where it ends; none for any other file.
pub(crate) fn log_file(path: &Path, bytes: u64) -> Option<LogFile> {
    let build = path.parent()?.file_name()?.to_str()?.parse().ok()?;
    let (log, number) = numbers(path.file_name()?.to_str()?)?;
    Some(LogFile { build, log, number, bytes })
}

/// The name of a file of a log.
pub(crate) fn file_name(file: &LogFile) -> String {
    format!("{FILE_PREFIX}{}.{}", file.log, file.number)
}

/// Whether the text of a packed log can be read.
pub(crate) fn inspect_packed(text: &[u8]) -> bool {
    PackedLog::decode(text).is_some()
}

/// What is wrong with a file of a log, in words: every frame is read, every block decompressed.
pub(crate) fn inspect_file(file: &File, path: &Path) -> Result<Vec<String>, StoreError> {
    let io = |error| StoreError::io("read", path)(error);
    let mut problems = Vec::new();
    let mut scanner = Scanner::new(file, MAGIC, 0).map_err(io)?;
    loop {
        match scanner.next().map_err(io)? {
            Found::Frame { .. } => {}
            Found::Damage { from, to } => {
                problems.push(format!("`{}`: bytes {from} to {to} are damaged", path.display()));
            }
            Found::End { torn_bytes, .. } => {
                if torn_bytes > 0 {
                    problems.push(format!("`{}`: its last {torn_bytes} bytes are torn", path.display()));
                }
                break;
            }
        }
    }
    let Some(segment) = Segment::load(file, path, u64::MAX)? else {
        problems.push(format!("`{}`: nothing in it is whole", path.display()));
        return Ok(problems);
    };
    for place in &segment.blocks {
        let mut bytes = vec![0; usize::try_from(place.length).unwrap_or(0)];
        frame::read_exact_at(file, &mut bytes, place.at).map_err(io)?;
        let block = body_of_frame(&bytes).and_then(Block::decompress);
        if !block.is_some_and(|block| u64::try_from(block.lines()).is_ok_and(|lines| lines == place.lines)) {
            let last = place.end_line().saturating_sub(1);
            problems.push(format!("`{}`: lines {} to {last} cannot be read", path.display(), place.first_line));
        }
    }
    Ok(problems)
}
