//! What workers were asked or told in their present connections.

use std::collections::BTreeMap;

use crate::model::CommandId;

/// Commands that a worker was asked about, and to which instance each was sent.
pub(in crate::engine) type AskedCommands = BTreeMap<CommandId, Option<String>>;

/// By worker.
#[derive(Clone, Debug, Default)]
pub(in crate::engine) struct Connections {
    /// Since which epoch what was asked is not answered.
    resuming: BTreeMap<String, (u64, AskedCommands)>,
    /// In which epoch they were told to go.
    dismissed: BTreeMap<String, u64>,
}

impl Connections {
    /// A worker is asked what became of commands.
    pub fn ask(&mut self, worker: &str, epoch: u64, commands: AskedCommands) {
        self.resuming.insert(worker.to_owned(), (epoch, commands));
    }

    /// It answers: what it was asked, if it was in this connection.
    pub fn answered(&mut self, worker: &str, epoch: u64) -> Option<AskedCommands> {
        let (asked, _) = self.resuming.get(worker)?;
        if *asked != epoch {
            return None;
        }
        self.resuming.remove(worker).map(|(_, commands)| commands)
    }

    /// It is lost, and answers no more.
    pub fn lost(&mut self, worker: &str) {
        self.resuming.remove(worker);
    }

    /// A worker is told to go. False if it was, in this connection.
    pub fn dismiss(&mut self, worker: &str, epoch: u64) -> bool {
        self.dismissed.insert(worker.to_owned(), epoch) != Some(epoch)
    }
}
