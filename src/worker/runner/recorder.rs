//! Makes parts of what a command prints: whole lines with their times, secrets replaced, in the order in which they
//! were read.
//!
//! Invariants: a part holds lines of one stream; a line that is not finished waits until it is, or is longer than
//! [`LINE_BYTES_MAX`], or its stream ends; nothing else waits longer than [`HOLD`].

use std::io;
use std::time::{Duration, Instant};

use crate::model::OUTPUT_HEAD_MAX;
use crate::secrets::Redactor;
use crate::worker::order::Order;
use crate::worker::spool::{OutWriter, Part, Stream, TimeRun};

/// Longest line that is kept in one piece: long enough for what compilers and linkers print, short enough to keep.
const LINE_BYTES_MAX: usize = 256 * 1024;

/// A part is written as soon as it has this many bytes.
const PART_BYTES: usize = 256 * 1024;

/// How long finished lines wait for more, so that a slow writer does not make a part of each line.
const HOLD: Duration = Duration::from_millis(250);

/// A secret may show up to six times as long as it is (escaped); this much of a line that is cut waits for its rest.
const SECRET_STRETCH: usize = 6;

/// No more than this waits, however long a secret is.
const OVERLAP_MAX: usize = 128 * 1024;

/// Names a source of lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SourceId(usize);

/// Standard output.
pub(super) const STDOUT: SourceId = SourceId(0);
/// Standard error.
pub(super) const STDERR: SourceId = SourceId(1);
const HEADER: SourceId = SourceId(2);

/// Collects lines and spools them.
#[derive(Debug)]
pub(super) struct Recorder {
    out: OutWriter,
    redactor: Redactor,
    overlap: usize,
    sources: Vec<Source>,
    batch: Option<Batch>,
    head_max: usize,
    heads: [Vec<u8>; 2],
    /// Whether a head lacks something.
    cut: bool,
}

/// A stream or file that lines come from.
#[derive(Debug)]
struct Source {
    log: String,
    stream: Stream,
    logged: bool,
    /// The line that is not finished, and when it began.
    rest: Vec<u8>,
    rest_at: i64,
}

/// Finished lines of one source that wait to be written.
#[derive(Debug)]
struct Batch {
    source: SourceId,
    since: Instant,
    times: Vec<TimeRun>,
    data: Vec<u8>,
}

impl Recorder {
    /// Spools to `out` as `order` says.
    pub fn new(out: OutWriter, order: &Order) -> Self {
        let source =
            |log: &str, stream, logged| Source { log: log.to_owned(), stream, logged, rest: Vec::new(), rest_at: 0 };
        let longest = order.masks.iter().map(|(_, value)| value.len()).max().unwrap_or(0);
        Self {
            out,
            redactor: Redactor::new(order.masks.iter().cloned()),
            overlap: (longest * SECRET_STRETCH).min(OVERLAP_MAX),
            sources: vec![
                source("stdio", Stream::Out, order.spec.log_stdout),
                source("stdio", Stream::Err, order.spec.log_stderr),
                source("stdio", Stream::Header, true),
            ],
            batch: None,
            head_max: if order.spec.want_output { OUTPUT_HEAD_MAX } else { 0 },
            heads: [Vec::new(), Vec::new()],
            cut: false,
        }
    }

    /// Adds a log file.
    pub fn add_log(&mut self, log: &str) -> SourceId {
        self.sources.push(Source {
            log: log.to_owned(),
            stream: Stream::Out,
            logged: true,
            rest: Vec::new(),
            rest_at: 0,
        });
        SourceId(self.sources.len() - 1)
    }

    /// Takes what was read from a source at a moment.
    pub fn take(&mut self, id: SourceId, read: &[u8], at: i64) -> io::Result<()> {
        match read.iter().rposition(|byte| *byte == b'\n') {
            None => self.sources[id.0].extend_rest(read, at),
            Some(last) => {
                let (lines, rest) = read.split_at(last + 1);
                self.take_lines(id, lines, at)?;
                self.sources[id.0].extend_rest(rest, at);
            }
        }
        if self.sources[id.0].rest.len() >= LINE_BYTES_MAX + self.overlap {
            self.cut_line(id)?;
        }
        if self.batch.as_ref().is_some_and(|batch| batch.data.len() >= PART_BYTES) { self.flush() } else { Ok(()) }
    }

    /// Says something ourselves: whole lines.
    pub fn say(&mut self, text: &str, at: i64) -> io::Result<()> {
        self.take_lines(HEADER, text.as_bytes(), at)
    }

    /// Ends a source: an unfinished line counts as it is.
    pub fn end(&mut self, id: SourceId) -> io::Result<()> {
        let source = &mut self.sources[id.0];
        let (rest, at) = (std::mem::take(&mut source.rest), source.rest_at);
        if rest.is_empty() { Ok(()) } else { self.take_piece(id, &rest, at) }
    }

