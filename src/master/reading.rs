//! Texts of logs: makes references to them, and reads them again (docs/design/output.md).
//!
//! Blocks, for as long as it takes to read some megabytes. Knows nothing of the engine.

use sha2::{Digest as _, Sha256};

use crate::base::chain;
use crate::model::{BuildId, FoundLog, LogId, LogKind, LogPlaces, LogRequest, Readings, TextEnd, TextRef, Want};
use crate::store::{History, LogLine, LogReader};

/// Bytes that one read of a log aims at: few reads for short lines, little memory for long ones.
const READ_BYTES: u64 = 1 << 20;
/// Lines of one read: at first, and at most.
const READ_LINES: u64 = 1_024;
const READ_LINES_MAX: u64 = 16_384;

/// Lines of a log whose text is wanted.
#[derive(Clone, Debug)]
pub(super) struct LogRange {
    pub build: BuildId,
    pub log: LogId,
    pub first: u64,
    pub end: u64,
    /// The letters of the streams that count.
    pub streams: &'static str,
}

/// A text and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FoundText {
    pub at: TextRef,
    pub text: String,
    /// Whether the range has more of it.
    pub cut: bool,
}

/// Which part of a text is wanted.
#[derive(Clone, Copy, Debug)]
pub(super) struct TextPart {
    /// Which end is kept of a text that is too long.
    pub end: TextEnd,
    pub bytes_max: u64,
    /// Lines at that end that are left out.
    pub skip: u64,
    /// Lines at most.
    pub lines_max: u64,
}

impl TextPart {
    /// So many bytes of one end.
    pub const fn of(end: TextEnd, bytes_max: u64) -> Self {
        Self { end, bytes_max, skip: 0, lines_max: u64::MAX }
    }
}

/// Finds the text of a range: whole lines.
pub(super) fn find(logs: &dyn LogReader, range: &LogRange, part: TextPart) -> Result<FoundText, String> {
    let mut finder = Finder { part, at: (range.first, range.end), pieces: Vec::new(), bytes: 0, lines: 0, cut: false };
    let mut start = None;
    let mut count = READ_LINES;
    while finder.wants_more() {
        let lines = count.min(finder.at.1 - finder.at.0);
        let from = match part.end {
            TextEnd::Head => finder.at.0,
            TextEnd::Tail => finder.at.1 - lines,
        };
        let read = logs.read(range.build, range.log, from, lines).map_err(|error| chain(&error))?;
        if read.len() as u64 != lines {
            return Err(format!("its lines {from} to {} are not there", from + lines));
        }
        finder.take(&read, range.streams, &mut start);
        count = next_count(&read);
    }
    let left_out = logs.left_out(range.build, range.log).map_err(|error| chain(&error))?;
    let gap = left_out.is_some_and(|gap| gap.first < range.end && gap.first + gap.lines > range.first);
    let (first, end) = match part.end {
        TextEnd::Head => (start.unwrap_or(finder.at.0), finder.at.0),
        TextEnd::Tail => (finder.at.1, start.map_or(finder.at.1, |start| start + 1)),
    };
    let text = finder.text();
    let at = TextRef {
        log: range.log,
        first,
        end,
        streams: range.streams.to_owned(),
        bytes: text.len() as u64,
        digest: digest(&text),
    };
    Ok(FoundText { at, text, cut: finder.cut || gap })
}

/// Gathers the lines of a text from one end.
struct Finder {
    part: TextPart,
    /// What is left to look at.
    at: (u64, u64),
    pieces: Vec<String>,
    bytes: u64,
    /// Lines of the text so far, those that are left out included.
    lines: u64,
    cut: bool,
}

impl Finder {
    const fn wants_more(&self) -> bool {
        self.at.0 < self.at.1 && !self.cut && self.lines < self.part.skip.saturating_add(self.part.lines_max)
    }

