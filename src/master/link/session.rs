//! Handles the messages, orders and lane notices of a link. The loop around it is in [`super::serve`].

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt as _};
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::command::{Completion, LinkCommand};
use super::decoding::Decoding;
use super::handle::{LinkOrder, Shared};
use super::host::LinkHost;
use super::lane::{Item, Lane, Notice, PendingAck};
use super::limits::{Limits, OUTBOX_MAX, UNSYNCED_BYTES_MAX, UNSYNCED_MESSAGES_MAX};
use super::order_args::{Prepared, prepare};
use super::outcome::first_line;
use super::paths::BaseDir;
use super::shell_version::ShellVersion;
use super::sweep::{Sweep, SweepCommand};
use super::transfer::BLOCK_BYTES;
use crate::base::Timestamp;
use crate::engine::{CommandOrder, Input, ResumeState, ResumedCommand, Work};
use crate::master::Frame;
use crate::model::{CommandEnd, CommandId, FileCommand, StopLevel};
use crate::protocol::{
    Answer, Args, Caps, CommandArgs, MasterMessage, MasterRequest, Message, MsgPack, ReportedEnd, ResumeAnswer,
    ResumedState, Seq, Settings, Update, WorkerInfo, WorkerMessage, WorkerRequest,
};
use crate::secrets::Redactor;

/// Line ends of progress bars, terminals and Windows: the stock master's, written so that the worker matches them
/// faster (docs/reference/worker-protocol.md#newlines).
const NEWLINE_PATTERN: &str = r"\r\n|\r(?=.)|\x1b\[(?:u|[0-9]+;[0-9]+[Hf]|2J)|\x08\x08*";
/// Large enough that a line loses at most one character per cut (docs/reference/worker-protocol.md#long-lines).
const LINE_CHARS_MAX: u64 = 262_144;
const BUFFER_BYTES: u64 = 65_536;
/// How long the worker may keep a line to wait for others.
const BUFFER_SECONDS: f64 = 0.3;

/// A request of ours without its response.
#[derive(Debug)]
enum PendingRequest {
    Settings,
    Start(CommandId),
    Interrupt,
    /// The interrupt of a leftover.
    Forget {
        by: Instant,
    },
    /// `announced` releases the ends of commands: the engine knows what was resumed.
    Resume {
        commands: Vec<CommandId>,
        announced: CancellationToken,
        by: Instant,
    },
    ShutDown {
        by: Instant,
    },
    /// A line for its log.
    Print,
    /// A command of the sweep.
    Sweep,
}

/// The state of a live link.
pub(super) struct Session {
    host: Arc<dyn LinkHost>,
    shared: Arc<Shared>,
    limits: Limits,
    base_dir: BaseDir,
    ours: bool,
    /// Commands for one of our workers that has not yet been told what is still wanted: it would stop commands that a
    /// later order resumes. None once it has been told, and for stock workers.
    early: Option<Vec<CommandOrder>>,
    next_seq: u64,
    asked: BTreeMap<u64, PendingRequest>,
    commands: BTreeMap<CommandId, LinkCommand>,
    /// Every secret value that this worker was given. None may appear in its output, whichever command prints it.
    given: BTreeSet<(String, String)>,
    redactor: Redactor,
    /// Commands whose interrupts are not all answered.
    leftovers: Vec<CommandId>,
    /// The removal of directories that no builder has any more.
    sweep: Option<Sweep>,
    /// The version of the worker's `shell` command; none for ours.
    shell: Option<ShellVersion>,
    /// Why it has to end, and by when.
    dying: Option<(String, Instant)>,
    unsynced_bytes: usize,
    unsynced_messages: usize,
    notices: mpsc::UnboundedSender<Notice>,
    /// Lanes of commands, and inputs on their way.
    pub tasks: FuturesUnordered<BoxFuture<'static, ()>>,
    /// Frames to send, in order.
    pub outbox: VecDeque<Frame>,
}