    /// Writes what waits.
    pub fn flush(&mut self) -> io::Result<()> {
        let Some(batch) = self.batch.take() else { return Ok(()) };
        let source = &self.sources[batch.source.0];
        let data = match self.redactor.redact(&batch.data) {
            std::borrow::Cow::Borrowed(_) => batch.data,
            std::borrow::Cow::Owned(redacted) => redacted,
        };
        if let Some(head) = self.heads.get_mut(batch.source.0) {
            let kept = data.len().min(self.head_max - head.len());
            head.extend_from_slice(&data[..kept]);
            self.cut |= kept < data.len();
        }
        if source.logged {
            let part = Part { log: source.log.clone(), stream: source.stream, times: batch.times, data };
            self.out.append(&part)?;
        }
        Ok(())
    }

    /// When [`Recorder::flush`] is due.
    pub fn due(&self) -> Option<Instant> {
        self.batch.as_ref().map(|batch| batch.since + HOLD)
    }

    /// Parts and bytes in the spool.
    pub const fn written(&self) -> (u64, u64) {
        (self.out.parts, self.out.bytes)
    }

    /// Replaces secrets in a text for people.
    pub fn redact(&self, text: &str) -> String {
        self.redactor.redact_str(text).into_owned()
    }

    /// The heads of stdout and stderr, and whether they were cut.
    pub fn into_heads(self) -> (Vec<u8>, Vec<u8>, bool) {
        let [stdout, stderr] = self.heads;
        // Without heads nothing was cut off them.
        let cut = self.cut && self.head_max > 0;
        (stdout, stderr, cut)
    }

    /// Adds finished lines; the first may complete the unfinished one.
    fn take_lines(&mut self, id: SourceId, lines: &[u8], at: i64) -> io::Result<()> {
        let source = &mut self.sources[id.0];
        let (rest, rest_at) = (std::mem::take(&mut source.rest), source.rest_at);
        #[expect(clippy::naive_bytecount, reason = "the compiler vectorises it; not worth a crate")]
        let mut count = lines.iter().filter(|byte| **byte == b'\n').count() as u64;
        let batch = self.batch_of(id)?;
        if !rest.is_empty() {
            batch.add_times(1, rest_at);
            batch.data.extend_from_slice(&rest);
            count -= 1;
        }
        batch.add_times(count, at);
        batch.data.extend_from_slice(lines);
        Ok(())
    }

    /// Cuts an unfinished line that is too long, but not within a secret.
    fn cut_line(&mut self, id: SourceId) -> io::Result<()> {
        let source = &mut self.sources[id.0];
        let (mut piece, at) = (std::mem::take(&mut source.rest), source.rest_at);
        if self.overlap > 0 {
            piece = self.redactor.redact(&piece).into_owned();
            let kept = piece.split_off(piece.len().saturating_sub(self.overlap));
            self.sources[id.0].rest = kept;
        }
        self.take_piece(id, &piece, at)
    }

    /// Adds a piece of a line, which ends its part.
    fn take_piece(&mut self, id: SourceId, piece: &[u8], at: i64) -> io::Result<()> {
        let batch = self.batch_of(id)?;
        batch.add_times(1, at);
        batch.data.extend_from_slice(piece);
        self.flush()
    }

    /// The batch of this source; that of another is written first, so that the order stays.
    fn batch_of(&mut self, id: SourceId) -> io::Result<&mut Batch> {
        if self.batch.as_ref().is_some_and(|batch| batch.source != id) {
            self.flush()?;
        }
        Ok(self.batch.get_or_insert_with(|| Batch {
            source: id,
            since: Instant::now(),
            times: Vec::new(),
            data: Vec::new(),
        }))
    }
}

impl Source {
    fn extend_rest(&mut self, read: &[u8], at: i64) {
        if self.rest.is_empty() {
            self.rest_at = at;
        }
        self.rest.extend_from_slice(read);
    }
}

impl Batch {
    fn add_times(&mut self, lines: u64, at: i64) {
        match self.times.last_mut() {
            Some(run) if run.at == at => run.lines += lines,
            _ if lines == 0 => {}
            _ => self.times.push(TimeRun { lines, at }),
        }
    }
}

/// Counts line ends in raw output as `max_lines` does (docs/reference/worker-protocol.md#shell): CR LF, CR and LF each
/// as one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LineCounter {
    pub lines: u64,
    after_return: bool,
}

