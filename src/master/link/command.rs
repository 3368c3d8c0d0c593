//! A command that runs on the worker: where its output goes, and what has been reported so far.
//!
//! Part numbers: one of our workers counts the parts of a command over all its logs, while a log counts the parts of a
//! command by itself. Each part goes to exactly one log, and the durable parts of a command are always its first ones.
//! So the next number is the sum of what its logs expect.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::decoding::Decoding;
use super::host::{LinkHost, LogPlace};
use super::lane::{Item, PendingAck};
use super::logged_output::{LoggedPlan, first_line_source};
use super::outcome::{ExitRules, StockReport, first_line, note};
use super::output::{part_of_chunk, part_of_lines, part_of_text};
use super::transfer::Transfer;
use crate::base::Timestamp;
use crate::engine::{CommandOrder, Work};
use crate::model::{BuildId, CommandEnd, CommandId, CommandResult, LogId};
use crate::protocol::{CommandReport, LogChunk, StdStream, Update};
use crate::secrets::Redactor;
use crate::store::LogPart;

/// `stat` returns ten numbers everywhere; more are cut off.
const STAT_NUMBERS_MAX: usize = 16;
/// The log of file commands, and of output that has no log of its own.
const STDIO: &str = "stdio";

/// A running command. Its lane ends when this is dropped.
#[derive(Debug)]
pub(super) struct LinkCommand {
    pub id: CommandId,
    build: BuildId,
    logs: BTreeMap<String, LogId>,
    main: Option<LogId>,
    log_stdout: bool,
    log_stderr: bool,
    exit_rules: ExitRules,
    /// What its result is to have beyond the heads.
    logged: Option<LoggedPlan>,
    /// Its output is not UTF-8.
    decoding: Option<Decoding>,
    source: Arc<str>,
    /// The number of each log's next part.
    next: BTreeMap<LogId, u64>,
    items: mpsc::UnboundedSender<Item>,
    /// The reason for which this link stopped it.
    interrupted: Option<String>,
    started: Timestamp,
    teller: Teller,
    /// Bytes of an upload that are there.
    received: Option<u64>,
}

/// Who reports about it.
#[derive(Debug)]
enum Teller {
    Stock(Box<StockReport>),
    /// One of our workers, with the number of parts so far.
    Ours {
        parts: u64,
    },
}

/// The last message of a command.
#[derive(Debug)]
pub(super) struct Completion {
    pub parts: Option<u64>,
    pub failure: Option<String>,
    pub report: Option<Box<CommandReport>>,
}

impl LinkCommand {
    /// A command that is about to be sent.
    pub fn new(order: &CommandOrder, ours: bool, items: mpsc::UnboundedSender<Item>, now: Timestamp) -> Self {
        let (main, log_stdout, log_stderr) = match &order.work {
            Work::Run(spec) => (spec.log.as_str(), spec.log_stdout, spec.log_stderr),
            Work::File(_) => (STDIO, true, true),
        };
        let main = order.logs.get(main).or_else(|| order.logs.get(STDIO)).copied();
        let source: Arc<str> = order.command.0.as_str().into();
        let place = |log| LogPlace { build: order.build, log };
        let more = match &order.work {
            Work::Run(spec) => spec.output.more,
            Work::File(_) => None,
        };
        let logged = |log| {
            more.map(|more| LoggedPlan { place: place(log), source: Arc::clone(&source), more, stderr: log_stderr })
        };
        if let Work::Run(spec) = &order.work
            && let Some(bytes_max) = spec.output.log_bytes_max
        {
            for log in order.logs.values() {
                // A lane that has failed ends the connection.
                let _: Result<(), _> = items.send(Item::Limit { place: place(*log), bytes_max });
            }
        }
        Self {
            id: order.command.clone(),
            build: order.build,
            logged: main.and_then(logged),
            decoding: None,
            main,
            logs: order.logs.clone(),
            log_stdout,
            log_stderr,
            exit_rules: ExitRules::of(&order.work),
            source,
            next: BTreeMap::new(),
            items,
            interrupted: None,
            started: now,
            teller: if ours { Teller::Ours { parts: 0 } } else { Teller::Stock(Box::default()) },
            received: None,
        }
    }