impl Session {
    /// A session that has sent its settings. `next_seq` follows the requests that were sent before.
    pub fn new(
        host: Arc<dyn LinkHost>,
        shared: Arc<Shared>,
        limits: Limits,
        info: &WorkerInfo,
        next_seq: u64,
        notices: mpsc::UnboundedSender<Notice>,
    ) -> Self {
        let caps = info.caps.both(Caps::OURS);
        let mut session = Self {
            host,
            shared,
            limits,
            base_dir: BaseDir::new(&info.system, &info.basedir),
            ours: caps.resume,
            early: caps.resume.then(Vec::new),
            next_seq,
            asked: BTreeMap::new(),
            commands: BTreeMap::new(),
            given: BTreeSet::new(),
            redactor: Redactor::default(),
            leftovers: Vec::new(),
            sweep: None,
            shell: (!caps.resume).then(|| ShellVersion::of(info)),
            dying: None,
            unsynced_bytes: 0,
            unsynced_messages: 0,
            notices,
            tasks: FuturesUnordered::new(),
            outbox: VecDeque::new(),
        };
        let settings = Settings {
            newline_re: NEWLINE_PATTERN.to_owned(),
            max_line_length: LINE_CHARS_MAX,
            buffer_timeout: BUFFER_SECONDS,
            buffer_size: BUFFER_BYTES,
            caps,
        };
        session.ask(MasterRequest::SetWorkerSettings(settings), PendingRequest::Settings);
        session
    }

    /// Greets a stock worker, whose `start` command waits for this line in its log. Searches for leftovers if the
    /// worker asks for it.
    pub fn welcome(&mut self, info: &WorkerInfo) {
        if self.ours {
            return;
        }
        self.ask(MasterRequest::Print { message: "attached".to_owned() }, PendingRequest::Print);
        if info.delete_leftover_dirs && !info.basedir.is_empty() {
            let (sweep, first) = Sweep::new(self.shared.epoch, self.base_dir.clone());
            self.sweep = Some(sweep);
            self.sweep_on(first);
        }
    }

    fn sweep_on(&mut self, next: SweepCommand) {
        let (command, args) = next;
        let request =
            MasterRequest::StartCommand { command, name: args.name().to_owned(), builder: None, args: args.write() };
        self.ask(request, PendingRequest::Sweep);
    }

    /// Takes a report about a command of the sweep. False if the command does not belong to it.
    fn swept(&mut self, command: &CommandId, updates: Option<Vec<Update>>) -> bool {
        let Some(sweep) = self.sweep.as_mut().filter(|sweep| sweep.has(command)) else { return false };
        match updates {
            Some(updates) => sweep.take(updates),
            None => match sweep.next(&self.host.builder_dirs(&self.shared.worker)) {
                Some(next) => self.sweep_on(next),
                None => self.sweep = None,
            },
        }
        true
    }

    /// Tells the worker to shut down at once.
    pub fn kill(&mut self, why: String) {
        let by = Instant::now() + self.limits.goodbye;
        self.dying = Some((why, by));
        self.ask(MasterRequest::Shutdown, PendingRequest::ShutDown { by });
    }

    /// Why it has ended by now, if it was killed.
    pub fn killed(&self, now: Instant) -> Option<String> {
        self.dying.as_ref().filter(|(_, by)| now >= *by).map(|(why, _)| why.clone())
    }

    /// Whether the worker is one of ours.
    pub const fn resumes(&self) -> bool {
        self.ours
    }

    /// Whether the disk keeps up. If not, the socket is not read, and the silence is ours.
    pub const fn keeps_up(&self) -> bool {
        self.unsynced_bytes < UNSYNCED_BYTES_MAX && self.unsynced_messages < UNSYNCED_MESSAGES_MAX
    }

    /// Whether there is room for answers and requests.
    pub fn has_room(&self) -> bool {
        self.outbox.len() < OUTBOX_MAX
    }

    /// When an answer that something waits for is overdue.
    pub fn overdue(&self) -> Option<Instant> {
        let by = |asked: &PendingRequest| match asked {
            PendingRequest::Resume { by, .. } | PendingRequest::Forget { by } | PendingRequest::ShutDown { by } => {
                Some(*by)
            }
            PendingRequest::Settings
            | PendingRequest::Start(_)
            | PendingRequest::Interrupt
            | PendingRequest::Print
            | PendingRequest::Sweep => None,
        };
        self.asked.values().filter_map(by).min()
    }

