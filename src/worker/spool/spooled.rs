//! What the spool holds of one command, in up to four files.
//!
//! The first has the order, then, from the runner, the *claim* (a line with the number of its process) and the *ending*
//! (a frame). The runner holds the lock on this file while it lives, and claims the start only while it has the lock; so of
//! all who try exactly one starts the command.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use super::ending::Ending;
use super::frame::{HEAD_BYTES, head, seal, unseal};
use super::out::{OutReader, OutWriter};
use super::records::{Acked, Stop};
use crate::base::files::{replace_file, sync_file};
use crate::worker::order::Order;

/// The files of one command.
#[derive(Clone, Debug)]
pub(in crate::worker) struct Spooled {
    path: PathBuf,
}

/// The only start of a command, and the lock that says that a runner lives.
#[derive(Debug)]
pub(in crate::worker) struct Claim {
    file: File,
    /// Where the ending goes.
    end_at: u64,
}

/// What became of an attempt to claim the start.
#[derive(Debug)]
pub(in crate::worker) enum Claimed {
    Ours(Claim),
    /// Somebody claimed it before.
    Taken,
    /// Somebody has the lock: another runner, or a worker that looks whether one lives.
    Busy,
}

/// The claim of a worker for a command that is not to be started any more.
const NOBODY: &str = "nobody";

