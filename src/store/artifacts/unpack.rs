//! A tar archive becomes contents, file by file. Nothing of it is written under a name that it tells.
//!
//! Directories and links have no content of their own and are left out. A hard link is the file that it is linked to.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Write as _};
use std::path::Path;

use tar::{Archive, Entry, EntryType};

use super::contents::Contents;
use crate::base::Sha256;
use crate::model::{Artifact, ContentDigest, UPLOAD_FILES_MAX, check_artifact_name};
use crate::store::StoreError;
use crate::store::directory::remove_all;
use crate::store::doors::UploadError;

const BLOCK_BYTES: usize = 1 << 18;

/// Keeps the files of an archive; their names follow `below`.
pub(super) fn unpack(archive: &Path, below: &str, contents: &Contents) -> Result<Vec<Artifact>, UploadError> {
    let scratch = archive.with_extension("member");
    let result = unpack_into(archive, below, contents, &scratch);
    remove_all(&scratch)?;
    result
}

fn unpack_into(archive: &Path, below: &str, contents: &Contents, scratch: &Path) -> Result<Vec<Artifact>, UploadError> {
    let file = File::open(archive).map_err(StoreError::io("open", archive))?;
    let mut archive = Archive::new(BufReader::with_capacity(BLOCK_BYTES, file));
    let mut kept: BTreeMap<String, Artifact> = BTreeMap::new();
    for entry in archive.entries().map_err(|error| damaged(&error))? {
        let mut entry = entry.map_err(|error| damaged(&error))?;
        let Some(name) = name_of(&entry, below)? else { continue };
        let artifact = match entry.header().entry_type() {
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                keep(&mut entry, name.clone(), contents, scratch)?
            }
            EntryType::Link => match linked(&entry, below)?.and_then(|target| kept.get(&target).cloned()) {
                Some(target) => Artifact { name: name.clone(), ..target },
                None => continue,
            },
            _ => continue,
        };
        kept.insert(name, artifact);
        if kept.len() > UPLOAD_FILES_MAX {
            let text = format!(
                "the directory holds more than {UPLOAD_FILES_MAX} files; pack it into one (`tar`, `zip`) and upload that"
            );
            return Err(UploadError::Unfit(text));
        }
    }
    Ok(kept.into_values().collect())
}

/// The artifact's name; none for the directory itself.
fn name_of(entry: &Entry<'_, impl Read>, below: &str) -> Result<Option<String>, UploadError> {
    full_name(&entry.path_bytes(), below)
}

fn linked(entry: &Entry<'_, impl Read>, below: &str) -> Result<Option<String>, UploadError> {
    entry.link_name_bytes().map_or(Ok(None), |name| full_name(&name, below))
}

fn full_name(path: &[u8], below: &str) -> Result<Option<String>, UploadError> {
    let shown = String::from_utf8_lossy(path);
    let inner = shown.strip_prefix("./").unwrap_or(&shown).trim_end_matches('/');
    if inner.is_empty() || inner == "." {
        return Ok(None);
    }
    let name = format!("{below}/{inner}");
    let unfit = |why: &str| UploadError::Unfit(format!("the file `{inner}` cannot be an artifact: its name {why}"));
    if std::str::from_utf8(path).is_err() {
        return Err(unfit("is not UTF-8"));
    }
    check_artifact_name(&name).map_err(|why| unfit(&why))?;
    Ok(Some(name))
}

fn keep(
    entry: &mut Entry<'_, impl Read>,
    name: String,
    contents: &Contents,
    scratch: &Path,
) -> Result<Artifact, UploadError> {
    let mut file = File::create(scratch).map_err(StoreError::io("create", scratch))?;
    let (mut digest, mut size) = (Sha256::default(), 0);
    let mut block = vec![0; BLOCK_BYTES];
    loop {
        let count = entry.read(&mut block).map_err(|error| damaged(&error))?;
        if count == 0 {
            break;
        }
        digest.update(&block[..count]);
        file.write_all(&block[..count]).map_err(StoreError::io("write", scratch))?;
        size += count as u64;
    }
    file.sync_all().map_err(StoreError::io("sync", scratch))?;
    let digest = ContentDigest(digest.finish());
    contents.keep(scratch, &digest)?;
    let header = entry.header();
    Ok(Artifact {
        name,
        size,
        digest,
        mode: header.mode().ok().map(|mode| mode & 0o7777),
        modified: header.mtime().ok(),
    })
}

fn damaged(error: &io::Error) -> UploadError {
    UploadError::Unfit(format!("the archive that the worker sent cannot be read: {error}"))
}