    /// Passes an input to the engine task, concurrently with everything else.
    pub fn tell_engine(&self, input: Input, then: CancellationToken) {
        let (host, notices) = (Arc::clone(&self.host), self.notices.clone());
        let told = async move {
            match host.input(input).await {
                Ok(()) => then.cancel(),
                Err(gone) => drop(notices.send(Notice::Failed(gone.to_string()))),
            }
        };
        self.tasks.push(told.boxed());
    }

    /// Nothing more comes from the worker. What has arrived is processed to the end.
    pub fn wind_up(&mut self) {
        self.commands.clear();
        for asked in std::mem::take(&mut self.asked).into_values() {
            if let PendingRequest::Resume { announced, .. } = asked {
                announced.cancel();
            }
        }
    }

    /// Takes a notice of a lane. An error ends the connection.
    pub fn notice(&mut self, notice: Notice) -> Result<(), String> {
        match notice {
            Notice::Durable(receipt) => {
                self.unsynced_bytes -= receipt.bytes;
                self.unsynced_messages -= 1;
                self.answer(receipt.seq, Ok(MsgPack::Nil));
                Ok(())
            }
            Notice::Answered(receipt, answer) => {
                self.unsynced_bytes -= receipt.bytes;
                self.unsynced_messages -= 1;
                self.answer(receipt.seq, answer);
                Ok(())
            }
            Notice::Failed(why) => Err(why),
        }
    }

    /// Takes a message of the worker. An error ends the connection.
    pub fn message(&mut self, bytes: &[u8]) -> Result<(), String> {
        let message = WorkerMessage::decode(bytes).map_err(|error| format!("it sent a malformed message: {error}"))?;
        match message {
            Message::Request { seq, request } => self.request(PendingAck { seq, bytes: bytes.len() }, request),
            Message::Response { seq, answer } => self.response(&seq, answer),
            Message::Ignored { why } => {
                debug!(worker = self.shared.worker, "ignored {why}");
                Ok(())
            }
        }
    }

    fn request(&mut self, receipt: PendingAck, request: WorkerRequest) -> Result<(), String> {
        let now = self.host.now();
        match request {
            WorkerRequest::Update { command, n, updates } => {
                if let Some(known) = self.commands.get_mut(&command) {
                    self.unsynced_bytes += receipt.bytes;
                    self.unsynced_messages += 1;
                    return known.update(n, updates, receipt, &self.redactor, now);
                }
                if self.swept(&command, Some(updates)) {
                    self.answer(receipt.seq, Ok(MsgPack::Nil));
                    return Ok(());
                }
                self.refuse(receipt.seq, format!("command {command} is not known here"));
            }
            WorkerRequest::Complete { command, n, failure, report } => {
                if let Some(known) = self.commands.remove(&command) {
                    self.unsynced_bytes += receipt.bytes;
                    self.unsynced_messages += 1;
                    return self.completed(known, Completion { parts: n, failure, report }, receipt, now);
                }
                if self.swept(&command, None) {
                    self.answer(receipt.seq, Ok(MsgPack::Nil));
                    return Ok(());
                }
                self.refuse(receipt.seq, format!("command {command} is not known here"));
            }
            WorkerRequest::UploadFileWrite { command, offset, data }
            | WorkerRequest::UploadDirectoryWrite { command, offset, data } => {
                let bytes = receipt.bytes;
                self.moved(&command, receipt, bytes, |known, receipt| known.block(offset, data, receipt));
            }
            WorkerRequest::ReadFile { command, offset, length } => {
                let bytes = usize::try_from(length.min(BLOCK_BYTES)).unwrap_or_default();
                self.moved(&command, receipt, bytes, |known, receipt| known.read(offset, length, receipt));
            }
            WorkerRequest::UploadFileClose { command }
            | WorkerRequest::UploadFileTimes { command, .. }
            | WorkerRequest::ReadFileClose { command }
            | WorkerRequest::UploadDirectoryUnpack { command } => {
                let bytes = receipt.bytes;
                self.moved(&command, receipt, bytes, LinkCommand::acknowledge);
            }
            WorkerRequest::Malformed { op, why } => self.refuse(receipt.seq, format!("`{op}`: {why}")),
            WorkerRequest::Unknown { op } => self.refuse(receipt.seq, format!("`{op}` was not asked for")),
        }
        Ok(())
    }