    /// Takes lines from the end at which it is. `start` becomes the number of the first line of the text.
    fn take(&mut self, read: &[LogLine], streams: &str, start: &mut Option<u64>) {
        let in_order: Box<dyn Iterator<Item = &LogLine>> = match self.part.end {
            TextEnd::Head => Box::new(read.iter()),
            TextEnd::Tail => Box::new(read.iter().rev()),
        };
        for line in in_order {
            if !self.wants_more() {
                return;
            }
            let number = match self.part.end {
                TextEnd::Head => self.at.0,
                TextEnd::Tail => self.at.1 - 1,
            };
            if streams.contains(line.stream) {
                if self.lines >= self.part.skip {
                    let text = format!("{}\n", String::from_utf8_lossy(&line.text));
                    if self.bytes + text.len() as u64 > self.part.bytes_max {
                        self.cut = true;
                        return;
                    }
                    start.get_or_insert(number);
                    self.bytes += text.len() as u64;
                    self.pieces.push(text);
                }
                self.lines += 1;
            }
            match self.part.end {
                TextEnd::Head => self.at.0 += 1,
                TextEnd::Tail => self.at.1 -= 1,
            }
        }
    }

    fn text(&mut self) -> String {
        if self.part.end == TextEnd::Tail {
            self.pieces.reverse();
        }
        self.pieces.concat()
    }
}

/// How many lines to read next, after these.
fn next_count(read: &[LogLine]) -> u64 {
    let bytes: u64 = read.iter().map(|line| line.text.len() as u64 + 1).sum();
    (READ_BYTES * read.len() as u64 / bytes.max(1)).clamp(1, READ_LINES_MAX)
}

/// Reads a text again. The error says that it is not what it was.
pub(super) fn read(logs: &dyn LogReader, build: BuildId, at: &TextRef) -> Result<String, String> {
    let mut text = String::new();
    let (mut first, mut count) = (at.first, READ_LINES);
    while first < at.end && text.len() as u64 <= at.bytes {
        let lines = count.min(at.end - first);
        let read = logs.read(build, at.log, first, lines).map_err(|error| chain(&error))?;
        if read.is_empty() {
            break;
        }
        for line in read.iter().filter(|line| at.streams.contains(line.stream)) {
            text.push_str(&String::from_utf8_lossy(&line.text));
            text.push('\n');
        }
        first += read.len() as u64;
        count = next_count(&read);
    }
    if text.len() as u64 != at.bytes || digest(&text) != at.digest {
        return Err(format!("log {} does not hold the text any more that the script read; it is damaged", at.log));
    }
    Ok(text)
}

/// Reads what an evaluation wants.
pub(super) fn satisfy(
    history: &dyn History,
    build: BuildId,
    want: Want,
    readings: &mut Readings,
) -> Result<(), String> {
    match want {
        Want::Text(at) => {
            let text = read(&*history.logs(), build, &at)?;
            readings.texts.insert(at, text.into());
        }
        Want::Log(request) => {
            let found = look(history, build, &request).map(|found| {
                readings.texts.insert(found.at.clone(), found.text.into());
                FoundLog { text: found.at, cut: found.cut }
            });
            readings.logs.insert(request, found);
        }
    }
    Ok(())
}

/// Looks at a log that a script asked for, as it is now.
fn look(history: &dyn History, build: BuildId, request: &LogRequest) -> Result<FoundText, String> {
    let (log, kind) = find_log(history, build, request)?;
    let logs = history.logs();
    let lines = logs.lines(build, log).map_err(|error| chain(&error))?;
    let streams = match kind {
        LogKind::Stdio => "oe",
        LogKind::Text | LogKind::Html | LogKind::Deleted => "toe",
    };
    let range = LogRange { build, log, first: 0, end: lines, streams };
    let part = TextPart::of(request.end, request.bytes_max);
    let part = match request.part {
        LogPlaces::From(first) => TextPart { skip: first, ..part },
        LogPlaces::Last(count) => TextPart { lines_max: count, ..part },
    };
    find(&*logs, &range, part)
}

/// The newest log of this name.
fn find_log(history: &dyn History, build: BuildId, request: &LogRequest) -> Result<(LogId, LogKind), String> {
    let steps = history.steps(build).map_err(|error| chain(&error))?;
    let wanted = |name: &str| request.step.as_ref().is_none_or(|wanted| wanted == name);
    let mut names = Vec::new();
    for step in steps.iter().rev().filter(|step| wanted(&step.name)) {
        let logs = history.logs_of_step(step.id).map_err(|error| chain(&error))?;
        let found = logs.iter().rev().find(|log| log.name == request.log || log.slug == request.log);
        if let Some(found) = found {
            return Ok((found.id, found.kind));
        }
        names.extend(logs.into_iter().map(|log| log.name));
    }
    let of = match &request.step {
        Some(step) if !steps.iter().any(|known| known.name == *step) => {
            let nearest = crate::base::nearest(step, steps.iter().map(|step| step.name.as_str()));
            let hint = nearest.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
            return Err(format!("this build has had no step `{step}` so far{hint}"));
        }
        Some(step) => format!(" of step `{step}`"),
        None => String::new(),
    };
    let nearest = crate::base::nearest(&request.log, names.iter().map(String::as_str));
    let hint = nearest.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
    Err(format!("there is no log `{}`{of} so far{hint}", request.log))
}