impl Spooled {
    /// The command whose order is in this file.
    pub fn at(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps the order. Nothing is durable yet: see [`Spooled::sync`].
    pub fn create(&self, order: &Order) -> io::Result<()> {
        OpenOptions::new().write(true).create_new(true).open(&self.path)?.write_all(&seal(order))
    }

    /// Makes the order survive a crash of the machine: wanted where [`Spool::instance`] cannot tell of one.
    ///
    /// [`Spool::instance`]: super::Spool::instance
    pub fn sync(&self) -> io::Result<()> {
        sync_file(&self.path)
    }

    /// The order, if it is whole. If it is not, the command was never accepted, or the file is damaged.
    pub fn order(&self) -> io::Result<Option<Order>> {
        Ok(unseal(&fs::read(&self.path)?).map(|(order, _)| order))
    }

    /// Whether the command was started for certain, even if its order cannot be read: it has output, a claim, or a runner.
    pub fn shows_a_start(&self) -> bool {
        let has_runner = || self.open().is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)));
        self.beside("out").exists() || self.is_started() || has_runner()
    }

    /// Tries to claim the one start of the command for a process.
    pub fn claim(&self, process: u32) -> io::Result<Claimed> {
        let file = self.open()?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(Claimed::Busy),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let content = Content::of(&file)?;
        if content.is_claimed() {
            return Ok(Claimed::Taken);
        }
        content.claim(file, &process.to_string()).map(Claimed::Ours)
    }

    /// Takes the command from its runner, which is gone: nobody will start it any more.
    pub fn seize(&self) -> io::Result<Claim> {
        let file = self.open()?;
        // A runner that comes now must not start it. If somebody has the lock, the claim tells.
        let _lock = file.try_lock();
        let content = Content::of(&file)?;
        file.set_len(content.claim_at)?;
        content.claim(file, NOBODY)
    }

    /// Whether somebody claimed the start.
    pub fn is_started(&self) -> bool {
        self.content().is_some_and(|content| content.is_claimed())
    }

    /// Whether a runner lives, and the number of its process.
    pub fn runner(&self) -> Option<u32> {
        let file = match self.open() {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            // Rather wait for a runner that is gone than start a command twice.
            Err(_) => return Some(0),
        };
        match file.try_lock() {
            Ok(()) => None,
            Err(_) => Some(Content::of(&file).ok().and_then(|content| content.holder()).unwrap_or(0)),
        }
    }

    /// The result, once it is there.
    pub fn end(&self) -> Option<Ending> {
        self.content()?.ending()
    }

    /// Begins the output.
    pub fn create_out(&self) -> io::Result<OutWriter> {
        OutWriter::create(&self.beside("out"))
    }

    /// Reads the output from the first part that is not acknowledged; none while there is no output.
    pub fn open_out(&self, acked: Acked) -> io::Result<Option<OutReader>> {
        match OutReader::open(&self.beside("out"), acked.parts, acked.offset) {
            Ok(reader) => Ok(Some(reader)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reclaims the disk space of the output between two offsets.
    pub fn release_out(&self, from: u64, to: u64) {
        super::out::release(&self.beside("out"), from, to);
    }

    /// Notes what the master has. In place: a reader that comes in the middle finds that the check sum is wrong.
    pub fn write_acked(&self, acked: Acked) -> io::Result<()> {
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(self.beside("acked"))?;
        file.write_all_at(&seal(&acked), 0)
    }

    /// What the master has, as it was noted last.
    pub fn acked(&self) -> Option<Acked> {
        unseal(&fs::read(self.beside("acked")).ok()?).map(|(acked, _)| acked)
    }

    pub fn write_stop(&self, stop: &Stop) -> io::Result<()> {
        replace_file(&self.beside("stop"), &seal(stop))
    }

    pub fn stop(&self) -> Option<Stop> {
        unseal(&fs::read(self.beside("stop")).ok()?).map(|(stop, _)| stop)
    }

    /// Removes all files. The order goes first: what a crash leaves then counts as never accepted.
    pub fn remove(&self) -> io::Result<()> {
        self.remove_with(&["out", "acked", "stop", "stop.new"])
    }

    /// The same for a command of which nothing was noted and that was not stopped.
    pub fn remove_plain(&self) -> io::Result<()> {
        self.remove_with(&["out"])
    }

    fn remove_with(&self, others: &[&str]) -> io::Result<()> {
        let others: Vec<PathBuf> = others.iter().map(|name| self.beside(name)).collect();
        for path in std::iter::once(&self.path).chain(&others) {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    fn open(&self) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).open(&self.path)
    }

    fn content(&self) -> Option<Content> {
        Content::of(&File::open(&self.path).ok()?).ok()
    }

    /// A path beside the order's: no spelt id holds a dot.
    fn beside(&self, name: &str) -> PathBuf {
        let mut path = self.path.clone().into_os_string();
        path.push(".");
        path.push(name);
        path.into()
    }
}

/// The first file, as it is.
struct Content {
    bytes: Vec<u8>,
    /// Where the order ends, and the claim begins.
    claim_at: u64,
}

impl Content {
    fn of(mut file: &File) -> io::Result<Self> {
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut file, &mut bytes)?;
        let order = head(&bytes).map(|(length, _)| HEAD_BYTES + length).filter(|length| *length <= bytes.len());
        let claim_at = order.ok_or(io::ErrorKind::InvalidData)? as u64;
        Ok(Self { bytes, claim_at })
    }

    /// What follows the order.
    fn rest(&self) -> &[u8] {
        &self.bytes[self.claim_at as usize..]
    }

    fn is_claimed(&self) -> bool {
        !self.rest().is_empty()
    }

    /// The line of the claim, and what follows it.
    fn parts(&self) -> Option<(&str, &[u8])> {
        let end = self.rest().iter().position(|byte| *byte == b'\n')?;
        let (line, rest) = self.rest().split_at(end);
        Some((std::str::from_utf8(line).ok()?, &rest[1..]))
    }

    fn holder(&self) -> Option<u32> {
        self.parts()?.0.parse().ok()
    }

    fn ending(&self) -> Option<Ending> {
        unseal(self.parts()?.1).map(|(ending, _)| ending)
    }

    fn claim(&self, file: File, holder: &str) -> io::Result<Claim> {
        let line = format!("{holder}\n");
        file.write_all_at(line.as_bytes(), self.claim_at)?;
        Ok(Claim { file, end_at: self.claim_at + line.len() as u64 })
    }
}

impl Claim {
    /// Ends the command.
    pub fn end(self, ending: &Ending) -> io::Result<()> {
        self.file.write_all_at(&seal(ending), self.end_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::StopLevel;
    use crate::worker::order::line_order;
    use crate::worker::spool::{Spool, StoredEnd, StoredReport};

    fn order(id: &str) -> Order {
        Order { id: id.to_owned(), ..line_order("true") }
    }

    fn spooled() -> (Spooled, tempfile::TempDir) {
        let base = tempfile::tempdir().unwrap();
        let command = Spool::open(base.path()).unwrap().command("1");
        command.create(&order("1")).unwrap();
        (command, base)
    }

    fn ours(claimed: Claimed) -> Claim {
        let Claimed::Ours(claim) = claimed else { panic!("{claimed:?}") };
        claim
    }

    fn ending(end: StoredEnd) -> Ending {
        Ending { parts: 3, report: StoredReport::of(end, "") }
    }

    #[test]
    fn a_command_goes_through_its_files() {
        let (command, _base) = spooled();
        command.sync().unwrap();
        assert!(command.create(&order("1")).is_err(), "an id is used once");
        assert_eq!(command.order().unwrap(), Some(order("1")));
        assert_eq!((command.runner(), command.is_started()), (None, false));
        let claim = ours(command.claim(12).unwrap());
        assert_eq!((command.runner(), command.is_started()), (Some(12), true));
        assert_eq!(command.acked(), None);
        for parts in [3_000_000_000, 3] {
            let acked = Acked { parts, offset: 99 };
            command.write_acked(acked).unwrap();
            assert_eq!(command.acked(), Some(acked));
        }
        let stop = Stop { level: StopLevel::Kill, why: "stopped".to_owned(), count: 1 };
        command.write_stop(&stop).unwrap();
        assert_eq!(command.stop(), Some(stop));
        assert_eq!(command.end(), None);
        claim.end(&ending(StoredEnd::Exited)).unwrap();
        assert_eq!(command.end(), Some(ending(StoredEnd::Exited)));
        assert_eq!((command.order().unwrap(), command.runner()), (Some(order("1")), None));
        command.remove().unwrap();
        command.remove().unwrap();
        assert_eq!((command.end(), command.runner(), command.shows_a_start()), (None, None, false));
    }

    #[test]
    fn exactly_one_claims_the_start() {
        let (command, _base) = spooled();
        let look = command.open().unwrap();
        look.lock().unwrap();
        assert!(matches!(command.claim(1).unwrap(), Claimed::Busy));
        assert!(!command.is_started(), "who could not have the lock claimed nothing");
        drop(look);
        let first = ours(command.claim(2).unwrap());
        assert!(matches!(command.claim(3).unwrap(), Claimed::Busy));
        drop(first);
        // Killed right after it claimed.
        assert!(matches!(command.claim(4).unwrap(), Claimed::Taken));
        assert_eq!((command.runner(), command.end()), (None, None));
    }

    #[test]
    fn a_torn_ending_is_none_and_a_lost_command_gets_another() {
        let (command, _base) = spooled();
        ours(command.claim(12).unwrap()).end(&ending(StoredEnd::Exited)).unwrap();
        let whole = fs::read(command.path()).unwrap();
        let claimed = seal(&order("1")).len() + "12\n".len();
        for length in claimed..whole.len() {
            fs::write(command.path(), &whole[..length]).unwrap();
            assert_eq!((command.end(), command.is_started()), (None, true), "after {length} bytes");
        }
        command.seize().unwrap().end(&ending(StoredEnd::Lost)).unwrap();
        assert_eq!(command.end(), Some(ending(StoredEnd::Lost)));
        assert!(matches!(command.claim(13).unwrap(), Claimed::Taken));
    }

    #[test]
    fn a_torn_order_was_never_accepted() {
        let (command, _base) = spooled();
        let whole = fs::read(command.path()).unwrap();
        fs::write(command.path(), &whole[..whole.len() - 1]).unwrap();
        assert_eq!(command.order().unwrap(), None);
        assert!(command.claim(1).is_err());
        assert!(!command.shows_a_start());
    }

    #[test]
    fn a_torn_order_of_a_command_that_was_started_shows_the_start() {
        let (command, _base) = spooled();
        let claim = ours(command.claim(12).unwrap());
        File::options().write(true).open(command.path()).unwrap().set_len(20).unwrap();
        assert_eq!(command.order().unwrap(), None);
        assert!(command.shows_a_start(), "its runner lives");
        drop(claim);
        assert!(!command.shows_a_start());
        command.create_out().unwrap();
        assert!(command.shows_a_start(), "it has output");
    }
}
