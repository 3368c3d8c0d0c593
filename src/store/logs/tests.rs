//! Logs as a whole: against a model, over crashes, at their bounds, with damage.

use std::fs;
use std::path::Path;

use bytes::Bytes;
use proptest::prelude::*;

use super::line::LINE_BYTES_MAX;
use super::{LeftOut, LogLimits, LogLine, LogPart, Logs};
use crate::base::Timestamp;
use crate::model::{BuildId, LogId};
use crate::store::blocking::block_on;
use crate::store::directory::Directory;
use crate::store::{Store, StoreError, StoreOptions};

const BUILD: BuildId = BuildId(7);
const LOG: LogId = LogId(3);

/// The logs of a store of their own.
struct Opened {
    store: Store,
    logs: Logs,
}

impl std::ops::Deref for Opened {
    type Target = Logs;
    fn deref(&self) -> &Logs {
        &self.logs
    }
}

impl Opened {
    fn shut_down(&self) -> Result<(), StoreError> {
        self.store.close()
    }

    /// Everything goes to packs and files, as it does when a segment of the journal is full.
    fn settle(&self) {
        self.store.settle().unwrap();
    }
}

fn open_with(dir: &Path, limits: &LogLimits) -> Opened {
    let store = Store::open_with(dir, &StoreOptions { logs: limits.clone(), free_bytes_min: 0 }).unwrap();
    let logs = store.logs();
    Opened { store, logs }
}

fn open(dir: &Path) -> Opened {
    open_with(dir, &LogLimits::default())
}

/// What a crash at this moment would leave: a copy of all files but the database, which holds nothing of logs. The journal comes first:
/// a block or pack that is written, and a segment that is removed, while the copy is made are no loss then, as they are none in a
/// crash.
fn crash_image(dir: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    let directory = Directory::new(dir);
    copy_tree(&directory.journal(), &Directory::new(copy.path()).journal());
    for path in [directory.packs(), directory.builds()] {
        copy_tree(&path, &copy.path().join(path.file_name().unwrap()));
    }
    copy
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&entry.path(), &target);
        } else if let Err(error) = fs::copy(entry.path(), target) {
            // A segment of the journal that was not needed any more.
            assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{error}");
        }
    }
}

fn part(stream: char, lines: &[&[u8]], at: i64) -> LogPart {
    let text: Vec<u8> = lines.iter().flat_map(|line| [line, &b"\n"[..]].concat()).collect();
    let times = (0..lines.len()).map(|i| Timestamp::from_millis(at + i64::try_from(i).unwrap())).collect();
    LogPart { stream, text: Bytes::from(text), times }
}

fn numbered(from: u64, to: u64) -> LogPart {
    let lines: Vec<String> = (from..to).map(|number| format!("line {number}")).collect();
    part('o', &lines.iter().map(std::string::String::as_bytes).collect::<Vec<_>>(), 0)
}

/// Text that does not compress.
fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        u8::try_from(33 + (state >> 32) % 90).unwrap()
    };
    (0..bytes).map(|_| next()).collect()
}

fn append(logs: &Logs, n: u64, part: LogPart) {
    block_on(logs.append(BUILD, LOG, "cmd", n, part)).unwrap();
}

fn texts(lines: &[LogLine]) -> Vec<String> {
    lines.iter().map(|line| String::from_utf8_lossy(&line.text).into_owned()).collect()
}

fn read_all(logs: &Logs) -> Vec<LogLine> {
    logs.read(BUILD, LOG, 0, u64::MAX).unwrap()
}

fn segment_path(dir: &Path, number: u64) -> std::path::PathBuf {
    Directory::new(dir).build(BUILD).join(format!("log-{LOG}.{number}"))
}

#[test]
fn lines_keep_stream_time_and_any_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let logs = open(dir.path());
    append(&logs, 0, part('h', &[b"sh -c make"], 1_000));
    append(&logs, 1, part('o', &[b"\xff\xfe\x00", b"", b"three"], 2_000));
    append(&logs, 2, part('e', &[b"oops"], 3_000));
    let check = |lines: &[LogLine]| {
        let shown: Vec<_> = lines.iter().map(|line| (line.stream, line.at.as_millis(), line.text.to_vec())).collect();
        let expected = [
            ('h', 1_000, b"sh -c make".to_vec()),
            ('o', 2_000, b"\xff\xfe\x00".to_vec()),
            ('o', 2_001, Vec::new()),
            ('o', 2_002, b"three".to_vec()),
            ('e', 3_000, b"oops".to_vec()),
        ];
        assert_eq!(shown, expected);
    };
    check(&read_all(&logs));
    assert_eq!(block_on(logs.close(BUILD, LOG)).unwrap(), 5);
    check(&read_all(&logs));
    logs.shut_down().unwrap();
    check(&read_all(&open(dir.path())));
}