    /// A message about a file that a command moves. It counts as not yet durable until it is answered.
    fn moved(
        &mut self,
        command: &CommandId,
        receipt: PendingAck,
        bytes: usize,
        take: impl FnOnce(&LinkCommand, PendingAck),
    ) {
        let Some(known) = self.commands.get(command) else {
            return self.refuse(receipt.seq, format!("command {command} is not known here"));
        };
        self.unsynced_bytes += bytes;
        self.unsynced_messages += 1;
        take(known, PendingAck { bytes, ..receipt });
    }

    fn completed(
        &self,
        mut command: LinkCommand,
        mut last: Completion,
        receipt: PendingAck,
        now: Timestamp,
    ) -> Result<(), String> {
        last.failure = last.failure.map(|text| self.redactor.redact_str(&text).into_owned());
        if let (Some(failure), false) = (&last.failure, self.ours) {
            command.write_failure(failure, now);
        }
        if let Some(report) = last.report.as_ref().filter(|report| report.end == ReportedEnd::Broken) {
            warn!(worker = self.shared.worker, command = %command.id, "the worker failed at a command: {}", report.why);
        }
        command.complete(&last, receipt, now)
    }

    fn refuse(&mut self, seq: Seq, why: String) {
        debug!(worker = self.shared.worker, "refused a request: {why}");
        self.answer(seq, Err(why));
    }

    fn response(&mut self, seq: &Seq, answer: Answer) -> Result<(), String> {
        let Some(asked) = seq.number().and_then(|number| self.asked.remove(&number)) else {
            debug!(worker = self.shared.worker, "ignored a late or unknown response");
            return Ok(());
        };
        match (asked, answer) {
            (PendingRequest::Settings | PendingRequest::Interrupt, Err(why)) => {
                warn!(worker = self.shared.worker, "the worker refused a request: {}", first_line(&why));
            }
            (PendingRequest::Forget { .. }, answer) => {
                if let Err(why) = answer {
                    warn!(worker = self.shared.worker, "the worker refused a request: {}", first_line(&why));
                }
                self.leftover_interrupted();
            }
            (PendingRequest::Start(command), Err(why)) => {
                if let Some(known) = self.commands.remove(&command) {
                    let why = self.redactor.redact_str(&first_line(&why)).into_owned();
                    known.fail(CommandEnd::Broken(why));
                }
            }
            (PendingRequest::Resume { commands, announced, .. }, answer) => self.resumed(commands, announced, answer),
            (PendingRequest::ShutDown { .. }, _) => {
                let killed = self.dying.take().map(|(why, _)| why);
                return Err(killed.unwrap_or_else(|| "it was told to end".to_owned()));
            }
            (PendingRequest::Sweep, Err(why)) => {
                warn!(worker = self.shared.worker, "the worker cannot list leftovers: {}", first_line(&why));
                self.sweep = None;
            }
            (PendingRequest::Print, Err(why)) => {
                debug!(worker = self.shared.worker, "it does not print: {}", first_line(&why));
            }
            (
                PendingRequest::Settings
                | PendingRequest::Start(_)
                | PendingRequest::Interrupt
                | PendingRequest::Print
                | PendingRequest::Sweep,
                Ok(_),
            ) => {}
        }
        Ok(())
    }

    /// Takes an order of the master.
    pub fn order(&mut self, order: LinkOrder) {
        match order {
            LinkOrder::Dispatch(order) => match &mut self.early {
                Some(early) => early.push(*order),
                None => self.dispatch(&order),
            },
            LinkOrder::Interrupt { command, level, why } => self.interrupt(command, level, why),
            LinkOrder::Resume { commands } => self.resume(&commands),
            LinkOrder::Forget { commands } => self.forget(commands),
            LinkOrder::ShutDown => {
                let by = Instant::now() + self.limits.answer;
                self.ask(MasterRequest::Shutdown, PendingRequest::ShutDown { by });
            }
        }
    }

