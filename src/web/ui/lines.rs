//! Lines of logs as rows of a page.

use super::ansi::to_html;
use super::show::absolute;
use crate::base::{Span, Timestamp};
use crate::store::LogLine;

/// Bytes shown of one line; the raw log has all of it.
const SHOWN: usize = 8_192;

/// A line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRow {
    /// From 1, as people count.
    pub number: u64,
    /// `o`, `e`, `h` or `t`.
    pub stream: char,
    /// How long after the log's first line.
    pub after: String,
    /// The exact time.
    pub at: String,
    pub html: String,
    /// Bytes that are not shown.
    pub cut: usize,
}

/// Rows of lines that begin at `first` (from 0); `begin` is the time of the log's first line.
pub fn rows(lines: &[LogLine], first: u64, begin: Option<Timestamp>) -> Vec<LogRow> {
    let begin = begin.or_else(|| lines.first().map(|line| line.at)).unwrap_or_default();
    (first..).zip(lines).map(|(at, line)| row(line, at, begin)).collect()
}

fn row(line: &LogLine, at: u64, begin: Timestamp) -> LogRow {
    let shown = line.text.len().min(SHOWN);
    LogRow {
        number: at + 1,
        stream: line.stream,
        after: clock(line.at.since(begin)),
        at: absolute(line.at),
        html: to_html(&String::from_utf8_lossy(&line.text[..shown])),
        cut: line.text.len() - shown,
    }
}

/// `0:05`, `12:34`, `1:02:03`.
fn clock(span: Span) -> String {
    let seconds = span.as_millis() / 1000;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn line(stream: char, millis: i64, text: &[u8]) -> LogLine {
        LogLine { stream, at: Timestamp::from_millis(millis), text: Bytes::copy_from_slice(text) }
    }

    #[test]
    fn lines_are_numbered_from_one_and_timed_from_the_first() {
        let rows = rows(&[line('h', 1_000, b"a"), line('o', 66_500, b"<b>")], 10, Some(Timestamp::from_millis(0)));
        assert_eq!((rows[0].number, rows[0].after.as_str()), (11, "0:01"));
        assert_eq!((rows[1].number, rows[1].after.as_str()), (12, "1:06"));
        assert_eq!(rows[1].html, "&lt;b&gt;");
    }

    #[test]
    fn an_endless_line_is_cut_and_says_so() {
        let rows = rows(&[line('o', 0, &vec![b'x'; SHOWN + 7])], 0, None);
        assert_eq!((rows[0].html.len(), rows[0].cut), (SHOWN, 7));
    }

    #[test]
    fn bytes_that_are_no_text_are_shown_as_such() {
        assert_eq!(rows(&[line('o', 0, b"a\xffb")], 0, None)[0].html, "a\u{fffd}b");
    }
}
