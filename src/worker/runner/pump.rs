//! The loop of a runner: moves output to the spool, watches the clock, stops the command, and says how it ended.
//!
//! Invariants: it always ends, whatever the command does; while the master is more than [`UNACKED_BYTES_MAX`] behind,
//! it does not read, so that the command waits instead of filling the disk.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::command::{Command, Ended, NotStarted, Running};
use super::header;
use super::job::WorkerNotifier;
use super::logfile::Follower;
use super::recorder::{LineCounter, Recorder, SourceId};
use super::stopping::{Move, Stopping};
use crate::base::process::tree;
use crate::base::{Clock, Span};
use crate::model::StopLevel;
use crate::worker::order::Order;
use crate::worker::spool::{Ending, Spooled, StoredEnd, StoredReport};

/// Output that the master does not have for good yet, at most: enough to run on for a while when it is away, little
/// enough for a worker's disk with many commands.
const UNACKED_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// How often the files by which the worker speaks are looked at, even without a poke.
const LOOK: Duration = Duration::from_millis(200);

/// The same while output waits for the master.
const LOOK_WHEN_FULL: Duration = Duration::from_millis(20);

/// How long new output may wait before the worker is told of it. A command that ends by then wakes the worker once, and
/// the master writes its output and its end to the disk together.
const TELL: Duration = Duration::from_millis(5);

/// How often log files are looked at.
const LOG_FILES: Duration = Duration::from_secs(1);

/// How often dead orphans are buried.
const ORPHANS: Duration = Duration::from_secs(10);

/// After the command's own process ended: how long processes that it left behind may hold its output open without
/// writing, and how long in all.
const LEFTOVERS_SILENT: Duration = Duration::from_secs(10);
const LEFTOVERS_TOTAL: Duration = Duration::from_mins(1);

/// Bytes read at once.
const READ_BYTES: usize = 256 * 1024;

/// Reads of one log file in a row, so that one that grows faster than we read does not hold the rest up.
const LOG_READS_MAX: u32 = 64;

/// Why a command is stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Cause {
    Idle,
    Total,
    Lines,
    /// The master asked; its reason.
    Asked(String),
    /// The command ended, but processes that it left behind hold its output open.
    Leftovers,
}

/// Runs one command.
#[derive(Debug)]
pub(super) struct Pump<'a> {
    spooled: &'a Spooled,
    order: &'a Order,
    clock: &'a dyn Clock,
    recorder: Recorder,
    logs: Vec<(SourceId, Follower)>,
    lines: LineCounter,
    started: Instant,
    /// When something was last read.
    heard: Instant,
    ended_at: Option<Instant>,
    /// Only log files may still have something.
    over: bool,
    stop: Option<(Cause, Stopping)>,
    /// Stop requests seen.
    stop_count: u64,
    acked_offset: u64,
    told_parts: u64,
    /// When the worker is to be told of output.
    tell_due: Option<Instant>,
    /// Pokes come until the worker ends.
    poked: bool,
    look_due: Instant,
    logs_due: Instant,
    orphans_due: Instant,
}

impl<'a> Pump<'a> {
    pub fn new(spooled: &'a Spooled, order: &'a Order, clock: &'a dyn Clock) -> io::Result<Self> {
        let now = Instant::now();
        Ok(Self {
            spooled,
            order,
            clock,
            recorder: Recorder::new(spooled.create_out()?, order),
            logs: Vec::new(),
            lines: LineCounter::default(),
            started: now,
            heard: now,
            ended_at: None,
            over: false,
            stop: None,
            stop_count: 0,
            acked_offset: 0,
            told_parts: 0,
            tell_due: None,
            poked: true,
            look_due: now + LOOK,
            logs_due: now + LOG_FILES,
            orphans_due: now + ORPHANS,
        })
    }

    /// Starts the command and follows it to its end. An error says that the spool cannot be written at all.
    pub fn run(mut self, command: Command<'_>, notifier: &mut WorkerNotifier) -> io::Result<Ending> {
        self.say(&header::begin(self.order, &command))?;
        self.follow_logs();
        let mut running = match command.start() {
            Ok(running) => running,
            Err(NotStarted::Program(why)) => return self.fail(StoredEnd::NotStarted, &why),
            Err(NotStarted::Worker(why)) => return self.fail(StoredEnd::Broken, &why),
        };
        drop(command);
        match self.pump(&mut running, notifier) {
            Ok(()) => self.finish(running),
            Err(error) => {
                tree::signal_group(running.leader, rustix::process::Signal::KILL);
                let _how_many = tree::signal_descendants(rustix::process::Signal::KILL);
                self.fail(StoredEnd::Broken, &format!("the output cannot be spooled: {error}"))
            }
        }
    }

