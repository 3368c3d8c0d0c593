//! Log lines fit for a mail: no terminal codes, no endless lines, bounded in number.

use super::Excerpt;
use super::wording::{cut, one_line};

/// A line of a log rarely says more than this to a reader of mail; minified files and base64 would swell it.
const LINE_CHARS_MAX: usize = 400;
/// Excerpts in one mail. With more steps failed the page is the better place.
const EXCERPTS_MAX: usize = 5;
/// Names of steps and logs.
const NAME_CHARS_MAX: usize = 80;

/// The excerpts to show: the last `lines_max` lines of the first few steps, each line readable.
pub(super) fn readable(excerpts: &[Excerpt], lines_max: u64) -> Vec<Excerpt> {
    let lines_max = usize::try_from(lines_max).unwrap_or(usize::MAX);
    excerpts
        .iter()
        .filter(|excerpt| !excerpt.lines.is_empty())
        .take(EXCERPTS_MAX)
        .map(|e| shorten(e, lines_max))
        .collect()
}

fn shorten(excerpt: &Excerpt, lines_max: usize) -> Excerpt {
    let dropped = excerpt.lines.len().saturating_sub(lines_max);
    Excerpt {
        step: one_line(&excerpt.step, NAME_CHARS_MAX),
        log: one_line(&excerpt.log, NAME_CHARS_MAX),
        lines: excerpt.lines[dropped..].iter().map(|line| plain(line)).collect(),
        before: excerpt.before.saturating_add(u64::try_from(dropped).unwrap_or(u64::MAX)),
    }
}

/// A line without terminal codes; of a progress line that was overwritten again and again, the last state.
fn plain(line: &str) -> String {
    let last = line.trim_end_matches(['\r', '\n']).rsplit('\r').next().unwrap_or("");
    cut(without_codes(last).trim_end(), LINE_CHARS_MAX)
}

fn without_codes(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\u{1b}' => match rest.next() {
                // Control sequence: parameters, then one final byte.
                Some('[') => while rest.next().is_some_and(|c| !('@'..='~').contains(&c)) {},
                // Operating system command (titles, links): up to BEL or ESC \.
                Some(']') => while rest.next().is_some_and(|c| c != '\u{7}' && c != '\\') {},
                _ => {}
            },
            '\t' => out.push('\t'),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminal_codes_leave_no_trace() {
        assert_eq!(plain("\u{1b}[1;31merror\u{1b}[0m: \u{1b}]8;;http://x\u{1b}\\E1\u{1b}]8;;\u{7}\n"), "error: E1");
        assert_eq!(plain(" 10%\r 50%\r100% done\r\n"), "100% done");
        assert_eq!(plain("a\tb\u{8}\u{0}"), "a\tb");
        assert_eq!(plain("\u{1b}["), "");
    }

    #[test]
    fn the_end_of_the_log_is_kept() {
        let lines = (1..=9).map(|n| n.to_string()).collect();
        let excerpts = readable(&[Excerpt { step: "s".into(), log: "l".into(), lines, before: 100 }], 3);
        assert_eq!(excerpts[0].lines, ["7", "8", "9"]);
        assert_eq!(excerpts[0].before, 106);
    }
}
