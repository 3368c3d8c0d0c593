//! Reports of a command to a stock master: decoded text in whole lines, and numbers.
//!
//! Line ends are those of docs/reference/worker-protocol.md#newlines; text is never lost at over-long lines (which a
//! stock worker does): they are cut.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::Regex;

use super::spool::{Part, StoredEnd, StoredReport, Stream};
use crate::protocol::{Lines, StdStream, Update};

/// What becomes a line end. A CR at the end of a read is decided when more arrives.
static LINE_ENDS: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\r\n|\r|\x1b\[(?:u|[0-9]+;[0-9]+[Hf]|2J)|\x08+").expect("the pattern is a constant"));

/// Turns parts of one command into updates.
#[derive(Debug)]
pub(super) struct StockText {
    line_max: usize,
    unfinished: BTreeMap<(String, u8), Unfinished>,
}

/// The unfinished line of a stream.
#[derive(Debug, Default)]
struct Unfinished {
    /// The bytes of an incomplete character.
    bytes: Vec<u8>,
    text: String,
    at: i64,
}

impl StockText {
    /// Cuts lines at this many characters.
    pub fn new(line_max: usize) -> Self {
        Self { line_max: line_max.max(2), unfinished: BTreeMap::new() }
    }

    /// The finished lines, with this part.
    pub fn take(&mut self, part: &Part) -> Vec<Update> {
        let (log, stream) = (part.log.clone(), part.stream);
        let unfinished = self.unfinished.entry((log.clone(), stream as u8)).or_default();
        let mut out = Lines::default();
        let mut times = part.times.iter().flat_map(|run| (0..run.lines).map(|_| run.at));
        for line in part.data.split_inclusive(|byte| *byte == b'\n') {
            let at = times.next().unwrap_or(unfinished.at);
            unfinished.take(line, at, self.line_max, &mut out);
        }
        if out.text.is_empty() { Vec::new() } else { vec![update(log, stream, out)] }
    }

    /// The unfinished lines, each with a line end.
    pub fn finish(&mut self) -> Vec<Update> {
        let mut updates = Vec::new();
        for ((log, letter), mut rest) in std::mem::take(&mut self.unfinished) {
            let stream = [Stream::Out, Stream::Err, Stream::Header].into_iter().find(|it| *it as u8 == letter);
            if !rest.bytes.is_empty() {
                rest.text.push('\u{fffd}');
            }
            if let Some(stream) = stream.filter(|_| !rest.text.is_empty()) {
                let mut out = Lines::default();
                put_line(rest.text.strip_suffix('\r').unwrap_or(&rest.text), rest.at, self.line_max, &mut out);
                updates.push(update(log, stream, out));
            }
        }
        updates
    }
}

impl Unfinished {
    /// Takes bytes with at most one LF, at their end.
    fn take(&mut self, read: &[u8], at: i64, line_max: usize, out: &mut Lines) {
        if self.text.is_empty() && self.bytes.is_empty() {
            self.at = at;
        }
        self.decode(read);
        // A CR at the end may be half of a CR LF.
        let waits = self.text.ends_with('\r');
        let ready = self.text.len() - usize::from(waits);
        let text = LINE_ENDS.replace_all(&self.text[..ready], "\n").into_owned();
        let mut rest = text.as_str();
        while let Some(end) = rest.find('\n') {
            put_line(&rest[..end], self.at, line_max, out);
            rest = &rest[end + 1..];
            self.at = at;
        }
        // An escape sequence must be seen as a whole, so only text without one may be cut.
        let mut rest = rest.to_owned();
        while rest.chars().nth(line_max).is_some() {
            let cut = rest.char_indices().nth(line_max - 1).map_or(rest.len(), |(place, _)| place);
            put_line(&rest[..cut], self.at, line_max, out);
            rest.drain(..cut);
        }
        if waits {
            rest.push('\r');
        }
        self.text = rest;
    }

    /// Adds what can be decoded. Invalid UTF-8 becomes U+FFFD.
    fn decode(&mut self, read: &[u8]) {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.extend_from_slice(read);
        let mut rest = &bytes[..];
        loop {
            match std::str::from_utf8(rest) {
                Ok(text) => {
                    self.text.push_str(text);
                    return;
                }
                Err(error) => {
                    let (good, bad) = rest.split_at(error.valid_up_to());
                    self.text.push_str(&String::from_utf8_lossy(good));
                    match error.error_len() {
                        Some(length) => {
                            self.text.push('\u{fffd}');
                            rest = &bad[length..];
                        }
                        None => {
                            self.bytes = bad.to_vec();
                            return;
                        }
                    }
                }
            }
        }
    }
}

/// How a command ended, as a stock master expects it (docs/reference/worker-protocol.md#outcome).
pub(super) fn ending(report: &StoredReport) -> (Vec<Update>, Option<String>) {
    let mut updates = Vec::new();
    let reason = match report.end {
        StoredEnd::IdleTimeout => Some("timeout_without_output"),
        StoredEnd::TotalTimeout => Some("timeout"),
        StoredEnd::TooManyLines => Some("max_lines_failure"),
        StoredEnd::Exited
        | StoredEnd::Killed
        | StoredEnd::Interrupted
        | StoredEnd::NotStarted
        | StoredEnd::Broken
        | StoredEnd::Lost => None,
    };
    updates.extend(reason.map(|reason| Update::FailureReason(reason.to_owned())));
    if report.end == StoredEnd::Lost {
        return (updates, Some(report.why.clone()));
    }
    updates.push(Update::Rc(match (report.end, report.code) {
        (StoredEnd::NotStarted | StoredEnd::Broken, _) => 1,
        (StoredEnd::Exited, Some(code)) => code,
        // It was stopped, however the process reacted to that.
        (_, Some(0) | None) => -1,
        (_, Some(code)) => code,
    }));
    if report.end != StoredEnd::Interrupted {
        updates.push(Update::Elapsed(elapsed_seconds(report.elapsed_ms)));
    }
    (updates, None)
}

/// Milliseconds as the protocol's seconds.
#[expect(clippy::cast_precision_loss, reason = "spans are far below 2^53 ms")]
pub(super) fn elapsed_seconds(millis: u64) -> f64 {
    millis as f64 / 1000.0
}

fn put_line(line: &str, at: i64, line_max: usize, out: &mut Lines) {
    let mut rest = line;
    while let Some((cut, _)) = rest.char_indices().nth(line_max - 1) {
        out.text.push_str(&rest[..cut]);
        out.text.push('\n');
        out.times.push(seconds(at));
        rest = &rest[cut..];
    }
    out.text.push_str(rest);
    out.text.push('\n');
    out.times.push(seconds(at));
}

fn update(log: String, stream: Stream, lines: Lines) -> Update {
    let std_stream = match stream {
        Stream::Out if log != "stdio" => return Update::Log { log, lines },
        Stream::Out => StdStream::Stdout,
        Stream::Err => StdStream::Stderr,
        Stream::Header => StdStream::Header,
    };
    Update::Stream { stream: std_stream, lines }
}

#[expect(clippy::cast_precision_loss, reason = "times are far below 2^53 ms")]
fn seconds(millis: i64) -> f64 {
    millis as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::worker::spool::TimeRun;

    fn part(data: &[u8]) -> Part {
        let lines = data.split_inclusive(|byte| *byte == b'\n').count() as u64;
        Part {
            log: "stdio".to_owned(),
            stream: Stream::Out,
            times: vec![TimeRun { lines, at: 1500 }],
            data: data.to_vec(),
        }
    }

    fn text_of(parts: &[&[u8]], line_max: usize) -> String {
        let mut text = StockText::new(line_max);
        let mut updates: Vec<Update> = parts.iter().flat_map(|data| text.take(&part(data))).collect();
        updates.extend(text.finish());
        let mut all = String::new();
        for update in updates {
            let Update::Stream { stream: StdStream::Stdout, lines } = update else { panic!("{update:?}") };
            assert!(lines.text.ends_with('\n'));
            assert_eq!(lines.text.matches('\n').count(), lines.times.len());
            all.push_str(&lines.text);
        }
        all
    }

    #[test]
    fn line_ends_of_all_kinds_become_one() {
        assert_eq!(
            text_of(&[b"a\r\nb\rc\n", b"\x08\x08d\x1b[2Je\x1b[12;3Hf\x1b[31mg"], 100),
            "a\nb\nc\n\nd\ne\nf\x1b[31mg\n"
        );
    }

    #[test]
    fn a_line_cut_anywhere_comes_out_the_same() {
        let whole = "a\r\nb\u{fc}\rc\x1b[2Jd\u{20ac}".as_bytes();
        for at in 0..whole.len() {
            assert_eq!(text_of(&[&whole[..at], &whole[at..]], 100), "a\nb\u{fc}\nc\nd\u{20ac}\n", "cut at {at}");
        }
    }

    #[test]
    fn a_carriage_return_at_the_end_ends_the_line() {
        assert_eq!(text_of(&[b"50%\r100%\r"], 100), "50%\n100%\n");
        assert_eq!(text_of(&[b"50%\r", b"\n"], 100), "50%\n");
    }

    #[test]
    fn bad_utf8_is_replaced() {
        assert_eq!(text_of(&[b"a\xff\xfeb\n"], 100), "a\u{fffd}\u{fffd}b\n");
    }

    #[test]
    fn over_long_lines_are_cut_and_lose_nothing() {
        let text = text_of(&[b"abcdefghij\nklmnopqrs"], 5);
        assert!(text.lines().all(|line| line.len() < 5));
        assert_eq!(text.replace('\n', ""), "abcdefghijklmnopqrs");
    }

    #[test]
    fn the_end_is_told_in_the_words_of_the_protocol() {
        let report = |end, code| StoredReport { code, elapsed_ms: 1500, ..StoredReport::of(end, "why") };
        let (updates, failure) = ending(&report(StoredEnd::Exited, Some(3)));
        assert_eq!((updates, failure), (vec![Update::Rc(3), Update::Elapsed(1.5)], None));
        let (updates, _) = ending(&report(StoredEnd::IdleTimeout, Some(0)));
        assert_eq!(updates[..2], [Update::FailureReason("timeout_without_output".to_owned()), Update::Rc(-1)]);
        assert_eq!(ending(&report(StoredEnd::Killed, None)).0[0], Update::Rc(-1));
        assert_eq!(ending(&report(StoredEnd::Interrupted, Some(7))).0, [Update::Rc(7)]);
        assert_eq!(ending(&report(StoredEnd::Lost, None)), (Vec::new(), Some("why".to_owned())));
    }
}
