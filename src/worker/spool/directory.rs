//! The directory of the spool: its name, and the commands that are in it.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::spooled::Spooled;
use crate::base::files::{replace_file, sync_file};
use crate::base::unique_id;

/// The directory `spool` of a worker's base directory.
#[derive(Clone, Debug)]
pub(in crate::worker) struct Spool {
    path: PathBuf,
}

/// What stands at the head of file names that spell a command's id; others are ours.
const NAME_PREFIX: &str = "c-";

/// The directory for what stands in the spool and is not ours.
const ASIDE: &str = "aside";

impl Spool {
    /// Opens the spool of a base directory, made if missing.
    pub fn open(base: &Path) -> io::Result<Self> {
        let path = base.join("spool");
        fs::create_dir_all(&path)?;
        restrict(&path)?;
        Ok(Self { path })
    }

    /// The name of this spool, drawn when it was made, and drawn anew after each start of the machine: a command that a
    /// crash of the machine took from the spool is then lost, and never taken for one that has not arrived. Where the
    /// system does not number its starts (`boot` is empty) the name stays, and orders are made durable instead.
    pub fn instance(&self, boot: &str) -> io::Result<String> {
        let path = self.path.join("instance");
        let known = fs::read_to_string(&path).unwrap_or_default();
        let mut lines = known.lines();
        if let (Some(name), of) = (lines.next().filter(|name| !name.is_empty()), lines.next().unwrap_or_default())
            && of == boot
        {
            return Ok(name.to_owned());
        }
        let drawn = unique_id();
        replace_file(&path, format!("{drawn}\n{boot}\n").as_bytes())?;
        sync_file(&path)?;
        Ok(drawn)
    }

    /// The command with this id, whether or not it is there.
    pub fn command(&self, id: &str) -> Spooled {
        Spooled::at(&self.path.join(format!("{NAME_PREFIX}{}", spelt(id))))
    }

    /// All commands with their ids, in order of their names. What a crash left of removed ones is removed, and what is
    /// not ours is set aside.
    pub fn commands(&self) -> io::Result<Vec<(String, Spooled)>> {
        let mut names = BTreeSet::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name == ASIDE {
                continue;
            }
            // Opening a FIFO would wait for somebody at its other end, and nothing of ours is a directory or a link.
            if !entry.file_type()?.is_file() {
                self.set_aside(&entry.path(), "it is not a regular file");
            } else if name.starts_with(NAME_PREFIX) {
                names.insert(name.split('.').next().unwrap_or_default().to_owned());
            }
        }
        let mut found = Vec::new();
        for name in names {
            let command = Spooled::at(&self.path.join(&name));
            if !command.path().exists() {
                if let Err(error) = command.remove() {
                    tracing::warn!(path = %command.path().display(), %error, "remains of a command cannot be removed");
                }
            } else if let Some(id) = name.strip_prefix(NAME_PREFIX).and_then(read_spelt) {
                found.push((id, command));
            } else {
                self.set_aside(command.path(), "its name spells no command id");
            }
        }
        Ok(found)
    }

    /// Moves a file that is not ours, or that cannot be used, out of the way. It is never deleted: somebody put it there.
    pub fn set_aside(&self, path: &Path, why: &str) {
        let aside = self.path.join(ASIDE);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let to = aside.join(format!("{}-{name}", unique_id()));
        match fs::create_dir_all(&aside).and_then(|()| fs::rename(path, &to)) {
            Ok(()) => tracing::warn!(
                path = %path.display(), to = %to.display(),
                "a file in the spool was set aside, because {why}; delete it when you have looked at it"
            ),
            Err(error) => tracing::error!(
                path = %path.display(), %error,
                "a file in the spool is ignored, because {why}, and it cannot be moved"
            ),
        }
    }
}

/// An id as a file name: letters, digits and `-` stand for themselves, others as `_` and two hexadecimal digits a byte.
fn spelt(id: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::new();
    for byte in id.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'-' {
            out.push(char::from(byte));
        } else {
            write!(out, "_{byte:02x}").expect("writing to a string does not fail");
        }
    }
    out
}

