//! Uploads on their way: one file each, which grows at its end only.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use crate::base::{Sha256, Span, Timestamp, environment};
use crate::model::ContentDigest;
use crate::store::StoreError;
use crate::store::directory::{make_dir, remove_all};

/// An upload that did not grow for so long is not gone on with: builds do not live that long without their worker.
pub(super) const STALE_AFTER: Span = Span::from_minutes(48 * 60);

/// What is read at once to digest what an earlier process received.
const READ_BYTES: usize = 1 << 18;

/// The uploads of one store.
#[derive(Debug)]
pub(super) struct Incoming {
    dir: PathBuf,
    open: Mutex<BTreeMap<String, Arc<Mutex<OpenUpload>>>>,
}

/// An upload that this process has seen a block of.
#[derive(Debug)]
struct OpenUpload {
    file: File,
    size: u64,
    digest: Sha256,
}

/// A whole upload, durable.
#[derive(Debug)]
pub(super) struct Done {
    pub path: PathBuf,
    pub size: u64,
    pub digest: ContentDigest,
}

impl Incoming {
    /// Takes up what a killed process left, unless the machine itself has started anew since.
    pub fn open(artifacts: &Path) -> Result<Self, StoreError> {
        let dir = artifacts.join("incoming");
        let (note, boot) = (dir.join("boot"), environment::boot_id().unwrap_or_default());
        let is_same = !boot.is_empty() && fs::read_to_string(&note).is_ok_and(|noted| noted == boot);
        if !is_same && dir.exists() {
            remove_all(&dir)?;
        }
        Ok(Self { dir, open: Mutex::default() })
    }

    /// How many bytes of an upload are there.
    pub fn received(&self, upload: &str) -> Result<u64, StoreError> {
        if let Some(open) = self.known(upload) {
            return Ok(lock(&open).size);
        }
        let path = self.path(upload);
        match fs::metadata(&path) {
            Ok(found) => Ok(found.len()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(StoreError::io("read", &path)(error)),
        }
    }

    /// Adds what is new of a block.
    pub fn append(&self, upload: &str, at: u64, bytes: &[u8]) -> Result<u64, StoreError> {
        let open = self.opened(upload)?;
        let mut open = lock(&open);
        let known = open.size.checked_sub(at);
        let Some(known) = known else {
            let why = format!("a block begins at {at}, and only {} bytes are there", open.size);
            return Err(StoreError::corrupt(format!("upload {upload}"), why));
        };
        let new = usize::try_from(known).ok().and_then(|known| bytes.get(known..)).unwrap_or_default();
        if let Err(error) = open.file.write_all(new) {
            // What was written of it must not stay: nobody knows how much it is.
            let size = open.size;
            let _ = open.file.set_len(size);
            return Err(StoreError::io("write", &self.path(upload))(error));
        }
        open.digest.update(new);
        open.size += new.len() as u64;
        Ok(open.size)
    }

    /// A whole upload; what it consists of is on the disk when this returns. Its file is the caller's to move or discard.
    pub fn take(&self, upload: &str) -> Result<Done, StoreError> {
        let open = self.opened(upload)?;
        self.forget(upload);
        let path = self.path(upload);
        let open = lock(&open);
        open.file.sync_all().map_err(StoreError::io("sync", &path))?;
        Ok(Done { path, size: open.size, digest: ContentDigest(open.digest.clone().finish()) })
    }

    /// Drops an upload; one that is not there is fine.
    pub fn discard(&self, upload: &str) -> Result<(), StoreError> {
        self.forget(upload);
        remove_all(&self.path(upload))
    }

    /// Drops uploads that nobody goes on with; returns how many.
    pub fn drop_stale(&self, now: Timestamp) -> Result<u64, StoreError> {
        let mut dropped = 0;
        let Ok(entries) = fs::read_dir(&self.dir) else { return Ok(0) };
        for entry in entries {
            let path = entry.map_err(StoreError::io("list", &self.dir))?.path();
            if path.file_name().is_some_and(|name| name != "boot") && is_older(&path, STALE_AFTER, now) {
                let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
                self.forget(&name);
                remove_all(&path)?;
                dropped += 1;
            }
        }
        Ok(dropped)
    }

    fn known(&self, upload: &str) -> Option<Arc<Mutex<OpenUpload>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).get(&file_name(upload)).cloned()
    }

    fn forget(&self, upload: &str) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&file_name(upload));
    }

    fn opened(&self, upload: &str) -> Result<Arc<Mutex<OpenUpload>>, StoreError> {
        if let Some(open) = self.known(upload) {
            return Ok(open);
        }
        self.make_dir()?;
        let path = self.path(upload);
        let open = open_or_make(&path).map_err(StoreError::io("open", &path))?;
        let mut all = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        // Two connections of one worker may be there for a moment.
        Ok(Arc::clone(all.entry(file_name(upload)).or_insert_with(|| Arc::new(Mutex::new(open)))))
    }

    fn make_dir(&self) -> Result<(), StoreError> {
        let note = self.dir.join("boot");
        if note.exists() {
            return Ok(());
        }
        make_dir(&self.dir)?;
        fs::write(&note, environment::boot_id().unwrap_or_default()).map_err(StoreError::io("write", &note))
    }

    fn path(&self, upload: &str) -> PathBuf {
        self.dir.join(file_name(upload))
    }
}

/// Ids of commands are harmless; anything else gets a name that is.
fn file_name(upload: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if !upload.is_empty() && upload.len() < 200 && upload != "boot" && upload.bytes().all(is_plain) {
        upload.to_owned()
    } else {
        Sha256::of(upload.as_bytes())
    }
}

/// Opens the file of an upload at its end, and digests what it holds.
fn open_or_make(path: &Path) -> io::Result<OpenUpload> {
    let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
    let (mut digest, mut size) = (Sha256::default(), 0);
    let mut block = vec![0; READ_BYTES];
    loop {
        let count = file.read(&mut block)?;
        if count == 0 {
            return Ok(OpenUpload { file, size, digest });
        }
        digest.update(&block[..count]);
        size += count as u64;
    }
}

/// Whether a file was last changed so long ago. One whose age cannot be told is young.
pub(super) fn is_older(path: &Path, age: Span, now: Timestamp) -> bool {
    let changed = fs::symlink_metadata(path).and_then(|data| data.modified()).ok();
    let changed = changed.and_then(|changed| changed.duration_since(SystemTime::UNIX_EPOCH).ok());
    let millis = changed.and_then(|changed| i64::try_from(changed.as_millis()).ok());
    millis.is_some_and(|millis| now.since(Timestamp::from_millis(millis)) > age)
}

fn lock(open: &Mutex<OpenUpload>) -> std::sync::MutexGuard<'_, OpenUpload> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}