#[test]
fn a_log_without_lines_is_empty_and_leaves_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let logs = open(dir.path());
    assert_eq!(block_on(logs.close(BUILD, LOG)).unwrap(), 0);
    assert_eq!(block_on(logs.close(BUILD, LOG)).unwrap(), 0);
    assert!(read_all(&logs).is_empty());
    assert!(logs.tail(BUILD, LOG, 5).unwrap().is_empty());
    assert_eq!(logs.next(BUILD, LOG, "cmd").unwrap(), 0);
    assert!(!segment_path(dir.path(), 0).exists());
}

#[test]
fn a_part_that_comes_twice_is_left_out_also_after_a_crash() {
    let dir = tempfile::tempdir().unwrap();
    let logs = open(dir.path());
    append(&logs, 0, numbered(0, 3));
    append(&logs, 0, numbered(0, 3));
    append(&logs, 1, numbered(3, 5));
    assert_eq!(logs.next(BUILD, LOG, "cmd").unwrap(), 2);
    let crashed = crash_image(dir.path());
    let logs = open(crashed.path());
    assert_eq!(logs.next(BUILD, LOG, "cmd").unwrap(), 2);
    append(&logs, 1, numbered(3, 5));
    append(&logs, 2, numbered(5, 6));
    block_on(logs.close(BUILD, LOG)).unwrap();
    append(&logs, 2, numbered(5, 6));
    assert_eq!(texts(&read_all(&logs)), (0..6).map(|n| format!("line {n}")).collect::<Vec<_>>());
    let again = crash_image(crashed.path());
    assert_eq!(texts(&read_all(&open(again.path()))).len(), 6);
}

#[test]
fn a_part_half_written_before_a_crash_is_completed() {
    let dir = tempfile::tempdir().unwrap();
    let logs = open(dir.path());
    // Much more than a block: its first blocks are in the file, the rest only in the journal.
    append(&logs, 0, numbered(0, 40_000));
    let crashed = crash_image(dir.path());
    let logs = open(crashed.path());
    append(&logs, 0, numbered(0, 40_000));
    append(&logs, 1, numbered(40_000, 40_001));
    let lines = texts(&read_all(&logs));
    assert_eq!(lines.len(), 40_001);
    assert!(lines.iter().enumerate().all(|(number, line)| *line == format!("line {number}")));
}

#[test]
fn a_closed_log_can_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let logs = open(dir.path());
    append(&logs, 0, numbered(0, 2));
    assert_eq!(block_on(logs.close(BUILD, LOG)).unwrap(), 2);
    append(&logs, 1, numbered(2, 3));
    assert_eq!(block_on(logs.close(BUILD, LOG)).unwrap(), 3);
    logs.shut_down().unwrap();
    let logs = open(dir.path());
    assert_eq!(texts(&logs.tail(BUILD, LOG, 2).unwrap()), ["line 1", "line 2"]);
    assert_eq!(block_on(logs.close(BUILD, LOG)).unwrap(), 3);
}

#[test]
fn a_very_long_line_becomes_several() {
    let dir = tempfile::tempdir().unwrap();
    let logs = open(dir.path());
    append(&logs, 0, part('o', &[&vec![b'x'; LINE_BYTES_MAX + 5], b"next"], 4));
    let lines = read_all(&logs);
    assert_eq!(lines.iter().map(|line| line.text.len()).collect::<Vec<_>>(), [LINE_BYTES_MAX, 5, 4]);
}

