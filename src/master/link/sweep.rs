//! Removes directories below a stock worker's base directory that no builder has any more, if the worker asks for it
//! (`--delete-leftover-dirs`; docs/reference/worker-protocol.md#leftovers).
//!
//! The worker only says that it wants it; the master lists, looks which entries are directories, and has those removed:
//! one command after the other. Files are left alone, and so is `info`, which is the worker's own.

use std::collections::BTreeSet;

use super::paths::BaseDir;
use crate::model::CommandId;
use crate::protocol::{CommandArgs, Update};

/// A command to send.
pub(super) type SweepCommand = (CommandId, CommandArgs);

/// Entries that are inspected in one connection. The next one continues.
const ENTRIES_MAX: usize = 1_000;
/// The kind of a file in its mode, and that of directories.
const KIND: u64 = 0o170_000;
const DIRECTORY: u64 = 0o040_000;
/// Removing the largest trees on slow disks.
const REMOVE_SECONDS_MAX: f64 = 7_200.0;

/// A sweep under way.
#[derive(Debug)]
pub(super) struct Sweep {
    epoch: u64,
    base_dir: BaseDir,
    sent: u64,
    stage: Stage,
    told: Vec<Update>,
}

#[derive(Debug)]
enum Stage {
    List,
    /// Looks at the last of these.
    Look {
        entries: Vec<String>,
        leftovers: Vec<String>,
    },
    Remove,
}

impl Sweep {
    /// A sweep, and its first command.
    pub fn new(epoch: u64, base_dir: BaseDir) -> (Self, SweepCommand) {
        let mut sweep = Self { epoch, base_dir, sent: 0, stage: Stage::List, told: Vec::new() };
        let path = sweep.base_dir.place("", "");
        let first = sweep.command(CommandArgs::List { path });
        (sweep, first)
    }

    /// Whether it waits for this command.
    pub fn has(&self, command: &CommandId) -> bool {
        *command == self.id()
    }

    /// Takes what the command reported.
    pub fn take(&mut self, updates: Vec<Update>) {
        if self.told.len() < ENTRIES_MAX {
            self.told.extend(updates.into_iter().filter(|update| matches!(update, Update::Files(_) | Update::Stat(_))));
        }
    }

    /// The command is over: the next one, if any. `wanted` are the directories of builders.
    pub fn next(&mut self, wanted: &BTreeSet<String>) -> Option<SweepCommand> {
        let told = std::mem::take(&mut self.told);
        match std::mem::replace(&mut self.stage, Stage::Remove) {
            Stage::List => {
                let files = told
                    .into_iter()
                    .find_map(|update| if let Update::Files(files) = update { Some(files) } else { None });
                let entries = files.unwrap_or_default().into_iter().filter(|name| is_leftover(name, wanted));
                self.look(entries.take(ENTRIES_MAX).collect(), Vec::new(), wanted)
            }
            Stage::Look { mut entries, mut leftovers } => {
                let entry = entries.pop();
                let mode =
                    told.iter().find_map(|update| if let Update::Stat(stat) = update { stat.first() } else { None });
                if mode.is_some_and(|mode| mode & KIND == DIRECTORY) {
                    leftovers.extend(entry);
                }
                self.look(entries, leftovers, wanted)
            }
            Stage::Remove => None,
        }
    }

    fn look(
        &mut self,
        entries: Vec<String>,
        leftovers: Vec<String>,
        wanted: &BTreeSet<String>,
    ) -> Option<SweepCommand> {
        if let Some(entry) = entries.last() {
            let path = self.base_dir.place("", entry);
            self.stage = Stage::Look { entries, leftovers };
            return Some(self.command(CommandArgs::Stat { path }));
        }
        // The configuration may have changed since the list was made.
        let paths: Vec<String> = leftovers
            .iter()
            .filter(|name| is_leftover(name, wanted))
            .map(|name| self.base_dir.place("", name))
            .collect();
        // A stock worker fails at an empty list.
        let is_right = !paths.is_empty() && paths.iter().all(|path| !self.base_dir.is_base_or_above(path));
        let remove = CommandArgs::RemoveDirs { paths, timeout: Some(REMOVE_SECONDS_MAX) };
        is_right.then(|| self.command(remove))
    }

    fn command(&mut self, args: CommandArgs) -> SweepCommand {
        self.sent += 1;
        (self.id(), args)
    }

    fn id(&self) -> CommandId {
        CommandId(format!("sweep-{}-{}", self.epoch, self.sent))
    }
}

/// Whether no builder has a directory of this name, nor one below it, nor one for a further slot (`NAME.2`).
fn is_leftover(name: &str, wanted: &BTreeSet<String>) -> bool {
    let plain = !name.is_empty() && !name.contains(['/', '\\', ':']) && name != "." && name != "..";
    let slot_of =
        name.rsplit_once('.').filter(|(_, slot)| slot.bytes().all(|b| b.is_ascii_digit())).map(|(dir, _)| dir);
    let is =
        |dir: &String, name: &str| dir.split(['/', '\\']).next().is_some_and(|first| first.eq_ignore_ascii_case(name));
    plain && name != "info" && !wanted.iter().any(|dir| is(dir, name) || slot_of.is_some_and(|slot| is(dir, slot)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted() -> BTreeSet<String> {
        ["linux".to_owned(), "deep/er".to_owned()].into()
    }

    #[test]
    fn only_directories_that_no_builder_has_are_removed() {
        let (mut sweep, (id, args)) = Sweep::new(7, BaseDir::new("posix", "/srv/w"));
        assert_eq!(args, CommandArgs::List { path: "/srv/w".to_owned() });
        assert!(sweep.has(&id) && !sweep.has(&CommandId("other".to_owned())));
        let names = ["info", "linux", "linux.2", "deep", "buildbot.tac", "old", "gone.3", "..", "a/b"];
        sweep.take(vec![Update::Files(names.iter().map(|name| (*name).to_owned()).collect())]);
        let mut looked = Vec::new();
        let mut next = sweep.next(&wanted());
        while let Some((_, CommandArgs::Stat { path })) = &next {
            looked.push(path.clone());
            let mode = if path.ends_with("tac") { 0o100_644 } else { 0o040_755 };
            sweep.take(vec![Update::Stat(vec![mode, 1, 2])]);
            next = sweep.next(&wanted());
        }
        assert_eq!(looked, ["/srv/w/gone.3", "/srv/w/old", "/srv/w/buildbot.tac"]);
        let Some((id, CommandArgs::RemoveDirs { paths, .. })) = next else { panic!() };
        assert_eq!(paths, ["/srv/w/gone.3", "/srv/w/old"]);
        assert!(sweep.has(&id));
        assert_eq!(sweep.next(&wanted()), None);
    }

    #[test]
    fn a_builder_that_came_meanwhile_keeps_its_directory() {
        let (mut sweep, _) = Sweep::new(7, BaseDir::new("posix", "/srv/w"));
        sweep.take(vec![Update::Files(vec!["new".to_owned()])]);
        assert!(sweep.next(&wanted()).is_some());
        sweep.take(vec![Update::Stat(vec![0o040_755])]);
        assert_eq!(sweep.next(&["new".to_owned()].into()), None);
    }

    #[test]
    fn a_worker_that_tells_nothing_keeps_everything() {
        let (mut sweep, _) = Sweep::new(7, BaseDir::new("posix", "/srv/w"));
        assert_eq!(sweep.next(&wanted()), None);
    }
}