    fn pump(&mut self, running: &mut Running, notifier: &mut WorkerNotifier) -> io::Result<()> {
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let now = Instant::now();
            self.look(running, now, &mut buffer)?;
            self.watch_limits(running, now)?;
            self.over = self.over || self.is_over(running, now)?;
            if self.over && self.has_all(now, &mut buffer)? {
                return Ok(());
            }
            if self.recorder.due().is_some_and(|due| due <= now) {
                self.recorder.flush()?;
            }
            self.tell(now, notifier);
            for at in self.wait(running)?.into_iter().rev() {
                self.read(running, at, &mut buffer)?;
            }
        }
    }

    /// Looks at what the worker and the command left for us in files.
    fn look(&mut self, running: &mut Running, now: Instant, buffer: &mut [u8]) -> io::Result<()> {
        if now >= self.look_due {
            self.look_due = now + if self.is_full() { LOOK_WHEN_FULL } else { LOOK };
            if let Some(stop) = self.spooled.stop().filter(|stop| stop.count > self.stop_count) {
                self.stop_count = stop.count;
                self.stop(running, Cause::Asked(stop.why), stop.level)?;
            }
            if self.is_full() {
                self.acked_offset = self.spooled.acked().map_or(self.acked_offset, |acked| acked.offset);
                if !self.is_full() {
                    // What was not read does not count as silence.
                    self.heard = now;
                }
            }
        }
        if now >= self.logs_due {
            self.logs_due = now + LOG_FILES;
            let _how_much = self.read_logs(buffer)?;
        }
        if now >= self.orphans_due {
            self.orphans_due = now + ORPHANS;
            tree::bury_orphans(running.leader);
        }
        Ok(())
    }

    /// Tells the worker that there is output, a moment after it was written.
    fn tell(&mut self, now: Instant, notifier: &mut WorkerNotifier) {
        let (parts, _) = self.recorder.written();
        if parts > self.told_parts && now >= *self.tell_due.get_or_insert(now + TELL) {
            (self.told_parts, self.tell_due) = (parts, None);
            notifier.output();
        }
    }

    /// Stops the command when it went too far.
    fn watch_limits(&mut self, running: &Running, now: Instant) -> io::Result<()> {
        if self.stop.is_some() || self.ended_at.is_some() {
            return Ok(());
        }
        let spec = &self.order.spec;
        let passed = |since: Instant, limit: Option<Span>| {
            limit.is_some_and(|limit| now.duration_since(since) >= limit.as_duration())
        };
        let cause = if spec.lines_max.is_some_and(|most| self.lines.lines > most) {
            Cause::Lines
        } else if passed(self.started, spec.total_timeout) {
            Cause::Total
        } else if !self.is_full() && passed(self.heard, spec.idle_timeout) {
            Cause::Idle
        } else {
            return Ok(());
        };
        self.stop(running, cause, StopLevel::Interrupt)
    }

    /// Whether all is over: the command's process ended, and its output with it; or what is left will not go.
    fn is_over(&mut self, running: &mut Running, now: Instant) -> io::Result<bool> {
        if self.ended_at.is_none() && running.ended().is_some() {
            self.ended_at = Some(now);
        }
        if let Some((_, stopping)) = &mut self.stop {
            let gone = self.ended_at.is_some() && !tree::has_descendants();
            if gone && running.outputs.is_empty() || stopping.is_given_up() {
                return Ok(true);
            }
            if let Some(next) = stopping.advance(&self.order.stop, now) {
                self.act(running, &next)?;
            } else if stopping.is_killed() && self.ended_at.is_some() {
                // What forked while it was killed.
                act_on_tree(running, &Move::Kill);
            }
            return Ok(false);
        }
        let Some(ended_at) = self.ended_at else { return Ok(false) };
        if running.outputs.is_empty() {
            return Ok(true);
        }
        if now >= (ended_at.max(self.heard) + LEFTOVERS_SILENT).min(ended_at + LEFTOVERS_TOTAL) && !self.is_full() {
            self.stop(running, Cause::Leftovers, StopLevel::Kill)?;
        }
        Ok(false)
    }

    /// Waits until there is something to do. Returns which outputs can be read.
    fn wait(&mut self, running: &Running) -> io::Result<Vec<usize>> {
        let stdin = io::stdin();
        let mut sources: Vec<BorrowedFd<'_>> = Vec::new();
        if self.poked {
            sources.push(stdin.as_fd());
        }
        let watches_exit = self.ended_at.is_none();
        if watches_exit {
            sources.push(running.exit_handle());
        }
        let first_output = sources.len();
        if !self.is_full() {
            sources.extend(running.outputs.iter().map(|(_, file)| file.as_fd()));
        }
        let mut polled: Vec<PollFd<'_>> =
            sources.iter().map(|source| PollFd::from_borrowed_fd(*source, PollFlags::IN)).collect();
        let left = self.next_due().saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 });
        match poll(&mut polled, Some(&left)) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        }
        let ready: Vec<bool> = polled.iter().map(|source| !source.revents().is_empty()).collect();
        if self.poked && ready[0] {
            self.poked = matches!(rustix::io::read(stdin.as_fd(), &mut [0; 64]), Ok(1..));
            self.look_due = Instant::now();
        }
        Ok((0..running.outputs.len()).filter(|at| ready.get(first_output + at) == Some(&true)).collect())
    }

    fn next_due(&self) -> Instant {
        let mut due = self.look_due;
        if !self.logs.is_empty() {
            due = due.min(self.logs_due);
        }
        let spec = &self.order.spec;
        if self.stop.is_none() && self.ended_at.is_none() {
            if let Some(total) = spec.total_timeout {
                due = due.min(self.started + total.as_duration());
            }
            if let Some(idle) = spec.idle_timeout.filter(|_| !self.is_full()) {
                due = due.min(self.heard + idle.as_duration());
            }
        }
        if let Some((_, stopping)) = &self.stop {
            due = due.min(stopping.due());
        }
        [self.recorder.due(), self.tell_due].into_iter().flatten().fold(due, Instant::min)
    }

    /// Reads what one output has; forgets it at its end.
    fn read(&mut self, running: &mut Running, at: usize, buffer: &mut [u8]) -> io::Result<()> {
        let (id, file) = &mut running.outputs[at];
        let (id, count) = (*id, read_some(file, buffer)?);
        if count == 0 {
            running.outputs.remove(at);
            return self.recorder.end(id);
        }
        let read = &buffer[..count];
        self.heard = Instant::now();
        if self.order.spec.lines_max.is_some() && self.counts(id) {
            self.lines.count(read);
        }
        self.recorder.take(id, read, self.clock.now().as_millis())
    }

    /// Streams that are not logged do not count.
    fn counts(&self, id: SourceId) -> bool {
        if id == super::recorder::STDOUT { self.order.spec.log_stdout } else { self.order.spec.log_stderr }
    }

    fn follow_logs(&mut self) {
        for (name, file) in &self.order.spec.log_files {
            let path = Path::new(&self.order.spec.workdir).join(&file.path);
            self.logs.push((self.recorder.add_log(name), Follower::new(path, file.follow)));
        }
    }

    /// Reads what log files have, and returns how much that was.
    fn read_logs(&mut self, buffer: &mut [u8]) -> io::Result<u64> {
        let (at, full) = (self.clock.now().as_millis(), self.is_full());
        let mut sum = 0;
        for (id, follower) in self.logs.iter_mut().filter(|_| !full) {
            for _ in 0..LOG_READS_MAX {
                // A file that cannot be read is the command's business.
                let count = follower.read(buffer).unwrap_or(0);
                if count == 0 {
                    break;
                }
                sum += count as u64;
                self.heard = Instant::now();
                self.recorder.take(*id, &buffer[..count], at)?;
            }
        }
        Ok(sum)
    }

    /// After the end: whether the log files are read to their ends, too. A process that still writes to them is not waited
    /// for longer than for other leftovers.
    fn has_all(&mut self, now: Instant, buffer: &mut [u8]) -> io::Result<bool> {
        let patience_ends = self.ended_at.unwrap_or(self.started) + LEFTOVERS_TOTAL;
        let hurried = self.stop.as_ref().is_some_and(|(_, stopping)| stopping.is_killed());
        if self.is_full() {
            return Ok(hurried);
        }
        Ok(self.read_logs(buffer)? == 0 || now >= patience_ends)
    }

    /// Begins to stop the command, or goes further.
    fn stop(&mut self, running: &Running, cause: Cause, level: StopLevel) -> io::Result<()> {
        let now = Instant::now();
        let next = match &mut self.stop {
            Some((_, stopping)) => stopping.again(&self.order.stop, level, now),
            None => {
                self.say(&format!("{}\n", self.recorder.redact(&self.reason(&cause))))?;
                let (stopping, first) = Stopping::begin(&self.order.stop, level, now);
                self.stop = Some((cause, stopping));
                Some(first)
            }
        };
        next.map_or(Ok(()), |next| self.act(running, &next))
    }

    fn act(&mut self, running: &Running, next: &Move) -> io::Result<()> {
        match next {
            Move::Signal(name) => self.say(&format!("sending {name} to the command's processes\n"))?,
            Move::Kill => self.say("killing the command's processes\n")?,
        }
        act_on_tree(running, next);
        Ok(())
    }

    /// Why the command is stopped, for people.
    fn reason(&self, cause: &Cause) -> String {
        let spec = &self.order.spec;
        match cause {
            Cause::Idle => format!("no output for {}", spec.idle_timeout.unwrap_or_default()),
            Cause::Total => format!("ran for more than {}", spec.total_timeout.unwrap_or_default()),
            Cause::Lines => format!("wrote more than {} lines", spec.lines_max.unwrap_or(0)),
            Cause::Asked(why) if why.is_empty() => "stopped".to_owned(),
            Cause::Asked(why) => format!("stopped: {why}"),
            Cause::Leftovers => "the command ended, but processes that it left behind hold its output open".to_owned(),
        }
    }

    /// The last words, and the result.
    fn finish(mut self, mut running: Running) -> io::Result<Ending> {
        let elapsed = Span::from(self.ended_at.unwrap_or_else(Instant::now).duration_since(self.started));
        let ended = running.ended().unwrap_or(Ended { code: None, signal: None });
        for (id, _) in std::mem::take(&mut running.outputs) {
            self.recorder.end(id)?;
        }
        for (id, _) in std::mem::take(&mut self.logs) {
            self.recorder.end(id)?;
        }
        self.say(&header::end(ended.code, ended.signal, elapsed))?;
        let (end, why) = match self.stop.as_ref().map(|(cause, _)| cause) {
            None | Some(Cause::Leftovers) if ended.signal.is_some() => (StoredEnd::Killed, String::new()),
            None | Some(Cause::Leftovers) => (StoredEnd::Exited, String::new()),
            Some(Cause::Asked(why)) => (StoredEnd::Interrupted, self.recorder.redact(why)),
            Some(cause @ Cause::Idle) => (StoredEnd::IdleTimeout, self.reason(cause)),
            Some(cause @ Cause::Total) => (StoredEnd::TotalTimeout, self.reason(cause)),
            Some(cause @ Cause::Lines) => (StoredEnd::TooManyLines, self.reason(cause)),
        };
        running.bury();
        let report = StoredReport { code: ended.code, signal: ended.signal, ..StoredReport::of(end, why) };
        self.close(report, elapsed)
    }

    /// The result of a command that could not be started, or not be followed.
    fn fail(mut self, end: StoredEnd, why: &str) -> io::Result<Ending> {
        let why = self.recorder.redact(why);
        let elapsed = Span::from(self.started.elapsed());
        // If the spool is full, the reason in the result must do.
        let _spool_is_full = self.say(&format!("{why}\n"));
        self.close(StoredReport::of(end, why), elapsed)
    }

    fn close(mut self, report: StoredReport, elapsed: Span) -> io::Result<Ending> {
        let broken = matches!(report.end, StoredEnd::Broken | StoredEnd::NotStarted);
        self.recorder.flush().or_else(|error| if broken { Ok(()) } else { Err(error) })?;
        let (parts, _) = self.recorder.written();
        let (stdout, stderr, cut) = self.recorder.into_heads();
        Ok(Ending { parts, report: StoredReport { stdout, stderr, cut, elapsed_ms: elapsed.as_millis(), ..report } })
    }

    fn say(&mut self, text: &str) -> io::Result<()> {
        self.recorder.say(text, self.clock.now().as_millis())
    }

    const fn is_full(&self) -> bool {
        self.recorder.written().1.saturating_sub(self.acked_offset) > UNACKED_BYTES_MAX
    }
}

/// Sends a signal to the whole tree: to the group first, then to the processes that left it.
fn act_on_tree(running: &Running, next: &Move) {
    let signal = match next {
        Move::Signal(name) => tree::signal_named(name).unwrap_or(rustix::process::Signal::TERM),
        Move::Kill => rustix::process::Signal::KILL,
    };
    tree::signal_group(running.leader, signal);
    if signal == rustix::process::Signal::KILL {
        // A process that forks meanwhile is found in the next round; a bound keeps a fork bomb from holding us here.
        const ROUNDS: u32 = 16;
        let _anybody_left = (0..ROUNDS).any(|_| tree::signal_descendants(signal) == 0);
    } else {
        let _how_many = tree::signal_descendants_outside(running.leader, signal);
    }
}

/// What a pipe or terminal has. 0: its end; a terminal tells that with an error of its own.
fn read_some(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match file.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) => return Ok(0),
            read => return read,
        }
    }
}