#[test]
fn the_middle_of_a_log_that_grows_too_large_is_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let limits = LogLimits { head_bytes: 600 << 10, tail_bytes: 800 << 10 };
    let logs = open_with(dir.path(), &limits);
    let line = |number: u64| [format!("{number:06} ").into_bytes(), noise(number, 1000)].concat();
    for n in 0..50_u64 {
        let lines: Vec<Vec<u8>> = (n * 100..(n + 1) * 100).map(line).collect();
        append(&logs, n, part('o', &lines.iter().map(Vec::as_slice).collect::<Vec<_>>(), 0));
    }
    assert_eq!(block_on(logs.close(BUILD, LOG)).unwrap(), 5_000);
    let check = |logs: &Logs| {
        let LeftOut { first, lines, bytes } = logs.left_out(BUILD, LOG).unwrap().unwrap();
        assert!(first > 400 && lines > 2_000, "{first} {lines}");
        assert_eq!(bytes, lines * 1008);
        let all = read_all(logs);
        assert_eq!(all.len(), 5_000);
        for (number, found) in (0_u64..).zip(&all) {
            if number < first || number >= first + lines {
                assert_eq!(found.text, line(number), "line {number}");
            } else if number == first {
                let megabytes = format!("{}.{} MB", bytes / 1_000_000, (bytes % 1_000_000 + 50_000) / 100_000);
                assert_eq!(texts(std::slice::from_ref(found)), [format!("… {lines} lines, {megabytes} left out …")]);
                assert_eq!(found.stream, 'h');
            } else {
                assert!(found.text.is_empty() && found.stream == 'h');
            }
        }
        let inside = logs.read(BUILD, LOG, first + 1, 2).unwrap();
        assert!(inside.len() == 2 && inside.iter().all(|line| line.text.is_empty()));
        let border = logs.read(BUILD, LOG, first + lines - 1, 2).unwrap();
        assert_eq!(border[1].text, line(first + lines));
        assert_eq!(logs.tail(BUILD, LOG, 1).unwrap()[0].text, line(4_999));
    };
    check(&logs);
    let on_disk: u64 = fs::read_dir(Directory::new(dir.path()).build(BUILD))
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .sum();
    assert!(on_disk < limits.head_bytes + limits.tail_bytes + (600 << 10), "{on_disk} bytes on disk");
    check(&open_with(crash_image(dir.path()).path(), &limits));
}

#[test]
fn a_torn_end_of_a_log_file_is_written_again() {
    let dir = tempfile::tempdir().unwrap();
    let logs = open(dir.path());
    append(&logs, 0, numbered(0, 20_000));
    append(&logs, 1, numbered(20_000, 40_000));
    let whole = read_all(&logs);
    let length = fs::metadata(segment_path(dir.path(), 0)).unwrap().len();
    for cut in [1, 7, 11, 12, 13, 100, 1_000, length / 2, length - 3, length] {
        let crashed = crash_image(dir.path());
        let file = fs::OpenOptions::new().write(true).open(segment_path(crashed.path(), 0)).unwrap();
        file.set_len(length - cut).unwrap();
        let logs = open(crashed.path());
        assert_eq!(read_all(&logs), whole, "{cut} bytes cut off");
        assert_eq!(logs.next(BUILD, LOG, "cmd").unwrap(), 2);
    }
}

#[test]
fn a_file_without_its_index_is_walked_through() {
    let dir = tempfile::tempdir().unwrap();
    let logs = open(dir.path());
    append(&logs, 0, numbered(0, 60_000));
    block_on(logs.close(BUILD, LOG)).unwrap();
    let whole = read_all(&logs);
    logs.shut_down().unwrap();
    let path = segment_path(dir.path(), 0);
    let bytes = fs::read(&path).unwrap();
    for cut in 1..40 {
        fs::write(&path, &bytes[..bytes.len() - cut]).unwrap();
        let logs = open(dir.path());
        assert_eq!(logs.lines(BUILD, LOG).unwrap(), 60_000);
        assert_eq!(logs.read(BUILD, LOG, 59_990, 100).unwrap(), whole[59_990..]);
        assert_eq!(logs.next(BUILD, LOG, "cmd").unwrap(), 1);
        assert_eq!(block_on(logs.close(BUILD, LOG)).unwrap(), 60_000);
        logs.shut_down().unwrap();
    }
}

