//! Contents of artifacts in checks and dumps.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::dump::{Counts, DumpWriter, Item, wrong};
use super::piece::write_piece;
use super::{OnProgress, PROGRESS_EVERY, Progress};
use crate::base::Sha256;
use crate::model::{ArtifactRecord, ContentDigest};
use crate::store::StoreError;
use crate::store::artifacts::{content_path, is_named};
use crate::store::backend::{Backend, Direction};
use crate::store::codec::decode;
use crate::store::directory::Directory;
use crate::store::frame;
use crate::store::key::Table;

/// A piece of a content in a dump, and what is read of one at a time.
const PIECE_BYTES: u64 = 1 << 20;

/// Records looked at together.
const RECORDS_AT_ONCE: usize = 1000;

/// Reads every content that a record names; returns what is wrong, in words.
pub(super) fn check(
    directory: &Directory,
    records: &dyn Backend,
    on_progress: OnProgress<'_>,
) -> Result<Vec<String>, StoreError> {
    let (mut range, mut problems, mut done) = (Table::Artifact.all(), Vec::new(), 0);
    let mut known: BTreeMap<ContentDigest, bool> = BTreeMap::new();
    loop {
        let pairs = records.scan(&range, Direction::Ascending, RECORDS_AT_ONCE)?;
        let Some((last, _)) = pairs.last() else { return Ok(problems) };
        range.from = [last.as_slice(), &[0]].concat();
        for (_, bytes) in pairs {
            let record: ArtifactRecord = decode(&bytes, "the record of an artifact")?;
            let digest = &record.artifact.digest;
            let is_whole = match known.get(digest) {
                Some(is_whole) => *is_whole,
                None => is_whole(&content_path(&directory.artifacts(), digest), digest)?,
            };
            known.insert(digest.clone(), is_whole);
            if !is_whole {
                let text = format!(
                    "artifact `{}` of build {}: its content is missing or damaged",
                    record.artifact.name, record.build
                );
                problems.push(text);
            }
            done += 1;
            if done % PROGRESS_EVERY == 0 {
                on_progress(Progress { what: "artifacts", done, total: None });
            }
        }
    }
}

fn is_whole(path: &Path, digest: &ContentDigest) -> Result<bool, StoreError> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(StoreError::io("open", path)(error)),
    };
    let (mut sum, mut piece) = (Sha256::default(), vec![0; usize::try_from(PIECE_BYTES).unwrap_or_default()]);
    loop {
        let count = file.read(&mut piece).map_err(StoreError::io("read", path))?;
        if count == 0 {
            return Ok(sum.finish() == digest.0);
        }
        sum.update(&piece[..count]);
    }
}

/// Writes every content that a record names into a dump.
pub(super) fn put(
    directory: &Directory,
    records: &dyn Backend,
    dump: &mut DumpWriter<'_>,
    counts: &mut Counts,
) -> Result<(), StoreError> {
    for (digest, path) in files(directory)? {
        if !is_named(records, &digest)? {
            continue;
        }
        let file = File::open(&path).map_err(StoreError::io("open", &path))?;
        let length = file.metadata().map_err(StoreError::io("look at", &path))?.len();
        let mut at = 0;
        loop {
            let piece = (length - at).min(PIECE_BYTES);
            let mut bytes = vec![0; usize::try_from(piece).expect("pieces are small")];
            frame::read_exact_at(&file, &mut bytes, at).map_err(StoreError::io("read", &path))?;
            dump.put(&Item::Content { digest: digest.clone(), at, bytes: bytes.into() })?;
            at += piece;
            if at >= length {
                break;
            }
        }
        counts.contents += 1;
    }
    Ok(())
}

/// Takes a piece of a content out of a dump.
pub(super) fn take(directory: &Directory, digest: &ContentDigest, at: u64, bytes: &[u8]) -> Result<(), StoreError> {
    let path = content_path(&directory.artifacts(), digest);
    if path.file_name().is_none_or(|name| *name != *digest.0) {
        return Err(wrong(format!("`{digest}` is no digest of a content")));
    }
    write_piece(&path, at, bytes)
}

/// All contents, in the order of their digests.
fn files(directory: &Directory) -> Result<Vec<(ContentDigest, PathBuf)>, StoreError> {
    let mut found = Vec::new();
    for byte in 0..=u8::MAX {
        let bucket = directory.artifacts().join(format!("{byte:02x}"));
        let Ok(entries) = fs::read_dir(&bucket) else { continue };
        for entry in entries {
            let path = entry.map_err(StoreError::io("list", &bucket))?.path();
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            found.push((ContentDigest(name), path));
        }
    }
    found.sort();
    Ok(found)
}