fn digest(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::store::{LogPart, LogStore, SourcePart, Store};

    const BUILD: BuildId = BuildId(1);
    const LOG: LogId = LogId(2);

    /// A store with a log of numbered lines, every third of which is on standard error.
    fn filled(lines: u64) -> (tempfile::TempDir, Store, Arc<dyn LogReader>) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::in_memory(dir.path()).unwrap();
        let logs = store.logs();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let placed = (0..lines).map(|at| {
            let stream = if at % 3 == 2 { 'e' } else { 'o' };
            let part = LogPart { stream, text: format!("line {at}\n").into(), times: Vec::new() };
            runtime.block_on(LogStore::place(&logs, BUILD, LOG, SourcePart { source: "c", n: at, part })).unwrap()
        });
        placed.collect::<Vec<_>>().into_iter().for_each(|placed| runtime.block_on(placed).unwrap());
        (dir, store, Arc::new(logs))
    }

    fn range(first: u64, end: u64) -> LogRange {
        LogRange { build: BUILD, log: LOG, first, end, streams: "o" }
    }

    #[test]
    fn a_head_and_a_tail_are_whole_lines_of_their_stream() {
        let (_dir, _store, logs) = filled(10);
        let head = find(&*logs, &range(1, 9), TextPart::of(TextEnd::Head, 22)).unwrap();
        assert_eq!((head.text.as_str(), head.cut), ("line 1\nline 3\nline 4\n", true));
        let tail = find(&*logs, &range(1, 9), TextPart::of(TextEnd::Tail, 14)).unwrap();
        assert_eq!((tail.text.as_str(), tail.cut), ("line 6\nline 7\n", true));
        let all = find(&*logs, &range(0, 10), TextPart::of(TextEnd::Tail, 1_000)).unwrap();
        assert_eq!(all.text.lines().count(), 7);
        assert!(!all.cut);
        for found in [head, tail, all] {
            assert_eq!(read(&*logs, BUILD, &found.at), Ok(found.text));
        }
    }

    #[test]
    fn lines_are_counted_in_their_streams_only() {
        let (_dir, _store, logs) = filled(10);
        let last = TextPart { lines_max: 2, ..TextPart::of(TextEnd::Tail, 100) };
        let last = find(&*logs, &range(0, 9), last).unwrap();
        assert_eq!((last.text.as_str(), last.cut), ("line 6\nline 7\n", false));
        let rest = TextPart { skip: 5, ..TextPart::of(TextEnd::Head, 100) };
        let rest = find(&*logs, &range(0, 10), rest).unwrap();
        assert_eq!(rest.text, "line 7\nline 9\n");
        let none = TextPart { skip: 50, ..TextPart::of(TextEnd::Head, 100) };
        let none = find(&*logs, &range(0, 10), none).unwrap();
        for found in [last, rest, none] {
            assert_eq!(read(&*logs, BUILD, &found.at), Ok(found.text));
        }
    }

    #[test]
    fn many_lines_are_read_piece_by_piece() {
        let (_dir, _store, logs) = filled(3_000);
        for end in [TextEnd::Head, TextEnd::Tail] {
            let found = find(&*logs, &range(0, 3_000), TextPart::of(end, 1 << 20)).unwrap();
            assert_eq!((found.text.lines().count(), found.cut), (2_000, false));
            assert!(found.text.starts_with("line 0\nline 1\nline 3\n"));
            assert_eq!(read(&*logs, BUILD, &found.at), Ok(found.text));
        }
    }

    #[test]
    fn a_text_that_is_not_the_same_any_more_is_an_error() {
        let (_dir, _store, logs) = filled(10);
        let found = find(&*logs, &range(0, 5), TextPart::of(TextEnd::Head, 1_000)).unwrap();
        let other = TextRef { first: 1, ..found.at.clone() };
        assert!(read(&*logs, BUILD, &other).unwrap_err().contains("damaged"));
        let gone = TextRef { log: LogId(99), ..found.at };
        assert!(read(&*logs, BUILD, &gone).is_err());
    }
}