    fn dispatch(&mut self, order: &CommandOrder) {
        if self.commands.contains_key(&order.command) {
            debug!(worker = self.shared.worker, command = %order.command, "ordered twice, sent once");
            return;
        }
        let now = self.host.now();
        let announced = CancellationToken::new();
        announced.cancel();
        let mut command = LinkCommand::new(order, self.ours, self.lane(&order.command, announced), now);
        if matches!(&order.work, Work::File(FileCommand::Remove(paths)) if paths.is_empty()) {
            // A stock worker fails at an empty list.
            return command.fail(CommandEnd::Exited(0));
        }
        let mut prepared = match prepare(order, &self.base_dir, &*self.host, self.ours) {
            Ok(prepared) => prepared,
            Err(why) => return command.fail(CommandEnd::Broken(why)),
        };
        if let Some(transfer) = prepared.transfer.take() {
            command.moves(transfer);
        }
        let ignored = self.shell.map(|shell| shell.ignored(order)).unwrap_or_default();
        command.note_first_line();
        command.write_header(format!("{ignored}{}", prepared.header), now);
        let (name, args) = self.give(prepared);
        command.decode(Decoding::of(order, &self.given).filter(|_| self.ours));
        self.commands.insert(order.command.clone(), command);
        let (command, builder) = (order.command.clone(), Some(order.builder.clone()));
        let asked = PendingRequest::Start(command.clone());
        self.ask(MasterRequest::StartCommand { command, name, builder, args }, asked);
    }

    /// Remembers the secrets that leave with a command.
    fn give(&mut self, prepared: Prepared) -> (String, Args) {
        let known = self.given.len();
        self.given.extend(prepared.secrets);
        if self.given.len() > known && !self.ours {
            self.redactor = Redactor::new(self.given.iter().cloned());
        }
        let mut args = prepared.args;
        if let CommandArgs::Run(run) = &mut args {
            run.masks = self.given.iter().cloned().collect();
        }
        (args.name().to_owned(), args.write())
    }

    fn interrupt(&mut self, command: CommandId, level: StopLevel, why: String) {
        if let Some(known) = self.commands.get_mut(&command) {
            known.interrupt(&why);
        }
        // A stock worker knows no levels: each further interrupt starts its kill sequence over
        // (docs/reference/worker-protocol.md#stopping).
        let level = self.ours.then_some(level);
        self.ask(MasterRequest::InterruptCommand { command, why, builder: None, level }, PendingRequest::Interrupt);
    }

    /// Interrupts leftovers. The engine hears when all of these requests are answered: only then do the commands end soon,
    /// however slow the connection is.
    fn forget(&mut self, commands: Vec<CommandId>) {
        let by = Instant::now() + self.limits.answer;
        for command in &commands {
            let why = "nobody waits for it any more".to_owned();
            let request = MasterRequest::InterruptCommand { command: command.clone(), why, builder: None, level: None };
            self.ask(request, PendingRequest::Forget { by });
        }
        self.leftovers.extend(commands);
    }

    fn leftover_interrupted(&mut self) {
        if self.asked.values().any(|asked| matches!(asked, PendingRequest::Forget { .. })) {
            return;
        }
        let (worker, epoch) = (self.shared.worker.clone(), self.shared.epoch);
        let commands = std::mem::take(&mut self.leftovers);
        self.tell_engine(Input::Forgotten { worker, epoch, commands }, CancellationToken::new());
    }

    fn resume(&mut self, orders: &[CommandOrder]) {
        let commands: Vec<CommandId> = orders.iter().map(|order| order.command.clone()).collect();
        if !self.ours {
            self.forget(commands.clone());
            let gone = commands.into_iter().map(|command| resumed_as(command, ResumeState::Lost));
            return self.announce(gone.collect(), CancellationToken::new());
        }
        let announced = CancellationToken::new();
        for order in orders {
            self.take_up(order, announced.clone());
        }
        let wanted: BTreeMap<CommandId, u64> =
            self.commands.iter().map(|(id, command)| (id.clone(), command.parts())).collect();
        let by = Instant::now() + self.limits.answer;
        self.ask(MasterRequest::Resume { commands: wanted }, PendingRequest::Resume { commands, announced, by });
        for order in self.early.take().into_iter().flatten() {
            self.dispatch(&order);
        }
    }