impl LineCounter {
    pub fn count(&mut self, read: &[u8]) {
        for byte in read {
            match byte {
                b'\n' if self.after_return => {}
                b'\n' | b'\r' => self.lines += 1,
                _ => {}
            }
            self.after_return = *byte == b'\r';
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::worker::order::line_order;
    use crate::worker::spool::OutReader;

    struct Bench {
        recorder: Recorder,
        reader: OutReader,
        _directory: tempfile::TempDir,
    }

    fn bench(change: impl FnOnce(&mut Order)) -> Bench {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out");
        let mut order = line_order("");
        change(&mut order);
        let recorder = Recorder::new(OutWriter::create(&path).unwrap(), &order);
        Bench { recorder, reader: OutReader::open(&path, 0, 0).unwrap(), _directory: directory }
    }

    impl Bench {
        fn take(&mut self, id: SourceId, text: &str, at: i64) {
            self.recorder.take(id, text.as_bytes(), at).unwrap();
        }

        #[expect(clippy::type_complexity, reason = "read by assertions only")]
        fn parts(&mut self) -> Vec<(Stream, String, Vec<(u64, i64)>)> {
            self.recorder.flush().unwrap();
            let mut parts = Vec::new();
            while let Some(part) = self.reader.read().unwrap() {
                let times = part.times.iter().map(|run| (run.lines, run.at)).collect();
                parts.push((part.stream, String::from_utf8_lossy(&part.data).into_owned(), times));
            }
            parts
        }
    }

    #[test]
    fn lines_of_a_stream_go_into_one_part_with_the_time_of_their_beginning() {
        let mut bench = bench(|_| {});
        bench.take(STDOUT, "one\ntw", 1);
        bench.take(STDOUT, "o", 2);
        bench.take(STDOUT, "\nthree\nfour\n", 3);
        assert_eq!(bench.parts(), [(Stream::Out, "one\ntwo\nthree\nfour\n".to_owned(), vec![(2, 1), (2, 3)])]);
    }

    #[test]
    fn streams_keep_their_order_and_an_unfinished_line_waits() {
        let mut bench = bench(|_| {});
        bench.take(STDOUT, "prompt: ", 1);
        bench.take(STDERR, "oh\n", 2);
        bench.take(STDOUT, "yes\n", 3);
        bench.recorder.say("end\n", 4).unwrap();
        bench.take(STDOUT, "rest", 5);
        bench.recorder.end(STDOUT).unwrap();
        let text: Vec<_> = bench.parts().into_iter().map(|(stream, text, _)| (stream, text)).collect();
        let want =
            [(Stream::Err, "oh\n"), (Stream::Out, "prompt: yes\n"), (Stream::Header, "end\n"), (Stream::Out, "rest")];
        assert_eq!(text, want.map(|(stream, text)| (stream, text.to_owned())));
    }

    #[test]
    fn an_endless_line_is_cut_and_loses_nothing() {
        let mut bench = bench(|_| {});
        for _ in 0..70 {
            bench.take(STDOUT, &"x".repeat(10_000), 1);
        }
        bench.take(STDOUT, "y\n", 2);
        let parts = bench.parts();
        assert!(parts.len() > 2 && parts.iter().all(|(_, text, _)| text.len() <= LINE_BYTES_MAX + 10_000));
        assert!(parts.iter().all(|(_, _, times)| times.iter().map(|(lines, _)| lines).sum::<u64>() == 1));
        let whole: String = parts.iter().map(|(_, text, _)| text.as_str()).collect();
        assert_eq!(whole, "x".repeat(700_000) + "y\n");
    }

    #[test]
    fn a_secret_is_replaced_even_where_an_endless_line_is_cut() {
        let secret = "correct-horse-battery";
        let mut bench = bench(|order| {
            order.masks = vec![("S".to_owned(), secret.to_owned())];
            order.spec.want_output = true;
        });
        bench.recorder.head_max = usize::MAX;
        let line: String = (0..50_000).map(|n| if n % 7 == 0 { secret } else { "padding " }).collect();
        for piece in line.as_bytes().chunks(4_999) {
            bench.recorder.take(STDOUT, piece, 1).unwrap();
        }
        bench.recorder.end(STDOUT).unwrap();
        let parts = bench.parts();
        assert!(parts.len() > 1);
        let whole: String = parts.iter().map(|(_, text, _)| text.as_str()).collect();
        assert_eq!(whole, line.replace(secret, "<S>"));
        assert_eq!(bench.recorder.into_heads().0, whole.as_bytes());
    }

    #[test]
    fn heads_are_kept_even_of_what_is_not_logged() {
        let mut bench = bench(|order| {
            order.spec.want_output = true;
            order.spec.log_stdout = false;
        });
        bench.recorder.head_max = 5;
        bench.take(STDOUT, "abc\ndef\n", 1);
        bench.take(STDERR, "err\n", 1);
        assert_eq!(bench.parts(), [(Stream::Err, "err\n".to_owned(), vec![(1, 1)])]);
        assert_eq!(bench.recorder.into_heads(), (b"abc\nd".to_vec(), b"err\n".to_vec(), true));
    }

    #[test]
    fn line_ends_of_all_kinds_count_once() {
        let mut counter = LineCounter::default();
        for read in ["a\nb\r\nc\r", "\nd\r\re", "\n"] {
            counter.count(read.as_bytes());
        }
        assert_eq!(counter.lines, 6);
    }
}