    /// A command of one of our workers that may have sent output on an earlier connection.
    pub fn resumed(
        order: &CommandOrder,
        host: &dyn LinkHost,
        items: mpsc::UnboundedSender<Item>,
        now: Timestamp,
    ) -> Result<Self, String> {
        let mut command = Self::new(order, true, items, now);
        for log in order.logs.values().chain(&command.main) {
            let place = LogPlace { build: order.build, log: *log };
            command.next.insert(*log, host.next_part(place, &order.command)?);
        }
        command.teller = Teller::Ours { parts: command.next.values().sum() };
        // A master that was killed may not have kept the note. While nothing has arrived, its output begins here.
        if let Some(logged) = &command.logged
            && command.parts() == 0
            && host.next_part(logged.place, &CommandId(first_line_source(&command.source).to_string()))? == 0
        {
            command.note_first_line();
        }
        Ok(command)
    }

    /// The number of the next part; of an upload, the place of the next byte.
    pub fn parts(&self) -> u64 {
        match self.teller {
            Teller::Ours { parts } => self.received.unwrap_or(parts),
            Teller::Stock(_) => 0,
        }
    }

    /// Says what it moves, before the worker hears of it.
    pub fn moves(&mut self, transfer: Transfer) {
        if let Transfer::Upload(upload) = &transfer {
            self.received = Some(upload.received());
        }
        self.send(Item::Moves(transfer));
    }

    /// Takes a block that the worker sends.
    pub fn block(&self, at: Option<u64>, data: Bytes, receipt: PendingAck) {
        self.send(Item::Block { at, data, receipt });
    }

    /// The worker wants a block.
    pub fn read(&self, at: Option<u64>, length: u64, receipt: PendingAck) {
        self.send(Item::Read { at, length, receipt });
    }

    /// Something that only wants an answer, in its turn.
    pub fn acknowledge(&self, receipt: PendingAck) {
        self.send(Item::Answer(receipt));
    }

    /// The first reason is kept.
    pub fn interrupt(&mut self, why: &str) {
        self.interrupted.get_or_insert_with(|| why.to_owned());
    }

    /// Notes where its output begins, if that matters. Before anything is written for it.
    pub fn note_first_line(&self) {
        if let Some(logged) = &self.logged {
            self.send(Item::FirstLine { place: logged.place, source: first_line_source(&self.source) });
        }
    }

    /// From now on its output is decoded.
    pub fn decode(&mut self, decoding: Option<Decoding>) {
        self.decoding = decoding;
    }

    /// Writes lines above the output, under a source of its own, so that they do not count as a part.
    pub fn write_header(&self, text: String, now: Timestamp) {
        if let (Some(log), false) = (self.main, text.is_empty()) {
            let place = LogPlace { build: self.build, log };
            let source = format!("{}/header", self.source).into();
            self.send(Item::Part { place, source, n: 0, part: part_of_text('h', text, now) });
        }
    }

    /// Ends it without a report from the worker.
    pub fn fail(self, end: CommandEnd) {
        let result = self.exit_rules.bare(end);
        self.end(result, None, None);
    }

    /// Takes an update, which is acknowledged when its parts are durable. An error ends the connection.
    pub fn update(
        &mut self,
        n: Option<u64>,
        updates: Vec<Update>,
        receipt: PendingAck,
        redactor: &Redactor,
        now: Timestamp,
    ) -> Result<(), String> {
        match (&self.teller, n) {
            (Teller::Ours { parts }, Some(n)) if n < *parts => {}
            (Teller::Ours { parts }, Some(n)) if n == *parts => self.take_numbered(updates, now)?,
            (Teller::Ours { parts }, n) => return Err(self.gap(n, *parts)),
            (Teller::Stock(_), _) => updates.into_iter().for_each(|update| self.take(update, redactor, now)),
        }
        self.send(Item::Answer(receipt));
        Ok(())
    }

