//! The folders of the spool, and what their files tell about a command.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::ending::Ending;
use super::frame::{seal, unseal};
use super::out::{OutReader, OutWriter};
use super::records::{Acked, Stop};
use crate::base::files::{FileLock, LockError, replace_file, sync_file, sync_folder};
use crate::base::unique_id;
use crate::worker::order::Order;

/// The folder `spool` of a worker's base folder.
#[derive(Clone, Debug)]
pub(in crate::worker) struct Spool {
    path: PathBuf,
}

/// The folder of one command.
#[derive(Clone, Debug)]
pub(in crate::worker) struct Folder {
    path: PathBuf,
}

/// What stands at the head of folder names that spell a command's id; others are ours.
const NAME_PREFIX: &str = "c-";

impl Spool {
    /// Opens the spool of a base folder, made if missing.
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

    /// The folder of a command, whether or not it is there.
    pub fn folder(&self, id: &str) -> Folder {
        Folder { path: self.path.join(format!("{NAME_PREFIX}{}", spelt(id))) }
    }

    /// All folders of commands, in order of their names.
    pub fn folders(&self) -> io::Result<Vec<Folder>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(NAME_PREFIX) {
                found.push(Folder { path: entry.path() });
            }
        }
        found.sort_by(|one, two| one.path.cmp(&two.path));
        Ok(found)
    }
}

impl Folder {
    /// The folder at this path, for a runner that is told of it.
    pub fn at(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the folder with its order. Nothing is durable yet: see [`Folder::sync`].
    pub fn create(&self, order: &Order) -> io::Result<()> {
        fs::create_dir(&self.path)?;
        fs::write(self.file("order"), seal(order))
    }

    /// Makes the order survive a crash of the machine: wanted where [`Spool::instance`] cannot tell of one.
    pub fn sync(&self) -> io::Result<()> {
        sync_file(&self.file("order"))?;
        self.path.parent().map_or(Ok(()), sync_folder)
    }

    /// The order, if it was written to its end: else the command was never accepted.
    pub fn order(&self) -> Option<Order> {
        self.read("order")
    }

    /// Claims the one start of the command. False if somebody did before.
    pub fn claim_start(&self, holder: &str) -> io::Result<bool> {
        match OpenOptions::new().write(true).create_new(true).open(self.file("started")) {
            Ok(mut file) => io::Write::write_all(&mut file, holder.as_bytes()).map(|()| true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether somebody claimed the start.
    pub fn is_started(&self) -> bool {
        self.file("started").exists()
    }

    /// Takes the lock that says: a runner lives.
    pub fn lock(&self) -> Result<FileLock, LockError> {
        FileLock::take(&self.file("lock"))
    }

    /// Whether a runner lives, and the number of its process.
    pub fn runner(&self) -> Option<u32> {
        if !self.file("lock").exists() {
            return None;
        }
        match self.lock() {
            Ok(_free) => None,
            Err(LockError::Held(holder)) => Some(holder.parse().unwrap_or(0)),
            // Rather wait for a runner that is gone than start a command twice.
            Err(LockError::Io(_)) => Some(0),
        }
    }

    /// Begins the output.
    pub fn create_out(&self) -> io::Result<OutWriter> {
        OutWriter::create(&self.file("out"))
    }

    /// Reads the output from the first part that is not acknowledged; none while there is no output.
    pub fn open_out(&self) -> io::Result<Option<OutReader>> {
        let acked = self.acked();
        match OutReader::open(&self.file("out"), acked.parts, acked.offset) {
            Ok(reader) => Ok(Some(reader)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Gives the disk back the output between two offsets.
    pub fn release_out(&self, from: u64, to: u64) {
        super::out::release(&self.file("out"), from, to);
    }

    /// Ends the command.
    pub fn write_end(&self, ending: &Ending) -> io::Result<()> {
        self.write("end", ending)
    }

    /// The result, once it is there.
    pub fn end(&self) -> Option<Ending> {
        self.read("end")
    }

    pub fn write_acked(&self, acked: Acked) -> io::Result<()> {
        self.write("acked", &acked)
    }

    pub fn acked(&self) -> Acked {
        self.read("acked").unwrap_or_default()
    }

    pub fn write_stop(&self, stop: &Stop) -> io::Result<()> {
        self.write("stop", stop)
    }

    pub fn stop(&self) -> Option<Stop> {
        self.read("stop")
    }

    /// Removes the folder. The order goes first: what a crash leaves of it then counts as never accepted.
    pub fn remove(&self) -> io::Result<()> {
        let _missing_in_leftovers = fs::remove_file(self.file("order"));
        match fs::remove_dir_all(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    fn read<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        unseal(&fs::read(self.file(name)).ok()?).map(|(value, _)| value)
    }

    fn write<T: Serialize>(&self, name: &str, value: &T) -> io::Result<()> {
        replace_file(&self.file(name), &seal(value))
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

/// Output is nobody else's business.
fn restrict(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o700))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{ProgramArg, ShellArgs};
    use crate::worker::spool::{StopLevel, StoredReport};

    fn order(id: &str) -> Order {
        Order::new(id, &ShellArgs::new(ProgramArg::Line("true".to_owned()), "/w"), "boot")
    }

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
    fn a_command_goes_through_its_files() {
        let base = tempfile::tempdir().unwrap();
        let spool = Spool::open(base.path()).unwrap();
        let folder = spool.folder("a/../b");
        assert_eq!(folder.path().parent(), Some(base.path().join("spool").as_path()));
        folder.create(&order("a/../b")).unwrap();
        folder.sync().unwrap();
        assert!(folder.create(&order("a/../b")).is_err(), "an id is used once");
        assert_eq!(folder.order(), Some(order("a/../b")));
        assert_eq!(folder.runner(), None);
        let mut lock = folder.lock().unwrap();
        lock.sign("12").unwrap();
        assert_eq!(folder.runner(), Some(12));
        assert!(folder.claim_start("12").unwrap());
        assert!(!folder.claim_start("13").unwrap());
        assert!(folder.is_started());
        let acked = Acked { parts: 3, offset: 99 };
        folder.write_acked(acked).unwrap();
        assert_eq!(folder.acked(), acked);
        let stop = Stop { level: StopLevel::Kill, why: "stopped".to_owned(), count: 1 };
        folder.write_stop(&stop).unwrap();
        assert_eq!(folder.stop(), Some(stop));
        assert_eq!(folder.end(), None);
        let ending = Ending { parts: 3, report: StoredReport::of(super::super::ending::StoredEnd::Exited, "") };
        folder.write_end(&ending).unwrap();
        assert_eq!(folder.end(), Some(ending));
        assert_eq!(spool.folders().unwrap().len(), 1);
        folder.remove().unwrap();
        folder.remove().unwrap();
        assert!(spool.folders().unwrap().is_empty());
    }

    #[test]
    fn a_torn_order_was_never_accepted() {
        let base = tempfile::tempdir().unwrap();
        let folder = Spool::open(base.path()).unwrap().folder("1");
        folder.create(&order("1")).unwrap();
        let whole = fs::read(folder.file("order")).unwrap();
        fs::write(folder.file("order"), &whole[..whole.len() - 1]).unwrap();
        assert_eq!(folder.order(), None);
    }
}