#[test]
fn damage_in_the_middle_costs_one_block_and_keeps_line_numbers() {
    let dir = tempfile::tempdir().unwrap();
    let logs = open(dir.path());
    append(&logs, 0, numbered(0, 60_000));
    block_on(logs.close(BUILD, LOG)).unwrap();
    let whole = read_all(&logs);
    // The journal would have its lines again.
    logs.settle();
    logs.shut_down().unwrap();
    let path = segment_path(dir.path(), 0);
    let good = fs::read(&path).unwrap();
    let mut bytes = good.clone();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x55;
    // Once with the index, once without: the walk has to find the same hole.
    for end in [bytes.len(), bytes.len() - 1] {
        fs::write(&path, &bytes[..end]).unwrap();
        let logs = open(dir.path());
        let lines = read_all(&logs);
        assert_eq!(lines.len(), 60_000);
        let different = lines.iter().zip(&whole).filter(|(found, expected)| found != expected).count();
        assert!((1_000..30_000).contains(&different), "{different}");
        assert_eq!(lines.iter().filter(|line| texts(std::slice::from_ref(*line))[0].contains("damaged")).count(), 1);
        logs.shut_down().unwrap();
    }
}

#[test]
fn the_journal_goes_once_its_lines_are_in_place() {
    let dir = tempfile::tempdir().unwrap();
    let logs = open(dir.path());
    append(&logs, 0, numbered(0, 10));
    let segments = || {
        let found = crate::store::journal::segments(&Directory::new(dir.path()).journal()).unwrap();
        found.into_iter().map(|(number, _)| number).collect::<Vec<_>>()
    };
    assert_eq!(segments(), [1]);
    logs.settle();
    assert_eq!(segments(), [2]);
    assert!(segment_path(dir.path(), 0).exists(), "a log that may go on has its file");
    assert_eq!(read_all(&logs).len(), 10);
    logs.shut_down().unwrap();
    assert_eq!(read_all(&open(dir.path())).len(), 10);
}

#[test]
fn a_short_log_that_is_over_goes_to_a_pack_and_can_go_on_from_there() {
    let dir = tempfile::tempdir().unwrap();
    let logs = open(dir.path());
    append(&logs, 0, numbered(0, 10));
    block_on(logs.close(BUILD, LOG)).unwrap();
    logs.settle();
    let expected = |lines: u64| (0..lines).map(|n| format!("line {n}")).collect::<Vec<_>>();
    assert!(!Directory::new(dir.path()).build(BUILD).exists(), "it has no file of its own");
    assert_eq!(texts(&read_all(&logs)), expected(10));
    assert_eq!(texts(&logs.read(BUILD, LOG, 8, 5).unwrap()), ["line 8", "line 9"]);
    logs.shut_down().unwrap();
    let logs = open(dir.path());
    assert_eq!((texts(&read_all(&logs)), logs.next(BUILD, LOG, "cmd").unwrap()), (expected(10), 1));
    append(&logs, 0, numbered(0, 10));
    append(&logs, 1, numbered(10, 12));
    assert_eq!(texts(&read_all(&logs)), expected(12));
    assert_eq!(texts(&read_all(&open(crash_image(dir.path()).path()))), expected(12));
    logs.settle();
    assert!(segment_path(dir.path(), 0).exists());
    assert_eq!(texts(&read_all(&logs)), expected(12));
    let crashed = crash_image(dir.path());
    assert_eq!(texts(&read_all(&open(crashed.path()))), expected(12));
    // A file that lost its end to a crash holds less than the pack: the pack counts.
    fs::write(segment_path(crashed.path(), 0), &fs::read(segment_path(dir.path(), 0)).unwrap()[..150]).unwrap();
    assert_eq!(texts(&read_all(&open(crashed.path()))), expected(10));
}

#[test]
fn growth_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let logs = open(dir.path());
    let mut news = logs.subscribe();
    append(&logs, 0, numbered(0, 2));
    block_on(logs.close(BUILD, LOG)).unwrap();
    let told: Vec<_> = std::iter::from_fn(|| news.try_recv().ok()).map(|news| (news.lines, news.closed)).collect();
    assert_eq!(told, [(2, false), (2, true)]);
}

#[test]
fn a_closed_store_refuses() {
    let dir = tempfile::tempdir().unwrap();
    let logs = open(dir.path());
    logs.shut_down().unwrap();
    assert!(block_on(logs.append(BUILD, LOG, "cmd", 0, numbered(0, 1))).is_err());
    assert!(logs.lines(BUILD, LOG).is_err());
    logs.shut_down().unwrap();
}