    /// Resumes a command. If its logs cannot be read it is not requested: the worker stops it, and it counts as lost.
    fn take_up(&mut self, order: &CommandOrder, announced: CancellationToken) {
        if self.commands.contains_key(&order.command) {
            return;
        }
        let items = self.lane(&order.command, announced);
        match self.resumed_command(order, items) {
            Ok(mut command) => {
                command.decode(self.decoding_again(order));
                self.commands.insert(order.command.clone(), command);
            }
            Err(why) => warn!(worker = self.shared.worker, command = %order.command, "it cannot be resumed: {why}"),
        }
    }

    /// The decoding of a command that an earlier master sent: its secrets are looked up once more.
    fn decoding_again(&self, order: &CommandOrder) -> Option<Decoding> {
        Decoding::of(order, [])?;
        let prepared = prepare(order, &self.base_dir, &*self.host, self.ours);
        let secrets = prepared.map(|prepared| prepared.secrets).unwrap_or_default();
        Decoding::of(order, self.given.iter().chain(&secrets))
    }

    /// A command of an earlier connection, with what it moves.
    fn resumed_command(
        &mut self,
        order: &CommandOrder,
        items: mpsc::UnboundedSender<Item>,
    ) -> Result<LinkCommand, String> {
        let mut command = LinkCommand::resumed(order, &*self.host, items, self.host.now())?;
        if matches!(order.work, Work::File(_)) {
            let mut prepared = prepare(order, &self.base_dir, &*self.host, self.ours)?;
            if let Some(transfer) = prepared.transfer.take() {
                command.moves(transfer);
            }
            self.give(prepared);
        }
        Ok(command)
    }

    fn resumed(&mut self, asked: Vec<CommandId>, announced: CancellationToken, answer: Answer) {
        let states = match answer {
            Ok(answer) => ResumeAnswer::read(&answer).commands,
            Err(why) => {
                warn!(worker = self.shared.worker, "the worker cannot resume commands: {}", first_line(&why));
                BTreeMap::new()
            }
        };
        let mut commands = Vec::new();
        for command in asked {
            let state = match states.get(&command) {
                Some(ResumedState::Running | ResumedState::Finished) => ResumeState::Known,
                Some(ResumedState::Unknown) => ResumeState::NeverSeen,
                None => ResumeState::Lost,
            };
            if state != ResumeState::Known {
                self.commands.remove(&command);
            }
            commands.push(resumed_as(command, state));
        }
        self.announce(commands, announced);
    }

    fn announce(&self, commands: Vec<ResumedCommand>, announced: CancellationToken) {
        let (worker, epoch) = (self.shared.worker.clone(), self.shared.epoch);
        self.tell_engine(Input::Resumed { worker, epoch, commands }, announced);
    }

    /// A new lane for a command, which writes its items to the disk in order.
    fn lane(&self, command: &CommandId, announced: CancellationToken) -> mpsc::UnboundedSender<Item> {
        let (items_in, items) = mpsc::unbounded_channel();
        let lane = Lane {
            host: Arc::clone(&self.host),
            worker: self.shared.worker.clone(),
            epoch: self.shared.epoch,
            command: command.clone(),
            announced,
            notices: self.notices.clone(),
        };
        self.tasks.push(lane.run(items).boxed());
        items_in
    }

    fn ask(&mut self, request: MasterRequest, asked: PendingRequest) {
        let number = self.next_seq;
        self.next_seq += 1;
        self.asked.insert(number, asked);
        self.push(&MasterMessage::Request { seq: Seq::from(number), request });
    }

    fn answer(&mut self, seq: Seq, answer: Answer) {
        self.push(&MasterMessage::Response { seq, answer });
    }

    fn push(&mut self, message: &MasterMessage) {
        self.outbox.push_back(Frame::Binary(message.encode().into()));
    }
}

const fn resumed_as(command: CommandId, state: ResumeState) -> ResumedCommand {
    ResumedCommand { command, state }
}
