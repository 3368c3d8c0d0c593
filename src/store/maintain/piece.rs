//! A file out of a dump, piece by piece.

use std::fs::OpenOptions;
use std::path::Path;

use crate::store::StoreError;
use crate::store::directory::make_dir;
use crate::store::frame;

/// Writes a piece at its place, durably. The file and its directory are made if they are not there.
pub(super) fn write_piece(path: &Path, at: u64, bytes: &[u8]) -> Result<(), StoreError> {
    if let Some(parent) = path.parent() {
        make_dir(parent)?;
    }
    let write = || {
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
        frame::write_all_at(&file, bytes, at)?;
        file.sync_data()
    };
    write().map_err(StoreError::io("write", path))
}