#[derive(Clone, Debug)]
enum Step {
    Append { log: u64, source: u8, stream: char, lines: Vec<u16> },
    Again { log: u64, source: u8 },
    Close { log: u64 },
    Read { log: u64, first: u64, count: u64 },
    Crash,
    Restart,
    Settle,
}

fn step() -> impl Strategy<Value = Step> {
    let lines = proptest::collection::vec(prop_oneof![0_u16..40, 0_u16..40, 0_u16..40, 2_000_u16..9_000], 0..40);
    prop_oneof![
        8 => (0_u64..3, 0_u8..2, prop_oneof![Just('o'), Just('e'), Just('h')], lines)
            .prop_map(|(log, source, stream, lines)| Step::Append { log, source, stream, lines }),
        2 => (0_u64..3, 0_u8..2).prop_map(|(log, source)| Step::Again { log, source }),
        1 => (0_u64..3).prop_map(|log| Step::Close { log }),
        4 => (0_u64..3, 0_u64..300, 0_u64..100).prop_map(|(log, first, count)| Step::Read { log, first, count }),
        1 => Just(Step::Crash),
        1 => Just(Step::Restart),
        1 => Just(Step::Settle),
    ]
}

/// What a log should hold: a plain list.
#[derive(Default)]
struct Model {
    lines: Vec<LogLine>,
    next: [u64; 2],
    last: [Option<LogPart>; 2],
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn logs_read_as_a_plain_list_would(steps in proptest::collection::vec(step(), 1..40)) {
        let mut dir = tempfile::tempdir().unwrap();
        let mut logs = open(dir.path());
        let mut models: [Model; 3] = Default::default();
        let mut clock = 0_i64;
        for step in steps {
            match step {
                Step::Append { log, source, stream, lines } => {
                    clock += 10;
                    let model = &mut models[usize::try_from(log).unwrap()];
                    let lines: Vec<Vec<u8>> = lines.iter().map(|bytes| noise(u64::from(*bytes), usize::from(*bytes))).collect();
                    let part = part(stream, &lines.iter().map(Vec::as_slice).collect::<Vec<_>>(), clock);
                    for (text, at) in lines.iter().zip(&part.times) {
                        model.lines.push(LogLine { stream, at: *at, text: Bytes::copy_from_slice(text) });
                    }
                    let place = usize::from(source);
                    let name = format!("source {source}");
                    block_on(logs.append(BUILD, LogId(log), &name, model.next[place], part.clone())).unwrap();
                    model.next[place] += 1;
                    model.last[place] = Some(part);
                }
                Step::Again { log, source } => {
                    let model = &models[usize::try_from(log).unwrap()];
                    if let Some(part) = &model.last[usize::from(source)] {
                        let n = model.next[usize::from(source)] - 1;
                        block_on(logs.append(BUILD, LogId(log), &format!("source {source}"), n, part.clone())).unwrap();
                    }
                }
                Step::Close { log } => {
                    let lines = block_on(logs.close(BUILD, LogId(log))).unwrap();
                    prop_assert_eq!(lines, models[usize::try_from(log).unwrap()].lines.len() as u64);
                }
                Step::Read { log, first, count } => {
                    let expected: Vec<LogLine> = models[usize::try_from(log).unwrap()]
                        .lines.iter().skip(usize::try_from(first).unwrap()).take(usize::try_from(count).unwrap()).cloned().collect();
                    prop_assert_eq!(logs.read(BUILD, LogId(log), first, count).unwrap(), expected);
                }
                Step::Crash => {
                    let image = crash_image(dir.path());
                    logs.shut_down().unwrap();
                    dir = image;
                    logs = open(dir.path());
                }
                Step::Restart => {
                    logs.shut_down().unwrap();
                    logs = open(dir.path());
                }
                Step::Settle => logs.settle(),
            }
        }
        for (log, model) in (0_u64..).zip(&models) {
            prop_assert_eq!(&logs.read(BUILD, LogId(log), 0, u64::MAX).unwrap(), &model.lines);
            let tail = logs.tail(BUILD, LogId(log), 3).unwrap();
            prop_assert_eq!(&tail[..], &model.lines[model.lines.len().saturating_sub(3)..]);
            for source in 0..2_u8 {
                let next = logs.next(BUILD, LogId(log), &format!("source {source}")).unwrap();
                prop_assert_eq!(next, model.next[usize::from(source)]);
            }
        }
    }
}
