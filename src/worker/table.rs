//! All commands that the worker knows, over all connections. Owned by the worker's main task.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{Id, JoinSet};

use super::command::CommandTask;
use super::entry::{Status, TaskMessage};
use super::filetask::{FileTask, FileWork};
use super::link::{Dialect, Link};
use super::order::Order;
use super::runners::{SpareMaker, Spares, boot};
use super::spool::{Spool, Spooled};
use crate::model::{CommandId, StopLevel};
use crate::protocol::{MsgPack, ResumeAnswer, ResumedState, Seq};

/// Requests that wait for a command's task; it takes them at once.
const INBOX: usize = 16;

/// How long commands that nobody waits for may take to end before the worker continues without them: longer than a
/// runner needs to abandon a command, shorter than the master waits for the answer.
const FORGET_MAX: Duration = Duration::from_mins(1);

/// The commands.
pub(super) struct Table {
    spool: Spool,
    spares: Arc<Spares>,
    boot: String,
    entries: BTreeMap<CommandId, Entry>,
    tasks: JoinSet<CommandId>,
    /// Which command a task is for, in case it ends without a word.
    ids: HashMap<Id, CommandId>,
    /// Counts the connections.
    connection: u64,
}

struct Entry {
    inbox: mpsc::Sender<TaskMessage>,
    status: Arc<Status>,
    /// The connection that it was started on; 0: it is an earlier worker's.
    connection: u64,
}

impl Table {
    /// Opens the spool of a base directory, and adopts its commands.
    pub fn open(dir: &Path) -> io::Result<(Self, SpareMaker)> {
        let (spares, maker) = Spares::new();
        let mut table = Self {
            spool: Spool::open(dir)?,
            spares: Arc::new(spares),
            boot: boot(),
            entries: BTreeMap::new(),
            tasks: JoinSet::new(),
            ids: HashMap::new(),
            connection: 0,
        };
        for (id, spooled) in table.spool.commands()? {
            table.adopt(CommandId(id), spooled);
        }
        Ok((table, maker))
    }

    /// A connection begins.
    pub const fn connected(&mut self) {
        self.connection += 1;
    }

    /// Which start of the machine this is.
    pub fn boot(&self) -> &str {
        &self.boot
    }

    /// The name of the spool.
    pub fn instance(&self) -> io::Result<String> {
        self.spool.instance(&self.boot)
    }

    /// Starts a command, unless it is known; the answer goes out when its order is kept.
    pub async fn start(&mut self, id: CommandId, order: Order, link: Link, seq: Seq) {
        let Some((inbox, status)) = self.enter(&id, &link, &seq).await else { return };
        let spooled = self.spool.command(&id.0);
        let task = CommandTask::new(id.clone(), spooled, Some(order), Arc::clone(&self.spares), status, inbox);
        self.spawn(id, async move { task.start(link, seq).await });
    }

    /// Starts work on files, unless it is known.
    pub async fn start_files(&mut self, id: CommandId, work: FileWork, link: Link, seq: Seq) {
        let Some((inbox, status)) = self.enter(&id, &link, &seq).await else { return };
        let task = FileTask::new(id.clone(), work, status, inbox);
        self.spawn(id, async move { task.start(link, seq).await });
    }

    /// Stops a command; an unknown one is fine.
    pub async fn stop(&self, id: &CommandId, level: StopLevel, why: String) {
        if let Some(entry) = self.entries.get(id) {
            entry.ask(TaskMessage::Stop { level, why }).await;
        }
    }

    /// Stops and forgets the commands of earlier connections that the master does not name, then says what became of
    /// the others and sends what it lacks of them. Nothing may start in the directory of a command that is still being
    /// killed.
    pub async fn resume(&mut self, wanted: BTreeMap<CommandId, u64>, link: &Link, seq: Seq) {
        self.forget_all_but(&wanted).await;
        let state = |id: &CommandId| match self.entries.get(id) {
            None => ResumedState::Unknown,
            Some(entry) if entry.status.is_finished() => ResumedState::Finished,
            Some(_) => ResumedState::Running,
        };
        let answer = ResumeAnswer { commands: wanted.keys().map(|id| (id.clone(), state(id))).collect() };
        let _connection_is_gone = link.answer(seq, Ok(answer.write())).await;
        for (id, entry) in &self.entries {
            if let Some(next) = wanted.get(id) {
                entry.ask(TaskMessage::Attach { link: link.clone(), next: *next }).await;
            }
        }
    }