    /// Takes the last message. An error ends the connection.
    pub fn complete(self, last: &Completion, receipt: PendingAck, now: Timestamp) -> Result<(), String> {
        let interrupted = self.interrupted.as_deref();
        let result = match (&self.teller, &last.report) {
            (Teller::Ours { parts }, _) if last.parts.is_some_and(|n| n > *parts) => {
                return Err(self.gap(last.parts, *parts));
            }
            (Teller::Ours { .. }, Some(report)) => match &self.decoding {
                Some(decoding) => {
                    let (stdout, stderr) = (decoding.decode(&report.stdout), decoding.decode(&report.stderr));
                    let report = CommandReport { stdout, stderr, ..report.as_ref().clone() };
                    self.exit_rules.reported(&report, interrupted)
                }
                None => self.exit_rules.reported(report, interrupted),
            },
            (Teller::Ours { .. }, None) => {
                let why = last.failure.as_deref().map_or_else(|| "the worker sent no result".to_owned(), first_line);
                self.exit_rules.bare(CommandEnd::Broken(why))
            }
            (Teller::Stock(told), _) => {
                told.result(&self.exit_rules, last.failure.as_deref(), interrupted, now.since(self.started))
            }
        };
        let digest = last.report.as_ref().and_then(|report| report.digest.clone());
        self.end(result, digest, Some(receipt));
        Ok(())
    }

    /// Writes the details of a failure to the log.
    pub fn write_failure(&mut self, failure: &str, now: Timestamp) {
        self.append(self.main, part_of_text('h', format!("{}\n", failure.trim_end()), now));
    }

    fn end(self, result: CommandResult, digest: Option<String>, receipt: Option<PendingAck>) {
        let logged = self.logged.clone();
        self.send(Item::End { result: Box::new(result), digest, receipt, logged });
    }

    fn gap(&self, got: Option<u64>, expected: u64) -> String {
        let got = got.map_or_else(|| "a part without number".to_owned(), |n| format!("part {n}"));
        format!("it sent {got} of command {}, where part {expected} was expected", self.id)
    }

    /// Takes a message with one part. A message without one counts as an empty part.
    fn take_numbered(&mut self, updates: Vec<Update>, now: Timestamp) -> Result<(), String> {
        let mut chunks = updates.into_iter().filter_map(|update| match update {
            Update::Chunk(chunk) => Some(chunk),
            _ => None,
        });
        let nothing = || LogChunk {
            log: STDIO.to_owned(),
            stream: StdStream::Header,
            data: bytes::Bytes::new(),
            times: Vec::new(),
        };
        let chunk = chunks.next().unwrap_or_else(nothing);
        if chunks.next().is_some() {
            return Err(format!("it sent two parts of command {} under one number", self.id));
        }
        let log = if chunk.log == STDIO { None } else { self.logs.get(&chunk.log).copied() };
        let mut chunk = chunk;
        if let Some(decoding) = self.decoding.as_ref().filter(|_| chunk.stream != StdStream::Header) {
            chunk.data = decoding.decode(&chunk.data);
        }
        self.append(log.or(self.main), part_of_chunk(&chunk, now));
        if let Teller::Ours { parts } = &mut self.teller {
            *parts += 1;
        }
        Ok(())
    }

    fn take(&mut self, update: Update, redactor: &Redactor, now: Timestamp) {
        let Teller::Stock(told) = &mut self.teller else { return };
        match update {
            Update::Stream { stream, lines } => {
                let part = part_of_lines(stream.letter(), &lines, redactor, now);
                told.heard(part.stream, &part.text, &self.exit_rules);
                let wanted = match stream {
                    StdStream::Stdout => self.log_stdout,
                    StdStream::Stderr => self.log_stderr,
                    StdStream::Header => true,
                };
                if wanted {
                    self.append(self.main, part);
                }
            }
            Update::Log { log, lines } => {
                let place = self.logs.get(&log).copied().or(self.main);
                self.append(place, part_of_lines('o', &lines, redactor, now));
            }
            Update::Rc(code) => told.rc = Some(code),
            Update::Elapsed(seconds) => told.elapsed = Some(seconds),
            Update::FailureReason(reason) => told.failure_reason = Some(note(&reason)),
            Update::Files(files) => told.files = files,
            Update::Stat(stat) => told.stat = Some(stat.into_iter().take(STAT_NUMBERS_MAX).collect()),
            Update::Chunk(_) | Update::Unknown { .. } => {}
        }
    }

    fn append(&mut self, log: Option<LogId>, part: LogPart) {
        let Some(log) = log else { return };
        let next = self.next.entry(log).or_default();
        let n = *next;
        *next += 1;
        let place = LogPlace { build: self.build, log };
        self.send(Item::Part { place, source: Arc::clone(&self.source), n, part });
    }

    fn send(&self, item: Item) {
        // A lane that has failed ends the connection; its items are sent again on the next one.
        let _: Result<(), _> = self.items.send(item);
    }
}
