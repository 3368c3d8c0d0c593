//! Converts updates of workers to parts of logs.

use bytes::Bytes;

use crate::base::Timestamp;
use crate::protocol::{Lines, LogChunk};
use crate::secrets::Redactor;
use crate::store::LogPart;

/// Lines of a stock worker, without secrets. If there are fewer times than lines, the last known one is repeated, or
/// the present is used.
pub(super) fn part_of_lines(stream: char, lines: &Lines, redactor: &Redactor, now: Timestamp) -> LogPart {
    let text = redactor.redact(lines.text.as_bytes()).into_owned();
    let times = lines.times.iter().map(|seconds| moment(*seconds)).collect();
    part(stream, Bytes::from(text), times, now)
}

/// A part of one of our workers, unchanged.
pub(super) fn part_of_chunk(chunk: &LogChunk, now: Timestamp) -> LogPart {
    let times = chunk.times.iter().map(|millis| Timestamp::from_millis(*millis)).collect();
    part(chunk.stream.letter(), chunk.data.clone(), times, now)
}

/// Lines of the master itself.
pub(super) fn part_of_text(stream: char, text: String, now: Timestamp) -> LogPart {
    part(stream, Bytes::from(text), Vec::new(), now)
}

fn part(stream: char, text: Bytes, mut times: Vec<Timestamp>, now: Timestamp) -> LogPart {
    times.resize(line_count(&text), times.last().copied().unwrap_or(now));
    LogPart { stream, text, times }
}

#[expect(clippy::naive_bytecount, reason = "the compiler makes it wide; not worth a crate")]
fn line_count(text: &[u8]) -> usize {
    let ended = text.iter().filter(|byte| **byte == b'\n').count();
    ended + usize::from(text.last().is_some_and(|last| *last != b'\n'))
}

/// Seconds since the epoch by the worker's clock.
#[expect(clippy::cast_possible_truncation, reason = "saturates, which is what is wanted of a mad clock")]
fn moment(seconds: f64) -> Timestamp {
    Timestamp::from_millis((seconds * 1000.0).round() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_times_are_padded_with_the_last_known_one() {
        let lines = Lines { text: "a\nb\nc\n".to_owned(), times: vec![1.5] };
        let part = part_of_lines('o', &lines, &Redactor::default(), Timestamp::from_millis(9));
        assert_eq!(part.times, vec![Timestamp::from_millis(1500); 3]);
        let lines = Lines { times: Vec::new(), ..lines };
        let part = part_of_lines('o', &lines, &Redactor::default(), Timestamp::from_millis(9));
        assert_eq!(part.times, vec![Timestamp::from_millis(9); 3]);
    }

    #[test]
    fn surplus_times_are_dropped_and_an_unfinished_line_has_one() {
        let part =
            part('o', Bytes::from_static(b"a\nb"), vec![Timestamp::from_millis(1); 5], Timestamp::from_millis(9));
        assert_eq!(part.times.len(), 2);
    }
}