    async fn forget_all_but(&mut self, wanted: &BTreeMap<CommandId, u64>) {
        let mut leaving = BTreeSet::new();
        for (id, entry) in &self.entries {
            if !wanted.contains_key(id) && entry.connection != self.connection {
                tracing::info!(command = %id, "nobody waits for a command of an earlier connection; it is removed");
                entry.ask(TaskMessage::Forget).await;
                leaving.insert(id.clone());
            }
        }
        let gone = async {
            while leaving.iter().any(|id| self.entries.contains_key(id)) {
                self.command_over().await;
            }
        };
        if tokio::time::timeout(FORGET_MAX, gone).await.is_err() {
            tracing::warn!("commands that nobody waits for do not end; their directories may still change");
        }
    }

    /// The connection is gone.
    pub async fn detach(&self, dialect: Dialect) {
        for entry in self.entries.values() {
            entry
                .ask(match dialect {
                    Dialect::Ours => TaskMessage::Hold,
                    Dialect::Stock { .. } => TaskMessage::Discard,
                })
                .await;
        }
    }

    /// Waits until a command is over, and forgets it. Never returns while there is none.
    pub async fn command_over(&mut self) {
        let Some(over) = self.tasks.join_next_with_id().await else { return std::future::pending().await };
        let task = match &over {
            Ok((task, _)) => *task,
            Err(error) => error.id(),
        };
        let id = self.ids.remove(&task);
        if let Err(error) = over {
            tracing::error!(command = ?id, %error, "the task of a command failed");
        }
        if let Some(id) = id {
            self.entries.remove(&id);
        }
    }

    /// Makes room for a new command. None if it is known: then it is answered by its task.
    async fn enter(
        &mut self,
        id: &CommandId,
        link: &Link,
        seq: &Seq,
    ) -> Option<(mpsc::Receiver<TaskMessage>, Arc<Status>)> {
        if let Some(known) = self.entries.get(id) {
            if !known.ask(TaskMessage::StartedAgain { seq: seq.clone(), link: link.clone() }).await {
                let _connection_is_gone = link.answer(seq.clone(), Ok(MsgPack::Nil)).await;
            }
            return None;
        }
        Some(self.insert(id))
    }

    fn insert(&mut self, id: &CommandId) -> (mpsc::Receiver<TaskMessage>, Arc<Status>) {
        let (inbox, asks) = mpsc::channel(INBOX);
        let status = Arc::<Status>::default();
        self.entries.insert(id.clone(), Entry { inbox, status: Arc::clone(&status), connection: self.connection });
        (asks, status)
    }

    fn adopt(&mut self, id: CommandId, spooled: Spooled) {
        let order = match spooled.order() {
            Ok(Some(order)) if order.id == id.0 => Some(order),
            Ok(Some(_)) => return self.spool.set_aside(spooled.path(), "it holds the order of another command"),
            // To call it unknown would make the master send it again while it runs.
            _ if spooled.shows_a_start() => None,
            Ok(None) => {
                tracing::debug!(command = %id, "a command that was never accepted is removed");
                if let Err(error) = spooled.remove() {
                    tracing::warn!(command = %id, %error, "a command that was never accepted cannot be removed");
                }
                return;
            }
            Err(error) => return self.spool.set_aside(spooled.path(), &format!("it cannot be read: {error}")),
        };
        match &order {
            Some(_) => tracing::info!(command = %id, "continuing a command that an earlier worker process started"),
            None => tracing::error!(
                command = %id, path = %spooled.path().display(),
                "the order of a command of an earlier worker is damaged; the command is stopped and counts as lost"
            ),
        }
        let (asks, status) = self.insert(&id);
        let task = CommandTask::new(id.clone(), spooled, order, Arc::clone(&self.spares), status, asks);
        self.spawn(id, task.adopt());
    }

    fn spawn(&mut self, id: CommandId, task: impl Future<Output = CommandId> + Send + 'static) {
        let handle = self.tasks.spawn(task);
        self.ids.insert(handle.id(), id);
    }
}

impl Entry {
    /// False if the task is over.
    async fn ask(&self, ask: TaskMessage) -> bool {
        self.inbox.send(ask).await.is_ok()
    }
}
