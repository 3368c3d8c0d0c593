//! Packs a directory into a tar archive, the same bytes each time as long as the files are the same: an upload that goes on
//! later finds its place.
//!
//! Links are left out: what they lead to may lie outside, or be there already. So are sockets and devices. The format is that
//! of a stock worker, whose first member is the directory itself under an empty name.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use tar::{Builder, EntryType, Header};

/// Writes the archive of a directory.
pub(super) fn pack(directory: &Path, out: &mut dyn Write) -> io::Result<()> {
    let mut builder = Builder::new(out);
    let mut waiting = vec![PathBuf::new()];
    while let Some(inner) = waiting.pop() {
        let path = directory.join(&inner);
        let mut names: Vec<_> = fs::read_dir(&path)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<_>>()?;
        names.sort();
        let mut directories = Vec::new();
        for name in names {
            let (inner, path) = (inner.join(&name), path.join(&name));
            let data = fs::symlink_metadata(&path)?;
            if data.is_dir() {
                directories.push(inner);
            } else if data.is_file() {
                add(&mut builder, &inner, &path)?;
            }
        }
        // The last one is taken first.
        waiting.extend(directories.into_iter().rev());
    }
    builder.finish()
}

fn add(builder: &mut Builder<&mut dyn Write>, inner: &Path, path: &Path) -> io::Result<()> {
    let file = File::open(path)?;
    let data = file.metadata()?;
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Regular);
    header.set_size(data.len());
    header.set_mode(data.mode() & 0o7777);
    header.set_mtime(u64::try_from(data.mtime()).unwrap_or_default());
    // A file that grows meanwhile ends where it was; one that shrinks is filled up, and the digests differ.
    let length = data.len();
    let content = io::Read::chain(io::Read::take(file, length), io::repeat(0));
    builder.append_data(&mut header, inner, io::Read::take(content, length))
}