/// The id that a file name spells; none if [`spelt`] does not write such a name.
fn read_spelt(name: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut letters = name.bytes();
    while let Some(letter) = letters.next() {
        bytes.push(if letter == b'_' {
            let digits = [letters.next()?, letters.next()?];
            u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
        } else {
            letter
        });
    }
    String::from_utf8(bytes).ok().filter(|id| spelt(id) == name)
}

/// Output is nobody else's business.
fn restrict(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o700))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::worker::order::line_order;
    use crate::worker::spool::Acked;

    #[test]
    fn a_spool_keeps_its_name() {
        let base = tempfile::tempdir().unwrap();
        let name = |boot: &str| Spool::open(base.path()).unwrap().instance(boot).unwrap();
        let first = name("boot 1");
        assert_eq!(name("boot 1"), first);
        let second = name("boot 2");
        assert_ne!(second, first, "what a crash of the machine took must not count as never sent");
        assert_eq!(name("boot 2"), second);
    }

    #[test]
    fn a_spool_without_numbers_of_boots_keeps_its_name() {
        let base = tempfile::tempdir().unwrap();
        let name = |boot: &str| Spool::open(base.path()).unwrap().instance(boot).unwrap();
        assert_eq!(name(""), name(""));
    }

    #[test]
    fn commands_are_found_by_their_orders_and_strays_go() {
        let base = tempfile::tempdir().unwrap();
        let spool = Spool::open(base.path()).unwrap();
        let (one, two) = (spool.command("a/../b.c"), spool.command("2"));
        assert_eq!(one.path().parent(), Some(base.path().join("spool").as_path()));
        for command in [&one, &two] {
            command.create(&line_order("true")).unwrap();
            command.create_out().unwrap();
            command.write_acked(Acked::default()).unwrap();
        }
        // A crash in the middle of a removal.
        fs::remove_file(two.path()).unwrap();
        let found = spool.commands().unwrap();
        let found: Vec<_> = found.iter().map(|(id, command)| (id.as_str(), command.path())).collect();
        assert_eq!(found, [("a/../b.c", one.path())]);
        assert!(two.open_out(Acked::default()).unwrap().is_none());
        one.remove().unwrap();
        assert_eq!(fs::read_dir(base.path().join("spool")).unwrap().count(), 0);
    }

    #[test]
    fn what_is_not_ours_is_set_aside_and_stops_nothing() {
        let base = tempfile::tempdir().unwrap();
        let spool = Spool::open(base.path()).unwrap();
        let path = base.path().join("spool");
        for fifo in ["c-1", "instance"] {
            let mode = rustix::fs::Mode::RWXU;
            rustix::fs::mknodat(rustix::fs::CWD, path.join(fifo), rustix::fs::FileType::Fifo, mode, 0).unwrap();
        }
        fs::create_dir(path.join("c-2.out")).unwrap();
        fs::write(path.join("c-2.out/kept"), "").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", path.join("c-3")).unwrap();
        fs::write(path.join("c-not spelt"), "").unwrap();
        assert_eq!(spool.commands().unwrap().len(), 0);
        spool.instance("boot").unwrap();
        let names = |path: &Path| {
            let names = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
            names.collect::<BTreeSet<String>>()
        };
        assert_eq!(names(&path), ["aside", "instance"].map(str::to_owned).into());
        let aside = names(&path.join("aside"));
        for name in ["-c-1", "-instance", "-c-2.out", "-c-3", "-c-not spelt"] {
            assert!(aside.iter().any(|aside| aside.ends_with(name)), "{name} in {aside:?}");
        }
        // Nor the next time.
        assert_eq!(spool.commands().unwrap().len(), 0);
    }

    #[test]
    fn a_name_spells_its_id() {
        for id in ["7-build-3", "a/../b.c", "_", "\u{fc}"] {
            assert_eq!(read_spelt(&spelt(id)).as_deref(), Some(id));
        }
        for name in ["a b", "_", "_0", "_zz", "_41", "\u{fc}", "_FF"] {
            assert_eq!(read_spelt(name), None, "{name}");
        }
    }
}
